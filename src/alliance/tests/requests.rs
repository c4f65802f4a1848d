//! What the bank hears: path, method, body, and the members of the signed header.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use openssl::ec::{EcGroup, EcKey};
use openssl::nid::Nid;
use openssl::pkey::{PKey, Private};
use openssl::rsa::Rsa;
use serde_json::{Value, json};

use super::support::*;
use crate::alliance::Client;
use crate::domain::TokenCommand;
use crate::telemetry::Clock;
use crate::upstream::FailureClass;

const UPDATE: &str = "/ecom/jws/token/state/update_v1";

fn updating() -> Bank {
    Bank::start(|_| http("200", &signed(&updated(true))))
}

fn listing() -> Bank {
    let body = signed(&json!({ "result": [listed(TOKEN)] }));
    Bank::start(move |_| http("200", &body))
}

#[test]
fn a_state_is_changed_by_a_signed_request_for_the_path_that_is_called() {
    for (command, state) in [
        (TokenCommand::Suspend, "SUSPENDED"),
        (TokenCommand::Resume, "ACTIVE"),
        (TokenCommand::Deactivate, "DELETED"),
    ] {
        let bank = updating();
        let client = client(&bank.address(), "");
        assert_eq!(client.update_state(&token(), command), Ok(true));
        let heard = bank.only();
        assert_eq!(heard.method, "POST");
        assert_eq!(heard.target, UPDATE);
        assert_eq!(heard.header("content-type"), Some("text/plain"));
        assert_eq!(heard.header("accept"), Some("*/*"));
        assert_eq!(heard.body.split('.').count(), 3);
        let header = json!({ "alg": "ES256", "kid": KID, "ts": NOW, "targetUrl": UPDATE });
        assert_eq!(Value::Object(heard.header.clone()), header);
        assert_eq!(heard.payload, json!({ "token": TOKEN, "state": state }));
    }
}

#[test]
fn a_path_of_the_base_address_is_part_of_the_target() {
    let bank = updating();
    let client = client(&format!("{}/gate/v%31/", bank.address()), "");
    assert!(client.update_state(&token(), TokenCommand::Suspend).is_ok());
    let heard = bank.only();
    assert_eq!(heard.target, format!("/gate/v%31{UPDATE}"));
    assert_eq!(heard.header["targetUrl"], heard.target);
}

#[test]
fn tokens_are_read_with_the_merchant_where_one_is_set() {
    for (more, merchant) in [("", None), ("merchant_id = \"m-1\"", Some("m-1"))] {
        let bank = listing();
        let client = client(&bank.address(), more);
        assert!(client.get_token(&token()).is_ok());
        assert!(client.list_tokens(CUSTOMER).is_ok());
        let mut get = json!({ "token": TOKEN });
        let mut list = json!({ "customerId": CUSTOMER });
        if let Some(merchant) = merchant {
            get["merchantId"] = merchant.into();
            list["merchantId"] = merchant.into();
        }
        let heard = bank.heard();
        assert_eq!(heard[0].target, "/ecom/jws/token/get_v1");
        assert_eq!(heard[0].payload, get);
        assert_eq!(heard[1].target, "/ecom/jws/token/list/by-customer-id_v1");
        assert_eq!(heard[1].payload, list);
    }
    let bank = updating();
    let client = client(&bank.address(), "merchant_id = \"m-1\"");
    assert!(client.update_state(&token(), TokenCommand::Resume).is_ok());
    assert_eq!(bank.only().payload.get("merchantId"), None);
}

#[test]
fn the_time_is_written_in_the_unit_and_type_that_are_set() {
    let seconds = NOW / 1000;
    for (unit, kind, ts) in [
        ("milliseconds", "number", json!(NOW)),
        ("seconds", "number", json!(seconds)),
        ("milliseconds", "string", json!(NOW.to_string())),
        ("seconds", "string", json!(seconds.to_string())),
    ] {
        let bank = updating();
        let more = format!("ts_unit = \"{unit}\"\nts_type = \"{kind}\"");
        let client = client(&bank.address(), &more);
        assert!(client.update_state(&token(), TokenCommand::Suspend).is_ok());
        assert_eq!(bank.only().header["ts"], ts);
    }
}

