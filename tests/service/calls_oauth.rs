//! Requests signed as Mastercard's own Python library signs them, where Python has it
//! (`pip install mastercard-oauth1-signer`).

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::{Value, json};
use tokenkeep::mastercard::oauth::{Signer, SigningKey, parse_header, percent_encode};
use tokenkeep::settings::BaseStringForm;

const CONSUMER_KEY: &str = "L8BsiV1H-2eFJpM_3dxYpQ!a1b2c3d4e5f6";
const NONCE: &str = "0123456789abcdef";
const TIMESTAMP: i64 = 1_784_541_600;

/// Signs each case that it reads, with the nonce and the time it is given.
const PEER: &str = r#"
import json, sys
import oauth1.coreutils as util
from oauth1.oauth import OAuth
from cryptography.hazmat.primitives.serialization import load_pem_private_key

given = json.load(sys.stdin)
util.get_nonce = lambda: given["nonce"]
util.get_timestamp = lambda: given["timestamp"]
key = load_pem_private_key(given["key"].encode(), None)
print(json.dumps([
    OAuth.get_authorization_header(url, method, body, given["consumer_key"], key)
    for method, url, body in given["cases"]
]))
"#;

#[test]
fn requests_are_signed_as_mastercards_python_library_signs_them() {
    let cases = cases();
    let key = include_str!("../../keys/signing/demo-signing.pem");
    let given = json!({
        "nonce": NONCE, "timestamp": TIMESTAMP, "key": key, "consumer_key": CONSUMER_KEY,
        "cases": cases,
    });
    let Some(theirs) = peer(&given) else {
        eprintln!(
            "NOT RUN: python3 cannot import oauth1, so nothing was compared with Mastercard's library;\
             \n         pip install mastercard-oauth1-signer"
        );
        return;
    };
    let signer = signer();
    assert_eq!(theirs.len(), cases.len());
    for ((method, url, body), theirs) in cases.iter().zip(&theirs) {
        let ours = signer.authorization(method, url, body.as_bytes(), NONCE, TIMESTAMP);
        // The signature has no random part; the order of the members is free.
        let ours = parse_header(&ours.unwrap()).unwrap();
        let theirs = parse_header(theirs.as_str().unwrap()).unwrap();
        assert_eq!(ours, theirs, "{method} {url}");
    }
    println!(
        "compared with Mastercard's library: {} requests, 0 differ",
        cases.len()
    );
}

fn signer() -> Signer {
    let keys = Path::new(env!("CARGO_MANIFEST_DIR")).join("keys");
    let key = SigningKey::load(&keys, &keys.join("signing/demo-signing.pem"), "").unwrap();
    Signer::new(CONSUMER_KEY, key, BaseStringForm::Mastercard)
}

/// Our calls, and addresses that a signer may trip over.
fn cases() -> Vec<(&'static str, String, &'static str)> {
    let base = "https://sandbox.api.mastercard.com/src/api/digital/payments";
    let service = percent_encode("SECURE_COF_MERCHANT#START_COF-UPN2#01");
    let mut cases = vec![
        (
            "POST",
            format!("{base}/transaction/credentials"),
            "{\"a\":\"foõ\"}",
        ),
        ("POST", "https://API.Mastercard.com:443".to_owned(), ""),
        ("POST", "http://127.0.0.1:8099/x".to_owned(), "{}"),
        (
            "PUT",
            "https://example.com:17443/a%20b/%2F@(x)?q=%3A&r=%2B".to_owned(),
            "x",
        ),
        (
            "GET",
            "https://example.com/?b=2&a=1&a=0&empty=&colon=:".to_owned(),
            "",
        ),
        (
            "GET",
            "https://example.com/x?p=token1%3Atoken2&q=z:y#fragment".to_owned(),
            "",
        ),
    ];
    for id in [
        "9ajNArkAR66zqYyHCn0rCA000000000000US",
        "a/b?c#d%e&f=g+h",
        "~.-_!*'()",
    ] {
        let id = percent_encode(id);
        let query = format!("srcClientId=6aff5cba&serviceId={service}");
        for (method, rest) in [
            (
                "DELETE",
                format!("?{query}&reason=OTHER&requestor=CARDHOLDER"),
            ),
            ("GET", format!("?{query}&tokenRequested=true&srcDpaId={id}")),
            (
                "GET",
                format!(
                    "/transactions?{query}&transactionsFromTimestamp=2026-07-20T10%3A00%3A00.000%2B02%3A00"
                ),
            ),
        ] {
            cases.push((method, format!("{base}/cards/{id}{rest}"), ""));
        }
    }
    cases
}

/// What the library writes; none where Python does not have it.
fn peer(given: &Value) -> Option<Vec<Value>> {
    let has_library = Command::new("python3")
        .args(["-c", "import oauth1"])
        .stderr(Stdio::null())
        .status();
    if !has_library.is_ok_and(|status| status.success()) {
        return None;
    }
    let mut python = Command::new("python3")
        .args(["-c", PEER])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let input = python
        .stdin
        .take()
        .unwrap()
        .write_all(given.to_string().as_bytes());
    input.unwrap();
    let output = python.wait_with_output().unwrap();
    assert!(output.status.success(), "Mastercard's library failed");
    Some(serde_json::from_slice(&output.stdout).unwrap())
}
