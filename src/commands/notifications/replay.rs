//! `notifications replay`: recorded items judged anew.

use chrono::DateTime;
use clap::Args;
use indicatif::ProgressBar;

use crate::commands::failure::Failure;
use crate::commands::replay::{Summary, print_differences};
use crate::commands::tables::progress_style;
use crate::commands::{Common, refuse_other_keys};
use crate::jose::Keyring;
use crate::processor;
use crate::store::{NotificationFilter, Replay, Store, Tx};
use crate::telemetry::Clock;

#[derive(Args)]
pub struct ReplayStored {
    /// Notifications by id
    #[arg(value_name = "ID", required_unless_present_any = ["verdict", "since"])]
    ids: Vec<String>,
    /// All with this verdict
    #[arg(long)]
    verdict: Option<String>,
    /// All received at this time or later: 2026-07-20T10:00:00Z, or as long ago as 30m, 2h, 3d
    #[arg(long, value_name = "TIME", value_parser = since)]
    since: Option<i64>,
    /// Print what each would change, and change nothing
    #[arg(long)]
    dry_run: bool,
    /// Why, for those who ask later
    #[arg(long)]
    reason: String,
    /// Who asks
    #[arg(long, env = "USER", default_value = "unknown")]
    operator: String,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Notifications of one look, when they are chosen by a filter.
const PAGE: i64 = 500;

pub fn run(common: &Common, args: &ReplayStored) -> Result<(), Failure> {
    let (settings, store) = common.open()?;
    let keyring =
        Keyring::load(&settings.keys, settings.processor.opening()).map_err(Failure::wrong)?;
    refuse_other_keys(&store, &keyring.descriptions())?;
    let policy = settings.policy();
    let mut summary = Summary::default();
    let ids = match args.ids.is_empty() {
        true => chosen(&store, args)?,
        false => args.ids.clone(),
    };
    let bar = ProgressBar::new(ids.len() as u64).with_style(progress_style("notifications"));
    for id in ids {
        let asked = Replay::asked(&id, Clock::system().now(), &args.operator, &args.reason);
        let replay =
            |tx: &mut Tx<'_>| processor::replay_stored(tx, &keyring, store.keys(), &policy, asked);
        let replayed = match args.dry_run {
            true => store.rehearse(replay)?,
            false => store.write(replay)?,
        };
        match replayed {
            Some(replayed) => summary.items.push(replayed),
            None => summary.refused(&id, "no notification of this id is known"),
        }
        bar.inc(1);
    }
    bar.finish_and_clear();
    let items = std::mem::take(&mut summary.items);
    summary.count(&items);
    if !args.json {
        print_differences(&items)?;
    }
    summary.items = items;
    summary.print(args.json, args.dry_run)?;
    summary.verdict()
}

/// The notifications a filter chooses, in the order of their arrival.
fn chosen(store: &Store, args: &ReplayStored) -> Result<Vec<String>, Failure> {
    let mut ids = Vec::new();
    loop {
        let filter = NotificationFilter {
            verdict: args.verdict.clone(),
            since: args.since,
            after: ids.last().cloned(),
            limit: PAGE,
            ..NotificationFilter::default()
        };
        let page = store.read(|tx| tx.list_notifications(&filter))?;
        if page.is_empty() {
            ids.reverse();
            return Ok(ids);
        }
        ids.extend(page.into_iter().map(|row| row.id));
    }
}

/// A time, or how long ago, as milliseconds since 1970, UTC.
pub fn since(text: &str) -> Result<i64, String> {
    if let Ok(time) = DateTime::parse_from_rfc3339(text) {
        return Ok(time.timestamp_millis());
    }
    let wrong = || "neither a time like 2026-07-20T10:00:00Z nor 30m, 2h, 3d".to_owned();
    let unit = text.chars().last().ok_or_else(wrong)?;
    let minutes = match unit {
        'm' => 1,
        'h' => 60,
        'd' => 24 * 60,
        _ => return Err(wrong()),
    };
    let count: i64 = text.trim_end_matches(unit).parse().map_err(|_| wrong())?;
    Ok(Clock::system()
        .now()
        .saturating_sub(count.saturating_mul(minutes * 60_000)))
}
