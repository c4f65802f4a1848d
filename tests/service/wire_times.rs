//! The wire form: event times.

use rstest::rstest;
use serde_json::{Value, json};
use tokenkeep::domain::Flag;

use crate::support::build::{CARD, plain, status};
use crate::support::{App, Backend, START};
use crate::wire::{latest, post, shown, verdict};

/// One instant, whole seconds before the tests begin, in every form that is understood.
fn forms(seconds_before: i64) -> Vec<Value> {
    let milliseconds = START - seconds_before * 1000;
    let time = chrono::DateTime::from_timestamp_millis(milliseconds).unwrap();
    let east = time.with_timezone(&chrono::FixedOffset::east_opt(7200).unwrap());
    vec![
        json!(milliseconds.to_string()),
        json!(milliseconds),
        json!(milliseconds / 1000),
        json!(time.format("%Y-%m-%dT%H:%M:%S%.3fZ").to_string()),
        json!((milliseconds / 1000).to_string()),
        json!(time.format("%Y-%m-%dT%H:%M:%SZ").to_string()),
        json!(east.format("%Y-%m-%dT%H:%M:%S%.3f%:z").to_string()),
        json!(east.format("%Y-%m-%dT%H:%M:%S%.3f%z").to_string()),
    ]
}

fn at(card: &str, time: &Value, word: &str) -> Value {
    let mut element = status(card, None, word);
    element["eventTimeStamp"] = time.clone();
    element
}

#[rstest]
fn s11_the_time_forms_are_one_time_across_items(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let app = App::spawn(backend);
    let (then, before, after) = (forms(60), forms(120), forms(0));
    for (place, form) in then.iter().enumerate() {
        let card = format!("card-{place}");
        app.deliver(&plain(&[at(&card, form, "SUSPENDED")]));
        for other in &then {
            app.deliver(&plain(&[at(&card, other, "SUSPENDED")]));
            assert_eq!(verdict(&latest(&app)), "duplicate", "{form} and {other}");
        }
        // Of one time, so SUSPENDED stands, whichever form ACTIVE came in.
        let other = &then[(place + 1) % then.len()];
        app.deliver(&plain(&[at(&card, other, "ACTIVE")]));
        assert_eq!(latest(&app).flags, [Flag::EqualTime], "{form} and {other}");
        assert_eq!(shown(&app, &card)["status"], "SUSPENDED");
        let older = &before[(place + 2) % before.len()];
        app.deliver(&plain(&[at(&card, older, "ACTIVE")]));
        assert_eq!(verdict(&latest(&app)), "stale", "{form} and {older}");
        let newer = &after[(place + 3) % after.len()];
        app.deliver(&plain(&[at(&card, newer, "ACTIVE")]));
        assert_eq!(verdict(&latest(&app)), "applied", "{form} and {newer}");
        assert_eq!(latest(&app).event_time, Some(START));
        assert_eq!(shown(&app, &card)["status"], "ACTIVE");
    }
}

#[test]
fn event_time_stamp_and_event_timestamp_both_count_and_a_null_or_unreadable_one_does_not() {
    let app = App::spawn(Backend::Sqlite);
    let (time, other) = (json!(START - 1_000), json!(START - 2_000));
    let cases = [
        ("capital", Some(time.clone()), None),
        ("small", None, Some(time.clone())),
        ("both", Some(time.clone()), Some(time.clone())),
        ("both-differ", Some(time.clone()), Some(other)),
        ("null-and-small", Some(Value::Null), Some(time.clone())),
        ("capital-and-null", Some(time.clone()), Some(Value::Null)),
        (
            "unreadable-and-small",
            Some(json!("soon")),
            Some(time.clone()),
        ),
        ("empty-and-small", Some(json!("")), Some(time)),
    ];
    for (card, capital, small) in cases {
        let mut element = status(card, None, "ACTIVE");
        for (name, value) in [("eventTimeStamp", capital), ("eventTimestamp", small)] {
            if let Some(value) = value {
                element[name] = value;
            }
        }
        app.deliver(&plain(&[element]));
        assert_eq!(latest(&app).event_time, Some(START - 1_000), "{card}");
        assert_eq!(latest(&app).flags, [], "{card}");
    }
    let mut element = status(CARD, None, "ACTIVE");
    element["eventTimeStamp"] = Value::Null;
    element["eventTimestamp"] = Value::Null;
    app.deliver(&plain(&[element]));
    assert_eq!(latest(&app).flags, [Flag::Untimed]);
}

#[rstest]
fn w14_a_time_that_is_none_leaves_the_item_untimed_and_what_is_not_json_is_refused(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let app = App::spawn(backend);
    let body = |card: &str, time: &str| {
        let element = at(card, &json!("HERE"), "ACTIVE").to_string();
        let element = element.replace(r#""HERE""#, time);
        format!(r#"{{"digitalCardUpdateNotifications":[{element}]}}"#)
    };
    let far_ahead = (START + 600_001).to_string();
    let untimed = [
        "1e12",
        "1.0",
        "1784541600.0",
        "1784541600000.0",
        "1.7845416e12",
        "-1",
        "-1784541600000",
        "-0",
        "0",
        "9223372036854775807",
        "9223372036854775808",
        "18446744073709551615",
        "18446744073709551616",
        "123456789012345678901234567890",
        r#""123456789012345678901234567890""#,
        r#""9223372036854775808""#,
        r#""1e12""#,
        r#""+1""#,
        r#""01""#,
        r#""-1""#,
        r#""0""#,
        r#""""#,
        r#"" 1784541600000""#,
        r#""2026-07-20""#,
        r#""2026-07-20T10:00:00""#,
        r#""2026-13-20T10:00:00Z""#,
        r#""1601-01-01T00:00:00Z""#,
        r#""1784541600000\u0000""#,
        "null",
        "true",
        "[1784541600000]",
        r#"{"seconds":1784541600}"#,
        &far_ahead,
    ];
    for (place, time) in untimed.iter().enumerate() {
        let card = format!("card-{place}");
        let answer = app.client.post(&app.receiver_url(), &body(&card, time));
        assert_eq!(answer.status, 204, "{time}");
        app.settle();
        let item = latest(&app);
        assert_eq!(item.card_id.as_deref(), Some(&*card), "{time}");
        assert_eq!(verdict(&item), "applied", "{time}");
        assert_eq!(item.flags, [Flag::Untimed], "{time}");
        assert_eq!(item.event_time, None, "{time}");
    }
    let not_json = [
        "1e400", "-1e400", "+1", "01", "-", "1.", ".5", "NaN", "Infinity", "0x1", "'1'",
    ];
    for time in not_json {
        let answer = post(
            &app,
            "/notifications/card",
            body(CARD, time).as_bytes(),
            &[],
        );
        assert_eq!(
            (answer.status, &*answer.code()),
            (400, "not-a-notification"),
            "{time}"
        );
    }
    app.settle();
    assert!(app.card(CARD).is_none());
    let mut instants = std::collections::BTreeSet::new();
    for (place, time) in forms(60).iter().enumerate() {
        app.deliver(&plain(&[at(&format!("timed-{place}"), time, "ACTIVE")]));
        instants.insert(latest(&app).event_time);
    }
    println!(
        "W-14 {backend:?}: {} forms are {} instant, {} values untimed, {} answered 400",
        forms(60).len(),
        instants.len(),
        untimed.len(),
        not_json.len()
    );
    assert_eq!(instants, [Some(START - 60_000)].into());
}