#[test]
fn method_type_and_wrapping_are_as_set() {
    let bank = updating();
    let more = "method = \"PUT\"\ncontent_type = \"application/jose+json\"\njws_field = \"jws\"";
    let client = client(&bank.address(), more);
    assert!(client.update_state(&token(), TokenCommand::Suspend).is_ok());
    let heard = bank.only();
    assert_eq!(heard.method, "PUT");
    assert_eq!(heard.header("content-type"), Some("application/jose+json"));
    let body: Value = serde_json::from_str(&heard.body).unwrap();
    assert_eq!(body.as_object().unwrap().len(), 1);
    assert_eq!(body["jws"].as_str().unwrap().split('.').count(), 3);
}

fn key_on(curve: Nid) -> PKey<Private> {
    let group = EcGroup::from_curve_name(curve).unwrap();
    PKey::from_ec_key(EcKey::generate(&group).unwrap()).unwrap()
}

#[test]
fn each_kind_of_key_signs_by_the_algorithm_it_is_registered_for() {
    let rsa = PKey::from_rsa(Rsa::generate(2048).unwrap()).unwrap();
    for (key, set, alg) in [
        (rsa.clone(), "", "RS256"),
        (rsa.clone(), "RS256", "RS256"),
        (rsa.clone(), "RS384", "RS384"),
        (rsa, "RS512", "RS512"),
        (key_on(Nid::X9_62_PRIME256V1), "ES256", "ES256"),
        (key_on(Nid::SECP384R1), "", "ES384"),
        (key_on(Nid::SECP521R1), "ES512", "ES512"),
    ] {
        let keys = key_folder();
        let pem = key.private_key_to_pem_pkcs8().unwrap();
        std::fs::write(keys.path().join("signing/bank.pem"), pem).unwrap();
        let bank = Bank::knowing(key, alg, |_| http("200", &signed(&updated(true))));
        let more = match set {
            "" => String::new(),
            set => format!("signature_alg = \"{set}\""),
        };
        let client = made(&bank.address(), &more, &keys).unwrap();
        let outcome = client.update_state(&token(), TokenCommand::Suspend);
        assert_eq!(outcome, Ok(true), "{alg}");
        assert_eq!(bank.only().header["alg"], alg);
    }
}

fn at(address: &str, clock: impl Fn() -> i64 + Send + Sync + 'static) -> Client {
    let keys = key_folder();
    let (connection, settings) = (connection(address), settings(""));
    let clock = Clock::from_fn(clock);
    Client::new("bank", &connection, &settings, keys.path(), clock).unwrap()
}

#[test]
fn every_attempt_is_signed_with_the_time_at_which_it_is_made() {
    let bank = updating();
    let now = Arc::new(AtomicI64::new(NOW));
    let clock = Arc::clone(&now);
    let client = at(&bank.address(), move || clock.load(Ordering::SeqCst));
    for later in [0, 7, 59_999] {
        now.store(NOW + later, Ordering::SeqCst);
        assert!(client.update_state(&token(), TokenCommand::Suspend).is_ok());
    }
    let heard = bank.heard();
    let times = heard.iter().map(|request| request.header["ts"].clone());
    let expected = [NOW, NOW + 7, NOW + 59_999].map(Value::from);
    assert_eq!(times.collect::<Vec<_>>(), expected);
}

#[test]
fn a_clock_that_is_more_than_a_minute_off_is_refused_by_the_bank_as_an_error() {
    for (skew, is_in_time) in [
        (60_000, true),
        (-60_000, true),
        (61_000, false),
        (-61_000, false),
    ] {
        let bank = updating();
        let client = at(&bank.address(), move || NOW + skew);
        match client.update_state(&token(), TokenCommand::Suspend) {
            Ok(updated) => assert!(updated && is_in_time, "{skew}"),
            Err(failure) => {
                assert!(!is_in_time, "{skew}: {failure}");
                assert_eq!(failure.class, FailureClass::Refused);
                assert_eq!(failure.reason, "t_time");
            }
        }
    }
}

#[test]
fn a_token_stands_in_nothing_but_the_signed_payload() {
    let bank = listing();
    let client = client(&bank.address(), "");
    assert!(client.get_token(&token()).is_ok());
    let heard = bank.only();
    assert!(!heard.target.contains(TOKEN));
    let headers = heard.headers.iter();
    assert!(headers.clone().all(|(_, value)| !value.contains(TOKEN)));
    let header = Value::Object(heard.header).to_string();
    assert!(!header.contains(TOKEN));
}
