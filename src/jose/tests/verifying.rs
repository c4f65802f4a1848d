//! Verifying a JWS: its form, its header, its key, its signature.

use openssl::nid::Nid;
use serde_json::{Map, Value, json};

use super::jws::{ES, Keys, PAYLOAD, RS, assert_refused, ec_jwk, key_on, rsa_jwk};
use super::*;
use crate::jose::{JwsSigner, VerificationKeys, VerifyFault};

#[test]
fn what_either_key_signs_is_verified() {
    let keys = Keys::new();
    for (token, kid) in [(keys.rs256(RS), "rsa"), (keys.es256(ES), "ec")] {
        let verified = keys.set().verify(&token).unwrap();
        assert_eq!(verified.kid, kid);
        assert_eq!(verified.header["kid"], kid);
        assert_eq!(*verified.payload, PAYLOAD);
    }
}

#[test]
fn mastercards_unusual_header_members_are_tolerated_and_handed_on() {
    let keys = Keys::new();
    let header = r#"{"alg":"RS256","kid":"rsa","iss":"https://mastercard.com","iat":"1784541600","jti":"a","typ":"JOSE","cty":"json","x5t#S256":"AAAA","new":{"a":1}}"#;
    let verified = keys.set().verify(&keys.rs256(header)).unwrap();
    assert_eq!(verified.header["iat"], "1784541600");
    assert_eq!(verified.header["iss"], "https://mastercard.com");
}

#[test]
fn the_sandboxs_signer_makes_what_the_repositorys_key_set_verifies() {
    let pem = fs::read(repository("src/sandbox/keys/payload-verification.pem")).unwrap();
    let set = fs::read(repository("keys/verification/sandbox.json")).unwrap();
    let set = VerificationKeys::parse_jwks(&set).unwrap();
    let kid = set.kids().next().unwrap().to_owned();
    let header = Map::from_iter([("kid".to_owned(), Value::from(kid))]);
    let token = JwsSigner::from_pem(&pem, None).unwrap();
    let token = token.sign(header, PAYLOAD);
    assert_eq!(*set.verify(&token.unwrap()).unwrap().payload, PAYLOAD);
    assert!(set.holds_demonstration_key());
    let other = key_on(Nid::X9_62_PRIME256V1);
    let other = json!({ "keys": [ec_jwk(&other, "own")] }).to_string();
    let other = VerificationKeys::parse_jwks(other.as_bytes()).unwrap();
    assert!(!other.holds_demonstration_key());
}

