//! The signed calls of one program.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::answer::Said;
use crate::domain::ProgramToken;
use crate::jose::{JwsAlg, JwsSigner, KeyDescription, KeyError, SignError, key_files};
use crate::settings::{AllianceSettings, ConnectionSettings, TimestampType, TimestampUnit};
use crate::telemetry::Clock;
use crate::upstream::{
    Algorithms, CallFailure, ClientError, Exchange, FailureClass, KeySetFiles, Request,
    Verification,
};

/// Makes the calls of one program. Cheap to clone; all clones share connections and keys.
#[derive(Clone)]
pub struct Client(pub(super) Arc<Bank>);

/// What the calls need.
pub(super) struct Bank {
    program: String,
    pub(super) settings: AllianceSettings,
    base_url: String,
    pub(super) clock: Clock,
    pub(super) exchange: Exchange,
    signer: JwsSigner,
    pub(super) verification: Verification,
    remarks: Vec<String>,
    holds_demonstration_key: bool,
}

impl Client {
    /// Loads the keys of the program called `name` from the key folder.
    ///
    /// # Errors
    /// [`ClientError`], naming the setting or the file.
    pub fn new(
        name: &str,
        connection: &ConnectionSettings,
        settings: &AllianceSettings,
        keys_folder: &Path,
        clock: Clock,
    ) -> Result<Self, ClientError> {
        let required = [
            ("base_url", connection.base_url.as_str()),
            ("kid", &settings.kid),
            ("signing_key", &settings.signing_key),
            ("verification_keys", &settings.verification_keys),
        ];
        ClientError::first_unset(name, &required)?;
        let signer = signer(settings, keys_folder)?;
        let files = KeySetFiles::File(PathBuf::from(&settings.verification_keys));
        let has_address = !settings.verification_url.is_empty();
        let verification = Verification::load(keys_folder, files, name, has_address)?;
        let remark = format!(
            "programs.{name}: no answer of the bank can be verified; put its key into the set that verification_keys names or set verification_url"
        );
        Ok(Self(Arc::new(Bank {
            program: name.to_owned(),
            remarks: Vec::from_iter(verification.can_never_verify().then_some(remark)),
            holds_demonstration_key: signer.is_demonstration()
                || verification.keys().holds_demonstration_key(),
            settings: settings.clone(),
            base_url: connection.base_url.clone(),
            exchange: Exchange::new(connection, clock.clone()),
            clock,
            signer,
            verification,
        })))
    }

    /// What an operator should know of this program before it is called.
    pub fn remarks(&self) -> &[String] {
        &self.0.remarks
    }

    /// What an inventory tells of its keys.
    pub fn keys(&self) -> Vec<KeyDescription> {
        let bank = &self.0;
        let own = KeyDescription {
            program: bank.program.clone(),
            kid: bank.settings.signing_key.clone(),
            file: bank.settings.signing_key.clone(),
            ..bank.signer.description().clone()
        };
        [vec![own], bank.verification.descriptions()].concat()
    }

    /// How its requests and its answers are protected.
    pub fn algorithms(&self) -> Algorithms {
        let request = format!("JWS {}", self.0.signer.alg().name());
        Algorithms::new(vec![request], &JwsAlg::ALL)
    }

    /// Whether it signs or verifies with a key that lies in the repository: never in production.
    pub fn holds_demonstration_key(&self) -> bool {
        self.0.holds_demonstration_key
    }

    /// Signs and sends; returns what the bank signed. `token` is the one that the call is about.
    pub(super) fn call(
        &self,
        path: &str,
        payload: &Value,
        token: Option<&ProgramToken>,
    ) -> Result<Said, CallFailure> {
        let bank = &self.0;
        let settings = &bank.settings;
        let url = format!("{}{path}", bank.base_url);
        let compact = bank.sign(&url, payload)?;
        let body = match settings.jws_field.as_str() {
            "" => compact,
            field => json!({ field: compact }).to_string(),
        };
        let request = Request {
            method: settings.method.word(),
            url: &url,
            // A signed answer may come under any type.
            headers: vec![("accept", "*/*")],
            body: Some((&settings.content_type, body.as_bytes())),
        };
        let deadline = bank.exchange.deadline();
        let answer = bank.exchange.send(&request, deadline)?;
        bank.said(&answer, deadline, token)
    }
}

impl Bank {
    /// The request as a compact JWS, signed now, for the path that is called.
    fn sign(&self, url: &str, payload: &Value) -> Result<String, CallFailure> {
        let settings = &self.settings;
        let now = self.clock.now();
        let now = match settings.ts_unit {
            TimestampUnit::Milliseconds => now,
            TimestampUnit::Seconds => now / 1000,
        };
        let ts = match settings.ts_type {
            TimestampType::Number => Value::from(now),
            TimestampType::String => Value::from(now.to_string()),
        };
        let header = [
            ("kid", Value::from(settings.kid.as_str())),
            ("ts", ts),
            ("targetUrl", path_of(url).into()),
        ];
        let header = header.map(|(name, value)| (name.to_owned(), value));
        self.signer
            .sign(Map::from_iter(header), payload.to_string().as_bytes())
            .map_err(|_| CallFailure::unsent(FailureClass::Retry, "request-not-signed"))
    }
}

/// An address without its scheme and host.
fn path_of(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    rest.find('/').and_then(|at| rest.get(at..)).unwrap_or("/")
}

fn signer(settings: &AllianceSettings, keys_folder: &Path) -> Result<JwsSigner, KeyError> {
    let file = keys_folder.join(&settings.signing_key);
    let pem = key_files::read(keys_folder, &file)?;
    // No name is none: the key decides then.
    let alg = JwsAlg::from_name(&settings.signature_alg);
    JwsSigner::from_pem(&pem, alg).map_err(|error| match error {
        SignError::Key(problem) => KeyError::Unusable { file, problem },
        SignError::OpenSsl => KeyError::OpenSsl {
            kid: file.display().to_string(),
        },
    })
}
