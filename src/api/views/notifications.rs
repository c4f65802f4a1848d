//! A notification with its verdict, and what its replays came to.

use serde::Serialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::next;
use crate::domain;
use crate::processor;
use crate::store::{NotificationView, Replay};
use crate::telemetry::timestamp;

/// One item of a delivery, with its verdict.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Notification<'a> {
    pub id: &'a str,
    pub delivery_id: &'a str,
    /// Its place in the delivery.
    pub index: i32,
    pub card_id: Option<&'a str>,
    pub received_at: String,
    pub event_time: Option<String>,
    /// Mastercard's reason code.
    pub reason: Option<&'a str>,
    pub status: Option<&'a str>,
    /// `applied`, `no_change`, `duplicate`, `stale`, `parked` or `quarantined`.
    pub verdict: &'a str,
    /// Why it is parked or quarantined.
    pub verdict_reason: Option<&'a str>,
    /// The rule that gave the verdict.
    pub rule: &'a str,
    #[schema(value_type = Vec<String>)]
    pub flags: &'a [domain::Flag],
    pub changes: Vec<Change<'a>>,
}

/// A field that changed. A number is shown by its last four digits; digits of a card that its status
/// does not let be shown any more are `withheld`.
#[derive(Serialize, ToSchema)]
pub struct Change<'a> {
    pub field: &'a str,
    pub from: &'a Value,
    pub to: &'a Value,
}

impl<'a> From<&'a domain::Change> for Change<'a> {
    fn from(change: &'a domain::Change) -> Self {
        Self {
            field: &change.field,
            from: &change.from,
            to: &change.to,
        }
    }
}

impl<'a> From<&'a NotificationView> for Notification<'a> {
    fn from(row: &'a NotificationView) -> Self {
        Self {
            id: &row.id,
            delivery_id: &row.delivery_id,
            index: row.index,
            card_id: row.card_id.as_deref(),
            received_at: timestamp(row.received_at),
            event_time: row.event_time.map(timestamp),
            reason: row.reason.as_deref(),
            status: row.status.as_deref(),
            verdict: &row.verdict,
            verdict_reason: row.hold.as_deref(),
            rule: &row.rule,
            flags: &row.flags,
            changes: row.changes.iter().map(Change::from).collect(),
        }
    }
}

/// A notification with its verdict.
pub fn notification(row: &NotificationView) -> Value {
    json!(Notification::from(row))
}

/// Notifications, the latest arrival first.
#[derive(Serialize, ToSchema)]
pub struct NotificationPage<'a> {
    pub notifications: Vec<Notification<'a>>,
    /// The cursor of the next page; null on the last one.
    pub next: Option<String>,
}

impl<'a> NotificationPage<'a> {
    /// The page that these rows are, of at most `limit`.
    pub fn new(rows: &'a [NotificationView], limit: i64) -> Self {
        Self {
            notifications: rows.iter().map(Notification::from).collect(),
            next: next(rows, limit, |row| row.id.clone()),
        }
    }
}

/// What a replay came to.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Replayed<'a> {
    pub id: &'a str,
    pub card_id: Option<&'a str>,
    pub verdict: &'a str,
    pub verdict_reason: Option<&'a str>,
    pub rule: &'a str,
    pub changes: Vec<Change<'a>>,
}

impl<'a> From<&'a processor::Replayed> for Replayed<'a> {
    fn from(replayed: &'a processor::Replayed) -> Self {
        Self {
            id: &replayed.notification_id,
            card_id: replayed.card_id.as_deref(),
            verdict: &replayed.verdict,
            verdict_reason: replayed.hold.as_deref(),
            rule: &replayed.rule,
            changes: replayed.changes.iter().map(Change::from).collect(),
        }
    }
}

/// A replay of a notification, as it was recorded.
pub fn replay(row: &Replay) -> Value {
    json!({
        "at": timestamp(row.at),
        "operator": row.operator,
        "reason": row.reason,
        "verdict": row.verdict,
        "rule": row.rule,
        "changes": row.changes,
    })
}
