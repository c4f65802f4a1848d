//! `outbox`: list, show, retry, discard.

mod operating;

use clap::Subcommand;
use clap::builder::PossibleValuesParser;
use serde_json::json;

use super::Common;
use super::failure::Failure;
use super::tables::{PageArgs, print_json, print_table};
use crate::api::views;
use crate::store::{JobFilter, JobState, JobView, KINDS};
use crate::telemetry::timestamp;
use operating::{DiscardArgs, RetryArgs};

#[derive(Subcommand)]
pub enum OutboxCommand {
    /// Lists calls, the oldest first, with the other side's last answer
    List {
        /// Only those in this state
        #[arg(long, value_parser = states(&ALL_STATES))]
        state: Option<String>,
        /// Only those of this kind
        #[arg(long, value_parser = kinds())]
        kind: Option<String>,
        /// Only those of this card
        #[arg(long, value_name = "ID", allow_hyphen_values = true)]
        card: Option<String>,
        #[command(flatten)]
        page: PageArgs,
    },
    /// Shows one call
    Show {
        #[arg(allow_hyphen_values = true)]
        id: String,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Lets waiting, parked or dead calls be made at once, by a running serve
    Retry(RetryArgs),
    /// Gives waiting, parked or dead calls up for good
    Discard(DiscardArgs),
}

const UNKNOWN: &str = "no call of this id is known";
const ALL_STATES: [JobState; 6] = [
    JobState::Waiting,
    JobState::Running,
    JobState::Done,
    JobState::Parked,
    JobState::Dead,
    JobState::Discarded,
];

fn states(states: &[JobState]) -> PossibleValuesParser {
    PossibleValuesParser::new(states.iter().map(|state| state.name()))
}

fn kinds() -> PossibleValuesParser {
    PossibleValuesParser::new(KINDS)
}

pub fn run(common: &Common, command: OutboxCommand) -> Result<(), Failure> {
    match command {
        OutboxCommand::List {
            state,
            kind,
            card,
            page,
        } => {
            let filter = JobFilter {
                state,
                kind,
                card_id: card,
                after: page.after,
                limit: page.limit,
                ..JobFilter::default()
            };
            list(common, &filter, page.json)
        }
        OutboxCommand::Show { id, json } => show(common, &id, json),
        OutboxCommand::Retry(args) => operating::retry(common, &args),
        OutboxCommand::Discard(args) => operating::discard(common, &args),
    }
}

fn list(common: &Common, filter: &JobFilter, as_json: bool) -> Result<(), Failure> {
    let store = common.open_to_read("outbox")?;
    let rows = store.read(|tx| tx.list_jobs(filter))?;
    if as_json {
        let page = views::JobPage::new(&rows, filter.limit);
        return Ok(print_json(&json!(page))?);
    }
    let cells = |job: &JobView| {
        vec![
            job.id.clone(),
            views::kind_words(job),
            job.card_id.clone(),
            job.state.clone(),
            job.attempts.to_string(),
            next_at(job).unwrap_or_default(),
            last_words(job),
        ]
    };
    let head = [
        "CALL",
        "KIND",
        "CARD",
        "STATE",
        "ATTEMPTS",
        "NOT BEFORE",
        "LAST RESULT",
    ];
    Ok(print_table(&head, rows.iter().map(cells))?)
}

fn show(common: &Common, id: &str, as_json: bool) -> Result<(), Failure> {
    let store = common.open_to_read(&format!("outbox/{}", id))?;
    let job = store.read(|tx| tx.job(id))?;
    let job = job.ok_or_else(|| Failure::unwell(UNKNOWN))?;
    if as_json {
        let more = [
            ("numberVersion", json!(job.number_version)),
            ("notificationId", json!(job.notification_id)),
            ("createdAt", json!(timestamp(job.created_at))),
            ("endedAt", json!(job.ended_at.map(timestamp))),
        ];
        return Ok(print_json(&views::with(views::job(&job), more))?);
    }
    let or_none = |text: Option<String>| text.unwrap_or_else(|| "none".to_owned());
    let mut lines = vec![
        ("call", job.id.clone()),
        ("kind", job.kind.clone()),
        ("card", job.card_id.clone()),
    ];
    if let Some(command) = &job.command {
        let all = "all of the card".to_owned();
        lines.push(("command", command.clone()));
        lines.push(("token", job.token_id.clone().unwrap_or(all)));
    }
    lines.extend([
        (
            "number version",
            or_none(job.number_version.map(|version| version.to_string())),
        ),
        ("notification", or_none(job.notification_id.clone())),
        ("state", job.state.clone()),
        ("attempts", job.attempts.to_string()),
        ("not before", or_none(next_at(&job))),
        (
            "last status",
            or_none(job.last_status.map(|status| status.to_string())),
        ),
        ("last reason", or_none(job.last_reason.clone())),
        ("created", timestamp(job.created_at)),
        ("ended", or_none(job.ended_at.map(timestamp))),
    ]);
    let lines = lines
        .into_iter()
        .map(|(name, value)| vec![name.to_owned(), value]);
    Ok(print_table(&["", ""], lines)?)
}

/// When a call is made (again), while it waits.
fn next_at(job: &JobView) -> Option<String> {
    (job.state == JobState::Waiting.name()).then(|| timestamp(job.next_at))
}

/// The status and the reason that a call's last attempt ended with, as far as there are any.
pub(super) fn last_words(job: &JobView) -> String {
    let status = job.last_status.map(|status| status.to_string());
    let words = [status, job.last_reason.clone()];
    Vec::from_iter(words.into_iter().flatten()).join(" ")
}
