//! What the fields of a notification are called is settled by `[notification.aliases]` alone.

use rstest::rstest;
use serde_json::{Value, json};

use crate::support::build::{
    CARD, NUMBER_1, encrypted, jwe, payment_jwe, plain, refresh, refresh_with, status,
};
use crate::support::commands::with;
use crate::support::{Backend, START, TestDatabase};
use crate::wire::{jwe_of_text, latest, shown, verdict};
use crate::wire_settings::{app, app_on, load, mistake};
use crate::wire_settings_items::replay;

const ALIASES: &str = r#"[notification.aliases]
digitalCardUpdateNotifications = ["updates"]
encryptedDigitalCardUpdateNotifications = ["encryptedUpdates"]
maskedCard = ["card", "cardData"]
reasonCode = ["reason"]
paymentData = ["encryptedPaymentData"]
keyFingerprintId = ["fingerprint"]
"#;

/// The object with a field under another name.
fn renamed(mut object: Value, name: &str, alias: &str) -> Value {
    let value = object.as_object_mut().unwrap().remove(name).unwrap();
    object[alias] = value;
    object
}

fn a_refresh(card: &str) -> Value {
    refresh(card, START - 1_000, NUMBER_1, ("12", "2031"))
}

#[test]
fn notification_aliases_are_further_names_of_the_fields_of_an_element() {
    let without_payment = |card: &str| {
        let mut element = status(card, Some(START - 1_000), "ACTIVE");
        element["reasonCode"] = "TOKEN_REFRESH".into();
        renamed(element, "reasonCode", "reason")
    };
    let with_fingerprint = |card: &str| {
        let plaintext = json!({
            "paymentToken": NUMBER_1, "tokenExpirationMonth": "12", "tokenExpirationYear": "2031",
        });
        let token = jwe_of_text(&plaintext.to_string(), Some("nobody-knows"));
        let mut element = refresh_with(card, START - 1_000, &token);
        element["fingerprint"] = "demo-payload-2026".into();
        element
    };
    for (card, element, without, with) in [
        (
            "card",
            renamed(a_refresh("card"), "maskedCard", "card"),
            "quarantined(no-card-id)",
            "applied",
        ),
        // The reason calls for payment data, which is not there.
        (
            "reason",
            without_payment("reason"),
            "applied",
            "quarantined(payment-data-missing)",
        ),
        (
            "payment",
            renamed(a_refresh("payment"), "paymentData", "encryptedPaymentData"),
            "quarantined(payment-data-missing)",
            "applied",
        ),
        (
            "fingerprint",
            with_fingerprint("fingerprint"),
            "quarantined(unknown-key)",
            "applied",
        ),
    ] {
        for (text, expected) in [("", without), (ALIASES, with)] {
            for as_one_jwe in [false, true] {
                let app = app(text);
                let element = element.clone();
                app.deliver(&match as_one_jwe {
                    true => encrypted(&json!([element])),
                    false => plain(&[element]),
                });
                assert_eq!(verdict(&latest(&app)), expected, "{card} with {text:?}");
                if expected == "applied" && card != "reason" {
                    assert_eq!(shown(&app, card)["token"]["lastFour"], "0011", "{card}");
                }
            }
        }
    }
}

#[test]
fn the_documented_name_goes_first_then_the_aliases_in_their_order() {
    let card =
        |id: &str| json!({ "srcDigitalCardId": id, "digitalCardData": { "status": "ACTIVE" } });
    let null = Value::Null;
    for (order, masked_card, one, two, expected) in [
        (
            ["one", "two"],
            card("documented"),
            card("1"),
            card("2"),
            "documented",
        ),
        (["one", "two"], null.clone(), card("1"), card("2"), "1"),
        (["two", "one"], null.clone(), card("1"), card("2"), "2"),
        (["one", "two"], null.clone(), null.clone(), card("2"), "2"),
        // What stands there counts even where it cannot be used.
        (["one", "two"], json!({}), card("1"), card("2"), "none"),
    ] {
        let app = app(&format!("[notification.aliases]\nmaskedCard = {order:?}"));
        app.deliver(&plain(&[
            json!({ "maskedCard": masked_card, "one": one, "two": two }),
        ]));
        let id = latest(&app).card_id;
        assert_eq!(id.unwrap_or("none".to_owned()), expected, "{order:?}");
    }
}

#[test]
fn notification_aliases_are_further_names_of_the_fields_of_a_request() {
    let list = json!([status(CARD, Some(START), "ACTIVE")]);
    let app_without = app("");
    let app_with = app(&format!("[receiver]\nmax_items = 2\n{ALIASES}"));
    let inside = json!({ "updates": list });
    let beside = json!({
        "encryptedUpdates": jwe_of_text(&list.to_string(), Some("nobody-knows")),
        "fingerprint": "demo-payload-2026",
    });
    let of_null = json!({ "digitalCardUpdateNotifications": null, "updates": list });
    for body in [
        json!({ "updates": list }),
        json!({ "encryptedUpdates": jwe(&list) }),
        json!({ "encryptedUpdates": jwe(&inside) }),
        beside,
        of_null,
    ] {
        let refused = app_without.notify(&body);
        assert_eq!(
            (refused.status, &*refused.code()),
            (400, "not-a-notification")
        );
        app_with.deliver(&body);
        assert_eq!(latest(&app_with).card_id.as_deref(), Some(CARD), "{body}");
    }
    assert_eq!(app_with.verdicts(CARD).len(), 5);
    app_with.deliver(&json!({ "updates": list, "encryptedUpdates": jwe(&list) }));
    assert_eq!(verdict(&latest(&app_with)), "parked(both-forms)");
    let element = &list[0];
    let too_many = app_with.notify(&json!({ "updates": [element, element, element] }));
    assert_eq!(
        (too_many.status, &*too_many.code()),
        (413, "too-many-items")
    );
    // Without its alias an object in the encrypted form is a single element.
    app_without.deliver(&encrypted(&inside));
    assert_eq!(verdict(&latest(&app_without)), "quarantined(no-card-id)");
}

