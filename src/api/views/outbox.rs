//! A call that waits, runs or has ended.

use serde::Serialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::next;
use crate::store::{JobState, JobView};
use crate::telemetry::timestamp;

/// A call to the other side.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Job<'a> {
    pub id: &'a str,
    /// `cryptogram`, `get_card`, `delete_card`, `read_tokens`, `token_status` or `credentials`.
    pub kind: &'a str,
    /// Of a `token_status` call: `SUSPEND`, `RESUME` or `DEACTIVATE`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub command: Option<&'a str>,
    /// Of a `token_status` call: the token it is for, as `tokens[]` of the card names it; without it,
    /// all of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token_id: Option<&'a str>,
    pub card_id: &'a str,
    /// `waiting`, `running`, `done`, `parked`, `dead` or `discarded`.
    pub state: &'a str,
    pub attempts: i32,
    /// When it is made (again), while it waits.
    pub next_at: Option<String>,
    /// The HTTP status of the last answer.
    pub last_status: Option<i32>,
    /// Why the last attempt failed, or why the call ended, in stable words.
    pub last_reason: Option<&'a str>,
}

impl<'a> From<&'a JobView> for Job<'a> {
    fn from(row: &'a JobView) -> Self {
        let waits = row.state == JobState::Waiting.name();
        Self {
            id: &row.id,
            kind: &row.kind,
            command: row.command.as_deref(),
            token_id: row.token_id.as_deref(),
            card_id: &row.card_id,
            state: &row.state,
            attempts: row.attempts,
            next_at: waits.then(|| timestamp(row.next_at)),
            last_status: row.last_status,
            last_reason: row.last_reason.as_deref(),
        }
    }
}

/// A call that waits, runs or has ended.
pub fn job(row: &JobView) -> Value {
    json!(Job::from(row))
}

/// Calls in the order they became necessary.
#[derive(Serialize, ToSchema)]
pub struct JobPage<'a> {
    pub jobs: Vec<Job<'a>>,
    /// The cursor of the next page; null on the last one.
    pub next: Option<String>,
}

impl<'a> JobPage<'a> {
    /// The page that these rows are, of at most `limit`.
    pub fn new(rows: &'a [JobView], limit: i64) -> Self {
        Self {
            jobs: rows.iter().map(Job::from).collect(),
            next: next(rows, limit, |row| row.id.clone()),
        }
    }
}
