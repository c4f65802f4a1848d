//! `outbox retry` and `outbox discard`.

use clap::Args;
use indicatif::ProgressBar;
use serde_json::{Value, json};

use super::{UNKNOWN, kinds, states};
use crate::audit::Act;
use crate::commands::Common;
use crate::commands::failure::Failure;
use crate::commands::refusals::Refusals;
use crate::commands::tables::{print_json, progress_style};
use crate::store::{Entry, JobFilter, JobState, JobView, Store, StoreError, Tx};
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
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true, value_parser = reason)]
    reason: String,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// What can be retried or discarded.
const NOT_OVER: [JobState; 3] = [JobState::Parked, JobState::Dead, JobState::Waiting];
/// Calls of one look, when they are chosen by a filter.
const PAGE: i64 = 500;
const LONGEST_REASON: usize = 200;

/// A reason as it is given on the command line.
pub fn reason(text: &str) -> Result<String, String> {
    let is_fit = (1..=LONGEST_REASON).contains(&text.len()) && !text.contains(char::is_control);
    match is_fit {
        true => Ok(text.to_owned()),
        false => Err(format!(
            "a reason has 1 to {LONGEST_REASON} bytes and no control characters"
        )),
    }
}

pub fn retry(common: &Common, args: &RetryArgs) -> Result<(), Failure> {
    let (_, store) = common.open()?;
    let ids = match args.all {
        true => chosen(&store, args)?,
        false => args.ids.clone(),
    };
    let now = Clock::system().now();
    let retry = |tx: &mut Tx<'_>, id: &str| tx.retry_job(id, now);
    let operated = operate(&store, &ids, (Act::CallRetried, Value::Null), retry)?;
    operated.print("due now for a running serve", args.json)
}

pub fn discard(common: &Common, args: &DiscardArgs) -> Result<(), Failure> {
    let (_, store) = common.open()?;
    let now = Clock::system().now();
    let discard = |tx: &mut Tx<'_>, id: &str| tx.discard_job(id, &args.reason, now);
    let act = (Act::CallDiscarded, json!({ "reason": args.reason }));
    operate(&store, &args.ids, act, discard)?.print("discarded", args.json)
}

/// The calls a filter chooses, in the order they became necessary.
fn chosen(store: &Store, args: &RetryArgs) -> Result<Vec<String>, Failure> {
    let mut ids = Vec::new();
    loop {
        let filter = JobFilter {
            state: Some(args.state.clone()),
            kind: args.kind.clone(),
            card_id: None,
            after: ids.last().cloned(),
            limit: PAGE,
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
struct Operated {
    done: Vec<String>,
    refused: Refusals,
}

/// Does something with each call that the state it is in may not allow.
fn operate(
    store: &Store,
    ids: &[String],
    (act, details): (Act, Value),
    work: impl Fn(&mut Tx<'_>, &str) -> Result<bool, StoreError>,
) -> Result<Operated, Failure> {
    let mut operated = Operated::default();
    let bar = ProgressBar::new(ids.len() as u64).with_style(progress_style("calls"));
    for id in ids {
        let refusal = store.write(|tx| {
            let is_done = work(tx, id)?;
            tx.audit(Entry {
                act,
                object: id,
                outcome: if is_done { "done" } else { "refused" },
                details: details.clone(),
                at: Clock::system().now(),
            })?;
            match is_done {
                true => Ok(None),
                false => Ok(Some(refusal(tx.job(id)?))),
            }
        })?;
        match refusal {
            None => operated.done.push(id.clone()),
            Some(why) => operated.refused.add(id, why),
        }
        bar.inc(1);
    }
    bar.finish_and_clear();
    Ok(operated)
}

/// Why nothing can be done with a call.
fn refusal(job: Option<JobView>) -> String {
    let Some(job) = job else {
        return UNKNOWN.to_owned();
    };
    match NOT_OVER.map(JobState::name).contains(&&*job.state) {
        true => "another call of its kind is open for the card".to_owned(),
        false => format!("it is {}", job.state),
    }
}

impl Operated {
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
