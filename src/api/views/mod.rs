//! The JSON of cards, events, notifications and calls, for the API and for commands with `--json`.
//!
//! Each view is a type, from which the description of the API takes its schema.

mod cards;
mod events;
mod notifications;
mod outbox;
mod timeline;

pub use cards::{Card, CardPage, CardToken, card};
pub use events::{Event, EventPage};
pub use notifications::{Notification, NotificationPage, Replayed, notification, replay};
pub use outbox::{Job, JobPage, job};
pub use timeline::{Timeline, TimelineEntry, kind_words};

use serde_json::Value;

/// The cursor of the next page, if this one is full.
pub fn next<T>(rows: &[T], limit: i64, id: impl Fn(&T) -> String) -> Option<String> {
    let is_full = i64::try_from(rows.len()).is_ok_and(|count| count >= limit);
    rows.last().filter(|_| is_full).map(id)
}

/// A value of a change, as people read it.
pub fn plain(value: &Value) -> String {
    match value {
        Value::Null => "none".to_owned(),
        Value::String(text) => text.clone(),
        Value::Array(items) => items.iter().map(plain).collect::<Vec<_>>().join(", "),
        other => other.to_string(),
    }
}

/// The same object with more fields, for a view that says more than another.
pub fn with<const N: usize>(mut view: Value, more: [(&str, Value); N]) -> Value {
    if let Value::Object(fields) = &mut view {
        fields.extend(more.map(|(name, value)| (name.to_owned(), value)));
    }
    view
}
