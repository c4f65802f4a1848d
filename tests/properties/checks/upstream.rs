//! What the other sides answer: read by the clients themselves, over HTTP on this machine.

mod other_side;

use std::sync::{Mutex, OnceLock, PoisonError};

use serde_json::{Map, Value, json};
use tokenkeep::alliance;
use tokenkeep::domain::{
    CardId, MaskedFields, ProgramToken, TokenCommand, TokenReading, TokenStatus, WireForm,
};
use tokenkeep::jose::{JwsSigner, VerificationKeys, encrypt};
use tokenkeep::mastercard::{CheckoutRequest, Client, DeleteRequest, ErrorBody, processing};
use tokenkeep::settings::{KindSettings, ProgramSettings};
use tokenkeep::telemetry::Clock;
use tokenkeep::upstream::CallFailure;

use super::{KID, NOW, assert_no_number, keyring, recipient, repository};
use other_side::OtherSide;

const CARD: &str = "9ajNArkAR66zqYyHCn0rCA000000000000US";
const STATUSES: [u16; 8] = [200, 202, 400, 401, 404, 429, 500, 503];

/// The first byte chooses the call, the second the HTTP status; the rest is the answer's body, or what is
/// encrypted or signed in it.
pub fn check(bytes: &[u8]) {
    let [call, status, body @ ..] = bytes else {
        return;
    };
    let status = STATUSES[usize::from(*status) % STATUSES.len()];
    // One at a time: there is one other side.
    static CLIENTS: OnceLock<Mutex<Clients>> = OnceLock::new();
    let clients = CLIENTS.get_or_init(|| Mutex::new(Clients::new()));
    let clients = clients.lock().unwrap_or_else(PoisonError::into_inner);
    match call % 10 {
        0 => error_body(body),
        1 => clients.get_card(status, body),
        2 => clients.delete_card(status, body),
        3 => clients.checkout(status, body.to_vec()),
        4 => clients.checkout(status, clients.signed_checkout(body)),
        5 => clients.transactions(status, body),
        6 => clients.processing(status, body.to_vec()),
        7 => clients.processing(status, sealed("encryptedData", body)),
        8 => clients.alliance(status, body.to_vec()),
        _ => clients.alliance(status, signed(&clients.bank_signer, body)),
    }
}

fn error_body(body: &[u8]) {
    let read = ErrorBody::parse(body);
    for word in [read.reason, read.detail].into_iter().flatten() {
        assert!((1..=64).contains(&word.len()));
        assert_no_number(&word);
    }
}

/// Nothing of the answer but harmless words is in a failure.
fn assert_tells_no_number(failure: &CallFailure) {
    assert!(failure.reason.len() <= 129);
    assert_no_number(&failure.reason);
    assert_eq!(failure.to_string(), failure.reason);
}

fn failure_of<T>(outcome: Result<T, CallFailure>) -> Option<T> {
    outcome
        .inspect_err(assert_tells_no_number)
        .ok()
}

struct Clients {
    other: OtherSide,
    checkout: Client,
    issuer: processing::Client,
    bank: alliance::Client,
    mastercard_signer: (JwsSigner, String),
    bank_signer: (JwsSigner, String),
}

