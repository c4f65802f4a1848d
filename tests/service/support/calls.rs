//! A merchant whose program `shop` is a sandbox on this machine. Both go by one clock, which stands
//! still until a test moves it on.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokenkeep::api::access::AccessRole;
use tokenkeep::domain::{CardId, CryptogramState};
use tokenkeep::sandbox::{NewCard, Operation, Refresh, Sandbox, SandboxSettings};
use tokenkeep::settings::{ProgramSettings, Settings};
use tokenkeep::store::{JobView, TakenCryptogram};
use tokenkeep::telemetry::Clock;

use super::build::plain;
use super::raw::Reply;
use super::serve::Serve;
use super::{App, Backend, START, TestDatabase, keys};

pub const MINUTE: i64 = 60_000;
pub const HOUR: i64 = 60 * MINUTE;
/// The longest wait between two attempts at a call.
pub const LONGEST_WAIT: i64 = 15 * MINUTE;

/// The service that the sandbox's cards belong to.
pub const SERVICE: &str = "SECURE_COF_MERCHANT#START_COF-UPN2#01";
const CLIENT: &str = "11111111-1111-4111-8111-111111111111";
const SIGNING_KEY: &str = "signing/demo-signing.pem";

/// A service with one program that can be called, and the other side of that program.
pub struct Shop {
    pub app: App,
    pub sandbox: Sandbox,
    /// The clock of the other side; the service's is that of `app`.
    clock: Arc<AtomicI64>,
    merchant: String,
    payments: String,
}

/// A program at this address, with these settings beside what every program needs.
pub fn program(base_url: &str, service_id: &str, more: &Value) -> ProgramSettings {
    let mut program = json!({
        "kind": "mastercard-checkout",
        "base_url": base_url,
        "src_client_id": CLIENT,
        "service_id": service_id,
        "consumer_key": "demo-consumer",
        "signing_key": SIGNING_KEY,
        "rate": 1000,
    });
    for (name, value) in more.as_object().unwrap() {
        program[name] = value.clone();
    }
    serde_json::from_value(program).unwrap()
}

/// A sandbox that goes by this clock.
pub fn sandbox(clock: Clock, change: impl FnOnce(&mut SandboxSettings)) -> Sandbox {
    let mut settings = SandboxSettings::new(keys());
    settings.clock = clock;
    change(&mut settings);
    Sandbox::start(settings).unwrap()
}

/// A `serve` process whose program is the sandbox, with more lines of settings for it.
pub fn serve(database: &TestDatabase, sandbox: &Sandbox, more: &str) -> Serve {
    serve_with(database, sandbox, more, &[])
}

/// The same with more variables in its environment.
pub fn serve_with(
    database: &TestDatabase,
    sandbox: &Sandbox,
    more: &str,
    variables: &[(&str, &str)],
) -> Serve {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("tokenkeep.toml");
    let base_url = sandbox.base_url();
    let settings = format!(
        "[programs.shop]\nkind = \"mastercard-checkout\"\nbase_url = \"{base_url}\"\n\
         src_client_id = \"{CLIENT}\"\nservice_id = \"{SERVICE}\"\n\
         consumer_key = \"demo-consumer\"\nsigning_key = \"{SIGNING_KEY}\"\n{more}"
    );
    std::fs::write(&file, settings).unwrap();
    // It is read before the service listens.
    let mut all = vec![("TOKENKEEP_CONFIG", file.to_str().unwrap())];
    all.extend(variables);
    Serve::start_with(database, &all)
}

/// A clock that stands still until it is set.
pub fn clock_of(time: &Arc<AtomicI64>) -> Clock {
    let time = time.clone();
    Clock::from_fn(move || time.load(Ordering::SeqCst))
}

impl Shop {
    pub fn open(backend: Backend) -> Self {
        Self::open_with(backend, &json!({}), |_| {})
    }

