//! What the tests of this room share: a sandbox, and a merchant that calls it as one should.

mod alliance;
mod alliance_checks;
mod authentication;
mod card_api;
mod checkout;
mod connections;
mod content_faults;
mod control;
mod faults;
mod processing;
mod processing_checks;
mod sending;
mod starting;
mod token_control;
mod token_faults;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::*;
use crate::jose::{Keyring, OpenPolicy, VerificationKeys, VerifiedJws, json};
use crate::mastercard::oauth::{Signer, SigningKey, nonce};
use crate::settings::BaseStringForm;
use crate::telemetry::Clock;

/// 2026-07-20T10:00:00Z.
const NOW: i64 = 1_784_541_600_000;
const CLIENT: &str = "6aff5cba-3aac-4fe0-b0cd-a52fc948d0c6";
const SERVICE: &str = "SECURE_COF_MERCHANT#START_COF-UPN2#01";
const CARD: &str = "9ajNArkAR66zqYyHCn0rCA000000000000US";
const CORRELATION: &str = "ff97ef9b-4b1e-40c2-b522-42197061dc5a";

fn keys() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("keys")
}

struct Answer {
    status: u16,
    sandbox: Option<String>,
    text: String,
}

impl Answer {
    fn json(&self) -> Value {
        json::parse(self.text.as_bytes()).unwrap_or_else(|_| panic!("no JSON: {}", self.text))
    }

    /// Status, reason and detail's reason of an error of the service.
    fn refusal(&self) -> (u16, String, String) {
        let body = self.json();
        let word = |pointer| body.pointer(pointer).and_then(Value::as_str);
        let reason = word("/reason").unwrap_or_default().to_owned();
        let detail = word("/errordetail/0/reason").unwrap_or_default().to_owned();
        assert_eq!(body["status"], self.status);
        (self.status, reason, detail)
    }
}

/// A sandbox with one card, and what a merchant needs to call it.
struct Merchant {
    sandbox: Sandbox,
    signer: Signer,
    agent: ureq::Agent,
    clock: Arc<AtomicI64>,
}

impl Merchant {
    fn new() -> Self {
        Self::with(|_| {})
    }

    fn with(change: impl FnOnce(&mut SandboxSettings)) -> Self {
        let clock = Arc::new(AtomicI64::new(NOW));
        let time = clock.clone();
        let mut settings = SandboxSettings {
            clock: Clock::from_fn(move || time.load(Ordering::SeqCst)),
            retry_pause: Duration::from_millis(1),
            seed: Some(7),
            ..SandboxSettings::new(keys())
        };
        change(&mut settings);
        let sandbox = Sandbox::start(settings).unwrap();
        let id = Some(CARD.to_owned());
        let new = NewCard {
            id,
            ..NewCard::default()
        };
        sandbox.create_card(new).unwrap();
        let config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .timeout_global(Some(Duration::from_secs(5)));
        Self {
            sandbox,
            signer: signer(),
            agent: config.build().into(),
            clock,
        }
    }

    fn url(&self, path: &str) -> String {
        self.sandbox.base_url() + path
    }

    fn authorization(&self, method: &str, url: &str, body: &str) -> String {
        let seconds = self.clock.load(Ordering::SeqCst) / 1000;
        let nonce = nonce().unwrap();
        let signed = self
            .signer
            .authorization(method, url, body.as_bytes(), &nonce, seconds);
        signed.unwrap()
    }

    /// Calls with a right signature.
    fn call(&self, method: &str, path: &str, body: &str) -> Answer {
        let url = self.url(path);
        let authorization = self.authorization(method, &url, body);
        self.send(method, &url, &authorization, body).unwrap()
    }

    fn send(
        &self,
        method: &str,
        url: &str,
        authorization: &str,
        body: &str,
    ) -> Result<Answer, ureq::Error> {
        let mut answer = match method {
            "POST" => {
                let request = self.agent.post(url).header("authorization", authorization);
                request
                    .header("content-type", "application/json")
                    .send(body)?
            }
            "PUT" => {
                let request = self.agent.put(url).header("authorization", authorization);
                request
                    .header("content-type", "application/json")
                    .send(body)?
            }
            "DELETE" => {
                let request = self.agent.delete(url);
                request.header("authorization", authorization).call()?
            }
            _ => {
                let request = self.agent.get(url);
                request.header("authorization", authorization).call()?
            }
        };
        let sandbox = answer.headers().get("x-sandbox");
        Ok(Answer {
            status: answer.status().as_u16(),
            sandbox: sandbox.map(|value| value.to_str().unwrap().to_owned()),
            text: answer.body_mut().read_to_string()?,
        })
    }

    fn checkout(&self) -> Answer {
        self.call(
            "POST",
            "/transaction/credentials",
            &checkout_body().to_string(),
        )
    }

    fn get_card(&self, more: &str) -> Answer {
        self.call("GET", &format!("/cards/{CARD}?{}{more}", ids()), "")
    }

    fn delete_card(&self) -> Answer {
        self.call("DELETE", &format!("/cards/{CARD}?{}", ids()), "")
    }

    /// The signed content of a Checkout answer.
    fn verified(&self, answer: &Answer) -> VerifiedJws {
        let jws = answer.json()["checkoutResponseJWS"]
            .as_str()
            .unwrap()
            .to_owned();
        let set = self.agent.get(self.sandbox.verification_url()).call();
        let set = set.unwrap().body_mut().read_to_string().unwrap();
        let keys = VerificationKeys::parse_jwks(set.as_bytes()).unwrap();
        keys.verify(&jws).unwrap()
    }

    fn payload(&self, answer: &Answer) -> Value {
        json::parse(&self.verified(answer).payload).unwrap()
    }

    fn card(&self) -> SandboxCard {
        self.sandbox.card(CARD).unwrap()
    }
}

fn signer() -> Signer {
    let file = keys().join("signing/demo-signing.pem");
    let key = SigningKey::load(&keys(), &file, "").unwrap();
    Signer::new("client!key", key, BaseStringForm::Mastercard)
}

/// The ids of a query.
fn ids() -> String {
    format!(
        "srcClientId={CLIENT}&serviceId={}",
        SERVICE.replace('#', "%23")
    )
}

fn checkout_body() -> Value {
    serde_json::json!({
        "srcClientId": CLIENT,
        "serviceId": SERVICE,
        "srcCorrelationId": CORRELATION,
        "srcDigitalCardId": CARD,
        "dpaTransactionOptions": {
            "transactionAmount": { "transactionAmount": 12.5, "transactionCurrencyCode": "EUR" },
            "paymentOptions": [{ "dynamicDataType": "CARD_APPLICATION_CRYPTOGRAM_SHORT_FORM" }],
        },
    })
}

/// Opens what is encrypted to the merchant.
fn opened(token: &Value) -> Option<Value> {
    // Loading checks the keys, which takes longer than all that is opened.
    static KEYRING: OnceLock<Keyring> = OnceLock::new();
    let load = || Keyring::load(&keys(), OpenPolicy::default()).unwrap();
    let plaintext = KEYRING
        .get_or_init(load)
        .open(token.as_str().unwrap(), None)
        .ok()?;
    Some(json::parse(&plaintext).unwrap())
}

#[track_caller]
fn wait_until(what: &str, is_so: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !is_so() {
        assert!(Instant::now() < deadline, "waited too long until {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}
