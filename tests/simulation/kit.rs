//! What is made once a thread, because it is dear: keys, clients, an empty database. And the clocks of
//! the seed that runs on it.

use std::fs;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use diesel::connection::SimpleConnection;
use diesel::{Connection, SqliteConnection};
use serde_json::json;
use tempfile::TempDir;
use tokenkeep::dispatcher::ProgramClient;
use tokenkeep::domain::{Policy, WireForm};
use tokenkeep::jose::{JwsSigner, KeyFolder, Keyring, OpenPolicy, StorageKeys};
use tokenkeep::mastercard;
use tokenkeep::settings::{
    DatabaseUrl, DispatcherSettings, KindSettings, OtherSide, ProcessorSettings, ProgramSettings,
    ReceiverSettings, Settings,
};
use tokenkeep::store::Store;
use tokenkeep::telemetry::{Clock, ClockLimits, ClockWatch};

use crate::faults;
use crate::mastercard as other_side;

/// The payload key that the service has from the beginning, and the one that only operators bring.
pub const EARLY: &str = "demo-payload-2026";
pub const LATE: &str = "demo-payload-2025";
pub const PROGRAM: &str = "shop";
/// Processes that share the store.
pub const WORKERS: usize = 2;

pub struct Kit {
    /// Milliseconds since 1970, as the service sees it: it may be set.
    pub wall: Arc<AtomicI64>,
    /// Milliseconds that nobody sets.
    pub running: Arc<AtomicI64>,
    pub keys: Arc<StorageKeys>,
    /// Without the late key.
    pub early: KeyFolder,
    pub all: Arc<Keyring>,
    program: (ProgramSettings, mastercard::Client),
    pub signer: JwsSigner,
    pub payload: [(&'static str, Vec<u8>); 2],
    pub settings: Settings,
    pub processor: ProcessorSettings,
    pub dispatcher: DispatcherSettings,
    database: Vec<u8>,
    folder: TempDir,
}

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn clock_of(time: &Arc<AtomicI64>) -> Clock {
    let time = time.clone();
    Clock::from_fn(move || time.load(Ordering::SeqCst))
}

impl Kit {
    pub fn new() -> Rc<Self> {
        let folder = new_folder();
        let some = folder.path().join("keys");
        copy_keys(&some);
        let keys = Arc::new(StorageKeys::load(&some).unwrap());
        let wall = Arc::new(AtomicI64::new(0));
        let payload = [EARLY, LATE].map(|kid| {
            let file = format!("keys/payload/{kid}.pem");
            (kid, fs::read(repository().join(file)).unwrap())
        });
        let signer = repository().join("src/sandbox/keys/payload-verification.pem");
        let all = Keyring::load(&repository().join("keys"), OpenPolicy::default()).unwrap();
        Rc::new(Self {
            program: program(&some, &clock_of(&wall)),
            early: KeyFolder::load(some.clone(), OpenPolicy::default(), None).unwrap(),
            all: Arc::new(all),
            signer: JwsSigner::from_pem(&fs::read(signer).unwrap(), None).unwrap(),
            payload,
            settings: Settings::defaults().unwrap(),
            processor: serde_json::from_value(json!({
                "batch": 3, "threads": 1, "enc": ["A128GCM"], "unknown_kid": "hold",
                "key_reload": 0,
            }))
            .unwrap(),
            dispatcher: serde_json::from_value(json!({
                "clock_skew": SKEW / 1000, "caller_patience": 10, "cryptogram_lifetime": 24,
                "reconcile_after": 0,
            }))
            .unwrap(),
            database: empty_database(&folder.path().join("empty.db"), &keys),
            running: Arc::new(AtomicI64::new(0)),
            wall,
            keys,
            folder,
        })
    }

    pub fn clock(&self) -> Clock {
        clock_of(&self.wall)
    }

    pub fn steady_clock(&self) -> Clock {
        clock_of(&self.running)
    }

    /// Every setting of the clock is put up with.
    pub fn watch(&self) -> ClockWatch {
        let limits = ClockLimits {
            warn_beyond: 0,
            refuse_beyond: 0,
        };
        ClockWatch::new(self.clock(), self.steady_clock(), limits)
    }

    pub fn receiver(&self) -> &ReceiverSettings {
        &self.settings.receiver
    }

    pub fn policy(&self) -> Policy {
        Policy {
            default_program: Some(PROGRAM.to_owned()),
            ..Policy::default()
        }
    }

    /// The program that is called, with its client.
    pub fn callable(&self) -> (String, ProgramSettings, ProgramClient) {
        let (settings, client) = &self.program;
        let client = ProgramClient::Checkout(client.clone());
        (PROGRAM.to_owned(), settings.clone(), client)
    }

    /// An empty database of a seed's own, in the place of the one before.
    pub fn new_database(&self) -> PathBuf {
        let path = self.folder.path().join("seed.db");
        for name in ["seed.db", "seed.db-wal", "seed.db-shm"] {
            let _ = fs::remove_file(self.folder.path().join(name));
        }
        fs::write(&path, &self.database).unwrap();
        path
    }
}

/// Milliseconds by which answers count earlier than the start of their call.
pub const SKEW: i64 = 30_000;

/// In memory where the system has a file system there. SQLite's own databases in memory will not do: the
/// service insists on WAL mode, which they do not have, and its connections must share one.
fn new_folder() -> TempDir {
    let memory = Path::new("/dev/shm");
    match memory.is_dir() {
        true => tempfile::tempdir_in(memory).unwrap(),
        false => tempfile::tempdir().unwrap(),
    }
}

/// The demonstration keys but for the late one.
fn copy_keys(to: &Path) {
    let from = repository().join("keys");
    for file in [
        "payload/demo-payload-2026.pem",
        "storage/demo-storage.key",
        "signing/demo-signing.pem",
        "verification/sandbox.json",
    ] {
        fs::create_dir_all(to.join(file).parent().unwrap()).unwrap();
        fs::copy(from.join(file), to.join(file)).unwrap();
    }
    let settings = "default = \"demo-payload-2026\"\nstorage = \"demo-storage\"\n";
    fs::write(to.join("keys.toml"), settings).unwrap();
}

fn program(keys: &Path, clock: &Clock) -> (ProgramSettings, mastercard::Client) {
    let mut program: ProgramSettings = serde_json::from_value(json!({
        "kind": "mastercard-checkout",
        "base_url": "http://127.0.0.1:1",
        "src_client_id": "11111111-1111-4111-8111-111111111111",
        "service_id": "SIMULATED#01",
        "consumer_key": "demo-consumer",
        "signing_key": "signing/demo-signing.pem",
        "get_card_token": true,
        "rate": 1000,
        "concurrency": 4,
    }))
    .unwrap();
    program.connection.other_side = Some(OtherSide::from_fn(other_side::answer));
    let KindSettings::MastercardCheckout(checkout) = &program.kind else {
        panic!("it is a program of Checkout");
    };
    let wire = WireForm::default();
    let client = mastercard::Client::new(
        PROGRAM,
        &program.connection,
        checkout,
        keys,
        wire,
        clock.clone(),
    );
    let client = client.unwrap();
    (program, client)
}

/// The bytes of a database with the schema and with what lets statements fail.
fn empty_database(path: &Path, keys: &Arc<StorageKeys>) -> Vec<u8> {
    let url = DatabaseUrl::Sqlite(path.to_owned());
    drop(Store::open(&url, keys.clone()).unwrap());
    let mut connection = SqliteConnection::establish(&path.to_string_lossy()).unwrap();
    let triggers = faults::triggers(&mut connection);
    connection.batch_execute(&triggers).unwrap();
    connection
        .batch_execute("PRAGMA wal_checkpoint(TRUNCATE)")
        .unwrap();
    drop(connection);
    fs::read(path).unwrap()
}
