//! An issuer's client, and the other side's private key.

use std::fs;
use std::sync::OnceLock;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::domain::{CardId, ProgramToken, TokenReading};
use crate::jose::{Keyring, OpenPolicy, UnknownKid, encrypt};
use crate::mastercard::processing::Client;
use crate::mastercard::tests::support::{CONSUMER_KEY, NOW, Recorder, keyring, ok, repository};
use crate::settings::{ConnectionSettings, KindSettings, ProcessingSettings, ProgramSettings};
use crate::telemetry::Clock;
use crate::upstream::{CallFailure, ClientError};

pub const NUMBER: &str = "5598765432109876";
pub const CONTRACT: &str = "70001";
pub const RECIPIENT: &str = "demo-payload-2026";

pub fn settings(address: &str, more: &str) -> (ConnectionSettings, ProcessingSettings) {
    let text = format!(
        "kind = \"mastercard-processing\"\nbase_url = \"{address}/digital\"\n\
         consumer_key = \"{CONSUMER_KEY}\"\nsigning_key = \"signing/issuer.pem\"\n\
         encryption_key = \"encryption/issuer.pem\"\n{more}"
    );
    let program: ProgramSettings = toml::from_str(&text).unwrap();
    match program.kind {
        KindSettings::MastercardProcessing(settings) => (program.connection, settings),
        _ => unreachable!(),
    }
}

/// A key folder with the signing key of the repository and the sandbox's key to encrypt to.
pub fn key_folder() -> TempDir {
    let keys = tempfile::tempdir().unwrap();
    for (from, to) in [
        ("signing/demo-signing.pem", "signing/issuer.pem"),
        ("encryption/sandbox.pem", "encryption/issuer.pem"),
    ] {
        let to = keys.path().join(to);
        fs::create_dir(to.parent().unwrap()).unwrap();
        fs::copy(repository("keys").join(from), to).unwrap();
    }
    keys
}

pub fn made(
    keys: &TempDir,
    (connection, settings): &(ConnectionSettings, ProcessingSettings),
) -> Result<Client, ClientError> {
    let clock = Clock::from_fn(|| NOW);
    Client::new("issuer", connection, settings, keys.path(), clock)
}

/// A client of the other side with these further settings; its keys are read when it is made.
pub fn issuer(other: &Recorder, more: &str) -> Client {
    made(&key_folder(), &settings(&other.address(), more)).unwrap()
}

pub fn contract() -> CardId {
    CardId::parse(CONTRACT).unwrap()
}

pub fn number() -> ProgramToken {
    ProgramToken::parse(NUMBER).unwrap()
}

/// Opens what is encrypted to the sandbox, whatever kid it names.
pub fn others_keyring() -> &'static Keyring {
    static KEYS: OnceLock<Keyring> = OnceLock::new();
    KEYS.get_or_init(|| {
        let keys = tempfile::tempdir().unwrap();
        fs::create_dir(keys.path().join("payload")).unwrap();
        let private = repository("src/sandbox/keys/payload-encryption.pem");
        fs::copy(private, keys.path().join("payload/other.pem")).unwrap();
        let policy = OpenPolicy {
            unknown_kid: UnknownKid::TryAll,
            ..OpenPolicy::default()
        };
        Keyring::load(keys.path(), policy).unwrap()
    })
}

/// A token as the other side tells of it.
pub fn element() -> Value {
    json!({
        "cardContractId": 70001, "cardContractNumber": "535585______6188", "clientId": 40000,
        "clientShortName": "John Smith", "deviceType": "21", "tokenCreationDate": "2021-02-15T20:58:39Z",
        "tokenExpiryDate": "2402", "tokenNumber": NUMBER, "tokenRequestorId": "50120834693",
        "tokenStatus": "Active", "tokenType": "C", "walletName": "Google Pay",
    })
}

/// A payload encrypted to us, in the field in which it comes.
pub fn sealed(payload: &Value, field: &str) -> String {
    let key = fs::read(repository(&format!("keys/payload/{RECIPIENT}.pem"))).unwrap();
    let payload = payload.to_string();
    let token = encrypt(payload.as_bytes(), &key, Some(RECIPIENT), "A256GCM", 12).unwrap();
    json!({ field: token }).to_string()
}

/// The one token, from an answer with this body.
pub fn read(body: &str, more: &str) -> Result<TokenReading, CallFailure> {
    let body = body.to_owned();
    let other = Recorder::start(move |_| ok(&body));
    issuer(&other, more).token(&number(), keyring())
}

/// The tokens of a card, from an answer with this body.
pub fn list(body: &str, more: &str) -> Result<Vec<TokenReading>, CallFailure> {
    let body = body.to_owned();
    let other = Recorder::start(move |_| ok(&body));
    issuer(&other, more).tokens_of_card(&contract(), keyring())
}
