//! What a header may say.

use super::*;
use std::time::{Duration, Instant};

#[track_caller]
fn assert_header_refused(keyring: &Keyring, header: &str) {
    assert_guarded(keyring, &Token::with_header(header).text());
}

/// A header in order, but for the members added to it.
fn header_with(members: &str) -> String {
    format!(r#"{{"alg":"RSA-OAEP-256","enc":"A256GCM",{members}}}"#)
}

#[test]
fn j07_any_crit_is_refused() {
    let keyring = demonstration_keys();
    for crit in [
        r#"["exp"]"#,
        "[]",
        r#""x""#,
        r#"["b64"],"b64":false"#,
        r#"["alg"]"#,
        "null",
    ] {
        assert_header_refused(&keyring, &header_with(&format!(r#""crit":{crit}"#)));
    }
}

#[test]
fn j08_a_name_that_stands_twice_however_spelled_is_refused() {
    let keyring = demonstration_keys();
    for members in [
        r#""alg":"RSA-OAEP-256""#,
        r#""alg":"dir""#,
        r#""enc":"A256GCM""#,
        r#""enc":"A128GCM""#,
        r#""kid":"demo-payload-2026","kid":"demo-payload-2026""#,
        r#""kid":"demo-payload-2026","kid":"other""#,
        r#""\u0061lg":"RSA-OAEP-256""#,
        r#""Alg":"RSA-OAEP-256""#,
        r#""ALG":"dir""#,
        r#""Kid":"demo-payload-2026""#,
        r#""x":{"a":1,"a":1}"#,
    ] {
        assert_header_refused(&keyring, &header_with(members));
    }
}

#[test]
fn j09_names_that_bring_keys_or_change_the_reading_are_refused() {
    let keyring = demonstration_keys();
    for name in [
        "jwk", "jku", "x5u", "x5c", "epk", "apu", "apv", "p2s", "p2c", "zip", "iv", "tag", "b64",
        "crit", "JKU", "Zip",
    ] {
        assert_header_refused(
            &keyring,
            &header_with(&format!(r#""{name}":"http://127.0.0.1:9/""#)),
        );
        assert_header_refused(&keyring, &header_with(&format!(r#""{name}":null"#)));
    }
}

#[test]
fn j09_harmless_names_are_tolerated() {
    let keyring = demonstration_keys();
    for members in [
        r#""cty":"application/json""#,
        r#""typ":"JOSE""#,
        r#""iat":"1614943856""#,
        r#""iat":1614943856"#,
        r#""x5t#S256":"AAAA""#,
        r#""kid":"demo-payload-2026""#,
        r#""keyId":"demo-payload-2026""#,
        r#""somethingNew":{"deep":[1]}"#,
    ] {
        let token = Token::with_header(&header_with(members)).text();
        assert_eq!(*keyring.open(&token, None).unwrap(), PLAINTEXT, "{members}");
    }
}

#[test]
fn j10_a_zip_bomb_is_refused_at_the_header() {
    let keyring = demonstration_keys();
    let small = Token::with_header(&header_with(r#""zip":"DEF""#)).text();
    let mut large = Token::with_header(&header_with(r#""zip":"DEF""#));
    large.0[3] = vec![0; 204 * 1024];
    for token in [small, large.text()] {
        let start = Instant::now();
        assert_guarded(&keyring, &token);
        assert!(start.elapsed() < Duration::from_millis(5));
    }
}

#[test]
fn j12_no_alg_but_rsa_oaep_256_reaches_a_key() {
    let keyring = demonstration_keys();
    let algs = "RSA1_5 RSA-OAEP RSA-OAEP-384 RSA-OAEP-512 A128KW A192KW A256KW dir ECDH-ES ECDH-ES+A128KW \
        ECDH-ES+A192KW ECDH-ES+A256KW A128GCMKW A192GCMKW A256GCMKW PBES2-HS256+A128KW PBES2-HS384+A192KW \
        PBES2-HS512+A256KW none None rsa-oaep-256 RSA-OAEP-256\\u0000 RSA-OAEP-256\\u0020 \\u0020RSA-OAEP-256 \
        RSА-OAEP-256 RSA_OAEP_256";
    let named = algs.split_whitespace().map(|alg| format!(r#""{alg}""#));
    let odd = [
        r#""""#,
        "1",
        "null",
        "true",
        r#"["RSA-OAEP-256"]"#,
        r#"{"alg":"RSA-OAEP-256"}"#,
    ]
    .map(str::to_owned);
    for alg in named.chain(odd) {
        assert_header_refused(&keyring, &format!(r#"{{"alg":{alg},"enc":"A256GCM"}}"#));
    }
    assert_header_refused(&keyring, r#"{"enc":"A256GCM"}"#);
}

#[test]
fn j12_no_enc_but_the_allowed_reaches_a_key() {
    let keyring = demonstration_keys();
    for enc in [
        r#""A128CBC-HS256""#,
        r#""A192CBC-HS384""#,
        r#""A256CBC-HS512""#,
        r#""a256gcm""#,
        r#""A256GCM ""#,
        r#""А256GCM""#,
        r#""none""#,
        r#""""#,
        "null",
        "256",
        r#"["A256GCM"]"#,
    ] {
        assert_header_refused(
            &keyring,
            &format!(r#"{{"alg":"RSA-OAEP-256","enc":{enc}}}"#),
        );
    }
    assert_header_refused(&keyring, r#"{"alg":"RSA-OAEP-256"}"#);
}

#[test]
fn a_header_that_is_no_json_object_is_refused() {
    let keyring = demonstration_keys();
    for header in [
        "",
        "[]",
        "null",
        "{",
        "{}x",
        "\u{feff}{}",
        &format!("{{\"x\":{}", "[".repeat(2000)),
    ] {
        assert_header_refused(&keyring, header);
    }
    let mut token = Token::with_header(HEADER);
    token.0[0] = br#"{"alg":"RSA-OAEP-256","enc":"A256GCM","x":"?"}"#
        .map(|b| if b == b'?' { 0xff } else { b })
        .to_vec();
    assert_guarded(&keyring, &token.text());
}

#[test]
fn j14_a_kid_that_is_no_string_is_refused() {
    let keyring = demonstration_keys();
    for name in ["kid", "keyId", "keyFingerprintId"] {
        for kid in ["1", "null", "{}", "[]", "true"] {
            assert_header_refused(&keyring, &header_with(&format!(r#""{name}":{kid}"#)));
        }
    }
}

#[test]
fn j14_a_hostile_kid_only_ever_fails_to_match() {
    let keyring = demonstration_keys();
    for kid in [
        "../../etc/passwd",
        "/dev/zero",
        "../payload/demo-payload-2026",
        "demo-payload-2026.pem",
        "demo-payload-2026\\u0000",
        "DEMO-PAYLOAD-2026",
        "a\\u0000b",
        "' OR 1=1--",
        "x\\r\\nWARN forged",
        "\\u001b[2J",
        "%2e%2e",
        "",
    ] {
        let token = Token::with_header(&header_with(&format!(r#""kid":"{kid}""#))).text();
        assert_eq!(
            keyring.open(&token, None).err(),
            Some(OpenError::UnknownKey),
            "{kid}"
        );
    }
    assert_header_refused(
        &keyring,
        &header_with(&format!(r#""kid":"{}""#, "k".repeat(10_000))),
    );
    assert_eq!(keyring.private_operations(), 0);
}