impl Clients {
    fn new() -> Self {
        let other = OtherSide::start();
        let keys = repository("keys");
        let clock = || Clock::from_fn(|| NOW);
        let made = |kind: &str, more: &str| program(kind, &other.address(), more);
        let checkout = "src_client_id = \"c\"\nservice_id = \"s\"\nget_card_token = true\n\
                        consumer_key = \"k\"\nsigning_key = \"signing/demo-signing.pem\"";
        let (connection, settings) = made("mastercard-checkout", checkout);
        let KindSettings::MastercardCheckout(settings) = settings else {
            unreachable!()
        };
        let wire = WireForm::default();
        let checkout = Client::new("shop", &connection, &settings, &keys, wire, clock());
        let issuer = "consumer_key = \"k\"\nsigning_key = \"signing/demo-signing.pem\"\n\
                      encryption_key = \"encryption/sandbox.pem\"";
        let (connection, settings) = made("mastercard-processing", issuer);
        let KindSettings::MastercardProcessing(settings) = settings else {
            unreachable!()
        };
        let issuer = processing::Client::new("issuer", &connection, &settings, &keys, clock());
        let bank = "kid = \"k\"\nsigning_key = \"signing/demo-alliance.pem\"\n\
                    verification_keys = \"verification/alliance/sandbox.json\"";
        let (connection, settings) = made("alliance", bank);
        let KindSettings::Alliance(settings) = settings else {
            unreachable!()
        };
        let bank = alliance::Client::new("bank", &connection, &settings, &keys, clock());
        Self {
            checkout: checkout.unwrap(),
            issuer: issuer.unwrap(),
            bank: bank.unwrap(),
            mastercard_signer: signer("payload-verification.pem", "sandbox.json"),
            bank_signer: signer("alliance-answers.pem", "alliance/sandbox.json"),
            other,
        }
    }

    fn get_card(&self, status: u16, body: &[u8]) {
        self.other.answers(status, body.to_vec());
        if let Some(answer) = failure_of(self.checkout.get_card(&card(), keyring())) {
            assert_masked(&answer.masked);
        }
    }

    fn delete_card(&self, status: u16, body: &[u8]) {
        self.other.answers(status, body.to_vec());
        let request = DeleteRequest {
            card_id: card(),
            reason: None,
            requestor: None,
            flow_id: None,
        };
        failure_of(self.checkout.delete_card(&request));
    }

    fn checkout(&self, status: u16, body: Vec<u8>) {
        self.other.answers(status, body);
        let request = CheckoutRequest {
            card_id: card(),
            amount: None,
            flow_id: None,
        };
        if let Some(answer) = failure_of(self.checkout.checkout(&request, keyring())) {
            assert_masked(&answer.masked);
            assert!(answer.cryptogram_expires_at.is_none_or(|at| at > NOW));
        }
    }

    /// The answer to the request that is about to be made, with this text encrypted in it.
    fn signed_checkout(&self, plaintext: &[u8]) -> Vec<u8> {
        let token = encrypt(plaintext, recipient(), Some(KID), "A256GCM", 12).unwrap();
        let payload = json!({
            "srcCorrelationId": other_side::CORRELATION_ID,
            "maskedCard": { "srcDigitalCardId": CARD }, "encryptedPayload": token,
        });
        // Signed by the other side once it knows the id.
        let (signer, kid) = &self.mastercard_signer;
        self.other.signs_by(signer.clone_for(kid));
        payload.to_string().into_bytes()
    }

    fn transactions(&self, status: u16, body: &[u8]) {
        self.other.answers(status, body.to_vec());
        failure_of(self.checkout.transactions(&card(), None));
    }

    fn processing(&self, status: u16, body: Vec<u8>) {
        self.other.answers(status, body);
        let number = ProgramToken::parse("5598765432109876").unwrap();
        let one = failure_of(self.issuer.token(&number, keyring()));
        let list = failure_of(self.issuer.tokens_of_card(&card(), keyring()));
        for reading in one.into_iter().chain(list.into_iter().flatten()) {
            assert_reading(&reading);
        }
        let command = TokenCommand::Suspend;
        failure_of(self.issuer.set_token_status(&card(), Some(&number), command));
    }

    fn alliance(&self, status: u16, body: Vec<u8>) {
        self.other.answers(status, body);
        let token = ProgramToken::parse("-s9UCfCNN0YMk4ZOyZX8pWAt").unwrap();
        failure_of(self.bank.update_state(&token, TokenCommand::Suspend));
        let one = failure_of(self.bank.get_token(&token));
        let list = failure_of(self.bank.list_tokens("customer-17"));
        for reading in one.into_iter().chain(list.into_iter().flatten()) {
            assert_reading(&reading);
        }
    }
}
