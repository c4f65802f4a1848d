//! The header: written as Mastercard's Java library does, read as any of its libraries writes it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use openssl::hash::MessageDigest;
use openssl::pkey::PKey;
use openssl::sign::Verifier;

use super::super::{Signer, base_string, body_hash, nonce, parse_header, rfc5849_base_string};
use super::{demonstration_key, parameters};
use crate::settings::BaseStringForm;

const CONSUMER_KEY: &str = "L8BsiV1H-2eFJpM_3dx!1a2b";
const URL: &str = "https://sandbox.api.mastercard.com/cards/a%2Fb?serviceId=A%23B&reason=OTHER";
const BODY: &[u8] = b"{\"a\":1}";

fn authorization(form: BaseStringForm) -> String {
    let signer = Signer::new(CONSUMER_KEY, demonstration_key(), form);
    signer
        .authorization("DELETE", URL, BODY, "abcdefghij012345", 1_784_541_600)
        .unwrap()
}

fn is_signed(text: &str, signature: &str) -> bool {
    let pem = include_bytes!("../../../../keys/signing/demo-signing.pem");
    let key = PKey::private_key_from_pem(pem).unwrap();
    let mut verifier = Verifier::new(MessageDigest::sha256(), &key).unwrap();
    let signature = STANDARD.decode(signature).unwrap();
    verifier
        .verify_oneshot(&signature, text.as_bytes())
        .unwrap()
}

#[test]
fn what_is_signed_is_what_a_verifier_reads_out_of_the_header() {
    let header = authorization(BaseStringForm::Mastercard);
    let read = parse_header(&header).unwrap();
    assert_eq!(read["oauth_consumer_key"], CONSUMER_KEY);
    assert_eq!(read["oauth_nonce"], "abcdefghij012345");
    assert_eq!(read["oauth_timestamp"], "1784541600");
    assert_eq!(read["oauth_signature_method"], "RSA-SHA256");
    assert_eq!(read["oauth_version"], "1.0");
    assert_eq!(read["oauth_body_hash"], body_hash(BODY));
    let text = base_string("DELETE", URL, &read).unwrap();
    assert!(is_signed(&text, &read["oauth_signature"]));
    assert!(!is_signed(&format!("{text} "), &read["oauth_signature"]));
}

#[test]
fn the_setting_chooses_which_base_string_is_signed() {
    let read = parse_header(&authorization(BaseStringForm::Rfc5849)).unwrap();
    let rfc = rfc5849_base_string("DELETE", URL, &read).unwrap();
    let ours = base_string("DELETE", URL, &read).unwrap();
    assert!(is_signed(&rfc, &read["oauth_signature"]));
    assert!(!is_signed(&ours, &read["oauth_signature"]));
}

#[test]
fn of_the_values_only_the_signature_is_encoded() {
    let header = authorization(BaseStringForm::Mastercard);
    let members: Vec<_> = header.strip_prefix("OAuth ").unwrap().split(',').collect();
    assert_eq!(members.len(), 7, "{header}");
    assert!(members.contains(&format!("oauth_consumer_key=\"{CONSUMER_KEY}\"").as_str()));
    let hash = format!("oauth_body_hash=\"{}\"", body_hash(BODY));
    assert!(members.contains(&hash.as_str()));
    // Base64 of 256 bytes ends in `==`.
    let signature = members
        .iter()
        .find(|m| m.starts_with("oauth_signature="))
        .unwrap();
    assert!(signature.ends_with("%3D%3D\""), "{signature}");
}

#[test]
fn every_value_may_come_encoded_and_a_plus_is_no_space() {
    let raw =
        r#"OAuth oauth_consumer_key="a!b",oauth_body_hash="x+y/z=",oauth_signature="q%2Br%3D""#;
    let all = r#"oauth oauth_consumer_key="a%21b", oauth_body_hash="x%2By%2Fz%3D", oauth_signature="q%2Br%3D""#;
    let expected = parameters(&[
        ("oauth_consumer_key", "a!b"),
        ("oauth_body_hash", "x+y/z="),
        ("oauth_signature", "q+r="),
    ]);
    assert_eq!(parse_header(raw).as_ref(), Some(&expected));
    assert_eq!(parse_header(all).as_ref(), Some(&expected));
}

#[test]
fn a_header_that_is_no_oauth_or_not_well_formed_is_refused() {
    for header in [
        "",
        "OAuth",
        "Bearer abc",
        "OAuth a",
        "OAuth a=b",
        "OAuth a=\"b",
        "OAuth a=\"%\"",
        "OAuth a=\"%ff\"",
        "OAuth a=\"1\",a=\"2\"",
        "OAuth a=\"1\",%61=\"2\"",
        "OAuth a=\"1\",,b=\"2\"",
    ] {
        assert_eq!(parse_header(header), None, "{header}");
    }
}

#[test]
fn a_nonce_has_16_letters_and_digits_and_never_comes_twice() {
    let mut nonces: Vec<_> = (0..100_000).map(|_| nonce().unwrap()).collect();
    let is_nonce = |n: &String| n.len() == 16 && n.bytes().all(|b| b.is_ascii_alphanumeric());
    assert!(nonces.iter().all(is_nonce));
    let mut used: Vec<_> = nonces.concat().chars().collect();
    used.sort_unstable();
    used.dedup();
    assert_eq!(used.len(), 62);
    nonces.sort_unstable();
    nonces.dedup();
    assert_eq!(nonces.len(), 100_000);
}
