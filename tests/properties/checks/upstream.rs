//! What the other sides answer: read by the clients themselves, over HTTP on this machine.

mod other_side;

use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use serde_json::{Map, Value, json};
use tokenkeep::alliance;
use tokenkeep::domain::{
    CardId, MaskedFields, ProgramToken, TokenCommand, TokenReading, WireForm, without_full_numbers,
};
use tokenkeep::jose::{JwsSigner, VerificationKeys, encrypt};
use tokenkeep::mastercard::{CheckoutRequest, Client, DeleteRequest, ErrorBody, processing};
use tokenkeep::settings::{ConnectionSettings, KindSettings, ProgramSettings};
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
        1 => clients.cards(status, body.to_vec()),
        2 => clients.cards(status, sealed_card(body)),
        3 | 4 => clients.checkout(status, body.to_vec()),
        5 => clients.signed_checkout(status, body),
        6 => clients.processing(status, body.to_vec()),
        7 => clients.processing(
            status,
            json!({ "encryptedData": sealed(body) }).to_string().into(),
        ),
        8 => clients.alliance(status, body.to_vec()),
        _ => clients.alliance(status, clients.bank_signer.sign(body).into()),
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

fn believed<T>(outcome: Result<T, CallFailure>) -> Option<T> {
    outcome.inspect_err(assert_tells_no_number).ok()
}

/// What is kept in clear holds no number, but in references, which may by chance.
fn assert_masked(masked: &MaskedFields) {
    let references = [
        "srcPaymentCardId",
        "tokenUniqueReference",
        "paymentAccountReference",
    ];
    for (name, value) in masked {
        if !references.contains(&name.as_str()) {
            assert_eq!(*value, without_full_numbers(value), "{name}");
        }
    }
}

fn assert_reading(reading: &TokenReading) {
    let word = Value::from(reading.status.word());
    assert_eq!(word, without_full_numbers(&word));
    for (name, value) in &reading.details {
        assert_eq!(*value, without_full_numbers(value), "{name}");
    }
}

/// A signer of the sandbox's, with the kid under which the demonstration set has its key.
struct Signer {
    signer: JwsSigner,
    kid: String,
}

impl Signer {
    fn load(key: &str, set: &str) -> Self {
        let pem = std::fs::read(repository("src/sandbox/keys").join(key)).unwrap();
        let set = std::fs::read(repository("keys/verification").join(set)).unwrap();
        let set = VerificationKeys::parse_jwks(&set).unwrap();
        Self {
            signer: JwsSigner::from_pem(&pem, None).unwrap(),
            kid: set.kids().next().unwrap().to_owned(),
        }
    }

    fn sign(&self, payload: &[u8]) -> String {
        let header = Map::from_iter([("kid".to_owned(), Value::from(self.kid.as_str()))]);
        self.signer.sign(header, payload).unwrap()
    }
}

fn sealed(plaintext: &[u8]) -> String {
    encrypt(plaintext, recipient(), Some(KID), "A256GCM", 12).unwrap()
}

fn sealed_card(plaintext: &[u8]) -> Vec<u8> {
    let answer = json!({
        "maskedCard": { "srcDigitalCardId": CARD, "digitalCardData": { "status": "ACTIVE" } },
        "encryptedPaymentData": sealed(plaintext),
    });
    answer.to_string().into()
}

fn card() -> CardId {
    CardId::parse(CARD).unwrap()
}

fn program(kind: &str, address: &str, more: &str) -> (ConnectionSettings, KindSettings) {
    let text = format!("kind = \"{kind}\"\nbase_url = \"{address}/api\"\ntimeout = 10\n{more}");
    let program: ProgramSettings = toml::from_str(&text).unwrap();
    (program.connection, program.kind)
}

struct Clients {
    other: OtherSide,
    checkout: Client,
    issuer: processing::Client,
    bank: alliance::Client,
    mastercard_signer: Arc<Signer>,
    bank_signer: Signer,
}

impl Clients {
    fn new() -> Self {
        let other = OtherSide::start();
        let keys = repository("keys");
        let clock = || Clock::from_fn(|| NOW);
        let made = |kind, more| program(kind, &other.address(), more);
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
            mastercard_signer: Arc::new(Signer::load("payload-verification.pem", "sandbox.json")),
            bank_signer: Signer::load("alliance-answers.pem", "alliance/sandbox.json"),
            other,
        }
    }

    fn cards(&self, status: u16, body: Vec<u8>) {
        self.other.answers(status, move |_| body.clone());
        if let Some(answer) = believed(self.checkout.get_card(&card(), keyring())) {
            assert_masked(&answer.masked);
        }
        let transactions = believed(self.checkout.transactions(&card(), None));
        let transactions = transactions.unwrap_or_default();
        assert_eq!(transactions, without_full_numbers(&transactions));
        let request = DeleteRequest {
            card_id: card(),
            reason: None,
            requestor: None,
            flow_id: None,
        };
        believed(self.checkout.delete_card(&request));
    }

    fn checkout(&self, status: u16, body: Vec<u8>) {
        self.other.answers(status, move |_| body.clone());
        self.ask_for_credentials();
    }

    /// This text encrypted in an otherwise right answer.
    fn signed_checkout(&self, status: u16, plaintext: &[u8]) {
        let (token, signer) = (sealed(plaintext), Arc::clone(&self.mastercard_signer));
        self.other.answers(status, move |request| {
            let request: Value = serde_json::from_slice(request).unwrap();
            let payload = json!({
                "srcCorrelationId": request["srcCorrelationId"],
                "maskedCard": { "srcDigitalCardId": CARD }, "encryptedPayload": token,
            });
            let jws = signer.sign(payload.to_string().as_bytes());
            json!({ "checkoutResponseJWS": jws }).to_string().into()
        });
        self.ask_for_credentials();
    }

    fn ask_for_credentials(&self) {
        let request = CheckoutRequest {
            card_id: card(),
            amount: None,
            flow_id: None,
        };
        if let Some(answer) = believed(self.checkout.checkout(&request, keyring())) {
            assert_masked(&answer.masked);
            assert!(answer.cryptogram_expires_at.is_none_or(|at| at > NOW));
        }
    }

    fn processing(&self, status: u16, body: Vec<u8>) {
        self.other.answers(status, move |_| body.clone());
        let number = ProgramToken::parse("5598765432109876").unwrap();
        let one = believed(self.issuer.token(&number, keyring()));
        let list = believed(self.issuer.tokens_of_card(&card(), keyring()));
        for reading in one.into_iter().chain(list.into_iter().flatten()) {
            assert_reading(&reading);
        }
        let command = TokenCommand::Suspend;
        believed(
            self.issuer
                .set_token_status(&card(), Some(&number), command, keyring()),
        );
    }

    fn alliance(&self, status: u16, body: Vec<u8>) {
        self.other.answers(status, move |_| body.clone());
        let token = ProgramToken::parse("-s9UCfCNN0YMk4ZOyZX8pWAt").unwrap();
        believed(self.bank.update_state(&token, TokenCommand::Suspend));
        let one = believed(self.bank.get_token(&token));
        let list = believed(self.bank.list_tokens("customer-17"));
        for reading in one.into_iter().chain(list.into_iter().flatten()) {
            assert_reading(&reading);
        }
    }
}
