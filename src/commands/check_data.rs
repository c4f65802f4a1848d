//! `check --data`: of which cards something seems to have been missed, and which programs are silent.

use serde_json::{Value, json};

use super::Common;
use super::failure::Failure;
use super::tables::{print_json, print_table};
use crate::domain::Missed;
use crate::store::{MOST_COUNTED, MissedCard, SilentProgram, SilentPrograms};
use crate::telemetry::{Clock, timestamp};

/// Cards of a kind that are shown.
const SHOWN: i64 = 10;

/// The cards of one kind.
struct Finding {
    kind: Missed,
    count: i64,
    /// Those that are longest so.
    first: Vec<MissedCard>,
}

pub fn run(common: &Common, as_json: bool) -> Result<(), Failure> {
    let rules = common.settings(Vec::new())?.missed_rules();
    let store = common.open_to_read("missed")?;
    let now = Clock::system().now();
    let (findings, unjudged, silent) = store.snapshot(|tx| {
        let mut findings = Vec::new();
        for (kind, count) in tx.count_missed(&rules, now)? {
            let first = tx.missed_cards(kind, &rules, now, None, SHOWN)?;
            findings.push(Finding { kind, count, first });
        }
        let unjudged = tx.count_unjudged()?;
        Ok((findings, unjudged, tx.silent_programs(&rules, now)?))
    })?;
    match as_json {
        true => print_json(&json!({
            "findings": Vec::from_iter(findings.iter().map(view)),
            "notJudged": unjudged,
            "silence": silence_word(&silent),
            "silent": match &silent {
                SilentPrograms::Judged(silent) => Vec::from_iter(silent.iter().map(silent_view)).into(),
                _ => Value::Null,
            },
        }))?,
        false => {
            for finding in &findings {
                print(finding)?;
            }
            print_unjudged(unjudged);
            print_silent(&silent);
        }
    }
    let is_silent = matches!(&silent, SilentPrograms::Judged(silent) if !silent.is_empty());
    if is_silent || findings.iter().any(|finding| finding.count > 0) {
        return Err(Failure::unwell("something seems to have been missed"));
    }
    match unjudged {
        0 => Ok(()),
        _ => Err(Failure::unwell("not all cards are judged yet")),
    }
}

fn view(finding: &Finding) -> Value {
    let card = |card: &MissedCard| {
        json!({
            "cardId": card.card_id,
            "program": card.program,
            "since": timestamp(card.since),
        })
    };
    json!({
        "kind": finding.kind.name(),
        "count": finding.count,
        "isCut": finding.count >= MOST_COUNTED,
        "first": Vec::from_iter(finding.first.iter().map(card)),
        "advice": finding.kind.advice(),
    })
}

fn silent_view(silent: &SilentProgram) -> Value {
    json!({
        "program": silent.program,
        "lately": silent.silence.lately,
        "usualDay": silent.silence.usual,
        "since": timestamp(silent.silence.since),
    })
}

fn print(finding: &Finding) -> Result<(), Failure> {
    let (kind, count) = (finding.kind, finding.count);
    let more = if count < MOST_COUNTED { "" } else { " or more" };
    println!("{}: {}: {count}{more}", kind.name(), kind.meaning());
    if count == 0 {
        return Ok(());
    }
    let cells = |card: &MissedCard| {
        vec![
            card.card_id.clone(),
            card.program.clone().unwrap_or_default(),
            timestamp(card.since),
        ]
    };
    print_table(
        &["CARD", "PROGRAM", "SINCE"],
        finding.first.iter().map(cells),
    )?;
    println!("{}\n", kind.advice());
    Ok(())
}

/// Tells of cards that are of no kind yet.
fn print_unjudged(count: i64) {
    if count > 0 {
        let more = if count < MOST_COUNTED { "" } else { " or more" };
        println!(
            "not judged whole: {count}{more} cards from before an upgrade: a running serve that dispatches looks \
             at 200 a second"
        );
    }
}

fn silence_word(silent: &SilentPrograms) -> &'static str {
    match silent {
        SilentPrograms::NotAsked => "switched-off",
        SilentPrograms::NotCounted => "not-judged",
        SilentPrograms::Judged(_) => "judged",
    }
}

fn print_silent(silent: &SilentPrograms) {
    let silent = match silent {
        SilentPrograms::NotAsked => {
            println!("silence: switched off: missed.silent_hours is 0");
            return;
        }
        SilentPrograms::NotCounted => {
            println!(
                "silence: not judged: a running serve that dispatches has not counted the latest hours"
            );
            return;
        }
        SilentPrograms::Judged(silent) => silent,
    };
    println!(
        "silence: programs that tell of far less than usual: {}",
        silent.len()
    );
    for SilentProgram { program, silence } in silent {
        println!(
            "{program}: {} lately, {} on a usual day, the last before {}: is the other side's way \
             here open (`tokenkeep check`), and does it still send?",
            silence.lately,
            silence.usual,
            timestamp(silence.since)
        );
    }
}
