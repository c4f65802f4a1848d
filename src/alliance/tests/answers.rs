//! Which answers are believed: those that the bank signed, and that name what was asked about.

use std::fs;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::support::*;
use crate::alliance::Client;
use crate::domain::TokenCommand;
use crate::upstream::{CallFailure, FailureClass};

fn update(client: &Client) -> Result<bool, CallFailure> {
    client.update_state(&token(), TokenCommand::Suspend)
}

/// What is made of this answer to an update.
fn outcome(head: &str, body: &str) -> Result<bool, CallFailure> {
    let (client, _bank) = answered(http(head, body), "");
    update(&client)
}

#[track_caller]
fn assert_retry(outcome: Result<bool, CallFailure>, reason: &str) {
    let failure = outcome.unwrap_err();
    assert_eq!(failure.reason, reason);
    assert_eq!(failure.class, FailureClass::Retry, "{reason}");
    assert!(failure.may_have_arrived, "{reason}");
}

#[test]
fn the_bank_says_whether_it_updated_the_token() {
    for done in [true, false] {
        assert_eq!(outcome("200", &signed(&updated(done))), Ok(done));
    }
}

#[test]
fn a_signed_answer_is_taken_in_every_form_and_under_every_status() {
    let jws = signed(&updated(true));
    let quoted = json!(jws).to_string();
    let wrapped = json!({ "signed": jws, "more": 1 }).to_string();
    for (head, body, more) in [
        ("200", jws.clone(), ""),
        ("200", format!(" {jws}\r\n"), ""),
        ("200", quoted, ""),
        ("200", wrapped, "jws_field = \"signed\""),
        ("200", jws.clone(), "jws_field = \"signed\""),
        ("200\ncontent-type: application/json", jws.clone(), ""),
        ("201", jws.clone(), ""),
        ("500", jws.clone(), ""),
    ] {
        let (client, _bank) = answered(http(head, &body), more);
        assert_eq!(update(&client), Ok(true), "{head} {more}");
    }
}

