//! `docs/metrics.md` is made of what the code says of its metrics, and says all of it.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::path::Path;

use rstest::rstest;
use serde_json::json;
use tokenkeep::domain::{Hold, Missed, Verdict};
use tokenkeep::settings::Role;
use tokenkeep::store::{JobState, KINDS, OPEN};
use tokenkeep::telemetry::{Described, Label, Metrics, Values};

use crate::support::build::{CARD, NUMBER_1, encrypted, plain, refresh, refresh_with, status};
use crate::support::sql::sql;
use crate::support::{App, Backend, START, wait_until};

/// How the page is made anew.
const WRITE: &str = "TOKENKEEP_TEST_WRITE=1 tests/run --test service watch_metrics";

const HEAD: &str = "# Metrics

What `GET /metrics` tells, on the API's listener. No label is chosen by a sender, so the number of series
is bounded. Where several processes share a database each counts what it did itself; what is read in the
database (`backlog`, `oldest_waiting`, `maintenance`, `held_items`, `outbox_jobs`, `oldest_deletion`) is the same in all of
them, and left out while the database does not answer. The alerts on these metrics are in
[deploy/prometheus](../deploy/prometheus).

This page is made of the code";

fn values(label: &Label) -> String {
    let name = label.name;
    match label.values {
        Values::OneOf(values) => format!("`{name}`: `{}`", values.join("`, `")),
        Values::Each(of) => format!("`{name}`: each {of}"),
    }
}

fn row(metric: &Described) -> String {
    let labels: Vec<String> = metric.labels.iter().map(values).collect();
    let advice = match metric.advice {
        "" => String::new(),
        advice => format!(" {advice}"),
    };
    format!(
        "| `{}` | {} | {} | {}.{advice} |\n",
        metric.name,
        metric.kind,
        labels.join("; "),
        metric.meaning
    )
}

fn page() -> String {
    let metrics = Metrics::new();
    let mut page = format!("{HEAD}: `{WRITE}`.\n");
    let mut group = "";
    for metric in metrics.described() {
        if metric.group != group {
            group = metric.group;
            let table = "| Metric | Type | Labels | Meaning |\n| --- | --- | --- | --- |";
            write!(page, "\n## {group}\n\n{table}\n").unwrap();
        }
        page += &row(metric);
    }
    page
}

#[test]
fn the_page_of_metrics_is_what_the_code_says_of_them() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/metrics.md");
    if std::env::var_os("TOKENKEEP_TEST_WRITE").is_some_and(|value| value == "1") {
        std::fs::write(&path, page()).unwrap();
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(kept == page(), "docs/metrics.md is made anew by: {WRITE}");
}

/// The names and values of a series' labels.
fn labels(series: &str) -> Vec<(&str, &str)> {
    let inside = series
        .split_once('{')
        .and_then(|(_, rest)| rest.rsplit_once('}'));
    let pairs = inside.map_or("", |(inside, _)| inside).split("\",");
    pairs
        .filter_map(|pair| pair.split_once("=\""))
        .map(|(name, value)| (name, value.trim_end_matches('"')))
        .collect()
}

/// Fails unless a series is as it is described.
fn check(described: &[Described], series: &str) {
    let name = series.split(['{', ' ']).next().unwrap();
    let is_it = |metric: &&Described| {
        let suffixes: &[&str] = match metric.kind.as_str() {
            "histogram" => &["_bucket", "_sum", "_count"],
            _ => &[""],
        };
        let mut names = suffixes
            .iter()
            .map(|suffix| format!("{}{suffix}", metric.name));
        names.any(|of_metric| of_metric == name)
    };
    let metric = described.iter().find(is_it);
    let metric = metric.unwrap_or_else(|| panic!("{name} is not described"));
    let found = labels(series.rsplit_once(' ').unwrap().0);
    let found: Vec<_> = found
        .into_iter()
        .filter(|(name, _)| *name != "le")
        .collect();
    let names: Vec<&str> = metric.labels.iter().map(|label| label.name).collect();
    assert_eq!(
        found.iter().map(|(name, _)| *name).collect::<Vec<_>>(),
        names,
        "{series}"
    );
    for (label, (_, value)) in metric.labels.iter().zip(found) {
        if let Values::OneOf(values) = label.values {
            assert!(values.contains(&value), "{series}");
        }
    }
}

#[rstest]
fn every_metric_of_a_running_service_is_described_with_its_labels_and_their_values(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let app = App::spawn(backend);
    app.deliver(&plain(&[
        refresh(CARD, START - 3_000, NUMBER_1, ("12", "2031")),
        refresh_with("unreadable", START, "not.a.jwe"),
        status("odd", Some(START), "DORMANT"),
    ]));
    app.deliver(&encrypted(&json!("not a list")));
    assert_eq!(app.client.post(&app.receiver_url(), "{").status, 400);
    let text = app.get("/metrics").text;
    let metrics = Metrics::new();
    let series: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
    series
        .iter()
        .for_each(|series| check(metrics.described(), series));
    let is_told = |metric: &&Described| series.iter().any(|it| it.starts_with(&metric.name));
    let told = metrics.described().iter().filter(is_told).count();
    assert!(told >= 18, "{told}: {text}");
}

/// The values of a label, wherever it is.
fn listed(name: &str) -> BTreeSet<&'static str> {
    let mut all = BTreeSet::new();
    for metric in Metrics::new().described() {
        for label in metric.labels.iter().filter(|label| label.name == name) {
            if let Values::OneOf(values) = label.values {
                all.extend(values);
            }
        }
    }
    all
}

