//! Events, as they are pulled and streamed.

use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use crate::store::EventRow;
use crate::telemetry::timestamp;

/// A change of a card.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Event<'a> {
    /// Its place in the order of events: the cursor behind it.
    id: String,
    /// `card.registered`, `card.status`, `card.details`, `card.token` or `card.cryptogram`.
    #[serde(rename = "type")]
    kind: &'a str,
    at: String,
    card_id: &'a str,
    /// What changed; which fields it has depends on the type.
    #[schema(value_type = Object)]
    data: &'a Value,
}

impl<'a> From<&'a EventRow> for Event<'a> {
    fn from(row: &'a EventRow) -> Self {
        Self {
            id: row.sequence.to_string(),
            kind: &row.kind,
            at: timestamp(row.at),
            card_id: &row.card_id,
            data: &row.data,
        }
    }
}

/// Events in the order of commit.
#[derive(Serialize, ToSchema)]
pub struct EventPage<'a> {
    events: Vec<Event<'a>>,
    /// The cursor to go on from, also where there are no more events yet.
    next: String,
}

impl<'a> EventPage<'a> {
    /// The events behind `after`.
    pub fn new(rows: &'a [EventRow], after: i64) -> Self {
        Self {
            events: rows.iter().map(Event::from).collect(),
            next: rows.last().map_or(after, |row| row.sequence).to_string(),
        }
    }
}
