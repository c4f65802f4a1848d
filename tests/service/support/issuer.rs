//! A shop that has two more programs at its sandbox: `issuer`, whose cards have tokens of their own,
//! and `bank`, whose cards are their one token.

use serde_json::{Value, json};
use tokenkeep::domain::{CardId, Job, JobKind, TokenStatus};
use tokenkeep::sandbox::Sandbox;
use tokenkeep::settings::ProgramSettings;

use super::Backend;
use super::api::Ask;
use super::calls::{MINUTE, Shop};
use super::raw::Reply;

/// The contract, the client and the numbers that the sandbox begins with, as Mastercard publishes them.
pub const CONTRACT: &str = "70001";
pub const CLIENT: &str = "40000";
pub const NUMBER: &str = "5598765432109876";
pub const OTHER_NUMBER: &str = "5598765432102345";
/// A contract whose only token is deactivated.
pub const DEAD_CONTRACT: &str = "90001";
/// Whose card of the published contract it is here.
pub const CONSUMER: &str = "consumer-7";

/// A card of the bank, and its token: one that begins with a hyphen.
pub const BANK_CARD: &str = "bank-card";
pub const BANK_TOKEN: &str = "-s9UCfCNN0YMk4ZOyZX8pWAt";

/// The settings of the two programs, with more settings of both.
pub fn programs(sandbox: &Sandbox, more: &Value) -> [(String, Value); 2] {
    let issuer = json!({
        "kind": "mastercard-processing",
        "base_url": sandbox.processing_url(),
        "consumer_key": "demo-consumer",
        "signing_key": "signing/demo-signing.pem",
        "encryption_key": "encryption/sandbox.pem",
        "rate": 1000,
    });
    let bank = json!({
        "kind": "alliance",
        "base_url": sandbox.alliance_url(),
        "kid": "6f1f1f9e-0f0b-4d57-9c65-3b5b0f4f7d11",
        "signing_key": "signing/demo-alliance.pem",
        "verification_keys": "verification/alliance/sandbox.json",
        "not_found_codes": ["b_token_not_found"],
        "rate": 1000,
    });
    [("issuer", issuer), ("bank", bank)].map(|(name, mut program)| {
        for (name, value) in more.as_object().unwrap() {
            program[name] = value.clone();
        }
        (name.to_owned(), program)
    })
}

impl Shop {
    pub fn with_tokens(backend: Backend) -> Self {
        Self::with_tokens_and(backend, &json!({}))
    }

    /// The same with more settings of both programs.
    pub fn with_tokens_and(backend: Backend, more: &Value) -> Self {
        let mut shop = Self::open(backend);
        shop.app.stop();
        for (name, program) in programs(&shop.sandbox, more) {
            let program: ProgramSettings = serde_json::from_value(program).unwrap();
            shop.app.settings.programs.insert(name, program);
        }
        shop.app.start();
        shop
    }

    /// A shop where the published contract is registered, and its tokens are read.
    pub fn with_contract(backend: Backend) -> Self {
        let shop = Self::with_tokens(backend);
        let registration = json!({ "program": "issuer", "consumerReference": CONSUMER });
        shop.register(CONTRACT, &registration);
        assert_eq!(shop.tokens(CONTRACT), ["2345 ACTIVE", "9876 ACTIVE"]);
        shop
    }

    /// The same with the bank's card.
    pub fn with_both(backend: Backend) -> Self {
        let shop = Self::with_contract(backend);
        let token = json!({ "paymentToken": BANK_TOKEN });
        shop.register(BANK_CARD, &json!({ "program": "bank", "token": token }));
        shop
    }

    /// Starts the service again: what is looked at from time to time is looked at then.
    pub fn restart(&mut self) {
        self.app.stop();
        self.app.start();
    }

    /// Sends to a card's path as the merchant's app.
    pub fn send_app(&self, method: &str, below: &str, body: &Value) -> Reply {
        let path = format!("/v1/cards/{below}");
        let text = match body {
            Value::Null => String::new(),
            body => body.to_string(),
        };
        self.app.send(method, &path, &self.app.app, &text)
    }

