//! The event time of an element, in the four forms seen or expected.

use chrono::DateTime;
use serde_json::{Map, Value};

use crate::domain::{TimeUnit, WireForm};

/// Above this a number counts milliseconds, below it seconds (10^11 s is the year 5138).
const MILLISECONDS_FROM: i64 = 100_000_000_000;

/// The event time in milliseconds since 1970 (UTC): epoch milliseconds or seconds as text or
/// number, or ISO-8601. `None` if there is none, if it cannot be read, or if it lies further after
/// the receipt than is believed. Never passes through a float.
pub fn event_time(value: Option<&Value>, received_at: i64, wire: &WireForm) -> Option<i64> {
    let time = match value? {
        Value::Number(number) => epoch(number.as_i64()?, wire.event_time_unit),
        Value::String(text) => from_text(text, wire.event_time_unit),
        _ => None,
    }?;
    let latest = received_at.saturating_add(wire.max_ahead.saturating_mul(1000));
    (time <= latest).then_some(time)
}

/// The first usable event time among the fields that may hold it.
pub(super) fn first_event_time(
    fields: &Map<String, Value>,
    received_at: i64,
    wire: &WireForm,
) -> Option<i64> {
    let mut names = wire.event_time_fields.iter();
    names.find_map(|name| event_time(fields.get(name), received_at, wire))
}

fn from_text(text: &str, unit: TimeUnit) -> Option<i64> {
    if text.starts_with(|c: char| c.is_ascii_digit()) && text.bytes().all(|b| b.is_ascii_digit()) {
        if text.starts_with('0') {
            return None;
        }
        return epoch(text.parse().ok()?, unit);
    }
    let time = DateTime::parse_from_rfc3339(text)
        // Mastercard's patterns also allow an offset without a colon.
        .or_else(|_| DateTime::parse_from_str(text, "%Y-%m-%dT%H:%M:%S%.f%z"))
        .ok()?;
    Some(time.timestamp_millis()).filter(|time| *time > 0)
}

fn epoch(number: i64, unit: TimeUnit) -> Option<i64> {
    let in_seconds = match unit {
        TimeUnit::Auto => number < MILLISECONDS_FROM,
        TimeUnit::Seconds => true,
        TimeUnit::Milliseconds => false,
    };
    let factor = if in_seconds { 1000 } else { 1 };
    number.checked_mul(factor).filter(|time| *time > 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const RECEIVED: i64 = 1_784_541_700_000;

    fn event_time(value: Option<&Value>, received_at: i64) -> Option<i64> {
        super::event_time(value, received_at, &WireForm::default())
    }

    #[test]
    fn w14_the_four_forms_of_one_instant_are_equal() {
        let forms = [
            json!("1784541600000"),
            json!(1_784_541_600_000_i64),
            json!(1_784_541_600),
            json!("2026-07-20T10:00:00.000Z"),
            json!("1784541600"),
            json!("2026-07-20T12:00:00.000+0200"),
        ];
        for form in &forms {
            assert_eq!(
                event_time(Some(form), RECEIVED),
                Some(1_784_541_600_000),
                "{form}"
            );
        }
    }

    #[test]
    fn w14_whatever_else_stands_there_is_untimed() {
        for text in [
            "1e12",
            "1.0",
            "-1",
            "0",
            "9223372036854775808",
            "18446744073709551616",
            "123456789012345678901234567890",
            "true",
            "null",
            "\"\"",
            "\"+1\"",
            "\"01\"",
            "[]",
        ] {
            let value: Value = serde_json::from_str(text).unwrap();
            assert_eq!(event_time(Some(&value), RECEIVED), None, "{text}");
        }
        assert_eq!(event_time(None, RECEIVED), None);
    }

    #[test]
    fn s13_a_time_more_than_ten_minutes_ahead_is_not_believed() {
        assert_eq!(
            event_time(Some(&json!(RECEIVED + 600_000)), RECEIVED),
            Some(RECEIVED + 600_000)
        );
        assert_eq!(event_time(Some(&json!(RECEIVED + 600_001)), RECEIVED), None);
    }
}
