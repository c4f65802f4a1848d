//! `purge`: removes what is kept no longer.

use std::io;
use std::time::{Duration, Instant};

use clap::Args;
use serde_json::{Value, json};

use super::Common;
use super::failure::Failure;
use super::tables::{print_json, print_table};
use crate::audit::Act;
use crate::settings::RetentionSettings;
use crate::store::{AUDIT, Entry, RetentionClass, Store, StoreError, Tx};
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

/// What went of one class, or would go.
struct Purged {
    class: &'static str,
    days: u32,
    rows: i64,
}

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
        let class = class.word();
        purged.push(Purged { class, days, rows });
    }
    let days = settings.retention.audit_days;
    let mut damaged = 0;
    if let Some(before) = RetentionSettings::due_before(days, now) {
        let rows = match args.dry_run {
            true => store.read(|tx| tx.count_due_chains(before))?,
            false => purge_audit(&store, before, &mut damaged, &mut longest)?,
        };
        let class = AUDIT;
        purged.push(Purged { class, days, rows });
    }
    if !args.dry_run {
        store.read(|tx| tx.shorten_log())?;
    }
    print(args, &purged, longest)?;
    match damaged {
        0 => Ok(()),
        chains => Err(Failure::unwell(format!(
            "{chains} chains of the audit are not as they were written, and are kept: audit verify"
        ))),
    }
}

fn print(args: &PurgeArgs, purged: &[Purged], longest: Duration) -> io::Result<()> {
    if args.json {
        let class = |class: &Purged| json!({ "class": class.class, "days": class.days, "rows": class.rows });
        let classes: Vec<Value> = purged.iter().map(class).collect();
        let longest = longest.as_millis() as u64;
        return print_json(&json!({
            "dryRun": args.dry_run, "classes": classes, "longestTransactionMs": longest,
        }));
    }
    let cells = |class: &Purged| {
        let (days, rows) = (class.days.to_string(), class.rows.to_string());
        vec![class.class.to_owned(), days, rows]
    };
    let last = if args.dry_run { "WOULD GO" } else { "GONE" };
    print_table(&["CLASS", "DAYS", last], purged.iter().map(cells))
}

fn days(settings: &RetentionSettings, class: RetentionClass) -> u32 {
    match class {
        RetentionClass::RawBodies => settings.raw_body_days,
        RetentionClass::Notifications => settings.notifications_days,
        RetentionClass::Answers | RetentionClass::Registrations => settings.answers_days,
        RetentionClass::Events => settings.events_days,
        RetentionClass::Outbox => settings.outbox_days,
        RetentionClass::EndedCards => settings.ended_cards_days,
    }
}

/// Removes batch after batch until none is left. Each stands for itself: run again after it was
/// interrupted, it goes on.
fn purge(
    store: &Store,
    class: RetentionClass,
    before: i64,
    longest: &mut Duration,
) -> Result<i64, StoreError> {
    batch_by_batch(store, longest, |tx, now| {
        let rows = tx.purge_batch(class, before, BATCH, now)?;
        if rows > 0 {
            tx.audit(Entry {
                act: Act::Purged,
                object: class.word(),
                outcome: "done",
                details: json!({ "rows": rows, "before": before }),
                at: now,
            })?;
        }
        Ok(rows)
    })
}

/// Removes the chains of the audit that are old enough, each after a look at all of it: what was not
/// written by a service is kept, so that it can be looked into, and counted.
fn purge_audit(
    store: &Store,
    before: i64,
    damaged: &mut usize,
    longest: &mut Duration,
) -> Result<i64, StoreError> {
    let mut total = 0;
    for end in store.read(|tx| tx.due_chains(before))? {
        if store.snapshot(|tx| tx.chain_is_whole(&end))? {
            let purge = |tx: &mut Tx<'_>, now| tx.purge_chain(&end, before, BATCH, now);
            total += batch_by_batch(store, longest, purge)?;
        } else {
            *damaged += 1;
        }
    }
    Ok(total)
}

/// Notes the longest time for which others had to wait.
fn batch_by_batch(
    store: &Store,
    longest: &mut Duration,
    mut purge: impl FnMut(&mut Tx<'_>, i64) -> Result<usize, StoreError>,
) -> Result<i64, StoreError> {
    let mut total = 0;
    loop {
        let mut begun = Instant::now();
        let rows = store.write(|tx| {
            // Not what it waited itself.
            begun = Instant::now();
            purge(tx, Clock::system().now())
        })?;
        *longest = begun.elapsed().max(*longest);
        if rows == 0 {
            return Ok(total);
        }
        total += rows as i64;
        std::thread::sleep(PAUSE);
    }
}
