//! `purge`: removes what is kept no longer.

use std::time::{Duration, Instant};

use clap::Args;
use serde_json::{Value, json};

use super::Common;
use super::failure::Failure;
use super::tables::{print_json, print_table};
use crate::audit::Act;
use crate::settings::RetentionSettings;
use crate::store::{Entry, RetentionClass, Store, StoreError};
use crate::telemetry::Clock;

#[derive(Args)]
pub struct PurgeArgs {
    /// Print how much would go, and remove nothing
    #[arg(long)]
    dry_run: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Rows of one transaction: others wait for it no longer than for a batch of notifications.
const BATCH: i64 = 100;
/// Between two transactions, so that others come to write.
const PAUSE: Duration = Duration::from_millis(5);

pub fn run(common: &Common, args: &PurgeArgs) -> Result<(), Failure> {
    let (settings, store) = common.open()?;
    let now = Clock::system().now();
    let mut purged = Vec::new();
    let mut longest = Duration::ZERO;
    for class in RetentionClass::ALL {
        let days = days(&settings.retention, class);
        let Some(before) = RetentionSettings::due_before(days, now) else {
            continue;
        };
        let rows = match args.dry_run {
            true => store.read(|tx| tx.count_due(class, before))?,
            false => purge(&store, class, before, &mut longest)?,
        };
        purged.push((class, days, rows));
    }
    if !args.dry_run {
        store.read(|tx| tx.shorten_log())?;
    }
    if args.json {
        let class = |(class, days, rows): &(RetentionClass, u32, i64)| json!({ "class": class.word(), "days": days, "rows": rows });
        let classes: Vec<Value> = purged.iter().map(class).collect();
        let longest = longest.as_millis() as u64;
        return Ok(print_json(&json!({
            "dryRun": args.dry_run, "classes": classes, "longestTransactionMs": longest,
        }))?);
    }
    let cells = |(class, days, rows): &(RetentionClass, u32, i64)| {
        vec![class.word().to_owned(), days.to_string(), rows.to_string()]
    };
    let last = if args.dry_run { "WOULD GO" } else { "GONE" };
    Ok(print_table(
        &["CLASS", "DAYS", last],
        purged.iter().map(cells),
    )?)
}

fn days(settings: &RetentionSettings, class: RetentionClass) -> u32 {
    match class {
        RetentionClass::RawBodies => settings.raw_body_days,
        RetentionClass::Notifications => settings.notifications_days,
        RetentionClass::Answers | RetentionClass::Registrations => settings.answers_days,
        RetentionClass::Events => settings.events_days,
        RetentionClass::Outbox => settings.outbox_days,
        RetentionClass::EndedCards => settings.ended_cards_days,
        RetentionClass::Audit => settings.audit_days,
    }
}

/// Removes batch after batch until none is left. Each stands for itself: run again after it was
/// interrupted, it goes on. Notes the longest time for which others had to wait.
fn purge(
    store: &Store,
    class: RetentionClass,
    before: i64,
    longest: &mut Duration,
) -> Result<i64, StoreError> {
    let mut total = 0;
    loop {
        let mut begun = Instant::now();
        let rows = store.write(|tx| {
            // Not what it waited itself.
            begun = Instant::now();
            let now = Clock::system().now();
            let batch = tx.purge_batch(class, before, BATCH, now)?;
            let rows = batch.rows;
            if rows > 0 {
                let up_to: Vec<_> = batch.up_to.into_iter().collect();
                tx.audit(Entry {
                    act: Act::Purged,
                    object: class.word(),
                    outcome: "done",
                    details: json!({ "rows": rows, "before": before, "upTo": up_to }),
                    at: now,
                })?;
            }
            Ok(rows)
        })?;
        *longest = begun.elapsed().max(*longest);
        if rows == 0 {
            return Ok(total);
        }
        total += rows as i64;
        std::thread::sleep(PAUSE);
    }
}
