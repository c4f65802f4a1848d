//! The client under test, and answers as the bank signs them.

mod bank;

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};
use tempfile::TempDir;

pub use bank::{Bank, http};

use crate::alliance::Client;
use crate::domain::ProgramToken;
use crate::jose::JwsSigner;
use crate::settings::{AllianceSettings, ConnectionSettings};
use crate::telemetry::Clock;
use crate::upstream::ClientError;

/// 20 July 2026, 10:00 UTC, in milliseconds.
pub const NOW: i64 = 1_784_541_600_000;
pub const TOKEN: &str = "-s9UCfCNN0YMk4ZOyZX8pWAt";
pub const CUSTOMER: &str = "customer-17";
/// The merchant's key at the bank.
pub const KID: &str = "0b7c5a2e-9d5f-4a38-8a52-3f6f1d0c9a41";
/// The bank's key, as the repository's set names it.
pub const BANK_KID: &str = "60b2f8d4-6c1b-4c53-9b4f-0a3b6d3f1c77";

pub fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// A key folder with the merchant's key and the bank's key set of the repository.
pub fn key_folder() -> TempDir {
    let keys = tempfile::tempdir().unwrap();
    fs::create_dir(keys.path().join("signing")).unwrap();
    fs::create_dir_all(keys.path().join("verification/alliance")).unwrap();
    for (from, to) in [
        ("keys/signing/demo-alliance.pem", "signing/bank.pem"),
        (
            "keys/verification/alliance/sandbox.json",
            "verification/alliance/bank.json",
        ),
    ] {
        fs::copy(repository(from), keys.path().join(to)).unwrap();
    }
    keys
}

pub fn connection(address: &str) -> ConnectionSettings {
    toml::from_str(&format!("base_url = \"{address}\"\ntimeout = 5")).unwrap()
}

/// The settings of a program; `more` are further ones.
pub fn settings(more: &str) -> AllianceSettings {
    let text = format!(
        "kid = \"{KID}\"\nsigning_key = \"signing/bank.pem\"\n\
         verification_keys = \"verification/alliance/bank.json\"\n{more}"
    );
    toml::from_str(&text).unwrap()
}

pub fn made(address: &str, more: &str, keys: &TempDir) -> Result<Client, ClientError> {
    let clock = Clock::from_fn(|| NOW);
    let connection = connection(address);
    Client::new("bank", &connection, &settings(more), keys.path(), clock)
}

pub fn client(address: &str, more: &str) -> Client {
    made(address, more, &key_folder()).unwrap()
}

/// A client of a bank whose every answer is this.
pub fn answered(answer: Vec<u8>, more: &str) -> (Client, Bank) {
    let bank = Bank::start(move |_| answer.clone());
    (client(&bank.address(), more), bank)
}

pub fn token() -> ProgramToken {
    ProgramToken::parse(TOKEN).unwrap()
}

/// The bank's signature over a payload, under any kid.
pub fn signed_by(pem: &[u8], kid: &str, payload: &[u8]) -> String {
    let header = Map::from_iter([("kid".to_owned(), Value::from(kid))]);
    let signer = JwsSigner::from_pem(pem, None).unwrap();
    signer.sign(header, payload).unwrap()
}

pub fn signed(payload: &Value) -> String {
    signed_text(&payload.to_string())
}

pub fn signed_text(payload: &str) -> String {
    let pem = fs::read(repository("src/sandbox/keys/alliance-answers.pem")).unwrap();
    signed_by(&pem, BANK_KID, payload.as_bytes())
}

/// What the bank says of an update of [`TOKEN`].
pub fn updated(done: bool) -> Value {
    json!({ "tokenUpdated": done, "customerId": CUSTOMER, "token": TOKEN })
}

/// A token as the bank lists it.
pub fn listed(token: &str) -> Value {
    json!({
        "token": token, "status": "ACTIVE", "maskedPan": "528529••••••0255",
        "customerId": CUSTOMER, "merchantId": "merchant-1",
    })
}

pub fn error(code: &str) -> Value {
    json!({
        "requestId": "r-1", "serviceId": "s-1", "msgCode": code, "msgType": "ERROR",
        "msgText": "secret words", "isLocalized": false, "msgAttrs": {}, "errorCauses": [],
    })
}
