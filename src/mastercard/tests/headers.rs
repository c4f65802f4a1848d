//! What every request carries: its signature, and the headers beside it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use openssl::hash::MessageDigest;
use openssl::pkey::PKey;
use openssl::sign::Verifier;

use super::requests::{call_each, delete_request, willing};
use super::support::*;
use crate::mastercard::DeleteRequest;
use crate::mastercard::oauth::{base_string, body_hash, parse_header};

#[test]
fn every_request_is_signed_for_its_own_address_and_body() {
    let other = willing();
    call_each(&shop(&other.address(), "get_card_token = true").client);
    let pem = include_bytes!("../../../keys/signing/demo-signing.pem");
    let key = PKey::private_key_from_pem(pem).unwrap();
    let heard = other.heard();
    assert_eq!(heard.len(), 4);
    for request in heard {
        let read = parse_header(request.header("authorization").unwrap()).unwrap();
        assert_eq!(read["oauth_consumer_key"], CONSUMER_KEY);
        assert_eq!(read["oauth_timestamp"], (NOW / 1000).to_string());
        assert_eq!(read["oauth_body_hash"], body_hash(&request.body));
        let url = format!("{}{}", other.address(), request.target);
        let text = base_string(&request.method, &url, &read).unwrap();
        let signature = STANDARD.decode(&read["oauth_signature"]).unwrap();
        let mut verifier = Verifier::new(MessageDigest::sha256(), &key).unwrap();
        assert!(
            verifier
                .verify_oneshot(&signature, text.as_bytes())
                .unwrap(),
            "{text}"
        );
    }
}

#[test]
fn no_two_attempts_share_a_nonce() {
    let other = willing();
    let shop = shop(&other.address(), "");
    for _ in 0..20 {
        shop.client.delete_card(&delete_request(CARD)).unwrap();
    }
    let nonce = |request: &Heard| {
        let header = parse_header(request.header("authorization").unwrap()).unwrap();
        header["oauth_nonce"].clone()
    };
    let mut nonces: Vec<_> = other.heard().iter().map(nonce).collect();
    nonces.sort_unstable();
    nonces.dedup();
    assert_eq!(nonces.len(), 20);
}

#[test]
fn a_flow_id_is_sent_back_if_it_is_one() {
    let other = willing();
    let shop = shop(&other.address(), "");
    let long = "x".repeat(256);
    let table = [
        (
            "1a2b3c4d.6aff5cba-3aac-4fe0-b0cd-a52fc948d0c6.1784541600",
            true,
        ),
        ("_#", true),
        (&long[1..], true),
        (&long, false),
        ("", false),
        ("a b", false),
        ("a\r\nx: y", false),
        ("ä", false),
    ];
    for (id, is_sent) in table {
        let delete = DeleteRequest {
            flow_id: Some(id.to_owned()),
            ..delete_request(CARD)
        };
        shop.client.delete_card(&delete).unwrap();
        let heard = other.heard().pop().unwrap();
        assert_eq!(
            heard.header("x-src-cx-flow-id"),
            is_sent.then_some(id),
            "{id:?}"
        );
    }
}

#[test]
fn no_encoding_of_the_answer_is_asked_for() {
    let other = willing();
    call_each(&shop(&other.address(), "").client);
    for request in other.heard() {
        assert_eq!(request.header("accept-encoding"), Some("identity"));
        assert_eq!(request.header("accept"), Some("application/json"));
        assert_eq!(request.header("x-src-response-host"), None);
    }
}