#[rstest]
fn a_repeat_under_another_name_and_encrypted_anew_is_a_duplicate(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let app = app_on(backend, ALIASES);
    app.deliver(&plain(&[a_refresh(CARD)]));
    let mut again = a_refresh(CARD);
    again["paymentData"] = payment_jwe(NUMBER_1, ("12", "2031")).into();
    let again = renamed(again, "paymentData", "encryptedPaymentData");
    let again = renamed(again, "maskedCard", "cardData");
    app.deliver(&json!({ "updates": [again] }));
    assert_eq!(app.verdicts(CARD), ["applied", "duplicate"]);
}

#[test]
fn what_came_under_an_alias_is_judged_again_after_the_alias_is_gone() {
    let mut app = app(ALIASES);
    let element = status(CARD, Some(START), "DISABLED");
    app.deliver(&plain(&[renamed(element, "maskedCard", "card")]));
    assert_eq!(app.verdicts(CARD), ["parked(status-unknown)"]);
    app.stop();
    let changed = "[notification]\nstatus_words = { DISABLED = \"SUSPENDED\" }";
    app.settings.notification = load(changed).unwrap().notification;
    app.start();
    assert_eq!(replay(&app, latest(&app).id), "applied");
    assert_eq!(shown(&app, CARD)["status"], "SUSPENDED");
}

#[test]
fn replay_takes_a_file_whose_fields_have_the_names_that_the_settings_give_them() {
    let database = TestDatabase::new(Backend::Sqlite);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("body.json");
    let body = json!({ "updates": [status(CARD, Some(START), "ACTIVE")] });
    std::fs::write(&file, body.to_string()).unwrap();
    let arguments = ["replay", file.to_str().unwrap(), "--json"];
    let refused = with(&database, &arguments, &[]);
    assert_eq!(refused.code, 1, "{refused:?}");
    // The case of the documented name counts in the environment as well.
    let variable = "TOKENKEEP_NOTIFICATION__ALIASES__digitalCardUpdateNotifications";
    let taken = with(&database, &arguments, &[(variable, "others, updates")]);
    assert_eq!(taken.code, 0, "{taken:?}");
    assert_eq!(taken.json()["items"][0]["cardId"], CARD);
    let lower_case = variable.to_lowercase().replace("tokenkeep", "TOKENKEEP");
    let lower_case = lower_case.replace("_notification__aliases", "_NOTIFICATION__ALIASES");
    let wrong = with(&database, &arguments, &[(&lower_case, "updates")]);
    assert_eq!(wrong.code, 2, "{wrong:?}");
    assert!(wrong.stderr.contains(&lower_case), "{wrong:?}");
}

#[test]
fn aliases_of_no_field_empty_ones_and_taken_ones_are_refused_with_their_place() {
    for (wrong, expected) in [
        (
            "paymentDatta = [\"x\"]",
            "2:1: there is no setting notification.aliases.paymentDatta; \
             did you mean notification.aliases.paymentData?",
        ),
        (
            "eventTimeStamp = [\"x\"]",
            "2:1: there is no setting notification.aliases.eventTimeStamp",
        ),
        (
            "paymentData = \"x\"",
            "2:15: notification.aliases.paymentData: ",
        ),
        (
            "paymentData = [\"\"]",
            "notification.aliases.paymentData: a name is empty",
        ),
        (
            "paymentData = [\"paymentData\"]",
            "notification.aliases.paymentData: paymentData has a meaning already",
        ),
        (
            "paymentData = [\"keyFingerprintId\"]",
            "notification.aliases.paymentData: keyFingerprintId has a meaning already",
        ),
        (
            "maskedCard = [\"digitalCardUpdateNotifications\"]",
            "notification.aliases.maskedCard: digitalCardUpdateNotifications has a meaning already",
        ),
        (
            "reasonCode = [\"eventTimestamp\"]",
            "notification.aliases.reasonCode: eventTimestamp has a meaning already",
        ),
        (
            "maskedCard = [\"x\"]\nreasonCode = [\"x\"]",
            "notification.aliases.reasonCode: x has a meaning already",
        ),
        (
            "reasonCode = [\"x\", \"x\"]",
            "notification.aliases.reasonCode: x has a meaning already",
        ),
        (
            "reasonCode = [\"id\"]\n[notification]\nevent_id_fields = [\"id\"]",
            "notification.aliases.reasonCode: id has a meaning already",
        ),
    ] {
        let told = mistake(&format!("[notification.aliases]\n{wrong}"));
        assert!(told.contains(expected), "{wrong}: {told}");
    }
}
