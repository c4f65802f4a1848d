//! What is sent: addresses, headers, bodies, and a signature over the encrypted bytes.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use openssl::hash::MessageDigest;
use openssl::pkey::PKey;
use openssl::sign::Verifier;
use rstest::rstest;
use serde_json::{Value, json};

use super::support::*;
use crate::domain::{CardId, ProgramToken, TokenCommand};
use crate::mastercard::oauth::{base_string, body_hash, parse_header};
use crate::mastercard::tests::support::{CONSUMER_KEY, Heard, Recorder, answer, keyring, ok};

/// Takes every command, and has no tokens.
fn willing() -> Recorder {
    Recorder::start(|request| match request.method.as_str() {
        "PUT" => answer("204", ""),
        _ if request.target.contains("/tokens/") => ok(&element().to_string()),
        _ => ok("[]"),
    })
}

/// The request of a command for one token.
fn commanded(more: &str) -> Heard {
    let other = willing();
    let issuer = issuer(&other, more);
    let token = number();
    issuer
        .set_token_status(&contract(), Some(&token), TokenCommand::Resume, keyring())
        .unwrap();
    other.heard().pop().unwrap()
}

/// The one field of an encrypted body, and the header of what it holds.
fn encrypted(request: &Heard) -> (String, String, Value) {
    let body = request.json();
    let fields = body.as_object().unwrap();
    assert_eq!(fields.len(), 1);
    let (field, token) = fields.iter().next().unwrap();
    let token = token.as_str().unwrap();
    let header = URL_SAFE_NO_PAD.decode(token.split('.').next().unwrap());
    let header = serde_json::from_slice(&header.unwrap()).unwrap();
    (field.clone(), token.to_owned(), header)
}

fn opened(token: &str) -> Value {
    let plain = others_keyring().open(token, None).unwrap();
    serde_json::from_slice(&plain).unwrap()
}

#[rstest]
#[case(TokenCommand::Suspend, "SUSPEND")]
#[case(TokenCommand::Resume, "RESUME")]
#[case(TokenCommand::Deactivate, "DEACTIVATE")]
fn a_command_opens_under_the_other_sides_key_and_names_one_token_or_all(
    #[case] command: TokenCommand,
    #[case] word: &str,
) {
    let other = willing();
    let issuer = issuer(&other, "");
    let token = number();
    for (token, payload) in [
        (
            Some(&token),
            json!({ "tokenNumber": NUMBER, "tokenStatus": word }),
        ),
        (None, json!({ "tokenStatus": word })),
    ] {
        issuer
            .set_token_status(&contract(), token, command, keyring())
            .unwrap();
        let request = other.heard().pop().unwrap();
        let (field, token, _) = encrypted(&request);
        assert_eq!(
            (request.method.as_str(), field.as_str()),
            ("PUT", "encryptedData")
        );
        assert_eq!(request.target, "/digital/cards/70001/tokens");
        assert_eq!(opened(&token), payload);
    }
}

#[test]
fn an_encrypted_request_names_the_hash_of_the_key_unless_told_otherwise() {
    let (_, _, header) = encrypted(&commanded(""));
    let hash = "77cf76b96fd70f494f0276b8ade89a82fb317444ed1b3426d845c5aca14953f7";
    assert_eq!(
        header,
        json!({ "alg": "RSA-OAEP-256", "enc": "A256GCM", "kid": hash, "cty": "application/json" })
    );
    let more = "encryption_kid = \"mc-2026\"\nencryption_enc = \"A128GCM\"\nencrypted_field = \"encryptedValue\"";
    let (field, token, header) = encrypted(&commanded(more));
    assert_eq!(field, "encryptedValue");
    assert_eq!(
        (&header["kid"], &header["enc"]),
        (&json!("mc-2026"), &json!("A128GCM"))
    );
    assert_eq!(opened(&token)["tokenNumber"], NUMBER);
}

#[test]
fn a_plain_body_is_sent_only_where_encryption_is_off() {
    let request = commanded("payload_encryption = false");
    assert_eq!(
        request.body,
        br#"{"tokenNumber":"5598765432109876","tokenStatus":"RESUME"}"#
    );
    let encrypted = String::from_utf8(commanded("").body).unwrap();
    assert!(!encrypted.contains(NUMBER));
}

