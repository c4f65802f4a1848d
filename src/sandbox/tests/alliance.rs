//! The bank: tokens read, and given another state.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use openssl::ecdsa::EcdsaSig;
use openssl::pkey::PKey;
use openssl::sha::sha256;
use serde_json::json;

use super::*;
use crate::jose::{VerifyFault, json as strict};

pub const TOKEN: &str = "-s9UCfCNN0YMk4ZOyZX8pWAt";
pub const UPDATE: &str = "/ecom/jws/token/state/update_v1";
pub const GET: &str = "/ecom/jws/token/get_v1";
pub const LIST: &str = "/ecom/jws/token/list/by-customer-id_v1";
pub const KID: &str = "6f1f1f9e-0f0b-4d57-9c65-3b5b0f4f7d11";

/// The header of a request to that path, now.
pub fn header(path: &str) -> Value {
    json!({ "alg": "ES256", "kid": KID, "ts": NOW, "targetUrl": path })
}

/// Signed by a key of the key folder on P-256, whatever the header says.
pub fn signed_by(file: &str, header: &Value, payload: &str) -> String {
    let parts = [&header.to_string(), payload];
    let signed = parts.map(|part| URL_SAFE_NO_PAD.encode(part)).join(".");
    let key = PKey::private_key_from_pem(&std::fs::read(keys().join(file)).unwrap()).unwrap();
    let signature = EcdsaSig::sign(&sha256(signed.as_bytes()), &key.ec_key().unwrap()).unwrap();
    let raw = [signature.r(), signature.s()].map(|part| part.to_vec_padded(32).unwrap());
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(raw.concat()))
}

/// Signed by the merchant.
pub fn signed(header: &Value, payload: &str) -> String {
    signed_by("signing/demo-alliance.pem", header, payload)
}

pub fn post(merchant: &Merchant, path: &str, body: &str) -> Answer {
    let url = merchant.sandbox.alliance_url() + path;
    merchant.send("POST", &url, "", body).unwrap()
}

/// Asks as a merchant should.
pub fn ask(merchant: &Merchant, path: &str, payload: &Value) -> Answer {
    post(merchant, path, &signed(&header(path), &payload.to_string()))
}

pub fn update(merchant: &Merchant, token: &str, state: &str) -> Answer {
    ask(merchant, UPDATE, &json!({ "token": token, "state": state }))
}

pub fn verify(answer: &Answer) -> Result<VerifiedJws, VerifyFault> {
    let set = std::fs::read(keys().join("verification/alliance/sandbox.json")).unwrap();
    let keys = VerificationKeys::parse_jwks(&set).unwrap();
    keys.verify(&answer.text)
}

/// What the bank has signed.
#[track_caller]
pub fn payload(answer: &Answer) -> Value {
    let jws = verify(answer).unwrap_or_else(|fault| panic!("{fault}: {}", answer.text));
    let members: Vec<&str> = jws.header.keys().map(String::as_str).collect();
    assert!(members.len() == 2 && members.contains(&"alg") && members.contains(&"kid"));
    strict::parse(&jws.payload).unwrap()
}

/// Status and code of an error in the bank's shape.
#[track_caller]
pub fn error(status: u16, body: &Value) -> (u16, String) {
    let members = body.as_object().unwrap();
    for name in [
        "requestId",
        "serviceId",
        "msgText",
        "isLocalized",
        "msgAttrs",
        "errorCauses",
    ] {
        assert!(members.contains_key(name), "{name}");
    }
    assert_eq!((members.len(), &body["msgType"]), (8, &"ERROR".into()));
    (status, body["msgCode"].as_str().unwrap().to_owned())
}

fn state(merchant: &Merchant, token: &str) -> String {
    merchant.sandbox.bank_token(token).unwrap()
}

#[test]
fn an_allowed_change_is_answered_signed_and_is_real() {
    let merchant = Merchant::new();
    for wanted in ["SUSPENDED", "ACTIVE", "SUSPENDED", "DELETED"] {
        let answer = update(&merchant, TOKEN, wanted);
        assert_eq!(answer.status, 200);
        let expected = json!({ "tokenUpdated": true, "customerId": "customer-1", "token": TOKEN });
        assert_eq!(payload(&answer), expected);
        assert_eq!(state(&merchant, TOKEN), wanted);
        let shown = payload(&ask(&merchant, GET, &json!({ "token": TOKEN })));
        assert_eq!(shown["result"][0]["status"], wanted);
    }
}

#[test]
fn every_other_change_is_refused_within_a_200_and_changes_nothing() {
    let merchant = Merchant::new();
    let states = ["ACTIVE", "SUSPENDED", "OBSOLETE", "DELETED"];
    let allowed = [
        ("ACTIVE", "SUSPENDED"),
        ("SUSPENDED", "ACTIVE"),
        ("ACTIVE", "DELETED"),
        ("SUSPENDED", "DELETED"),
    ];
    for from in states {
        for to in states.into_iter().chain(["suspended", "FROZEN", ""]) {
            merchant.sandbox.add_bank_token("token", "somebody");
            merchant.sandbox.set_bank_token("token", from);
            let answer = update(&merchant, "token", to);
            let expected = match allowed.contains(&(from, to)) {
                true => to,
                false => {
                    let refusal = error(answer.status, &payload(&answer));
                    assert_eq!(refusal, (200, "b_invalid_request".to_owned()));
                    from
                }
            };
            assert_eq!(state(&merchant, "token"), expected, "{from} to {to}");
        }
    }
}

#[test]
fn a_token_that_is_not_there_and_a_payload_that_lacks_a_member_are_refused_within_a_200() {
    let merchant = Merchant::new();
    let unknown = json!({ "token": "none", "state": "ACTIVE" });
    for (path, asked, code) in [
        (UPDATE, unknown.clone(), "b_token_not_found"),
        (GET, unknown.clone(), "b_token_not_found"),
        (LIST, unknown, "b_invalid_request"),
        (UPDATE, json!({ "token": TOKEN }), "b_invalid_request"),
        (UPDATE, json!({ "state": "DELETED" }), "b_invalid_request"),
        (GET, json!({ "token": 7 }), "b_invalid_request"),
        (GET, json!({}), "b_invalid_request"),
    ] {
        let answer = ask(&merchant, path, &asked);
        let refusal = error(answer.status, &payload(&answer));
        assert_eq!(refusal, (200, code.to_owned()), "{path} {asked}");
    }
    assert_eq!(state(&merchant, TOKEN), "ACTIVE");
}

#[test]
fn get_and_list_tell_of_one_token_and_of_all_of_a_customer() {
    let merchant = Merchant::new();
    let got = payload(&ask(&merchant, GET, &json!({ "token": TOKEN })));
    let token = &got["result"][0];
    assert_eq!(token["token"], TOKEN);
    assert_eq!(token["customerId"], "customer-1");
    assert!(token["merchantId"].is_string());
    let masked = token["maskedPan"].as_str().unwrap();
    assert!(masked.starts_with("528529••••••") && masked.chars().count() == 16);
    let list = |customer: &str| {
        let answer = ask(&merchant, LIST, &json!({ "customerId": customer }));
        payload(&answer)["result"].as_array().unwrap().clone()
    };
    assert_eq!(list("customer-1").len(), 2);
    assert!(list("customer-1").contains(token));
    assert!(list("nobody").is_empty());
    merchant.sandbox.add_bank_token("another", "customer-1");
    assert_eq!(list("customer-1").len(), 3);
}
