//! What a client needs before it calls, and what it says of itself.

use std::fs;
use std::net::TcpListener;

use openssl::rsa::Rsa;

use super::support::*;
use crate::alliance::Client;
use crate::domain::TokenCommand;
use crate::telemetry::Clock;
use crate::upstream::{ClientError, FailureClass};

const NOWHERE: &str = "http://127.0.0.1:9";

#[track_caller]
fn problem(more: &str, keys: &tempfile::TempDir) -> String {
    let made = made(NOWHERE, more, keys);
    made.err().unwrap().to_string()
}

#[test]
fn a_required_setting_that_is_empty_is_named() {
    let keys = key_folder();
    for setting in ["base_url", "kid", "signing_key", "verification_keys"] {
        let address = match setting {
            "base_url" => "",
            _ => NOWHERE,
        };
        let mut settings = settings("");
        match setting {
            "kid" => settings.kid.clear(),
            "signing_key" => settings.signing_key.clear(),
            "verification_keys" => settings.verification_keys.clear(),
            _ => {}
        }
        let clock = Clock::system();
        let connection = connection(address);
        let made = Client::new("my-bank", &connection, &settings, keys.path(), clock);
        let error = made.err().unwrap();
        assert!(matches!(error, ClientError::Unset { .. }));
        let expected = format!("programs.my-bank.{setting} is empty");
        assert_eq!(error.to_string(), expected);
    }
}

#[test]
fn a_file_that_is_missing_or_unfit_is_named() {
    let keys = key_folder();
    let set = keys.path().join("verification/alliance/bank.json");
    fs::write(&set, "secret").unwrap();
    let problem_of_set = problem("", &keys);
    assert!(problem_of_set.contains("verification/alliance/bank.json"));
    assert!(!problem_of_set.contains("secret"));
    fs::remove_file(&set).unwrap();
    assert!(problem("", &keys).contains("verification/alliance/bank.json"));

    let keys = key_folder();
    let wrong_alg = problem("signature_alg = \"ES384\"", &keys);
    assert!(wrong_alg.contains("signing/bank.pem"), "{wrong_alg}");
    assert!(wrong_alg.contains("on P-384 by ES384"), "{wrong_alg}");
    fs::write(keys.path().join("signing/bank.pem"), "secret").unwrap();
    let not_a_key = problem("", &keys);
    assert!(not_a_key.contains("signing/bank.pem"), "{not_a_key}");
    assert!(!not_a_key.contains("secret"), "{not_a_key}");
    fs::remove_file(keys.path().join("signing/bank.pem")).unwrap();
    assert!(problem("", &keys).contains("signing/bank.pem"));
}

#[test]
fn a_set_without_keys_and_without_an_address_is_remarked_on() {
    let keys = key_folder();
    assert!(made(NOWHERE, "", &keys).unwrap().remarks().is_empty());
    let set = keys.path().join("verification/alliance/bank.json");
    fs::write(set, r#"{"keys":[]}"#).unwrap();
    let keyless = made(NOWHERE, "", &keys).unwrap();
    assert_eq!(keyless.remarks().len(), 1);
    assert!(
        keyless.remarks()[0].starts_with("programs.bank: no answer of the bank can be verified")
    );
    let more = "verification_url = \"https://example.com/keys\"";
    assert!(made(NOWHERE, more, &keys).unwrap().remarks().is_empty());
}

#[test]
fn a_demonstration_key_is_known_whether_it_signs_or_verifies() {
    let own = Rsa::generate(2048).unwrap().private_key_to_pem().unwrap();
    let keys = key_folder();
    let holds = || made(NOWHERE, "", &keys).unwrap().holds_demonstration_key();
    let set = keys.path().join("verification/alliance/bank.json");
    let public = fs::read(&set).unwrap();
    fs::write(&set, r#"{"keys":[]}"#).unwrap();
    assert!(holds());
    fs::write(keys.path().join("signing/bank.pem"), own).unwrap();
    assert!(!holds());
    fs::write(&set, public).unwrap();
    assert!(holds());
}

#[test]
fn a_call_that_finds_nobody_has_not_arrived() {
    let unused = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", unused.local_addr().unwrap());
    drop(unused);
    let client = client(&address, "");
    let failure = client
        .update_state(&token(), TokenCommand::Suspend)
        .unwrap_err();
    assert_eq!(failure.class, FailureClass::Retry);
    assert_eq!(failure.reason, "connection-failed");
    assert!(!failure.may_have_arrived);
}