#[test]
fn the_values_of_labels_are_the_names_that_the_code_has() {
    let missed = Missed::ALL.map(Missed::name);
    assert_eq!(listed("kind"), KINDS.into_iter().chain(missed).collect());
    assert_eq!(listed("state"), {
        let states = OPEN.map(JobState::name).into_iter();
        states.chain(["busy", "free"]).collect()
    });
    let source = include_str!("../../src/domain/hold.rs");
    let (_, holds) = source.split_once("impl Hold {").unwrap();
    let (holds, _) = holds.split_once("\n}\n").unwrap();
    let names = holds.lines().filter_map(|line| line.split_once("Self(\""));
    let names = names.filter_map(|(_, rest)| rest.split('"').next());
    assert_eq!(listed("hold"), names.chain(["none"]).collect());
    let verdicts = [
        Verdict::Applied,
        Verdict::NoChange,
        Verdict::Duplicate,
        Verdict::Stale,
        Verdict::Parked(Hold::UNKNOWN_CARD),
        Verdict::Quarantined(Hold::UNKNOWN_KEY),
    ];
    assert_eq!(listed("verdict"), verdicts.map(Verdict::name).into());
}

#[rstest]
fn metrics_tell_how_long_deliveries_and_deletions_wait_what_is_held_and_the_connections(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let mut app = App::spawn(backend);
    app.deliver(&plain(&[
        refresh(CARD, START - 3_000, NUMBER_1, ("12", "2031")),
        status("odd", Some(START), "DORMANT"),
        status("odder", Some(START), "DORMANT"),
    ]));
    app.stop();
    app.settings.roles = vec![Role::Receive];
    app.start();
    assert_eq!(
        app.notify(&plain(&[status(CARD, None, "ACTIVE")])).status,
        204
    );
    let insert = format!(
        "INSERT INTO outbox (id, kind, card_id, state, priority, attempts, next_at, created_at, fence) \
         VALUES ('d', 'delete_card', '{CARD}', 'waiting', 1, 0, 0, {}, 0)",
        START - 7_000
    );
    sql(&app.database).execute(&insert);
    app.advance(90_500);
    let text = app.get("/metrics").text;
    let value = |series: &str| {
        let mut lines = text.lines();
        let value = lines.find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        value.map(|value| value.parse::<i64>().unwrap())
    };
    assert_eq!(value("tokenkeep_oldest_waiting_seconds"), Some(90));
    assert_eq!(value("tokenkeep_oldest_deletion_seconds"), Some(97));
    let held = "tokenkeep_held_items{verdict=\"parked\",hold=\"status-unknown\"}";
    assert_eq!(value(held), Some(2));
    let of = |state| {
        value(&format!(
            "tokenkeep_database_connections{{state=\"{state}\"}}"
        ))
        .unwrap()
    };
    assert!(of("free") > 0 && of("busy") + of("free") == 8, "{text}");
    assert!(
        value("tokenkeep_start_time_seconds") > Some(START / 1000),
        "{text}"
    );
}

#[rstest]
fn without_its_database_a_service_still_tells_its_metrics_but_not_what_is_read_there(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let app = App::spawn(backend);
    let told = |name: &str| app.get("/metrics").text.contains(&format!("\n{name}"));
    assert!(told("tokenkeep_backlog 0") && told("tokenkeep_ready{check=\"database\"} 1"));
    sql(&app.database).take_away();
    assert_eq!(
        app.notify(&plain(&[status(CARD, None, "ACTIVE")])).status,
        503
    );
    let text = app.get("/metrics").text;
    for there in [
        "tokenkeep_ready{check=\"database\"} 0",
        "tokenkeep_refused_total{cause=\"storage-unavailable\"} 1",
    ] {
        assert!(text.contains(there), "{text}");
    }
    for read in ["backlog", "oldest_", "outbox_jobs", "held_items"] {
        assert!(!text.contains(&format!("tokenkeep_{read}")), "{text}");
    }
    sql(&app.database).bring_back();
    wait_until("it is told again", || told("tokenkeep_backlog 0"));
}

/// What a text tells of items held of this verdict and reason.
fn held(metrics: &Metrics, verdict: &str, hold: &str) -> Option<i64> {
    let series = format!("tokenkeep_held_items{{verdict=\"{verdict}\",hold=\"{hold}\"}} ");
    let text = metrics.text();
    let mut lines = text.lines();
    lines.find_map(|line| line.strip_prefix(&series)?.parse().ok())
}

#[test]
fn what_is_held_is_told_with_its_number_by_several_scrapes_at_once() {
    let metrics = Metrics::new();
    let counts = [("parked".to_owned(), Some("unknown-card".to_owned()), 7)];
    let scrape = || {
        for _ in 0..1_000 {
            metrics.held(&counts);
            assert_eq!(held(&metrics, "parked", "unknown-card"), Some(7));
        }
    };
    std::thread::scope(|scope| {
        scope.spawn(scrape);
        scope.spawn(scrape);
    });
}

#[test]
fn where_nothing_is_held_or_queued_0_is_told_and_while_it_is_not_known_nothing() {
    let metrics = Metrics::new();
    metrics.held(&[("parked".to_owned(), Some("unknown-card".to_owned()), 7)]);
    metrics.held(&[]);
    assert_eq!(held(&metrics, "parked", "unknown-card"), Some(0));
    assert_eq!(held(&metrics, "quarantined", "unknown-key"), Some(0));
    let none_dead = "tokenkeep_outbox_jobs{kind=\"get_card\",state=\"dead\"} 0";
    metrics.jobs(&[("get_card", "dead", 2)]);
    metrics.jobs(&[]);
    assert!(metrics.text().contains(none_dead));
    metrics.database_unknown();
    assert_eq!(held(&metrics, "parked", "unknown-card"), None);
    assert!(!metrics.text().contains("tokenkeep_outbox_jobs{"));
}