    /// Opens with more settings of the program, and changed settings of the service.
    pub fn open_with(backend: Backend, more: &Value, change: impl FnOnce(&mut Settings)) -> Self {
        let clock = Arc::new(AtomicI64::new(START));
        let sandbox = sandbox(clock_of(&clock), |_| {});
        let shop = program(&sandbox.base_url(), SERVICE, more);
        let app = App::spawn_with(backend, |settings| {
            settings.programs.insert("shop".to_owned(), shop);
            change(settings);
        });
        let merchant = app.new_key(AccessRole::App, "calls-app");
        let payments = app.new_key(AccessRole::Payments, "calls-payments");
        Self {
            app,
            sandbox,
            clock,
            merchant,
            payments,
        }
    }

    /// Moves both clocks on.
    pub fn advance(&self, milliseconds: i64) {
        self.clock.fetch_add(milliseconds, Ordering::SeqCst);
        self.app.advance(milliseconds);
    }

    pub fn now(&self) -> i64 {
        self.app.clock.load(Ordering::SeqCst)
    }

    /// A new card of the other side, of which nothing has been told.
    pub fn new_card(&self, id: &str) {
        let id = Some(id.to_owned());
        let new = NewCard {
            id,
            ..NewCard::default()
        };
        self.sandbox.create_card(new).unwrap();
    }

    /// A card whose token is known here, with a cryptogram from Checkout.
    pub fn card_with_cryptogram(&self, id: &str) {
        self.new_card(id);
        self.app
            .deliver(&self.sandbox.refresh(id, Refresh::Nothing).unwrap());
        self.settle();
        assert!(self.cryptogram(id).is_some(), "{id} has no cryptogram");
    }

    /// The notifications of several changes in one body.
    pub fn together(bodies: &[Value]) -> Value {
        let list = |body: &Value| {
            body["digitalCardUpdateNotifications"]
                .as_array()
                .unwrap()
                .clone()
        };
        plain(&bodies.iter().flat_map(list).collect::<Vec<_>>())
    }

