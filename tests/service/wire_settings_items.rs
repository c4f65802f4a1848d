//! Open questions about one element are settled by the settings of `[notification]` alone.

use serde_json::{Value, json};
use tokenkeep::domain::Flag;
use tokenkeep::jose::Keyring;
use tokenkeep::processor::replay_stored;
use tokenkeep::settings::{Overrides, Settings};
use tokenkeep::store::{Replay, Tx};

use crate::support::build::{CARD, NUMBER_1, NUMBER_2, payment_jwe, plain, refresh, status};
use crate::support::{App, START, keys};
use crate::wire::{latest, shown};
use crate::wire_settings::{app, load, mistake};

#[test]
fn notification_event_time_fields_says_where_the_time_stands() {
    let element = |card: &str| {
        let mut element = status(card, None, "ACTIVE");
        element["occurredAt"] = (START - 2_000).into();
        element["eventTimeStamp"] = (START - 1_000).into();
        element
    };
    for (text, expected) in [
        ("", Some(START - 1_000)),
        (r#"["occurredAt", "eventTimeStamp"]"#, Some(START - 2_000)),
        (r#"["eventTimeStamp", "occurredAt"]"#, Some(START - 1_000)),
        (r#"["somewhereElse"]"#, None),
    ] {
        let setting = format!("[notification]\nevent_time_fields = {text}");
        let app = app(if text.is_empty() { text } else { &setting });
        app.deliver(&plain(&[element(CARD)]));
        assert_eq!(latest(&app).event_time, expected, "{text}");
    }
    for (wrong, expected) in [
        (r#"[]"#, "the list is empty"),
        (r#"["reasonCode"]"#, "reasonCode has a meaning already"),
    ] {
        let told = mistake(&format!("[notification]\nevent_time_fields = {wrong}"));
        assert!(told.contains(expected), "{told}");
    }
}

#[test]
fn notification_event_time_unit_says_what_a_number_counts() {
    let (seconds, milliseconds) = (json!(START / 1_000), json!(START));
    // A time whose size does not tell its unit: 1970 in milliseconds, the year 2286 in seconds.
    let small = json!("9999999999");
    let iso = json!("2026-07-20T10:00:00Z");
    for (text, expected) in [
        ("", [Some(START), Some(START), None, Some(START)]),
        ("seconds", [Some(START), None, None, Some(START)]),
        (
            "milliseconds",
            [
                Some(START / 1_000),
                Some(START),
                Some(9_999_999_999),
                Some(START),
            ],
        ),
    ] {
        let setting = format!("[notification]\nevent_time_unit = \"{text}\"");
        let app = app(if text.is_empty() { text } else { &setting });
        for (form, expected) in [&seconds, &milliseconds, &small, &iso].iter().zip(expected) {
            let mut element = status(CARD, None, "ACTIVE");
            element["eventTimeStamp"] = (**form).clone();
            app.deliver(&plain(&[element]));
            assert_eq!(latest(&app).event_time, expected, "{form} with {text}");
        }
    }
}

#[test]
fn notification_max_ahead_says_how_far_ahead_a_time_is_believed() {
    for (text, ahead) in [("", 600), ("[notification]\nmax_ahead = 5", 5)] {
        let app = app(text);
        let latest_believed = START + ahead * 1_000;
        for (time, expected) in [
            (latest_believed, &[][..]),
            (latest_believed + 1, &[Flag::Untimed]),
        ] {
            app.deliver(&plain(&[status(CARD, Some(time), "ACTIVE")]));
            assert_eq!(latest(&app).flags, expected, "{time} with {text}");
        }
    }
    for wrong in ["-1", "86401"] {
        let told = mistake(&format!("[notification]\nmax_ahead = {wrong}"));
        assert!(told.contains("notification.max_ahead"), "{told}");
    }
}

#[test]
fn notification_refresh_reasons_says_with_which_codes_payment_data_must_come() {
    for (text, held) in [
        ("", &["TOKEN_REFRESH"][..]),
        (
            "[\"TOKEN_REFRESH\", \"REPLACED\"]",
            &["TOKEN_REFRESH", "REPLACED"],
        ),
        ("[]", &[]),
    ] {
        let setting = format!("[notification]\nrefresh_reasons = {text}");
        let app = app(if text.is_empty() { text } else { &setting });
        for reason in ["TOKEN_REFRESH", "REPLACED", "OTHER"] {
            let mut element = status(reason, Some(START), "ACTIVE");
            element["reasonCode"] = reason.into();
            app.deliver(&plain(&[element.clone()]));
            let expected = match held.contains(&reason) {
                true => "quarantined(payment-data-missing)",
                false => "applied",
            };
            assert_eq!(app.verdicts(reason), [expected], "{reason} with {text}");
            // Where it comes it is read, whatever the code.
            element["eventTimeStamp"] = (START + 1_000).into();
            element["paymentData"] = payment_jwe(NUMBER_2, ("12", "2031")).into();
            app.deliver(&plain(&[element]));
            assert_eq!(shown(&app, reason)["token"]["lastFour"], "0022", "{reason}");
        }
    }
}

#[test]
fn notification_status_words_gives_further_words_a_meaning() {
    let words = "[notification.status_words]\nDISABLED = \"SUSPENDED\"\nDELETED = \"CANCELLED\"";
    let unknown = "parked(status-unknown)";
    for (text, disabled, deleted) in [
        ("", (unknown, Value::Null), (unknown, Value::Null)),
        (
            words,
            ("applied", json!("SUSPENDED")),
            ("applied", json!("CANCELLED")),
        ),
    ] {
        let app = app(text);
        for (word, (expected, status_shown)) in [
            ("DISABLED", disabled),
            ("DELETED", deleted),
            ("disabled", (unknown, Value::Null)),
            ("OTHER", (unknown, Value::Null)),
            ("", (unknown, Value::Null)),
        ] {
            let card = format!("card-{word}");
            app.deliver(&plain(&[status(&card, Some(START), word)]));
            assert_eq!(app.verdicts(&card), [expected], "{word} with {text}");
            let state = app.card(&card).unwrap().card;
            assert_eq!(json!(state.status_word()), status_shown, "{word}");
        }
    }
    for (wrong, expected) in [
        (
            "DISABLED = \"GONE\"",
            "2:12: notification.status_words.DISABLED: ",
        ),
        (
            "ACTIVE = \"SUSPENDED\"",
            "notification.status_words: ACTIVE",
        ),
    ] {
        let told = mistake(&format!("[notification.status_words]\n{wrong}"));
        assert!(told.contains(expected), "{told}");
    }
    let word = "TOKENKEEP_NOTIFICATION__STATUS_WORDS__DISABLED".to_owned();
    let loaded = Settings::load(&Overrides::default(), [(word, "SUSPENDED".to_owned())]);
    assert!(
        loaded
            .unwrap()
            .notification
            .status_words
            .contains_key("DISABLED")
    );
}

/// Judges a recorded item anew, with the settings the service has now.
pub fn replay(app: &App, notification_id: String) -> String {
    let asked = Replay {
        notification_id,
        at: START,
        operator: String::new(),
        reason: String::new(),
        verdict: String::new(),
        rule: String::new(),
        changes: Vec::new(),
        card_order: None,
    };
    let keyring = Keyring::load(&keys(), app.settings.processor.opening()).unwrap();
    let (store, policy) = (app.store(), app.settings.policy());
    let replay = |tx: &mut Tx<'_>| replay_stored(tx, &keyring, store.keys(), &policy, asked);
    store.write(replay).unwrap().unwrap().verdict
}

/// The time stands beside the kept content: it is read back whatever the settings say by then.
#[test]
fn a_replay_keeps_the_time_whatever_field_and_unit_it_came_in() {
    let app = app("[notification]\nevent_time_unit = \"seconds\"\nevent_time_fields = [\"when\"]");
    let mut element = refresh(CARD, 0, NUMBER_1, ("12", "2031"));
    element["when"] = (START / 1_000 - 60).into();
    app.deliver(&plain(&[element]));
    let item = latest(&app);
    // Of a later time: without its own, the first one would be the newer one again.
    let mut later = status(CARD, None, "SUSPENDED");
    later["when"] = (START / 1_000 - 30).into();
    app.deliver(&plain(&[later]));
    assert_eq!(replay(&app, item.id), "duplicate");
    assert_eq!(shown(&app, CARD)["status"], "SUSPENDED");
}

#[test]
fn what_a_setting_held_follows_the_changed_setting_by_a_replay() {
    let mut app = app("");
    app.deliver(&plain(&[status("word", Some(START), "DISABLED")]));
    let word = latest(&app).id;
    let mut element = status("reason", Some(START), "ACTIVE");
    element["reasonCode"] = "TOKEN_REFRESH".into();
    app.deliver(&plain(&[element]));
    let reason = latest(&app).id;
    app.stop();
    let changed =
        "[notification]\nrefresh_reasons = []\nstatus_words = { DISABLED = \"SUSPENDED\" }";
    app.settings.notification = load(changed).unwrap().notification;
    app.start();
    assert_eq!(replay(&app, word), "applied");
    assert_eq!(shown(&app, "word")["status"], "SUSPENDED");
    assert_eq!(app.verdicts("word"), ["applied"]);
    assert_eq!(replay(&app, reason), "applied");
    assert_eq!(app.verdicts("reason"), ["applied"]);
}
