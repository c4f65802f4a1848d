//! The wire form: by which names a JWE asks for its key, and what its plaintext must look like.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use tokenkeep::jose::{Keyring, OpenPolicy};

use crate::support::build::{KID, NUMBER_1, plain, refresh_with};
use crate::support::{App, Backend, START, keys};
use crate::wire::{jwe_of_text, shown};

const ALIAS: &str = "20260101000000-demo-payload-encryption";

/// The key's fingerprint: SHA-256 of its public half.
fn fingerprint() -> Vec<u8> {
    let keyring = Keyring::load(&keys(), OpenPolicy::default()).unwrap();
    let key = keyring.keys().find(|key| key.kid() == KID).unwrap();
    let hex = key.spki_sha256_hex();
    let byte = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
    (0..hex.len()).step_by(2).map(byte).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn payment_text() -> String {
    json!({ "paymentToken": {
        "paymentToken": NUMBER_1, "tokenExpirationMonth": "12", "tokenExpirationYear": "2031",
    }})
    .to_string()
}

/// A refresh whose JWE names this kid, with a `keyFingerprintId` beside it.
fn element(card: &str, kid: Option<&str>, beside: Value) -> Value {
    let mut element = refresh_with(card, START - 1_000, &jwe_of_text(&payment_text(), kid));
    if !beside.is_null() {
        element["keyFingerprintId"] = beside;
    }
    element
}

#[test]
fn a_key_is_found_by_kid_alias_hex_or_base64_fingerprint_and_without_any_name() {
    let app = App::spawn(Backend::Sqlite);
    let hash = fingerprint();
    let names = [
        ("kid", KID.to_owned()),
        ("alias", ALIAS.to_owned()),
        ("hex", hex(&hash)),
        ("hex-upper", hex(&hash).to_uppercase()),
        ("base64", STANDARD.encode(&hash)),
        ("base64-unpadded", STANDARD_NO_PAD.encode(&hash)),
        ("base64url", URL_SAFE_NO_PAD.encode(&hash)),
    ];
    for (form, name) in &names {
        let as_kid = format!("{form}-as-kid");
        app.deliver(&plain(&[element(&as_kid, Some(name), Value::Null)]));
        assert_eq!(app.verdicts(&as_kid), ["applied"], "{as_kid}");
        // The sibling field settles it where the header has no name, or one nobody knows.
        for (place, kid) in [("no-kid", None), ("unknown-kid", Some("no-such-key"))] {
            let card = format!("{form}-beside-{place}");
            app.deliver(&plain(&[element(&card, kid, json!(name))]));
            assert_eq!(app.verdicts(&card), ["applied"], "{card}");
        }
    }
    app.deliver(&plain(&[element("no-name", None, Value::Null)]));
    assert_eq!(app.verdicts("no-name"), ["applied"]);
}

/// `keyId` with `iat` as in one of Mastercard's samples, no kid, the fingerprint in the header: made
/// outside this program.
#[test]
fn a_key_is_found_by_key_id_beside_iat_and_by_a_fingerprint_in_the_header() {
    let app = App::spawn(Backend::Sqlite);
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/jose/tokens");
    for form in [
        "a256gcm-iv12-key-id",
        "a256gcm-iv12-fingerprint",
        "a128gcm-iv12-no-kid",
        "a128gcm-iv12-no-kid-retired",
        "mastercard-a256gcm-iv16",
    ] {
        let token = std::fs::read_to_string(format!("{folder}/{form}.jwe")).unwrap();
        app.deliver(&plain(&[refresh_with(form, START - 1_000, token.trim())]));
        assert_eq!(app.verdicts(form), ["applied"], "{form}");
        assert_eq!(shown(&app, form)["token"]["lastFour"], "1596", "{form}");
    }
}

#[test]
fn a_key_nobody_knows_quarantines_and_a_fingerprint_of_a_wrong_type_says_nothing() {
    let app = App::spawn(Backend::Sqlite);
    for (card, kid, beside, expected) in [
        (
            "unknown",
            Some("no-such-key"),
            Value::Null,
            "quarantined(unknown-key)",
        ),
        (
            "unknown-beside",
            None,
            json!("no-such-key"),
            "quarantined(unknown-key)",
        ),
        ("number-beside", None, json!(7), "applied"),
        ("null-beside", None, Value::Null, "applied"),
        ("known-kid", Some(KID), json!("no-such-key"), "applied"),
    ] {
        app.deliver(&plain(&[element(card, kid, beside)]));
        assert_eq!(app.verdicts(card), [expected], "{card}");
    }
}
