//! `deploy/prometheus`: Prometheus takes it, each alert fires when it should, and asks for metrics that are
//! there.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use tokenkeep::settings::Settings;
use tokenkeep::telemetry::{Metrics, Values};

const SCRAPE: &str = include_str!("../../deploy/prometheus/scrape.yml");
const RULES: &str = include_str!("../../deploy/prometheus/rules.yml");
const RULES_TEST: &str = include_str!("../../deploy/prometheus/rules_test.yml");

/// An alert's name, and what stands below it.
pub fn alerts() -> Vec<(&'static str, &'static str)> {
    let alerts = RULES.split("- alert: ").skip(1);
    alerts
        .map(|alert| alert.split_once('\n').unwrap())
        .collect()
}

/// Whether promtool is there; where it must be, it is.
fn has_promtool() -> bool {
    let is_there = Command::new("promtool").arg("--version").output().is_ok();
    let must_be = std::env::var_os("TOKENKEEP_TEST_PROMTOOL").is_some_and(|value| value == "1");
    assert!(is_there || !must_be, "promtool is not there");
    if !is_there {
        eprintln!(
            "SKIPPED: promtool is not installed (Debian: prometheus; tests/run takes it from there where it may)"
        );
    }
    is_there
}

#[test]
fn prometheus_takes_the_configuration_and_each_alert_fires_when_it_should() {
    if !has_promtool() {
        return;
    }
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/prometheus");
    for arguments in [
        ["check", "config", "scrape.yml"],
        ["check", "rules", "rules.yml"],
        ["test", "rules", "rules_test.yml"],
    ] {
        let mut promtool = Command::new("promtool");
        let output = promtool
            .args(arguments)
            .current_dir(&folder)
            .output()
            .unwrap();
        let told =
            String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{arguments:?}: {told}");
    }
}

#[test]
fn each_metric_that_the_rules_ask_for_is_one_that_a_service_has() {
    let mut known = BTreeSet::new();
    for metric in Metrics::new().described() {
        match metric.kind.as_str() {
            "histogram" => {
                known.extend(["bucket", "sum", "count"].map(|end| format!("{}_{end}", metric.name)))
            }
            _ => known.extend([metric.name.clone()]),
        }
    }
    let is_of_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let words = [RULES, RULES_TEST]
        .into_iter()
        .flat_map(|text| text.split(|c| !is_of_name(c)));
    let asked: BTreeSet<&str> = words
        .filter(|word| word.starts_with("tokenkeep_"))
        .collect();
    assert!(asked.len() > 15, "{asked:?}");
    let unknown: Vec<_> = asked
        .iter()
        .filter(|name| !known.contains(**name))
        .collect();
    assert!(unknown.is_empty(), "{unknown:?}");
}

#[test]
fn each_label_that_the_rules_pick_has_the_value_they_pick() {
    let metrics = Metrics::new();
    let labels = metrics.described().iter().flat_map(|metric| metric.labels);
    let values: BTreeSet<(&str, &str)> = labels
        .flat_map(|label| match label.values {
            Values::OneOf(values) => values.iter().map(|value| (label.name, *value)).collect(),
            Values::Each(_) => Vec::new(),
        })
        .collect();
    let mut picked = 0;
    for picks in RULES.split('{').filter_map(|rest| rest.split_once('}')) {
        for pick in picks.0.split(',') {
            let parts: Vec<&str> = pick.split(['=', '!', '~', '"', '\'']).collect();
            let [name, .., value, ""] = parts[..] else {
                continue;
            };
            // Prometheus' own labels.
            let is_ours = !["job", "alertname", "alertstate"].contains(&name);
            for value in value.split('|').filter(|_| is_ours) {
                assert!(values.contains(&(name, value)), "{pick}");
                picked += 1;
            }
        }
    }
    assert!(picked > 20, "{picked}");
}

#[test]
fn each_alert_says_how_bad_it_is_what_it_means_and_where_help_is_and_is_tested_both_ways() {
    let alerts = alerts();
    for (name, alert) in &alerts {
        for part in [
            "expr: ",
            "for: ",
            "summary: ",
            "description: ",
            "runbook: docs/operations.md#",
        ] {
            assert!(alert.contains(part), "{name} has no {part}");
        }
        let severities = ["{severity: page}", "{severity: ticket}"];
        assert!(severities.iter().any(|it| alert.contains(it)), "{name}");
        let tested = |end: &str| RULES_TEST.contains(&format!("alertname: {name}{end}"));
        assert!(tested("}\n"), "no test in which {name} does not fire");
        assert!(
            tested("\n        exp_alerts:\n"),
            "no test in which {name} fires"
        );
    }
    let names: BTreeSet<&str> = alerts.iter().map(|(name, _)| *name).collect();
    assert!(names.len() == alerts.len() && names.len() > 20, "{names:?}");
}

/// The anchor that a heading is linked by.
fn anchor(heading: &str) -> String {
    let kept = heading.chars().filter(|c| c.is_alphanumeric() || *c == ' ');
    kept.collect::<String>().to_lowercase().replace(' ', "-")
}

#[test]
fn each_alert_leads_to_a_section_of_the_operations_guide() {
    let guide = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/operations.md");
    let guide = std::fs::read_to_string(guide).unwrap_or_default();
    let headings = guide.lines().filter(|line| line.starts_with('#'));
    let anchors: BTreeSet<String> = headings
        .map(|heading| anchor(heading.trim_start_matches('#').trim()))
        .collect();
    let runbooks = RULES.split("runbook: docs/operations.md#").skip(1);
    for runbook in runbooks.filter_map(|rest| rest.lines().next()) {
        assert!(anchors.contains(runbook), "no section {runbook}");
    }
}

#[test]
fn what_is_scraped_is_where_the_api_listens_under_the_name_that_the_rules_know() {
    let listens = Settings::defaults().unwrap().api_listen;
    assert!(
        SCRAPE.contains(&format!("targets: [\"{listens}\"]")),
        "{listens}"
    );
    assert!(SCRAPE.contains("- job_name: tokenkeep\n") && RULES.contains("up{job=\"tokenkeep\"}"));
}
