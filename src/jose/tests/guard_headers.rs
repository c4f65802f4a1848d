//! What a header may say.

use std::io::ErrorKind;
use std::net::{TcpListener, TcpStream};

use super::*;
use crate::jose::guard::check;

#[track_caller]
fn assert_header_refused(keyring: &Keyring, header: &str) {
    assert_guarded(keyring, &Token::with_header(header).text());
}

/// A header in order, but for the members added to it.
fn header_with(members: &str) -> String {
    format!(r#"{{"alg":"RSA-OAEP-256","enc":"A256GCM",{members}}}"#)
}

/// Where nobody of this program may ever call.
struct Elsewhere(TcpListener);

impl Elsewhere {
    fn listen() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let elsewhere = Self(listener);
        // It would see one.
        TcpStream::connect(elsewhere.0.local_addr().unwrap()).unwrap();
        assert_eq!(elsewhere.attempts(), 1);
        elsewhere
    }

    fn url(&self) -> String {
        format!("http://{}/keys", self.0.local_addr().unwrap())
    }

    /// Connections since it was last asked.
    fn attempts(&self) -> usize {
        let waiting = std::iter::from_fn(|| match self.0.accept() {
            Ok(connection) => Some(connection),
            Err(error) if error.kind() == ErrorKind::WouldBlock => None,
            Err(error) => panic!("{error}"),
        });
        waiting.count()
    }
}

#[test]
fn j07_any_crit_is_refused() {
    let keyring = demonstration_keys();
    let values = [
        r#"["exp"]"#,
        "[]",
        r#""x""#,
        r#"["b64"],"b64":false"#,
        r#"["alg"]"#,
        "null",
    ];
    for crit in values {
        assert_header_refused(&keyring, &header_with(&format!(r#""crit":{crit}"#)));
    }
    println!("J-07 {} kinds of crit refused", values.len());
}

#[test]
fn j08_a_name_that_stands_twice_however_spelled_is_refused() {
    let keyring = demonstration_keys();
    let headers = [
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
    ];
    for members in headers {
        assert_header_refused(&keyring, &header_with(members));
    }
    println!("J-08 {} headers with a name twice refused", headers.len());
}

#[test]
fn j09_names_that_bring_keys_or_change_the_reading_are_refused() {
    let keyring = demonstration_keys();
    let elsewhere = Elsewhere::listen();
    let names = [
        "jwk", "jku", "x5u", "x5c", "epk", "apu", "apv", "p2s", "p2c", "zip", "iv", "tag", "b64",
        "crit", "JKU", "Zip",
    ];
    for name in names {
        for value in [
            format!(r#""{}""#, elsewhere.url()),
            format!(r#"["{}"]"#, elsewhere.url()),
            "null".to_owned(),
        ] {
            assert_header_refused(&keyring, &header_with(&format!(r#""{name}":{value}"#)));
        }
    }
    let attempts = elsewhere.attempts();
    println!(
        "J-09 {} names refused, {attempts} connection attempts",
        names.len()
    );
    assert_eq!(attempts, 0);
}

#[test]
fn j09_harmless_names_are_tolerated() {
    let keyring = demonstration_keys();
    let tolerated = [
        r#""cty":"application/json""#,
        r#""typ":"JOSE""#,
        r#""iat":"1614943856""#,
        r#""iat":1614943856"#,
        r#""x5t#S256":"AAAA""#,
        r#""kid":"demo-payload-2026""#,
        r#""keyId":"demo-payload-2026""#,
        r#""somethingNew":{"deep":[1]}"#,
    ];
    for members in tolerated {
        let token = Token::with_header(&header_with(members)).text();
        assert_eq!(*keyring.open(&token, None).unwrap(), PLAINTEXT, "{members}");
    }
    println!("J-09 {} harmless members tolerated", tolerated.len());
}

#[test]
fn j12_of_all_registered_pairs_only_the_configured_ones_reach_a_key() {
    let algs = "RSA1_5 RSA-OAEP RSA-OAEP-256 RSA-OAEP-384 RSA-OAEP-512 A128KW A192KW A256KW dir ECDH-ES \
        ECDH-ES+A128KW ECDH-ES+A192KW ECDH-ES+A256KW A128GCMKW A192GCMKW A256GCMKW PBES2-HS256+A128KW \
        PBES2-HS384+A192KW PBES2-HS512+A256KW ECDH-1PU ECDH-1PU+A256KW";
    let encs = "A128CBC-HS256 A192CBC-HS384 A256CBC-HS512 A128GCM A192GCM A256GCM";
    let mut token = Token::new(HEADER, &[7; 32], &[1; 16]);
    let (mut tried, mut passed) = (0, Vec::new());
    for alg in algs.split_whitespace() {
        for enc in encs.split_whitespace() {
            token.0[0] = format!(r#"{{"alg":"{alg}","enc":"{enc}"}}"#).into_bytes();
            tried += 1;
            if check(&token.text(), &OpenPolicy::default()).is_ok() {
                passed.push(format!("{alg} {enc}"));
            }
        }
    }
    println!("J-12 {} of {tried} registered pairs pass", passed.len());
    let expected = ["A128GCM", "A192GCM", "A256GCM"].map(|enc| format!("RSA-OAEP-256 {enc}"));
    assert_eq!(passed, expected);
}

#[test]
fn j12_no_alg_but_rsa_oaep_256_reaches_a_key() {
    let keyring = demonstration_keys();
    let algs = "RSA1_5 RSA-OAEP dir none None NONE rsa-oaep-256 RSA-OAEP-256\\u0000 RSA-OAEP-256\\u0020 \
        \\u0020RSA-OAEP-256 RSА-OAEP-256 RSA_OAEP_256";
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
    let mut refused = 0;
    for alg in named.chain(odd) {
        assert_header_refused(&keyring, &format!(r#"{{"alg":{alg},"enc":"A256GCM"}}"#));
        refused += 1;
    }
    assert_header_refused(&keyring, r#"{"enc":"A256GCM"}"#);
    println!("J-12 {} other values of alg refused", refused + 1);
}

#[test]
fn j12_no_enc_but_the_allowed_reaches_a_key() {
    let keyring = demonstration_keys();
    let encs = [
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
    ];
    for enc in encs {
        assert_header_refused(
            &keyring,
            &format!(r#"{{"alg":"RSA-OAEP-256","enc":{enc}}}"#),
        );
    }
    assert_header_refused(&keyring, r#"{"alg":"RSA-OAEP-256"}"#);
    println!("J-12 {} other values of enc refused", encs.len() + 1);
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
    let mut refused = 0;
    for name in ["kid", "keyId", "keyFingerprintId"] {
        for kid in ["1", "null", "{}", "[]", "true"] {
            assert_header_refused(&keyring, &header_with(&format!(r#""{name}":{kid}"#)));
            refused += 1;
        }
    }
    println!("J-14 {refused} key ids that are no text refused");
}

#[test]
fn j14_a_hostile_kid_only_ever_fails_to_match() {
    let keyring = demonstration_keys();
    let kids = [
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
    ];
    for kid in kids {
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
    let operations = keyring.private_operations();
    println!(
        "J-14 {} hostile kids match no key, {operations} private operations",
        kids.len() + 1
    );
    assert_eq!(operations, 0);
}
