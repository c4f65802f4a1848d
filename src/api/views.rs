//! The JSON of cards and notifications, for the API and for commands with `--json`.

use serde_json::{Value, json};

use crate::domain::{Card, display, shown_masked_card};
use crate::store::{CardRow, JobView, NotificationView, Replay};
use crate::telemetry::timestamp;

/// A card as it may be shown.
pub fn card(row: &CardRow) -> Value {
    let card = &row.card;
    let display = display(card);
    json!({
        "cardId": card.id.as_str(),
        "program": row.program,
        "consumerReference": card.consumer_reference,
        "status": card.status_word(),
        "display": {
            "visible": display.visible,
            "greyed": display.greyed,
            "panLastFour": display.pan_last_four,
            "artUri": display.art_uri,
            "descriptorName": display.descriptor_name,
            "panExpirationMonth": display.pan_expiration_month,
            "panExpirationYear": display.pan_expiration_year,
        },
        "token": token(card),
        "maskedCard": shown_masked_card(card),
        "updatedAt": timestamp(row.card.updated_at),
    })
}

fn token(card: &Card) -> Value {
    let Some(token) = &card.token else {
        return Value::Null;
    };
    json!({
        "lastFour": token.number.last_four(),
        "expirationMonth": token.expiry.map(|expiry| expiry.month()),
        "expirationYear": token.expiry.map(|expiry| expiry.year()),
        "version": card.version,
        "numberVersion": card.number_version,
        "refreshedAt": timestamp(token.refreshed_at),
    })
}

/// A notification with its verdict.
pub fn notification(row: &NotificationView) -> Value {
    json!({
        "id": row.id,
        "deliveryId": row.delivery_id,
        "index": row.index,
        "cardId": row.card_id,
        "receivedAt": timestamp(row.received_at),
        "eventTime": row.event_time.map(timestamp),
        "reason": row.reason,
        "status": row.status,
        "verdict": row.verdict,
        "verdictReason": row.hold,
        "rule": row.rule,
        "flags": row.flags,
        "changes": row.changes,
    })
}

/// A replay of a notification.
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

/// A call that waits, runs or has ended.
pub fn job(row: &JobView) -> Value {
    json!({
        "id": row.id,
        "kind": row.kind,
        "cardId": row.card_id,
        "numberVersion": row.number_version,
        "state": row.state,
        "attempts": row.attempts,
        "nextAt": timestamp(row.next_at),
    })
}

/// The cursor of the next page, if this one is full.
pub fn next<T>(rows: &[T], limit: i64, id: impl Fn(&T) -> String) -> Option<String> {
    let is_full = i64::try_from(rows.len()).is_ok_and(|count| count >= limit);
    rows.last().filter(|_| is_full).map(id)
}

/// The same object with more fields, for a view that says more than another.
pub fn with<const N: usize>(mut view: Value, more: [(&str, Value); N]) -> Value {
    if let Value::Object(fields) = &mut view {
        fields.extend(more.map(|(name, value)| (name.to_owned(), value)));
    }
    view
}
