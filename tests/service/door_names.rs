//! Names that stand twice, at every level and in either spelling: in a body, and in what is encrypted in it.

use serde_json::{Map, Value, json};

use crate::support::build::{CARD, KID, NUMBER_1, encrypted, plain, refresh};
use crate::support::raw::post;
use crate::support::{App, Backend, START};
use crate::wire::jwe_of_text;
use crate::wire_masked::checkout;

const LIST: &str = "digitalCardUpdateNotifications";
const ENCRYPTED: &str = "encryptedDigitalCardUpdateNotifications";

/// Every spelling of `value` in which one object, at any depth, holds one of its names twice.
fn with_one_name_twice(value: &Value) -> Vec<String> {
    let rebuilt = |parts: Vec<(String, String)>| {
        let parts = parts
            .into_iter()
            .map(|(name, text)| format!("\"{name}\":{text}"));
        format!("{{{}}}", parts.collect::<Vec<_>>().join(","))
    };
    let members = |object: &Map<String, Value>| -> Vec<(String, String)> {
        let members = object.iter();
        members
            .map(|(name, value)| (name.clone(), value.to_string()))
            .collect()
    };
    let mut texts = Vec::new();
    match value {
        Value::Object(object) => {
            for (place, (name, inner)) in object.iter().enumerate() {
                let escaped = format!("\\u{:04x}{}", u32::from(name.as_bytes()[0]), &name[1..]);
                for spelling in [name, &escaped] {
                    let mut parts = members(object);
                    parts.push((spelling.clone(), inner.to_string()));
                    texts.push(rebuilt(parts));
                }
                for text in with_one_name_twice(inner) {
                    let mut parts = members(object);
                    parts[place].1 = text;
                    texts.push(rebuilt(parts));
                }
            }
        }
        Value::Array(list) => {
            let inner = list.iter().flat_map(with_one_name_twice);
            texts.extend(inner.map(|text| format!("[{text}]")));
        }
        _ => {}
    }
    texts
}

/// A notification with each field that is known, at each level.
fn with_every_field() -> Value {
    let mut element = refresh(CARD, START, NUMBER_1, ("12", "2031"));
    element["keyFingerprintId"] = "x".into();
    element["maskedCard"] = checkout();
    element["maskedCard"]["srcDigitalCardId"] = CARD.into();
    element
}

#[test]
fn w13_every_known_name_twice_at_its_level_is_refused_in_either_spelling() {
    let app = App::spawn(Backend::Sqlite);
    let element = with_every_field();
    let mut texts = with_one_name_twice(&plain(std::slice::from_ref(&element)));
    texts.extend(with_one_name_twice(&encrypted(&json!([element]))));
    texts.extend(with_one_name_twice(&json!({ LIST: null, ENCRYPTED: "" })));
    assert!(texts.len() > 2 * 60, "{}", texts.len());
    for text in &texts {
        let reply = post(app.public(), text.as_bytes());
        assert_eq!((reply.status, &*reply.code()), (400, "not-a-notification"));
        assert!(reply.body.contains("the same key twice"), "{}", reply.body);
    }
    let kept = app.database.deliveries();
    println!(
        "W-13 {} bodies with one name twice answered 400, {kept} kept",
        texts.len()
    );
    assert_eq!(kept, 0);
    app.deliver(&plain(&[element]));
    assert_eq!(
        app.verdicts(CARD),
        ["applied"],
        "without duplicates it applies"
    );
}

#[test]
fn w13_every_known_name_twice_inside_the_encrypted_form_is_quarantined() {
    let app = App::spawn(Backend::Sqlite);
    let texts = with_one_name_twice(&json!([with_every_field()]));
    for text in &texts {
        let body = json!({ ENCRYPTED: jwe_of_text(text, Some(KID)) });
        assert_eq!(app.notify(&body).status, 204);
    }
    app.settle();
    let count = |verdict: &str| {
        let of = format!("SELECT count(*) AS number FROM notifications WHERE {verdict}");
        app.database.number(&of)
    };
    let held = count("verdict = 'quarantined' AND hold = 'unreadable'");
    println!(
        "W-13 {held} of {} encrypted lists with one name twice quarantined",
        texts.len()
    );
    assert_eq!(held, texts.len() as i64);
    assert!(app.card(CARD).is_none(), "nothing of it is applied");
    app.deliver(&encrypted(&json!([with_every_field()])));
    assert_eq!(app.verdicts(CARD), ["applied"]);
}
