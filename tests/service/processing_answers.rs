//! Answers give nothing away: whatever is wrong with what is encrypted, they are the same.

use rstest::rstest;
use serde_json::{Value, json};
use tokenkeep::jose::encrypt;

use crate::support::build::{CARD, KID, NUMBER_1, payment_jwe, plain, refresh_with};
use crate::support::key_folder::LateKey;
use crate::support::raw::{self, Reply};
use crate::support::{App, Backend, START, keys};

/// A JWE for the demonstration key around any text.
fn jwe_of(text: &[u8]) -> String {
    let key = std::fs::read(keys().join(format!("payload/{KID}.pem"))).unwrap();
    encrypt(text, &key, Some(KID), "A128GCM", 12).unwrap()
}

/// The same token with another first character in this part: 1 the encrypted key, 4 the tag.
fn spoiled(token: &str, part: usize) -> String {
    let mut parts: Vec<String> = token.split('.').map(str::to_owned).collect();
    let other = if parts[part].starts_with('A') {
        "B"
    } else {
        "A"
    };
    parts[part].replace_range(..1, other);
    parts.join(".")
}

/// What can be wrong with a JWE; the first one is in order.
fn classes() -> [(&'static str, String); 7] {
    let good = payment_jwe(NUMBER_1, ("12", "2031"));
    let late = LateKey::new("unknown-kid");
    [
        ("bad-oaep", spoiled(&good, 1)),
        ("bad-tag", spoiled(&good, 4)),
        ("not-utf8", jwe_of(b"{\"a\":\"\xff\"}")),
        ("not-json", jwe_of(b"not json")),
        ("wrong-schema", jwe_of(b"[{\"neither\":1}]")),
        ("unknown-kid", late.payment_jwe(NUMBER_1, ("12", "2031"))),
        ("in-order", good),
    ]
}

/// The whole answer but for its date.
fn undated(reply: &Reply) -> String {
    let lines = reply.head.lines();
    let kept: Vec<&str> = lines
        .filter(|line| !line.to_lowercase().starts_with("date:"))
        .collect();
    format!("{}\n\n{}", kept.join("\n"), reply.body)
}

#[rstest]
fn j17_the_answer_is_byte_for_byte_the_same_whatever_is_wrong_with_the_encryption(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let app = App::spawn(backend);
    let address = app.service().public.unwrap();
    let mut answers = Vec::new();
    for (class, token) in classes() {
        let as_part = plain(&[refresh_with(class, START - 1_000, &token)]);
        let as_body = json!({ "encryptedDigitalCardUpdateNotifications": token });
        for body in [as_part, as_body] {
            let reply = raw::post(address, body.to_string().as_bytes());
            assert_eq!(reply.status, 204, "{class}");
            answers.push(undated(&reply));
        }
    }
    answers.dedup();
    assert_eq!(answers.len(), 1, "{answers:#?}");
    app.settle();
    // What the merchant's app sees is the same as well.
    let mut seen: Vec<Value> = Vec::new();
    for (class, _) in classes().iter().filter(|(class, _)| *class != "in-order") {
        let mut card = app.get(&format!("/v1/cards/{class}")).json();
        assert_eq!(card["token"], Value::Null, "{class}");
        card["cardId"].take();
        card["maskedCard"]["srcDigitalCardId"].take();
        seen.push(card);
    }
    seen.dedup();
    assert_eq!(seen.len(), 1, "{seen:#?}");
}

#[rstest]
fn j27_a_part_sent_as_a_body_and_a_body_sent_as_a_part_are_held_and_change_no_token(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let app = App::spawn(backend);
    let list = json!([refresh_with(
        CARD,
        START - 1_000,
        &payment_jwe(NUMBER_1, ("12", "2031"))
    )]);
    let body_jwe = jwe_of(list.to_string().as_bytes());
    let part_jwe = payment_jwe(NUMBER_1, ("12", "2031"));
    app.deliver(&json!({ "encryptedDigitalCardUpdateNotifications": part_jwe }));
    app.deliver(&plain(&[refresh_with(CARD, START - 1_000, &body_jwe)]));
    assert_eq!(app.verdicts(CARD), ["quarantined(unreadable)"]);
    assert!(app.card(CARD).unwrap().card.token.is_none());
    let all = app.get("/v1/notifications").json();
    let holds: Vec<&Value> = all["notifications"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| &item["verdictReason"])
        .collect();
    assert_eq!(holds, ["unreadable", "no-card-id"]);
}
