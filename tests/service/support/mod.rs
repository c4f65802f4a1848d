//! One spawn helper: a real service on free ports with a database of its own.

pub mod api;
pub mod audit;
pub mod browser;
pub mod build;
pub mod calls;
pub mod certificates;
pub mod cluster;
pub mod commands;
pub mod console;
pub mod database;
pub mod disk;
pub mod disk_trace;
pub mod every_status;
pub mod guide;
pub mod http;
pub mod issuer;
pub mod key_folder;
pub mod kill_points;
pub mod leaks;
pub mod marked;
pub mod network;
pub mod oracle;
pub mod postgres_proxy;
pub mod random;
pub mod raw;
pub mod rebuilt;
pub mod sealed;
pub mod serve;
pub mod slow_storage;
pub mod sql;
pub mod stage;
pub mod strace;
pub mod tls;
pub mod watched;

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;
use tokenkeep::api::access::{AccessRole, digest, new_key};
use tokenkeep::commands::Service;
use tokenkeep::domain::{CardId, Cryptogram, CryptogramState};
use tokenkeep::settings::Settings;
use tokenkeep::store::{
    ApiKey, CardRow, JobView, NotificationFilter, NotificationView, Store, StoredCryptogram,
};
use tokenkeep::telemetry::Clock;

pub use database::{Backend, TestDatabase};
pub use http::{Answer, Client};

/// 2026-07-20T10:00:00Z: when tests begin, unless they say otherwise.
pub const START: i64 = 1_784_541_600_000;

/// Whether tests that take their time run to their full length (`tests/chaos`) and not for seconds.
pub fn is_full() -> bool {
    std::env::var_os("TOKENKEEP_TEST_FULL").is_some_and(|value| value == "1")
}

/// How much longer than its bound something may take where tests share a busy machine; where they run to their
/// full length the machine is theirs, and the bound is exact. What is wrong takes longer than both together.
pub fn slack() -> Duration {
    Duration::from_secs(if is_full() { 0 } else { 5 })
}

/// The repository's demonstration keys.
pub fn keys() -> std::path::PathBuf {
    std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("keys")
}

/// A running service.
pub struct App {
    pub database: TestDatabase,
    pub client: Client,
    /// Milliseconds since 1970, as the service sees it.
    pub clock: Arc<AtomicI64>,
    pub settings: Settings,
    ops: String,
    app: String,
    service: Option<Service>,
}

impl App {
    pub fn spawn(backend: Backend) -> Self {
        Self::spawn_with(backend, |_| {})
    }

    /// Spawns with changed settings.
    pub fn spawn_with(backend: Backend, change: impl FnOnce(&mut Settings)) -> Self {
        let database = TestDatabase::new(backend);
        let mut settings = Settings::defaults().unwrap();
        settings.listen = "127.0.0.1:0".to_owned();
        settings.api_listen = "127.0.0.1:0".to_owned();
        settings.database_url = database.url();
        settings.keys = keys();
        // A test's clock is its own.
        (settings.clock.warn_beyond, settings.clock.refuse_beyond) = (0, 0);
        change(&mut settings);
        let mut app = Self {
            database,
            client: Client::new(),
            clock: Arc::new(AtomicI64::new(START)),
            settings,
            ops: String::new(),
            app: String::new(),
            service: None,
        };
        app.start();
        app.ops = app.new_key(AccessRole::Ops, "ops");
        app.app = app.new_key(AccessRole::App, "app");
        app
    }

    /// Starts the service (again) on the same database.
    pub fn start(&mut self) {
        let time = self.clock.clone();
        self.start_with(Clock::from_fn(move || time.load(Ordering::SeqCst)));
    }

    /// The same with a clock of the test's own.
    pub fn start_with(&mut self, clock: Clock) {
        self.service = Some(Service::start(&self.settings, clock).unwrap());
    }

    pub fn stop(&mut self) {
        if let (Some(service), false) = (&self.service, std::thread::panicking()) {
            let url = format!("http://{}/metrics", service.api);
            if let Ok(told) = self.client.try_get(&url, &self.ops) {
                leaks::keep("metrics", told.text.as_bytes());
                assert_listed(&told.text);
            }
        }
        self.stop_at_once();
    }

    /// The same without a last look at its metrics, which may have to wait for the database.
    pub fn stop_at_once(&mut self) {
        if let Some(service) = self.service.take() {
            service.stop().unwrap();
        }
    }

    pub fn service(&self) -> &Service {
        self.service.as_ref().unwrap()
    }

    pub fn store(&self) -> &Store {
        &self.service().store
    }

    /// Moves the service's clock on.
    pub fn advance(&self, milliseconds: i64) {
        self.clock.fetch_add(milliseconds, Ordering::SeqCst);
    }

