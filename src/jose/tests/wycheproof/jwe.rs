//! JWEs, opened with the key that each is for where it is one that we can have.

use std::time::Duration;

use openssl::bn::BigNum;
use openssl::pkey::PKey;
use openssl::rsa::Rsa;
use serde_json::Value;

use super::*;

/// What a file's tokens came to.
#[derive(Default)]
struct Opened {
    ids: Vec<u64>,
    refused: usize,
    private_operations: u64,
}

/// The keyring that a group's tokens are opened with. Keys that are no RSA keys cannot be loaded: the
/// repository's stand in their place.
fn keyring(group: &Value) -> Keyring {
    let jwk = &group["private"];
    if jwk["kty"] != "RSA" {
        return demonstration_keys();
    }
    let number = |name: &str| {
        let bytes = URL_SAFE_NO_PAD.decode(jwk[name].as_str().unwrap()).unwrap();
        BigNum::from_slice(&bytes).unwrap()
    };
    let [n, e, d, p, q, dp, dq, qi] = ["n", "e", "d", "p", "q", "dp", "dq", "qi"].map(number);
    let rsa = Rsa::from_private_components(n, e, d, p, q, dp, dq, qi).unwrap();
    let pem = PKey::from_rsa(rsa).unwrap().private_key_to_pem_pkcs8();
    keyring_of(jwk["kid"].as_str().unwrap(), &pem.unwrap())
}

/// Opens every token of these groups that is wanted. What opens must be what the vector says it is.
fn open(groups: &[Value], is_wanted: impl Fn(&Value) -> bool) -> Opened {
    let mut outcome = Opened::default();
    for group in groups {
        let tokens = tests_of(group)
            .iter()
            .filter(|test| token(test, "jwe").is_some());
        let tokens: Vec<&Value> = tokens.filter(|test| is_wanted(test)).collect();
        if tokens.is_empty() {
            continue;
        }
        let keyring = keyring(group);
        for test in tokens {
            match keyring.open(&token(test, "jwe").unwrap(), None) {
                Ok(plaintext) => {
                    assert_eq!(*plaintext, bytes(test, "pt"), "{}", id(test));
                    assert_eq!(test["result"], "valid", "{}", id(test));
                    outcome.ids.push(id(test));
                }
                Err(_) => outcome.refused += 1,
            }
        }
        outcome.private_operations += keyring.private_operations();
    }
    outcome
}

#[test]
fn j01_only_rsa_oaep_256_with_gcm_opens_and_nothing_else_reaches_a_private_key() {
    let Some(groups) = groups("J-01", "json_web_encryption_test.json", 139) else {
        return;
    };
    let opened = open(&groups, |_| true);
    println!(
        "J-01 JWE: {} opened, {} refused",
        opened.ids.len(),
        opened.refused
    );
    assert_eq!(opened.ids, [88, 89, 90, 121]);
    assert_eq!(opened.refused, 135);
    assert_eq!(opened.private_operations, 4);
}

#[test]
fn j01_no_jwe_of_the_mixed_file_opens() {
    let Some(groups) = groups("J-01", "json_web_crypto_test.json", 83) else {
        return;
    };
    let opened = open(&groups, |_| true);
    println!(
        "J-01 JWC: {} opened, {} refused",
        opened.ids.len(),
        opened.refused
    );
    assert!(opened.ids.is_empty());
    assert_eq!((opened.refused, opened.private_operations), (34, 0));
}

#[test]
fn j11_rsa1_5_under_a_key_for_oaep_never_reaches_it() {
    let Some(groups) = groups("J-11", "json_web_encryption_test.json", 139) else {
        return;
    };
    let opened = open(&groups, |test| has_flag(test, "Pkcs15WithOaepKey"));
    println!(
        "J-11 vectors: {} refused, {} private operations",
        opened.refused, opened.private_operations
    );
    assert_eq!((opened.ids.len(), opened.refused), (0, 14));
    assert_eq!(opened.private_operations, 0);
}

#[test]
fn j22_a_point_that_is_on_no_curve_is_refused_before_anything_is_computed_with_it() {
    let (mut points, mut slowest) = (0, Duration::ZERO);
    for (file, tests, known) in [
        ("json_web_encryption_test.json", 139, 51),
        ("json_web_crypto_test.json", 83, 83),
    ] {
        let Some(groups) = groups("J-22", file, tests) else {
            return;
        };
        let keyring = demonstration_keys();
        let tests = groups.iter().flat_map(tests_of);
        let test = tests.into_iter().find(|test| id(test) == known).unwrap();
        let token = token(test, "jwe").unwrap();
        slowest = slowest.max(quickest(|| assert_guarded(&keyring, &token)));
        points += 1;
    }
    println!("J-22 vectors: {points} points on no curve refused within {slowest:?}");
    assert!(slowest < Duration::from_millis(5));
}
