//! Answers give nothing away: whatever is wrong with what is encrypted, they are the same.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use josekit::jwe::{JweEncrypter as _, JweHeader, RSA_OAEP_256};
use openssl::pkey::PKey;
use rstest::rstest;
use serde_json::{Value, json};
use tokenkeep::api::access::AccessRole;
use tokenkeep::jose::encrypt;

use crate::support::build::{KID, NUMBER_1, payment_jwe, plain, refresh_with};
use crate::support::key_folder::LateKey;
use crate::support::raw::{self, Reply};
use crate::support::{App, Backend, START, keys, wait_until};

pub fn payload_key() -> Vec<u8> {
    std::fs::read(keys().join(format!("payload/{KID}.pem"))).unwrap()
}

/// A JWE for the demonstration key around any text.
pub fn jwe_of(text: &[u8]) -> String {
    encrypt(text, &payload_key(), Some(KID), "A128GCM", 12).unwrap()
}

/// The same token with a CEK that is too long for its `enc`, encrypted as it should be.
fn with_other_cek(token: &str) -> String {
    let key = PKey::private_key_from_pem(&payload_key()).unwrap();
    let public = key.public_key_to_der().unwrap();
    let encrypter = RSA_OAEP_256.encrypter_from_der(public).unwrap();
    let header = JweHeader::new();
    let key = encrypter.encrypt(&[7; 32], &header, &mut JweHeader::new());
    let key = URL_SAFE_NO_PAD.encode(key.unwrap().unwrap());
    let mut parts: Vec<&str> = token.split('.').collect();
    parts[1] = &key;
    parts.join(".")
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

/// What can be wrong with a JWE; the last one is in order.
fn classes() -> [(&'static str, String); 8] {
    let good = payment_jwe(NUMBER_1, ("12", "2031"));
    let late = LateKey::new("unknown-kid");
    [
        ("bad-oaep", spoiled(&good, 1)),
        ("bad-tag", spoiled(&good, 4)),
        ("wrong-cek", with_other_cek(&good)),
        ("not-utf8", jwe_of(b"{\"a\":\"\xff\"}")),
        ("not-json", jwe_of(b"not json")),
        ("wrong-schema", jwe_of(b"[{\"neither\":1}]")),
        ("unknown-kid", late.payment_jwe(NUMBER_1, ("12", "2031"))),
        ("in-order", good),
    ]
}

/// What holds each class, for operators.
const OF_OPERATORS: [(&str, &str); 7] = [
    ("bad-oaep", "unreadable"),
    ("bad-tag", "unreadable"),
    ("wrong-cek", "unreadable"),
    ("not-utf8", "unreadable"),
    ("not-json", "unreadable"),
    ("wrong-schema", "unreadable"),
    ("unknown-kid", "unknown-key"),
];

/// An event without what is each card's own.
fn event_of_any(event: &Value) -> Value {
    let text = event["data"].to_string();
    let data = text.replace(event["cardId"].as_str().unwrap(), "");
    json!([event["type"], data])
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
    let count = answers.len();
    answers.dedup();
    assert_eq!(answers.len(), 1, "{answers:#?}");
    app.settle();
    // What the merchant's app sees is the same as well: of the card, and of what happened to it.
    let key = app.new_key(AccessRole::App, "reader");
    let names = classes().into_iter().map(|(class, _)| class);
    let names = Vec::from_iter(names.filter(|class| *class != "in-order"));
    let mut events = Value::Null;
    // An event may be read once all transactions of the server before it have ended, also those of other tests.
    wait_until("the events may be read", || {
        events = app.client.get(&app.api_url("/v1/events"), &key).json();
        let told = events["events"].as_array().unwrap();
        let is_told = |class: &&str| told.iter().any(|event| event["cardId"] == **class);
        names.iter().all(is_told)
    });
    let mut seen: Vec<Value> = Vec::new();
    for class in &names {
        let mut card = app.get(&format!("/v1/cards/{class}")).json();
        assert_eq!(card["token"], Value::Null, "{class}");
        card["cardId"].take();
        card["maskedCard"]["srcDigitalCardId"].take();
        let events = events["events"].as_array().unwrap().iter();
        let events = events.filter(|event| event["cardId"] == *class);
        let events: Vec<Value> = events.map(event_of_any).collect();
        assert_ne!(events, [Value::Null; 0], "{class}");
        seen.push(json!({ "card": card, "events": events }));
    }
    let classes = seen.len();
    seen.dedup();
    println!(
        "J-17 {classes} classes of failure as a part and as a body: {} of {count} answers the same, {} sight of card and events",
        count - answers.len() + 1,
        seen.len()
    );
    assert_eq!(seen.len(), 1, "{seen:#?}");
    // What is logged and kept for operators tells an unknown key, which they can help, from all the rest.
    let kept = |class: &str| app.notifications(class).remove(0);
    let expected = ("quarantined".to_owned(), kept("bad-oaep").rule);
    for (class, hold) in OF_OPERATORS {
        let kept = kept(class);
        assert_eq!(kept.hold.as_deref(), Some(hold), "{class}");
        assert_eq!((kept.verdict, kept.rule), expected, "{class}");
    }
}
