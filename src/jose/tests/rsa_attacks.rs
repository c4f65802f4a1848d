//! Attacks on the unwrapping of the CEK, and algorithms that would make us work for a forger.

use openssl::pkey::{PKey, Private};
use openssl::rsa::{Padding, Rsa};

use super::*;

fn private_key() -> Rsa<Private> {
    let pem = fs::read(repository("keys/payload/demo-payload-2026.pem")).unwrap();
    PKey::private_key_from_pem(&pem).unwrap().rsa().unwrap()
}

fn encrypted(rsa: &Rsa<Private>, message: &[u8], padding: Padding) -> Vec<u8> {
    let mut bytes = vec![0; rsa.size() as usize];
    rsa.public_encrypt(message, &mut bytes, padding).unwrap();
    bytes
}

#[test]
fn j11_rsa1_5_tokens_are_refused_without_a_private_operation() {
    let (keyring, rsa) = (demonstration_keys(), private_key());
    let mut token = Token::with_header(&HEADER.replace("RSA-OAEP-256", "RSA1_5"));
    let mut refused = 0;
    for _ in 0..100 {
        token.0[1] = encrypted(&rsa, &[7; 32], Padding::PKCS1);
        assert_guarded(&keyring, &token.text());
        refused += 1;
    }
    let operations = keyring.private_operations();
    println!("J-11 {refused} self-made tokens refused, {operations} private operations");
    assert_eq!(operations, 0);
    // With the right alg above it, the wrong padding is a bad encrypted key like any other.
    let mut token = Token::with_header(HEADER);
    token.0[1] = encrypted(&rsa, &[7; 32], Padding::PKCS1);
    assert_eq!(
        keyring.open(&token.text(), None).err(),
        Some(OpenError::Refused)
    );
}

#[test]
fn j19_an_encoded_message_that_begins_with_another_byte_is_answered_like_every_other_failure() {
    let (keyring, rsa) = (demonstration_keys(), private_key());
    let good = Token::with_header(HEADER);
    let mut message = vec![0; rsa.size() as usize];
    rsa.private_decrypt(&good.0[1], &mut message, Padding::NONE)
        .unwrap();
    assert_eq!(message[0], 0);
    let mut bad_tag = good.clone();
    bad_tag.0[4][0] ^= 1;
    let expected = keyring.open(&bad_tag.text(), None).unwrap_err();
    // All else in order: the question of Manger's attack is whether the first byte alone shows.
    for first in 1..=0x7f {
        message[0] = first;
        let mut token = good.clone();
        token.0[1] = encrypted(&rsa, &message, Padding::NONE);
        let before = keyring.private_operations();
        let refused = keyring.open(&token.text(), None).unwrap_err();
        assert_eq!(
            (refused, refused.to_string()),
            (expected, expected.to_string())
        );
        assert_eq!(keyring.private_operations(), before + 1);
    }
    println!("J-19 {} other first bytes, one answer", message[0]);
}

#[test]
fn j22_tokens_that_ask_for_costly_or_curve_operations_are_refused_by_their_alg() {
    let keyring = demonstration_keys();
    let (mut count, mut slowest) = (0, Duration::ZERO);
    for (alg, members) in [
        (
            "PBES2-HS256+A128KW",
            r#""p2s":"AAAAAAAAAAA","p2c":2147483648"#,
        ),
        (
            "PBES2-HS512+A256KW",
            r#""p2s":"AAAAAAAAAAA","p2c":2147483648"#,
        ),
        ("RSA-OAEP-256", r#""p2s":"AAAAAAAAAAA","p2c":2147483648"#),
        // A point that is on no curve, and one of a small group.
        (
            "ECDH-ES",
            r#""epk":{"kty":"EC","crv":"P-256","x":"AAAA","y":"AAAA"}"#,
        ),
        (
            "ECDH-ES+A128KW",
            r#""epk":{"kty":"EC","crv":"P-256","x":"AAAA","y":"AAAA"}"#,
        ),
        (
            "RSA-OAEP-256",
            r#""epk":{"kty":"EC","crv":"P-256","x":"AAAA","y":"AAAA"}"#,
        ),
        (
            "ECDH-ES",
            r#""epk":{"kty":"OKP","crv":"X25519","x":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}"#,
        ),
    ] {
        let header = format!(r#"{{"alg":"{alg}","enc":"A256GCM",{members}}}"#);
        let token = Token::with_header(&header).text();
        slowest = slowest.max(quickest(|| assert_guarded(&keyring, &token)));
        count += 1;
    }
    println!("J-22 {count} tokens refused, each within {slowest:?}");
    assert!(slowest < Duration::from_millis(5), "{slowest:?}");
}