#[test]
fn a_change_of_any_part_is_a_wrong_signature() {
    let keys = Keys::new();
    for (token, other) in [
        (keys.rs256(RS), keys.rs256(r#"{"kid":"rsa","alg":"RS256"}"#)),
        (keys.es256(ES), keys.es256(r#"{"kid":"ec","alg":"ES256"}"#)),
    ] {
        let parts: Vec<&str> = token.split('.').collect();
        let others: Vec<&str> = other.split('.').collect();
        let payload = URL_SAFE_NO_PAD.encode(br#"{"srcCorrelationId":"ff97ef9c"}"#);
        let signature = URL_SAFE_NO_PAD.decode(parts[2]).unwrap();
        let short = URL_SAFE_NO_PAD.encode(&signature[1..]);
        let zeros = "A".repeat(parts[2].len());
        for changed in [
            [others[0], parts[1], parts[2]],
            [parts[0], &payload, parts[2]],
            [parts[0], parts[1], others[2]],
            [parts[0], parts[1], &short],
            [parts[0], parts[1], &zeros],
            [parts[0], parts[1], "AA"],
        ] {
            assert_refused(&keys.set(), &changed.join("."), VerifyFault::WrongSignature);
        }
    }
}

#[test]
fn j14_a_kid_is_matched_exactly_and_must_be_text() {
    let keys = Keys::new();
    let others = [
        "RSA",
        "rsa ",
        "",
        "../../etc/passwd",
        "/dev/zero",
        "a\\u0000b",
        "' OR 1=1--",
        "%2e%2e",
    ];
    for kid in others {
        let token = keys.rs256(&format!(r#"{{"alg":"RS256","kid":"{kid}"}}"#));
        assert_refused(&keys.set(), &token, VerifyFault::UnknownKid);
    }
    let not_text = ["7", "null", "[\"rsa\"]", "{\"rsa\":1}"];
    for kid in not_text {
        let token = keys.rs256(&format!(r#"{{"alg":"RS256","kid":{kid}}}"#));
        assert_refused(&keys.set(), &token, VerifyFault::Malformed);
    }
    let without = keys.rs256(r#"{"alg":"RS256"}"#);
    assert_refused(&keys.set(), &without, VerifyFault::Malformed);
    println!(
        "J-14 JWS: {} other kids name no key, {} that are no text refused",
        others.len(),
        not_text.len()
    );
}

#[test]
fn j24_every_part_is_strict_base64url_without_padding() {
    let keys = Keys::new();
    let good = keys.rs256(RS);
    let parts: Vec<&str> = good.split('.').collect();
    let mut refused = 0;
    for place in 0..3 {
        let part = parts[place];
        let inner = |c: &str| format!("{}{c}{}", &part[..1], &part[2..]);
        // The last character of a group of two or three carries bits that must be zero.
        let trailing = format!(
            "{}B",
            &part[..part.len() - 1 - usize::from(part.len().is_multiple_of(4))]
        );
        for spoilt in [
            format!("{part}="),
            inner("+"),
            inner("/"),
            inner(" "),
            format!("{part}\n"),
            trailing,
            inner("é"),
        ] {
            let mut parts = parts.clone();
            parts[place] = &spoilt;
            assert_refused(&keys.set(), &parts.join("."), VerifyFault::Malformed);
            refused += 1;
        }
    }
    println!("J-24 JWS: {refused}/21 refused");
    assert_eq!(refused, 21);
}

#[test]
fn j13_misshapen_and_oversized_tokens_are_refused_and_nothing_panics() {
    let keys = Keys::new();
    let good = keys.rs256(RS);
    let parts: Vec<&str> = good.split('.').collect();
    let padding = "x".repeat(4097);
    let long_header = format!(r#"{{"alg":"RS256","kid":"rsa","x":"{padding}"}}"#);
    let tokens = [
        String::new(),
        ".".to_owned(),
        "..".to_owned(),
        "...".to_owned(),
        ".".repeat(1024 * 1024),
        format!("{good}."),
        format!(".{good}"),
        format!("{good}.AAAA"),
        parts[..2].join("."),
        parts[0].to_owned(),
        format!("{}.{}.", parts[0], parts[1]),
        format!(".{}.{}", parts[1], parts[2]),
        format!("..{}", parts[2]),
        format!("{}..", parts[0]),
        keys.rs256(&long_header),
        keys.rs256(""),
        keys.rs256("[]"),
        keys.rs256("\"text\""),
        keys.rs256("{"),
        keys.rs256(r#"{"kid":"rsa"}"#),
        format!("{}.{}.{}", parts[0], "A".repeat(256 * 1024), parts[2]),
        "A".repeat(10 * 1024 * 1024),
        format!("\"{good}\""),
        format!(r#"{{"payload":"{}","signatures":[]}}"#, parts[1]),
    ];
    for token in &tokens {
        assert_refused(&keys.set(), token, VerifyFault::Malformed);
    }
    println!("J-13 JWS: {} tokens refused, 0 panics", tokens.len());
}

#[test]
fn a_token_of_256_kib_is_read_and_one_of_a_character_more_is_not() {
    let keys = Keys::new();
    let good = keys.rs256(RS);
    let parts: Vec<&str> = good.split('.').collect();
    let rest = good.len() - parts[1].len();
    let with = |length: usize| {
        let payload = "A".repeat(length);
        [parts[0], &payload, parts[2]].join(".")
    };
    // A length of 4n + 1 characters is no base64.
    let longest = (0..4).map(|less| 256 * 1024 - rest - less);
    let longest = longest.into_iter().find(|length| length % 4 != 1).unwrap();
    assert_refused(&keys.set(), &with(longest), VerifyFault::WrongSignature);
    let longer = 256 * 1024 - rest + 1..;
    let longer = longer.into_iter().find(|length| length % 4 != 1).unwrap();
    assert_refused(&keys.set(), &with(longer), VerifyFault::Malformed);
}

#[test]
fn j07_j09_headers_that_change_the_reading_or_bring_a_key_are_refused() {
    let keys = Keys::new();
    let jwk = rsa_jwk(&keys.rsa, "rsa");
    let members = [
        r#""crit":["exp"]"#.to_owned(),
        r#""crit":[]"#.to_owned(),
        r#""crit":null"#.to_owned(),
        r#""b64":false"#.to_owned(),
        r#""b64":false,"crit":["b64"]"#.to_owned(),
        format!(r#""jwk":{jwk}"#),
        r#""jku":"http://127.0.0.1:1/keys""#.to_owned(),
        r#""x5u":"http://127.0.0.1:1/keys""#.to_owned(),
        r#""x5c":["AAAA"]"#.to_owned(),
        r#""JWK":{}"#.to_owned(),
        r#""Kid":"rsa""#.to_owned(),
        r#""ALG":"RS256""#.to_owned(),
        r#""kid":"rsa""#.to_owned(),
        r#""alg":"RS256""#.to_owned(),
        r#""\u0061lg":"RS256""#.to_owned(),
        r#""iat":1,"iat":2"#.to_owned(),
    ];
    for member in &members {
        let token = keys.rs256(&format!(r#"{{"alg":"RS256","kid":"rsa",{member}}}"#));
        assert_refused(&keys.set(), &token, VerifyFault::Malformed);
    }
    println!("J-07 JWS: {} headers refused", members.len());
}