    pub fn new_key(&self, role: AccessRole, name: &str) -> String {
        let key = new_key(role).unwrap();
        leaks::look_for(&key);
        let kept = ApiKey {
            name: name.to_owned(),
            role: role.name().to_owned(),
            digest: digest(&key),
            created_at: START,
            revoked_at: None,
        };
        self.store().write(|tx| tx.insert_api_key(&kept)).unwrap();
        key
    }

    /// The public listener.
    pub fn public(&self) -> std::net::SocketAddr {
        self.service().public.unwrap()
    }

    /// URL of the notification path.
    pub fn receiver_url(&self) -> String {
        format!(
            "http://{}/notifications/card",
            self.service().public.unwrap()
        )
    }

    pub fn api_url(&self, path: &str) -> String {
        format!("http://{}{path}", self.service().api)
    }

    /// Sends a notification body as Mastercard would.
    pub fn notify(&self, body: &Value) -> Answer {
        self.client.post(&self.receiver_url(), &body.to_string())
    }

    /// Sends a body that must be kept, and waits until it is decided.
    pub fn deliver(&self, body: &Value) {
        let answer = self.notify(body);
        assert_eq!(answer.status, 204, "{}", answer.text);
        self.settle();
    }

    /// Waits until nothing waits to be decided.
    pub fn settle(&self) {
        wait_until("nothing waits to be decided", || {
            self.store()
                .read(|tx| tx.count_waiting())
                .is_ok_and(|waiting| waiting == 0)
        });
    }

    pub fn get(&self, path: &str) -> Answer {
        let answer = self.client.get(&self.api_url(path), &self.ops);
        leaks::keep("answers", answer.text.as_bytes());
        answer
    }

    pub fn put(&self, path: &str, body: &Value) -> Answer {
        self.client
            .put(&self.api_url(path), &self.app, &body.to_string())
    }

    /// The card as stored, if it is known.
    pub fn card(&self, id: &str) -> Option<CardRow> {
        let id = CardId::parse(id).unwrap();
        self.store().read(|tx| tx.card(&id)).unwrap()
    }

    /// Stores a cryptogram for the number a card has, as if Checkout had just given it.
    pub fn store_cryptogram(&self, card: &str) {
        let id = CardId::parse(card).unwrap();
        let value = Cryptogram::new(crate::canaries::CRYPTOGRAM.to_owned());
        let stored = self.store().write(|tx| {
            tx.lock_cards(&[id.clone()].into())?;
            let mut row = tx.card(&id)?.unwrap();
            row.card.cryptogram = Some(CryptogramState::Stored);
            tx.save_card(&row.card, row.program, START)?;
            let new = StoredCryptogram {
                number_version: row.card.number_version,
                value: &value,
                data_type: "CARD_APPLICATION_CRYPTOGRAM_SHORT_FORM",
                expires_at: START + 3_600_000,
            };
            tx.put_cryptogram(&id, &new, START)
        });
        stored.unwrap();
    }

    pub fn jobs(&self, id: &str) -> Vec<JobView> {
        let id = CardId::parse(id).unwrap();
        self.store().read(|tx| tx.jobs_of_card(&id)).unwrap()
    }

    /// The calls for a cryptogram that wait.
    pub fn due_cryptograms(&self, id: &str) -> Vec<i32> {
        let waiting = self.jobs(id).into_iter();
        let waiting = waiting.filter(|job| job.kind == "cryptogram" && job.state == "waiting");
        waiting.filter_map(|job| job.number_version).collect()
    }

    /// The items of a card, in the order of their arrival.
    pub fn notifications(&self, card: &str) -> Vec<NotificationView> {
        let filter = NotificationFilter {
            card_id: Some(card.to_owned()),
            limit: 100_000,
            ..NotificationFilter::default()
        };
        let mut items = self
            .store()
            .read(|tx| tx.list_notifications(&filter))
            .unwrap();
        items.reverse();
        items
    }

    /// The verdicts of a card's items, in the order of their arrival.
    pub fn verdicts(&self, card: &str) -> Vec<String> {
        let items = self.notifications(card).into_iter();
        let word = |item: NotificationView| match item.hold {
            Some(hold) => format!("{}({hold})", item.verdict),
            None => item.verdict,
        };
        items.map(word).collect()
    }
}

impl Drop for App {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Fails if a label has a value that is not in its list: whatever a test brought about is described.
fn assert_listed(metrics: &str) {
    let of = [
        "cause", "check", "hold", "kind", "outcome", "state", "verdict",
    ];
    let unlisted = of.map(|label| format!("{label}=\"other\""));
    let is_there = unlisted.iter().any(|pair| metrics.contains(pair));
    assert!(!is_there, "{metrics}");
}

/// Sets a flag when dropped: threads that look at it end also where a check fails.
pub struct SetOnDrop<'a>(pub &'a std::sync::atomic::AtomicBool);

impl Drop for SetOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// Polls until `done`, for a minute at most: only what never comes fails.
pub fn wait_until(what: &str, mut done: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !done() {
        assert!(Instant::now() < deadline, "not in time: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}
