//! `outbox retry` and `outbox discard`.

use clap::Args;
use indicatif::ProgressBar;
use serde_json::json;

use super::{UNKNOWN, kinds, states};
use crate::commands::Common;
use crate::commands::failure::Failure;
use crate::commands::refusals::Refusals;
use crate::commands::tables::{print_json, progress_style};
use crate::dispatcher::{NOT_OVER, Operated, discard_call, fit_reason, rehearse_retry, retry_call};
use crate::store::{JobFilter, JobState, JobView, Store, StoreError};
use crate::telemetry::Clock;

#[derive(Args)]
pub struct RetryArgs {
    /// The calls
    #[arg(value_name = "ID", required_unless_present = "all")]
    ids: Vec<String>,
    /// All calls in one state, instead of single ones
    #[arg(long, conflicts_with = "ids")]
    all: bool,
    /// With --all: the state
    #[arg(
        long,
        default_value = JobState::Parked.name(),
        value_parser = states(&NOT_OVER),
        conflicts_with = "ids"
    )]
    state: String,
    /// With --all: only those of this kind
    #[arg(long, value_parser = kinds(), conflicts_with = "ids")]
    kind: Option<String>,
    /// Print which calls would be made, and change nothing
    #[arg(long)]
    dry_run: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
pub struct DiscardArgs {
    /// The calls
    #[arg(value_name = "ID", required = true)]
    ids: Vec<String>,
    /// Why, for those who ask later
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true, value_parser = fit_reason)]
    reason: String,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Calls of one look, when they are chosen by a filter.
const PAGE: i64 = 500;

pub fn retry(common: &Common, args: &RetryArgs) -> Result<(), Failure> {
    let (_, store) = common.open()?;
    let ids = match args.all {
        true => chosen(&store, args)?,
        false => args.ids.clone(),
    };
    let now = || Clock::system().now();
    let (operated, done) = match args.dry_run {
        true => (
            operate(&ids, |id| rehearse_retry(&store, id, now()))?,
            "would be due",
        ),
        false => (
            operate(&ids, |id| retry_call(&store, id, now()))?,
            "due now for a running serve",
        ),
    };
    operated.print(done, args.json)
}

pub fn discard(common: &Common, args: &DiscardArgs) -> Result<(), Failure> {
    let (_, store) = common.open()?;
    let discard = |id: &str| discard_call(&store, id, &args.reason, Clock::system().now());
    operate(&args.ids, discard)?.print("discarded", args.json)
}

/// The calls a filter chooses, in the order they became necessary.
fn chosen(store: &Store, args: &RetryArgs) -> Result<Vec<String>, Failure> {
    let mut ids = Vec::new();
    loop {
        let filter = JobFilter {
            state: Some(args.state.clone()),
            kind: args.kind.clone(),
            after: ids.last().cloned(),
            limit: PAGE,
            ..JobFilter::default()
        };
        let page = store.read(|tx| tx.list_jobs(&filter))?;
        if page.is_empty() {
            return Ok(ids);
        }
        ids.extend(page.into_iter().map(|job| job.id));
    }
}

/// What became of the calls that were chosen.
#[derive(Default)]
struct Outcome {
    done: Vec<String>,
    refused: Refusals,
}

/// Does something with each call that the state it is in may not allow.
fn operate(
    ids: &[String],
    work: impl Fn(&str) -> Result<Operated, StoreError>,
) -> Result<Outcome, Failure> {
    let mut outcome = Outcome::default();
    let bar = ProgressBar::new(ids.len() as u64).with_style(progress_style("calls"));
    for id in ids {
        match work(id)? {
            Operated::Done(_) => outcome.done.push(id.clone()),
            Operated::Refused(job) => outcome.refused.add(id, refusal(&job)),
            Operated::Unknown => outcome.refused.add(id, UNKNOWN.to_owned()),
        }
        bar.inc(1);
    }
    bar.finish_and_clear();
    Ok(outcome)
}

/// Why nothing can be done with a call.
fn refusal(job: &JobView) -> String {
    match NOT_OVER.map(JobState::name).contains(&&*job.state) {
        true => "another call of its kind is open for the card".to_owned(),
        false => format!("it is {}", job.state),
    }
}

impl Outcome {
    /// Prints it; fails if any call was refused.
    fn print(&self, done: &str, as_json: bool) -> Result<(), Failure> {
        if as_json {
            let refused = self.refused.view("id");
            print_json(&json!({ "done": self.done, "refused": refused }))?;
        } else {
            let refused = self.refused.count();
            println!("{} {done}, {refused} refused", self.done.len());
            self.refused.print("CALL")?;
        }
        self.refused.verdict("some calls are refused")
    }
}
