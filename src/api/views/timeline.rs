//! What happened to a card, as it may be shown.

use serde::Serialize;
use utoipa::ToSchema;

use super::next;
use crate::domain::Change;
use crate::store::{Happened, JobView, Moment};
use crate::telemetry::timestamp;

/// Something that happened to a card.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct TimelineEntry {
    pub at: String,
    /// `notification`, `registration`, `answer`, `call` or `act`.
    pub kind: &'static str,
    /// Of a notification or a call: its id.
    pub id: Option<String>,
    /// A notification's reason code, an answer's, a call's or an act's kind.
    pub what: String,
    /// A verdict, the state of a call, or what came of an act.
    pub outcome: Option<String>,
    /// The rule that gave a verdict; of a call, why its last attempt failed or why it ended.
    pub because: Option<String>,
    /// Who did it, of an act.
    pub by: Option<String>,
    /// The names of the fields that changed.
    pub fields: Vec<String>,
}

/// What happened to a card, the latest first.
#[derive(Serialize, ToSchema)]
pub struct Timeline {
    pub entries: Vec<TimelineEntry>,
    /// The cursor of the next page; null on the last one.
    pub next: Option<String>,
}

impl Timeline {
    /// The page that these moments are, of at most `limit`.
    pub fn new(moments: &[Moment], limit: i64) -> Self {
        Self {
            entries: moments.iter().map(TimelineEntry::from).collect(),
            next: next(moments, limit, |moment| moment.cursor().text()),
        }
    }
}

impl From<&Moment> for TimelineEntry {
    fn from(moment: &Moment) -> Self {
        let entry = |kind, what: &str| Self {
            at: timestamp(moment.at),
            kind,
            id: None,
            what: what.to_owned(),
            outcome: None,
            because: None,
            by: None,
            fields: Vec::new(),
        };
        match &moment.happened {
            Happened::Notification(row) => Self {
                id: Some(row.id.clone()),
                outcome: Some(row.verdict_words()),
                because: Some(row.rule.clone()),
                fields: names(&row.changes),
                ..entry("notification", row.reason.as_deref().unwrap_or("none"))
            },
            Happened::Registration { changes } => Self {
                fields: names(changes),
                ..entry("registration", "registered")
            },
            Happened::Answer {
                kind,
                verdict,
                rule,
                changes,
            } => Self {
                outcome: Some(verdict.clone()),
                because: Some(rule.clone()),
                fields: names(changes),
                ..entry("answer", kind)
            },
            Happened::Call(job) => Self {
                id: Some(job.id.clone()),
                outcome: Some(job.state.clone()),
                because: job.last_reason.clone(),
                ..entry("call", &kind_words(job))
            },
            Happened::Act(record) => Self {
                outcome: Some(record.outcome.clone()),
                by: Some(record.actor.clone()),
                ..entry("act", &record.act)
            },
        }
    }
}

/// What kind of call it is, with the command that it carries, if it carries one.
pub fn kind_words(job: &JobView) -> String {
    match &job.command {
        Some(command) => format!("{} {command}", job.kind),
        None => job.kind.clone(),
    }
}

fn names(changes: &[Change]) -> Vec<String> {
    changes.iter().map(|change| change.field.clone()).collect()
}