    /// Registers a new card, and waits until its tokens are read.
    pub fn register(&self, card: &str, registration: &Value) {
        let reply = self.send_app("PUT", card, registration);
        assert_eq!(reply.status, 201, "{card}: {}", reply.body);
        self.settle();
    }

    /// Gives a command for one token, or for all of the card.
    pub fn command(&self, card: &str, command: &str, token: Option<&str>) -> Reply {
        let body = json!({ "tokenStatus": command, "tokenNumber": token });
        self.send_app("PUT", &format!("{card}/token-status"), &body)
    }

    /// The same under an `Idempotency-Key`.
    pub fn command_once(&self, card: &str, command: &str, idempotency: &str) -> Reply {
        self.app.ask(&Ask {
            method: "PUT",
            path: &format!("/v1/cards/{card}/token-status"),
            key: &self.app.app,
            headers: &[&format!("Idempotency-Key: {idempotency}")],
            body: &json!({ "tokenStatus": command }).to_string(),
        })
    }

    /// Gives a command a minute later, which must be taken; it has not been carried out yet.
    pub fn give(&self, card: &str, command: &str, token: Option<&str>) -> Value {
        self.advance(MINUTE);
        let reply = self.command(card, command, token);
        assert_eq!(reply.status, 202, "{card} {command}: {}", reply.body);
        reply.json()
    }

    /// The issuer tells a contract status.
    pub fn contract_status(&self, card: &str, code: &str) -> Reply {
        let body = json!({ "contractStatus": code });
        self.send_app("PUT", &format!("{card}/contract-status"), &body)
    }

    /// Asks a minute later what the program knows of a card's tokens, without waiting for the answer.
    pub fn ask_for_tokens(&self, card: &str) {
        self.advance(MINUTE);
        let (id, now) = (CardId::parse(card).unwrap(), self.now());
        let job = Job {
            kind: JobKind::ReadTokens,
            not_before: now,
        };
        let queued = (self.app.store()).write(|tx| tx.queue_job(&id, &job, None, now));
        queued.unwrap();
    }

    /// The same, and waits for the answer.
    pub fn read_tokens(&self, card: &str) {
        self.ask_for_tokens(card);
        self.settle();
    }

    /// The last four characters and the status of each of a card's tokens, sorted.
    pub fn tokens(&self, card: &str) -> Vec<String> {
        let tokens = self.app.card(card).unwrap().card.tokens;
        let shown = |token: &tokenkeep::domain::CardToken| {
            let status = token.status().map_or("unknown", TokenStatus::word);
            format!("{} {status}", token.last_four)
        };
        let mut tokens = Vec::from_iter(tokens.iter().map(shown));
        tokens.sort();
        tokens
    }

    /// The last four characters of a card's tokens that wait to be linked to another one.
    pub fn relinking(&self, card: &str) -> Vec<String> {
        let tokens = self.app.card(card).unwrap().card.tokens.into_iter();
        let marked = tokens.filter(|token| token.relinking_since.is_some());
        marked.map(|token| token.last_four).collect()
    }

    /// What was asked for at the issuer's processor since the call of that number: paths below its
    /// address.
    pub fn asked_since(&self, number: usize) -> Vec<String> {
        let calls = self.sandbox.calls().into_iter().skip(number);
        let below = |path: String| {
            let below = path.strip_prefix("/global-processing/digital");
            below.unwrap_or(&path).to_owned()
        };
        calls
            .map(|call| format!("{} {}", call.method, below(call.path_and_query)))
            .collect()
    }

    /// How many calls there have been.
    pub fn all_calls(&self) -> usize {
        self.sandbox.calls().len()
    }

    /// The number of rows that a condition on `card_tokens` holds for.
    pub fn kept_tokens(&self, condition: &str) -> i64 {
        let query = format!("SELECT count(*) AS number FROM card_tokens WHERE {condition}");
        self.app.database.number(&query)
    }
}

/// A file of settings with these two programs.
pub fn settings_file(sandbox: &Sandbox) -> tempfile::NamedTempFile {
    let programs = programs(sandbox, &json!({})).into_iter();
    let programs: serde_json::Map<String, Value> = programs.collect();
    let settings = toml::to_string(&json!({ "programs": programs })).unwrap();
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), settings).unwrap();
    file
}
