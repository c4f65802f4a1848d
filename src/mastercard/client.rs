//! The calls of one program.

use std::path::Path;
use std::sync::Arc;

use super::call::Caller;
use super::checkout::ALGS;
use super::credential::{Credential, OAUTH};
use super::seen::SeenIds;
use crate::domain::WireForm;
use crate::jose::KeyDescription;
use crate::settings::{CheckoutSettings, ConnectionSettings};
use crate::telemetry::Clock;
use crate::upstream::{Algorithms, ClientError, KeySetFiles, Verification};

/// Makes the calls of one program. Cheap to clone; all clones share connections and keys.
#[derive(Clone)]
pub struct Client(pub(super) Arc<Program>);

/// What the calls need.
pub(super) struct Program {
    pub(super) base_url: String,
    pub(super) settings: CheckoutSettings,
    pub(super) wire: WireForm,
    pub(super) clock: Clock,
    pub(super) caller: Caller,
    pub(super) verification: Verification,
    /// Ids (`jti`) of the signed answers believed so far.
    pub(super) seen: SeenIds,
    remarks: Vec<String>,
    signing_key: KeyDescription,
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
        settings: &CheckoutSettings,
        keys_folder: &Path,
        wire: WireForm,
        clock: Clock,
    ) -> Result<Self, ClientError> {
        let needed = [
            ("src_client_id", settings.src_client_id.as_str()),
            ("service_id", &settings.service_id),
        ];
        ClientError::first_unset(name, &needed)?;
        let credential = Credential {
            program: name,
            consumer_key: &settings.consumer_key,
            signing_key: &settings.signing_key,
            password_file: &settings.signing_key_password_file,
            form: settings.oauth_base_string,
        };
        let signer = credential.signer(keys_folder)?;
        let signing_key = credential.description(&signer)?;
        let has_address = !settings.verification_url.is_empty();
        let files = KeySetFiles::Folder("verification");
        let verification = Verification::load(keys_folder, files, name, has_address)?;
        let holds_demonstration_key =
            signer.holds_demonstration_key() || verification.keys().holds_demonstration_key();
        Ok(Self(Arc::new(Program {
            remarks: remarks(name, settings, &verification),
            caller: Caller::new(connection, signer, clock.clone()),
            base_url: connection.base_url.clone(),
            settings: settings.clone(),
            wire,
            clock,
            verification,
            seen: SeenIds::default(),
            signing_key,
            holds_demonstration_key,
        })))
    }

    /// What an operator should know of this program before it is called.
    pub fn remarks(&self) -> &[String] {
        &self.0.remarks
    }

    /// What an inventory tells of its keys.
    pub fn keys(&self) -> Vec<KeyDescription> {
        let program = &self.0;
        let verification = program.verification.descriptions();
        [vec![program.signing_key.clone()], verification].concat()
    }

    /// How its requests and its answers are protected.
    pub fn algorithms(&self) -> Algorithms {
        Algorithms::new(vec![OAUTH.to_owned()], &ALGS)
    }

    /// Whether it signs or verifies with a key that lies in the repository: never in production.
    pub fn holds_demonstration_key(&self) -> bool {
        self.0.holds_demonstration_key
    }
}

fn remarks(name: &str, settings: &CheckoutSettings, verification: &Verification) -> Vec<String> {
    let mut remarks = Vec::new();
    if settings.accept_unverified_checkout {
        remarks.push(format!(
            "programs.{name}.accept_unverified_checkout is on: Checkout answers without a signature are believed"
        ));
    } else if verification.can_never_verify() {
        remarks.push(format!(
            "programs.{name}: no Checkout answer can be verified; put Mastercard's key set into verification/ or set verification_url"
        ));
    }
    remarks
}
