//! When an event happened and which one it is: settled by the settings of `[notification]` alone.

use rstest::rstest;
use serde_json::{Value, json};
use tokenkeep::domain::Flag;

use crate::support::build::{CARD, NUMBER_1, NUMBER_2, encrypted, plain, refresh, status};
use crate::support::{App, Backend, START};
use crate::wire::{latest, shown};
use crate::wire_settings::{app, app_on, mistake};

const BESIDE: &str = "[notification]\nevent_time_beside_list = true";
const IDS: &str = "[notification]\nevent_id_fields = [\"messageId\", \"eventId\"]";

/// A body with this event time beside its list.
fn beside(mut body: Value, time: Value) -> Value {
    body["eventTimeStamp"] = time;
    body
}

#[test]
fn notification_event_time_beside_list_counts_for_elements_without_a_usable_time() {
    let element = |time: Value| {
        let mut element = status(CARD, None, "ACTIVE");
        element["eventTimeStamp"] = time;
        element
    };
    let (own, list) = (START - 1_000, START - 2_000);
    let unusable = START + 3_600_000;
    let body = |time: Value, list: i64| beside(plain(&[element(time)]), json!(list));
    let one_jwe = encrypted(&beside(plain(&[element(Value::Null)]), json!(list)));
    let outside = beside(encrypted(&json!([element(Value::Null)])), json!(list));
    let both = beside(one_jwe.clone(), json!(START - 3_000));
    let by_second_name = json!({
        "digitalCardUpdateNotifications": [element(Value::Null)],
        "eventTimeStamp": "never",
        "eventTimestamp": list.to_string(),
    });
    for (name, body, without, with) in [
        ("none", body(Value::Null, list), None, Some(list)),
        ("its own", body(json!(own), list), Some(own), Some(own)),
        ("unreadable", body(json!("never"), list), None, Some(list)),
        (
            "too far ahead",
            body(json!(unusable), list),
            None,
            Some(list),
        ),
        (
            "beside too far ahead",
            body(Value::Null, unusable),
            None,
            None,
        ),
        ("second name", by_second_name, None, Some(list)),
        ("inside one JWE", one_jwe, None, Some(list)),
        ("beside one JWE", outside, None, Some(list)),
        ("inside goes first", both, None, Some(list)),
    ] {
        for (text, expected) in [("", without), (BESIDE, with)] {
            let app = app(text);
            app.deliver(&body);
            let item = latest(&app);
            assert_eq!(item.event_time, expected, "{name} with {text:?}");
            assert_eq!(
                item.flags.contains(&Flag::Untimed),
                expected.is_none(),
                "{name}"
            );
        }
    }
    let told = mistake("[notification]\nevent_time_beside_list = \"yes\"");
    let place = "2:26: notification.event_time_beside_list: ";
    assert!(told.starts_with(place), "{told}");
}

#[rstest]
fn a_time_beside_the_list_ranks_its_elements_and_repeats_of_it_are_known(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let app = app_on(backend, BESIDE);
    let body = |word, time| beside(plain(&[status(CARD, None, word)]), json!(time));
    app.deliver(&body("SUSPENDED", START - 1_000));
    app.deliver(&body("ACTIVE", START - 2_000));
    app.deliver(&body("SUSPENDED", START - 1_000));
    assert_eq!(app.verdicts(CARD), ["applied", "stale", "duplicate"]);
    assert_eq!(shown(&app, CARD)["status"], "SUSPENDED");
}

/// A status notification with an id of its event.
fn event(id: &Value, time: Option<i64>, word: &str) -> Value {
    let mut element = status(CARD, time, word);
    element["eventId"] = id.clone();
    plain(&[element])
}

#[rstest]
fn notification_event_id_fields_make_elements_of_one_id_repeats_of_each_other(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let (one, two) = (json!("event-1"), json!("event-2"));
    let old = START - 3_000;
    for (text, expected, status_shown) in [
        ("", ["applied", "applied", "no_change"], "SUSPENDED"),
        (IDS, ["applied", "duplicate", "no_change"], "ACTIVE"),
    ] {
        let app = app_on(backend, text);
        app.deliver(&event(&one, Some(START - 2_000), "ACTIVE"));
        // Sent again with the time of sending, and with another word.
        app.deliver(&event(&one, Some(START - 1_000), "SUSPENDED"));
        // Another event, whatever it says.
        app.deliver(&event(&two, Some(START), status_shown));
        assert_eq!(app.verdicts(CARD), expected, "{text:?}");
        assert_eq!(shown(&app, CARD)["status"], status_shown);
        // Of another card an equal id says nothing.
        let mut other = event(&one, Some(old), "ACTIVE");
        other["digitalCardUpdateNotifications"][0]["maskedCard"]["srcDigitalCardId"] = "o".into();
        app.deliver(&other);
        assert_eq!(app.verdicts("o"), ["applied"]);
    }
}