    /// Waits until no call is due and none is under way, long enough for calls that were stopped.
    pub fn settle(&self) {
        self.app.settle();
        let begun = Instant::now();
        while self.open_now() > 0 {
            let time = begun.elapsed();
            assert!(
                time < Duration::from_secs(90),
                "calls are still due or under way"
            );
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Calls that are due or under way, seen at one moment.
    fn open_now(&self) -> i64 {
        self.app.database.number(&format!(
            "SELECT count(*) AS number FROM outbox WHERE state = 'running' \
             OR (state = 'waiting' AND next_at <= {})",
            self.now()
        ))
    }

    /// Waits until so many calls of an operation have come to the other side, in all.
    pub fn wait_for_calls(&self, operation: Operation, count: usize) {
        super::wait_until("the calls come", || {
            self.sandbox.count(operation, None) >= count
        });
    }

    /// The cryptogram that is kept for a card.
    pub fn cryptogram(&self, id: &str) -> Option<TakenCryptogram> {
        kept_cryptogram(&self.app, id)
    }

    /// See [`assert_pair`].
    pub fn assert_pair(&self, id: &str) -> bool {
        assert_pair(&self.app, &self.sandbox, id)
    }

    /// The latest call of a kind for a card.
    pub fn job(&self, id: &str, kind: &str) -> JobView {
        let mut jobs = self.app.jobs(id).into_iter().rev();
        let job = jobs.find(|job| job.kind == kind);
        job.unwrap_or_else(|| panic!("{id} has no {kind}"))
    }

    /// State, HTTP status and reason of the latest call of a kind.
    pub fn ending(&self, id: &str, kind: &str) -> (String, Option<i32>, String) {
        let job = self.job(id, kind);
        let reason = job.last_reason.unwrap_or_default();
        (job.state, job.last_status, reason)
    }

    /// Lets a call be made at once, as an operator does.
    pub fn retry(&self, job: &JobView) -> bool {
        let now = self.now();
        let retried = self.app.store().write(|tx| tx.retry_job(&job.id, now));
        retried.unwrap()
    }

    /// Asks for the card's deletion over the API.
    pub fn delete(&self, id: &str) -> Reply {
        let path = format!("/v1/cards/{id}");
        self.app.send("DELETE", &path, &self.merchant, "")
    }

    /// Asks for credentials over the API.
    pub fn credentials(&self, id: &str, body: &Value) -> Reply {
        let request = self.credentials_request(id, body);
        super::raw::exchange(self.app.service().api, request).expect("an answer")
    }

    /// The bytes of that request, for another process.
    pub fn credentials_request(&self, id: &str, body: &Value) -> String {
        let (key, body) = (&self.payments, body.to_string());
        format!(
            "POST /v1/cards/{id}/credentials HTTP/1.1\r\nHost: test\r\n\
             Authorization: Bearer {key}\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        )
    }

    /// Whether the card may be charged, as the API says.
    pub fn may_charge(&self, id: &str) -> bool {
        let path = format!("/v1/cards/{id}/readiness");
        let reply = self.app.send("GET", &path, &self.payments, "");
        reply.status == 200 && reply.json()["mayCharge"] == Value::Bool(true)
    }

    /// How many calls of an operation came for a card.
    pub fn calls(&self, operation: Operation, id: &str) -> usize {
        self.sandbox.count(operation, Some(id))
    }

    /// Kind and data of the events of a card behind a cursor, once all that are written can be read:
    /// transactions of other tests in the same server hold them up.
    pub fn told(&self, id: &str, cursor: i64) -> Vec<(String, Value)> {
        let mut events = Vec::new();
        super::wait_until("all events can be read", || {
            let read = self.app.store().read(|tx| tx.events_after(cursor, 10_000));
            events = read.unwrap();
            events.last().map_or(cursor, |event| event.sequence) >= self.last_event()
        });
        let of_card = events.into_iter().filter(|event| event.card_id == id);
        of_card.map(|event| (event.kind, event.data)).collect()
    }

    pub fn last_event(&self) -> i64 {
        let query = "SELECT coalesce(max(sequence), 0) AS number FROM events";
        self.app.database.number(query)
    }

    /// The value of a metric, with its labels as they are written.
    pub fn metric(&self, name: &str) -> u64 {
        let text = self.app.get("/metrics").text;
        let of_name = |line: &str| line.strip_prefix(name)?.trim().parse().ok();
        text.lines().find_map(of_name).unwrap_or(0)
    }
}

/// The cryptogram that is kept for a card. Taken out, and that undone, so that it stays.
pub fn kept_cryptogram(app: &App, id: &str) -> Option<TakenCryptogram> {
    let id = CardId::parse(id).unwrap();
    app.store().rehearse(|tx| tx.take_cryptogram(&id)).unwrap()
}

/// The cryptogram that is kept for a card is one that the other side made for the number the card has;
/// where none is kept the card does not say that one is. Returns whether one is kept.
pub fn assert_pair(app: &App, sandbox: &Sandbox, id: &str) -> bool {
    let card = app.card(id).unwrap().card;
    let says = card.cryptogram == Some(CryptogramState::Stored);
    let Some(kept) = kept_cryptogram(app, id) else {
        assert!(!says, "{id}: it says that a cryptogram is kept");
        return false;
    };
    assert!(says, "{id}: a cryptogram is kept that nobody knows of");
    assert_eq!(kept.number_version, card.number_version, "{id}");
    assert_eq!(card.status_word(), Some("ACTIVE"), "{id}");
    let token = card.token.expect("a cryptogram without a token");
    let issued = sandbox.issued(id).into_iter();
    let mut for_number = issued.filter(|issued| issued.number == token.number);
    assert!(
        for_number.any(|issued| issued.cryptogram == kept.value),
        "{id}: the cryptogram is not one of the number's"
    );
    true
}
