//! Under which names an item is read, and what makes two items one.

use std::path::Path;

use serde_json::{Value, json};

use super::{Item, identity};
use crate::domain::WireForm;
use crate::jose::StorageKeys;

const CARD: &str = "9ajNArkAR66zqYyHCn0rCA000000000000US";
const TIME: i64 = 1_784_541_600_000;

fn keys() -> StorageKeys {
    StorageKeys::load(&Path::new(env!("CARGO_MANIFEST_DIR")).join("keys")).unwrap()
}

fn element() -> Value {
    json!({
        "eventTimeStamp": TIME.to_string(),
        "reasonCode": "TOKEN_REFRESH",
        "eventId": "e-1",
        "maskedCard": {
            "srcDigitalCardId": CARD,
            "panLastFour": "0747",
            "digitalCardData": { "status": "ACTIVE" },
        },
        "paymentData": "a.b.c.d.e",
        "keyFingerprintId": "any",
    })
}

fn payment() -> Value {
    json!({
        "paymentToken": "5480980000000011",
        "tokenExpirationMonth": "12",
        "tokenExpirationYear": "2031",
    })
}

fn with_id() -> WireForm {
    WireForm {
        event_id_fields: vec!["messageId".to_owned(), "eventId".to_owned()],
        ..WireForm::default()
    }
}

fn read(element: Value, wire: &WireForm) -> Item {
    let Ok(item) = Item::read(element, TIME, wire) else {
        panic!("not an item")
    };
    item
}

fn identity_of(element: Value, wire: &WireForm) -> String {
    identity(&keys(), &read(element, wire), Some(&payment())).text
}

/// What is recorded under one of these stays known after every change of the program.
#[test]
fn the_identity_of_an_item_without_an_event_id_is_the_recorded_one() {
    let wire = WireForm::default();
    let recorded = |hex: &str| format!("demo-storage:{hex}");
    assert!(
        identity(&keys(), &read(element(), &wire), Some(&payment())).is(&recorded(
            "a76050250f937df978d2a0ae1ff43beaf9ac8f505eb6ab398896e743ffb31a9a"
        ))
    );
    let mut untimed = element();
    untimed["eventTimeStamp"] = Value::Null;
    untimed["paymentData"] = Value::Null;
    assert!(identity(&keys(), &read(untimed, &wire), None).is(&recorded(
        "6261f00ed5b3a5c8e0dd6a0d809ef7b717d70c4bcc386e6d89a932972c2873cb"
    )));
    // A field that may hold an id changes nothing for an item that has none.
    let mut without = element();
    without["eventId"] = Value::Null;
    let expected = identity_of(without.clone(), &wire);
    assert_eq!(identity_of(without, &with_id()), expected);
}

#[test]
fn items_of_one_card_and_event_id_are_one_whatever_else_they_say() {
    let wire = with_id();
    let first = identity_of(element(), &wire);
    let changed = |change: &dyn Fn(&mut Value)| {
        let mut element = element();
        change(&mut element);
        identity_of(element, &wire)
    };
    assert_eq!(changed(&|e| e["eventTimeStamp"] = Value::Null), first);
    assert_eq!(changed(&|e| e["reasonCode"] = "OTHER".into()), first);
    assert_eq!(changed(&|e| e["attempt"] = 2.into()), first);
    let suspended = json!({ "status": "SUSPENDED" });
    let is_suspended = |e: &mut Value| e["maskedCard"]["digitalCardData"] = suspended.clone();
    assert_eq!(changed(&is_suspended), first);
    assert_eq!(
        identity(&keys(), &read(element(), &wire), None).text,
        first,
        "without payment data"
    );
    assert_ne!(changed(&|e| e["eventId"] = "e-2".into()), first);
    let other_card = |e: &mut Value| e["maskedCard"]["srcDigitalCardId"] = "other".into();
    assert_ne!(changed(&other_card), first);
}

#[test]
fn the_first_usable_id_counts_and_what_cannot_tell_events_apart_is_none() {
    let read_id = |message_id: Value| {
        let mut element = element();
        element["messageId"] = message_id;
        read(element, &with_id()).event_id.unwrap()
    };
    let longest = "é".repeat(255);
    for (id, expected) in [
        (json!("m-1"), "m-1"),
        (json!(" "), " "),
        (json!(longest), longest.as_str()),
        (json!(17), "17"),
        (json!(-17), "-17"),
        (json!(u64::MAX), "18446744073709551615"),
    ] {
        assert_eq!(read_id(id), expected);
    }
    // The next larger number is read as a float, which many numbers share.
    let too_large: Value = serde_json::from_str("18446744073709551616").unwrap();
    for unusable in [
        json!(""),
        json!(format!("{longest}e")),
        json!(1.5),
        too_large,
        json!(true),
        json!(["m-1"]),
        json!({ "id": "m-1" }),
        Value::Null,
    ] {
        assert_eq!(read_id(unusable), "e-1");
    }
    assert_eq!(read(element(), &WireForm::default()).event_id, None);
}

#[test]
fn an_item_read_under_other_names_is_the_same_item() {
    let mut wire = WireForm::default();
    let mut renamed = element();
    for (name, aliases) in &mut wire.aliases {
        aliases.push(format!("{name}Alias"));
        if let Some(value) = renamed.as_object_mut().unwrap().remove(name) {
            renamed[format!("{name}Alias")] = value;
        }
    }
    let plain = read(element(), &wire);
    let item = read(renamed.clone(), &wire);
    assert_eq!(item.content, plain.content);
    assert_eq!(item.reason, plain.reason);
    let expected = identity_of(element(), &WireForm::default());
    assert_eq!(identity_of(renamed, &wire), expected);
}

#[test]
fn no_payment_data_stays_in_the_content_under_any_of_its_names() {
    let mut wire = WireForm::default();
    wire.aliases.insert(
        "paymentData".to_owned(),
        vec!["one".to_owned(), "two".to_owned()],
    );
    let mut element = element();
    for name in ["one", "two"] {
        element[name] = payment();
    }
    let item = read(element, &wire);
    assert_eq!(item.content, read(self::element(), &wire).content);
}