/// Without time and id a repeat cannot be told from a new event: it is the newest by its receipt.
#[rstest]
fn a_repeat_of_an_untimed_event_that_has_an_id_does_not_bring_the_old_status_back(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let (one, two, three) = (json!(1), json!(2), json!(3));
    for (text, repeat, status_shown) in [("", "applied", "SUSPENDED"), (IDS, "duplicate", "ACTIVE")]
    {
        let app = app_on(backend, text);
        app.deliver(&event(&one, None, "SUSPENDED"));
        app.deliver(&event(&two, None, "ACTIVE"));
        app.deliver(&event(&one, None, "SUSPENDED"));
        assert_eq!(
            app.verdicts(CARD),
            ["applied", "applied", repeat],
            "{text:?}"
        );
        assert_eq!(shown(&app, CARD)["status"], status_shown, "{text:?}");
        // Of equal content, yet another event.
        app.deliver(&event(&three, None, status_shown));
        assert_eq!(app.verdicts(CARD)[3], "no_change", "{text:?}");
    }
}

#[rstest]
fn a_refresh_encrypted_anew_under_one_id_is_a_repeat_and_under_another_a_new_event(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let app = app_on(backend, IDS);
    let element = |id: i32, number| {
        let mut element = refresh(CARD, START - 1_000, number, ("12", "2031"));
        element["eventId"] = id.into();
        element
    };
    app.deliver(&plain(&[element(1, NUMBER_1), element(1, NUMBER_1)]));
    app.deliver(&encrypted(&json!([element(1, NUMBER_1)])));
    let mut as_text = element(1, NUMBER_1);
    as_text["eventId"] = "1".into();
    app.deliver(&plain(&[as_text]));
    assert_eq!(
        app.verdicts(CARD),
        ["applied", "duplicate", "duplicate", "duplicate"]
    );
    app.deliver(&plain(&[element(2, NUMBER_2)]));
    assert_eq!(shown(&app, CARD)["token"]["lastFour"], "0022");
}

#[test]
fn an_id_that_cannot_be_used_leaves_the_item_recognised_by_its_content() {
    let app = app(IDS);
    let longest = "x".repeat(255);
    for unusable in [
        json!(""),
        json!(format!("{longest}x")),
        json!(0.5),
        json!(null),
        json!({ "id": 1 }),
    ] {
        app.deliver(&event(&unusable, Some(START - 1_000), "ACTIVE"));
        let mut verdicts = verdicts_of_two(&app, &unusable);
        assert_eq!(verdicts.pop().as_deref(), Some("duplicate"), "{unusable}");
        assert_ne!(verdicts.pop().as_deref(), Some("duplicate"), "{unusable}");
    }
    app.deliver(&event(&json!(longest), Some(START - 1_000), "ACTIVE"));
    app.deliver(&event(&json!(longest), Some(START), "SUSPENDED"));
    assert_eq!(app.verdicts(CARD).last().unwrap(), "duplicate");
}

/// The verdicts on another status of this id, and on its repeat.
fn verdicts_of_two(app: &App, id: &Value) -> Vec<String> {
    app.advance(1_000);
    let time = Some(app.clock.load(std::sync::atomic::Ordering::SeqCst));
    app.deliver(&event(id, time, "SUSPENDED"));
    app.deliver(&event(id, time, "SUSPENDED"));
    let mut verdicts = app.verdicts(CARD);
    verdicts.split_off(verdicts.len() - 2)
}

#[test]
fn names_of_ids_and_times_that_stand_for_something_else_are_refused() {
    for (wrong, expected) in [
        (
            "event_id_fields = [\"\"]",
            "event_id_fields: a name is empty",
        ),
        (
            "event_id_fields = [\"maskedCard\"]",
            "event_id_fields: maskedCard has a meaning already",
        ),
        (
            "event_id_fields = [\"eventTimeStamp\"]",
            "event_id_fields: eventTimeStamp has a meaning already",
        ),
        (
            "event_id_fields = [\"id\", \"id\"]",
            "event_id_fields: id has a meaning already",
        ),
        (
            "event_id_fields = \"id\"",
            "2:19: notification.event_id_fields: ",
        ),
        (
            "event_time_fields = [\"\"]",
            "event_time_fields: a name is empty",
        ),
        (
            "event_time_fields = [\"digitalCardUpdateNotifications\"]",
            "event_time_fields: digitalCardUpdateNotifications has a meaning already",
        ),
    ] {
        let told = mistake(&format!("[notification]\n{wrong}"));
        assert!(told.contains(expected), "{wrong}: {told}");
    }
}
