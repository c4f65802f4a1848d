//! `replay`: sends fixture files, to a receiver or into the store, or shows what they would change.

mod bodies;
mod outcome;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::Args;
use indicatif::ProgressBar;
use uuid::Uuid;

use super::failure::Failure;
use super::tables::progress_style;
use super::{Common, open_store, refuse_other_keys};
use crate::audit::Act;
use crate::jose::{KeyFolder, Keyring};
use crate::processor::{Processor, Replayed, rehearse_deliveries};
use crate::settings::Settings;
use crate::store::{Entry, NewDelivery, Store};
use crate::telemetry::{Clock, Metrics};

use bodies::Body;
pub(super) use outcome::{Summary, print_differences};

#[derive(Args)]
pub struct ReplayArgs {
    /// JSON or NDJSON files of request bodies, or folders of them
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// Send them to this receiver instead of putting them into the store
    #[arg(long, value_name = "URL", conflicts_with = "dry_run")]
    to: Option<String>,
    /// Decide them by the real rules, print what each would change, and change nothing
    #[arg(long)]
    dry_run: bool,
    /// Send them in random order
    #[arg(long)]
    shuffle: bool,
    /// Send each this many times
    #[arg(long, default_value_t = 1, value_name = "N")]
    repeat: usize,
    /// This many a second at most
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    rate: Option<u32>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Deliveries that share one transaction when they are put into the store.
const CHUNK: usize = 100;

pub fn run(common: &Common, args: ReplayArgs) -> Result<(), Failure> {
    let mut summary = Summary::default();
    let settings = common.settings(Vec::new())?;
    let wire = &settings.notification;
    let bodies = bodies::load(&args.paths, args.repeat, args.shuffle, wire, &mut summary)?;
    match &args.to {
        Some(url) => send(&bodies, url, args.rate, &mut summary)?,
        None => {
            let store = open_store(&settings)?;
            let items = match args.dry_run {
                true => rehearse(&settings, &store, &bodies)?,
                false => decide(&settings, &store, &bodies, args.rate)?,
            };
            summary.count(&items);
            if args.dry_run && !args.json {
                print_differences(&items)?;
            }
            summary.items = items;
        }
    }
    summary.print(args.json, args.dry_run)?;
    summary.verdict()
}

fn delivery(body: &Body, clock: &Clock) -> NewDelivery {
    NewDelivery {
        id: Uuid::now_v7().to_string(),
        received_at: clock.now(),
        source: "replay".to_owned(),
        response_host: None,
        body: body.bytes.clone(),
    }
}

fn rehearse(settings: &Settings, store: &Store, bodies: &[Body]) -> Result<Vec<Replayed>, Failure> {
    let keyring =
        Keyring::load(&settings.keys, settings.processor.opening()).map_err(Failure::wrong)?;
    refuse_other_keys(store, &keyring.descriptions())?;
    let clock = Clock::system();
    let new: Vec<NewDelivery> = bodies.iter().map(|body| delivery(body, &clock)).collect();
    let policy = settings.policy();
    Ok(rehearse_deliveries(
        store,
        &keyring,
        &policy,
        &new,
        clock.now(),
    )?)
}

/// Puts the bodies into the store, where a running `serve` picks them up; what none has picked up,
/// this process decides itself.
fn decide(
    settings: &Settings,
    store: &Store,
    bodies: &[Body],
    rate: Option<u32>,
) -> Result<Vec<Replayed>, Failure> {
    let clock = Clock::system();
    let keys = KeyFolder::load(settings.keys.clone(), settings.processor.opening(), None)
        .map_err(Failure::wrong)?;
    refuse_other_keys(store, &keys.keyring().descriptions())?;
    let processor = Processor {
        store: store.clone(),
        keys,
        policy: settings.policy(),
        settings: settings.processor.clone(),
        clock: clock.clone(),
        metrics: Metrics::new(),
        calls: None,
    };
    let bar = progress(bodies.len());
    let mut pace = Pace::new(rate);
    let mut ids = Vec::new();
    for chunk in bodies.chunks(if rate.is_some() { 1 } else { CHUNK }) {
        pace.wait();
        let new: Vec<NewDelivery> = chunk.iter().map(|body| delivery(body, &clock)).collect();
        store.write(|tx| {
            tx.insert_deliveries(&new)?;
            for delivery in &new {
                tx.audit(Entry {
                    act: Act::DeliveriesReplayed,
                    object: &delivery.id,
                    outcome: "done",
                    details: serde_json::Value::Null,
                    at: delivery.received_at,
                })?;
            }
            Ok(())
        })?;
        processor.run_until_idle()?;
        ids.extend(new.into_iter().map(|new| new.id));
        bar.inc(chunk.len() as u64);
    }
    bar.finish_and_clear();
    await_decisions(store)?;
    let items = store.read(|tx| {
        let mut items = Vec::new();
        for ids in ids.chunks(CHUNK) {
            let mut sequences: Vec<i64> = tx.sequences_of(ids)?.into_values().collect();
            sequences.sort_unstable();
            items.extend(tx.items_of(&sequences)?);
        }
        Ok(items)
    })?;
    Ok(items.into_iter().map(Replayed::from).collect())
}

/// What another process has claimed is decided there; that is waited for.
fn await_decisions(store: &Store) -> Result<(), Failure> {
    let deadline = Instant::now() + Duration::from_secs(30);
    while store.read(|tx| tx.count_waiting())? > 0 {
        if Instant::now() > deadline {
            return Err(Failure::unwell(
                "some deliveries are not decided yet; see /readyz",
            ));
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

fn send(
    bodies: &[Body],
    url: &str,
    rate: Option<u32>,
    summary: &mut Summary,
) -> Result<(), Failure> {
    let config = ureq::Agent::config_builder()
        .http_status_as_error(false)
        .timeout_global(Some(Duration::from_secs(30)));
    let agent: ureq::Agent = config.build().into();
    let bar = progress(bodies.len());
    let mut pace = Pace::new(rate);
    for body in bodies {
        pace.wait();
        let request = agent.post(url).header("content-type", "application/json");
        let answer = request
            .send(body.bytes.as_slice())
            .map_err(|error| Failure::unwell(format!("{url}: {error}")))?;
        summary.answered(&body.place, answer.status().as_u16());
        bar.inc(1);
    }
    bar.finish_and_clear();
    Ok(())
}

fn progress(count: usize) -> ProgressBar {
    ProgressBar::new(count as u64).with_style(progress_style("deliveries"))
}

/// Keeps to a rate.
struct Pace {
    interval: Option<Duration>,
    next: Instant,
}

impl Pace {
    fn new(rate: Option<u32>) -> Self {
        Self {
            interval: rate.map(|rate| Duration::from_secs(1) / rate),
            next: Instant::now(),
        }
    }

    fn wait(&mut self) {
        let Some(interval) = self.interval else {
            return;
        };
        std::thread::sleep(self.next.saturating_duration_since(Instant::now()));
        self.next += interval;
    }
}