#[test]
fn nothing_unsigned_is_a_success() {
    let jws = signed(&updated(true));
    for (body, reason) in [
        (updated(true).to_string(), "not-signed"),
        (updated(false).to_string(), "not-signed"),
        // Wrapped, but not in a member that is set.
        (json!({ "jws": jws }).to_string(), "not-signed"),
        (json!({ "": jws }).to_string(), "not-signed"),
        (json!([updated(true)]).to_string(), "not-signed"),
        ("true".to_owned(), "not-signed"),
        (String::new(), "not-json"),
        ("<html>".to_owned(), "not-json"),
        (format!("{jws}="), "not-json"),
        (format!("{jws} {jws}"), "not-json"),
        (r#"{"token":1,"token":2}"#.to_owned(), "not-json"),
    ] {
        assert_retry(outcome("200", &body), reason);
    }
    let list = json!({ "result": [listed(TOKEN)] }).to_string();
    let (client, _bank) = answered(http("200", &list), "");
    assert_retry(client.get_token(&token()).map(|_| true), "not-signed");
    assert_retry(client.list_tokens(CUSTOMER).map(|_| true), "not-signed");
}

#[test]
fn a_wrong_signature_is_not_believed_whatever_the_status() {
    let jws = signed(&updated(true));
    let parts: Vec<&str> = jws.split('.').collect();
    let other = URL_SAFE_NO_PAD.encode(updated(false).to_string());
    let merchant = fs::read(repository("keys/signing/demo-alliance.pem")).unwrap();
    let payload = updated(true).to_string();
    for forged in [
        [parts[0], &other, parts[2]].join("."),
        [parts[0], parts[1], &"A".repeat(86)].join("."),
        signed_by(&merchant, BANK_KID, payload.as_bytes()),
    ] {
        for head in ["200", "401", "500"] {
            assert_retry(outcome(head, &forged), "jws-wrong-signature");
        }
    }
    for (header, reason) in [
        (
            json!({ "alg": "none", "kid": BANK_KID }),
            "jws-alg-not-allowed",
        ),
        (
            json!({ "alg": "RS256", "kid": BANK_KID }),
            "jws-alg-not-allowed",
        ),
        (json!({ "alg": "ES256" }), "jws-malformed"),
    ] {
        let header = URL_SAFE_NO_PAD.encode(header.to_string());
        let jws = [&header, parts[1], parts[2]].join(".");
        assert_retry(outcome("200", &jws), reason);
    }
}

#[test]
fn a_signed_answer_about_another_token_is_not_believed() {
    let other = |token: Value| signed(&json!({ "tokenUpdated": true, "token": token }));
    for token in ["s9UCfCNN0YMk4ZOyZX8pWAt", "-s9UCfCNN0YMk4ZOyZX8pWAu", "x"] {
        assert_retry(outcome("200", &other(token.into())), "other-token");
    }
    for token in [json!(null), json!(7), json!(""), json!("a b")] {
        assert_retry(outcome("200", &other(token)), "wrong-schema");
    }
}

#[test]
fn a_signed_answer_that_is_misshapen_is_not_guessed_at() {
    for (payload, reason) in [
        (json!({ "token": TOKEN }).to_string(), "wrong-schema"),
        (
            json!({ "tokenUpdated": "true", "token": TOKEN }).to_string(),
            "wrong-schema",
        ),
        (
            json!({ "tokenUpdated": 1, "token": TOKEN }).to_string(),
            "wrong-schema",
        ),
        (json!([updated(true)]).to_string(), "wrong-schema"),
        ("{}".to_owned(), "wrong-schema"),
        ("null".to_owned(), "wrong-schema"),
        ("{".to_owned(), "not-json"),
        (String::new(), "not-json"),
    ] {
        assert_retry(outcome("200", &signed_text(&payload)), reason);
    }
}

/// Answers updates under a kid that the set of [`key_folder`] does not have, and GETs with `set`.
fn under_a_new_kid(set: String) -> Bank {
    let pem = fs::read(repository("src/sandbox/keys/alliance-answers.pem")).unwrap();
    Bank::start(move |request| match request.method.as_str() {
        "GET" => http("200", &set),
        _ => http(
            "200",
            &signed_by(&pem, "new", updated(true).to_string().as_bytes()),
        ),
    })
}

fn set_with_new_kid() -> String {
    let set = fs::read_to_string(repository("keys/verification/alliance/sandbox.json")).unwrap();
    set.replace(BANK_KID, "new")
}

#[test]
fn an_unknown_kid_is_looked_for_in_the_file_and_at_the_address() {
    let bank = under_a_new_kid(set_with_new_kid());
    let keys = key_folder();
    let at_address = format!("verification_url = \"{}/keys\"", bank.address());
    let fetching = made(&bank.address(), &at_address, &keys).unwrap();
    assert_eq!(update(&fetching), Ok(true));
    assert_eq!(update(&fetching), Ok(true));
    let heard = bank.heard();
    let fetches = heard.iter().filter(|request| request.target == "/keys");
    assert_eq!(fetches.count(), 1);

    let reading = made(&bank.address(), "", &keys).unwrap();
    let file = keys.path().join("verification/alliance/bank.json");
    fs::write(file, set_with_new_kid()).unwrap();
    assert_eq!(update(&reading), Ok(true));
}

#[test]
fn a_kid_that_nobody_knows_is_not_believed() {
    let bank = under_a_new_kid(String::new());
    let keys = key_folder();
    for more in [
        String::new(),
        format!("verification_url = \"{}/keys\"", bank.address()),
    ] {
        let client = made(&bank.address(), &more, &keys).unwrap();
        assert_retry(update(&client), "jws-unknown-kid");
    }
}

#[test]
fn a_key_of_mastercards_speaks_for_no_bank() {
    let keys = key_folder();
    let sandbox = repository("keys/verification/sandbox.json");
    fs::copy(sandbox, keys.path().join("verification/sandbox.json")).unwrap();
    let pem = fs::read(repository("src/sandbox/keys/payload-verification.pem")).unwrap();
    let kid = "tokenkeep-sandbox-payload-verification";
    let jws = signed_by(&pem, kid, updated(true).to_string().as_bytes());
    let bank = Bank::start(move |_| http("200", &jws));
    let client = made(&bank.address(), "", &keys).unwrap();
    assert_retry(update(&client), "jws-unknown-kid");
}
