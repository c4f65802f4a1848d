//! The other side, the client under test, and signed answers.

mod recorder;
mod signed;

use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock};

use tempfile::TempDir;

pub use recorder::{Heard, Recorder, answer, ok};
pub use signed::{KID, Parts, checkout_answer, jwks, jwks_of, signed_with};

use crate::domain::{CardId, WireForm};
use crate::jose::{Keyring, OpenPolicy};
use crate::mastercard::{CheckoutAnswer, CheckoutRequest, Client};
use crate::settings::{CheckoutSettings, ConnectionSettings, KindSettings, ProgramSettings};
use crate::telemetry::Clock;
use crate::upstream::CallFailure;

/// 20 July 2026, 10:00 UTC, in milliseconds.
pub const NOW: i64 = 1_784_541_600_000;
pub const CARD: &str = "9ajNArkAR66zqYyHCn0rCA000000000000US";
pub const SERVICE_ID: &str = "SECURE_COF_MERCHANT#START_COF-UPN2#01";
pub const CLIENT_ID: &str = "6aff5cba-3aac-4fe0-b0cd-a52fc948d0c6";
pub const CONSUMER_KEY: &str = "L8BsiV1H-2eFJpM_3dx!1a2b";

/// A client of the other side; its key folder lasts as long.
pub struct Shop {
    pub client: Client,
    _keys: TempDir,
}

/// A program whose APIs are at `address`; `more` are further settings of it.
pub fn shop(address: &str, more: &str) -> Shop {
    let keys = key_folder();
    let client = client(address, more, &keys);
    Shop {
        client,
        _keys: keys,
    }
}

pub fn client(address: &str, more: &str, keys: &TempDir) -> Client {
    let (connection, settings) = settings(address, more);
    let (wire, clock) = (WireForm::default(), Clock::from_fn(|| NOW));
    Client::new("shop", &connection, &settings, keys.path(), wire, clock).unwrap()
}

pub fn settings(address: &str, more: &str) -> (ConnectionSettings, CheckoutSettings) {
    let text = format!(
        "kind = \"mastercard-checkout\"\nbase_url = \"{address}/src\"\nsrc_client_id = \"{CLIENT_ID}\"\n\
         service_id = \"{SERVICE_ID}\"\nconsumer_key = \"{CONSUMER_KEY}\"\n\
         signing_key = \"signing/shop.pem\"\n{more}"
    );
    let program: ProgramSettings = toml::from_str(&text).unwrap();
    match program.kind {
        KindSettings::MastercardCheckout(settings) => (program.connection, settings),
        _ => unreachable!(),
    }
}

/// A key folder with the signing key of the repository and the key set under which answers are signed.
pub fn key_folder() -> TempDir {
    let keys = tempfile::tempdir().unwrap();
    for folder in ["signing", "verification"] {
        std::fs::create_dir(keys.path().join(folder)).unwrap();
    }
    let signing = include_bytes!("../../../../keys/signing/demo-signing.pem");
    std::fs::write(keys.path().join("signing/shop.pem"), signing).unwrap();
    std::fs::write(keys.path().join("verification/set.json"), jwks(KID)).unwrap();
    keys
}

/// The payload keys of the repository, loaded once: their checks take time.
pub fn keyring() -> &'static Keyring {
    static KEYS: OnceLock<Keyring> = OnceLock::new();
    KEYS.get_or_init(|| Keyring::load(&repository("keys"), OpenPolicy::default()).unwrap())
}

pub fn repository(path: &str) -> PathBuf {
    std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

pub fn card() -> CardId {
    CardId::parse(CARD).unwrap()
}

pub fn checkout_request() -> CheckoutRequest {
    CheckoutRequest {
        card_id: card(),
        amount: None,
        flow_id: None,
    }
}

type Change = Box<dyn Fn(&mut Parts) + Send>;

/// A shop whose every Checkout answer is right but for one change.
pub struct Changing {
    shop: Shop,
    change: Arc<Mutex<Change>>,
}

impl Changing {
    pub fn start() -> Self {
        let change: Arc<Mutex<Change>> = Arc::new(Mutex::new(Box::new(|_| ())));
        let current = Arc::clone(&change);
        let other = Recorder::start(move |request| {
            ok(&checkout_answer(request, &*current.lock().unwrap()))
        });
        let shop = shop(&other.address(), "");
        Self { shop, change }
    }

    /// Checks out once, with this change in the answer.
    pub fn checkout(
        &self,
        change: impl Fn(&mut Parts) + Send + 'static,
    ) -> Result<CheckoutAnswer, CallFailure> {
        *self.change.lock().unwrap() = Box::new(change);
        self.shop.client.checkout(&checkout_request(), keyring())
    }

    /// The reason for which the answer with this change is refused; none if it is believed.
    pub fn refusal(&self, change: impl Fn(&mut Parts) + Send + 'static) -> Option<String> {
        let answer = self.checkout(change);
        answer.err().map(|failure| failure.reason)
    }
}

/// Puts a value where the names lead to.
pub fn put(place: &mut serde_json::Value, path: &[&str], value: &serde_json::Value) {
    match path {
        [name, rest @ ..] => put(&mut place[*name], rest, value),
        [] => *place = value.clone(),
    }
}