#[test]
fn the_signature_covers_the_bytes_that_go_over_the_wire() {
    let other = willing();
    let issuer = issuer(&other, "status_query = \"active or not\"");
    let command = TokenCommand::Suspend;
    issuer
        .set_token_status(&contract(), Some(&number()), command, keyring())
        .unwrap();
    issuer.token(&number(), keyring()).unwrap();
    let pem = include_bytes!("../../../../keys/signing/demo-signing.pem");
    let key = PKey::private_key_from_pem(pem).unwrap();
    let heard = other.heard();
    assert_eq!(heard.len(), 2);
    for request in heard {
        let read = parse_header(request.header("authorization").unwrap()).unwrap();
        assert_eq!(read["oauth_consumer_key"], CONSUMER_KEY);
        assert_eq!(read["oauth_body_hash"], body_hash(&request.body));
        let url = format!("{}{}", other.address(), request.target);
        let text = base_string(&request.method, &url, &read).unwrap();
        let signature = STANDARD.decode(&read["oauth_signature"]).unwrap();
        let mut verifier = Verifier::new(MessageDigest::sha256(), &key).unwrap();
        assert!(
            verifier
                .verify_oneshot(&signature, text.as_bytes())
                .unwrap()
        );
    }
}

#[test]
fn every_request_carries_the_headers_of_the_settings_and_a_correlation_id_of_its_own() {
    let other = willing();
    let more = "content_type = \"application/json\"\n\
                extra_headers = { X-MC-Bank-Code = \"123456\", x-encrypted = \"true\" }";
    let issuer = issuer(&other, more);
    let command = TokenCommand::Suspend;
    for _ in 0..2 {
        issuer
            .set_token_status(&contract(), None, command, keyring())
            .unwrap();
    }
    issuer.tokens_of_client("40000", keyring()).unwrap();
    let heard = other.heard();
    let mut ids: Vec<_> = heard
        .iter()
        .map(|request| {
            assert_eq!(request.header("x-mc-bank-code"), Some("123456"));
            assert_eq!(request.header("x-encrypted"), Some("true"));
            let has_body = request.method == "PUT";
            assert_eq!(
                request.header("content-type"),
                has_body.then_some("application/json")
            );
            let id = request.header("correlation-id").unwrap();
            uuid::Uuid::parse_str(id).unwrap()
        })
        .collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 3);
    let default = commanded("");
    assert_eq!(
        default.header("content-type"),
        Some("application/json;charset=utf-8")
    );
}

#[test]
fn the_reads_ask_at_their_addresses_and_for_a_status_only_if_it_is_set() {
    let other = willing();
    let plain = issuer(&other, "");
    plain.tokens_of_card(&contract(), keyring()).unwrap();
    plain.tokens_of_client("40000", keyring()).unwrap();
    plain.token(&number(), keyring()).unwrap();
    let narrowed = issuer(&other, "status_query = \"Active & more\"");
    narrowed.tokens_of_card(&contract(), keyring()).unwrap();
    let heard = other.heard();
    let targets: Vec<_> = heard
        .iter()
        .map(|request| request.target.as_str())
        .collect();
    assert_eq!(
        targets,
        [
            "/digital/cards/70001/tokens",
            "/digital/clients/40000/tokens",
            "/digital/tokens/5598765432109876",
            "/digital/cards/70001/tokens?status=Active%20%26%20more",
        ]
    );
    assert!(
        heard
            .iter()
            .all(|request| request.method == "GET" && request.body.is_empty())
    );
}

#[test]
fn an_id_is_one_segment_of_the_address_whatever_is_in_it() {
    let other = willing();
    let issuer = issuer(&other, "");
    let odd = CardId::parse("a/../b?c#d%").unwrap();
    issuer
        .set_token_status(&odd, None, TokenCommand::Suspend, keyring())
        .unwrap();
    let odd = ProgramToken::parse("x/y?z").unwrap();
    assert_eq!(
        issuer.token(&odd, keyring()).err().unwrap().reason,
        "other-token"
    );
    let targets: Vec<_> = other
        .heard()
        .into_iter()
        .map(|request| request.target)
        .collect();
    assert_eq!(
        targets,
        [
            "/digital/cards/a%2F..%2Fb%3Fc%23d%25/tokens",
            "/digital/tokens/x%2Fy%3Fz"
        ]
    );
    for unfit in [".", ".."] {
        let card = CardId::parse(unfit).unwrap();
        let failure = issuer.tokens_of_card(&card, keyring()).err().unwrap();
        assert_eq!(failure.reason, "card-id-cannot-be-sent");
        let failure = issuer.tokens_of_client(unfit, keyring()).err().unwrap();
        assert_eq!(failure.reason, "client-id-cannot-be-sent");
        let token = ProgramToken::parse(unfit).unwrap();
        let failure = issuer.token(&token, keyring()).err().unwrap();
        assert_eq!(failure.reason, "token-cannot-be-sent");
        assert!(!failure.may_have_arrived);
    }
    assert!(issuer.tokens_of_client("", keyring()).is_err());
    assert_eq!(other.heard().len(), 2);
}
