//! The calls of one program.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use zeroize::Zeroizing;

use super::call::Caller;
use super::oauth::{Signer, SigningKey};
use super::seen::SeenIds;
use super::verification::Verification;
use crate::domain::WireForm;
use crate::jose::{JwksFault, KeyError, key_files};
use crate::settings::ProgramSettings;
use crate::telemetry::Clock;

/// In front of the program's name, in capitals.
const PASSWORD_VARIABLE: &str = "TOKENKEEP_SIGNING_PASSWORD_";
const NOT_TEXT: &str = "is not UTF-8; save the password as UTF-8 text";

/// Makes the calls of one program. Cheap to clone; all clones share connections and keys.
#[derive(Clone)]
pub struct Client(pub(super) Arc<Program>);

/// What the calls need.
pub(super) struct Program {
    pub(super) settings: ProgramSettings,
    pub(super) wire: WireForm,
    pub(super) clock: Clock,
    pub(super) caller: Caller,
    pub(super) verification: Verification,
    /// Ids (`jti`) of the signed answers believed so far.
    pub(super) seen: SeenIds,
    remarks: Vec<String>,
    holds_demonstration_key: bool,
}

/// Why a program cannot be called. Its calls wait until that is mended.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    #[error("programs.{program}.{setting} is empty")]
    Unset {
        program: String,
        setting: &'static str,
    },
    #[error(transparent)]
    Key(#[from] KeyError),
    #[error("{path}: {fault}", path = .0.display(), fault = .1)]
    KeySet(PathBuf, JwksFault),
    #[error("the keys that verify: {0}")]
    KeySets(#[from] JwksFault),
}

impl Client {
    /// Loads the keys of the program called `name` from the key folder.
    ///
    /// # Errors
    /// [`ClientError`], naming the setting or the file.
    pub fn new(
        name: &str,
        settings: &ProgramSettings,
        keys_folder: &Path,
        wire: WireForm,
        clock: Clock,
    ) -> Result<Self, ClientError> {
        for (setting, value) in [
            ("consumer_key", &settings.consumer_key),
            ("signing_key", &settings.signing_key),
            ("src_client_id", &settings.src_client_id),
            ("service_id", &settings.service_id),
        ] {
            if value.is_empty() {
                let program = name.to_owned();
                return Err(ClientError::Unset { program, setting });
            }
        }
        let password = password(name, settings, keys_folder)?;
        let file = keys_folder.join(&settings.signing_key);
        let key = SigningKey::load(keys_folder, &file, &password)?;
        let has_address = !settings.verification_url.is_empty();
        let verification = Verification::load(keys_folder, name, has_address)?;
        let holds_demonstration_key =
            key.is_demonstration() || verification.keys().holds_demonstration_key();
        let signer = Signer::new(&settings.consumer_key, key, settings.oauth_base_string);
        Ok(Self(Arc::new(Program {
            remarks: remarks(name, settings, &verification),
            caller: Caller::new(settings, signer, clock.clone()),
            settings: settings.clone(),
            wire,
            clock,
            verification,
            seen: SeenIds::default(),
            holds_demonstration_key,
        })))
    }

    /// What an operator should know of this program before it is called.
    pub fn remarks(&self) -> &[String] {
        &self.0.remarks
    }

    /// Whether it signs or verifies with a key that lies in the repository: never in production.
    pub fn holds_demonstration_key(&self) -> bool {
        self.0.holds_demonstration_key
    }
}

fn remarks(name: &str, settings: &ProgramSettings, verification: &Verification) -> Vec<String> {
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

/// The password of the signing key: from the file that is named, else from the environment, else none.
fn password(
    name: &str,
    settings: &ProgramSettings,
    keys_folder: &Path,
) -> Result<Zeroizing<String>, KeyError> {
    if settings.signing_key_password_file.is_empty() {
        let password = std::env::var(password_variable(name));
        return Ok(Zeroizing::new(password.unwrap_or_default()));
    }
    let file = keys_folder.join(&settings.signing_key_password_file);
    // Secrets are often mounted in a folder of their own.
    let root = match Path::new(&settings.signing_key_password_file).parent() {
        Some(folder) if folder.is_absolute() => folder,
        _ => keys_folder,
    };
    let bytes = key_files::read(root, &file)?;
    let text = std::str::from_utf8(&bytes).map_err(|_| KeyError::Unusable {
        file: file.clone(),
        problem: NOT_TEXT,
    })?;
    // An editor ends the line.
    Ok(Zeroizing::new(
        text.trim_end_matches(['\r', '\n']).to_owned(),
    ))
}

/// `TOKENKEEP_SIGNING_PASSWORD_MY_SHOP` for the program `my-shop`.
pub(super) fn password_variable(name: &str) -> String {
    let letter = |c: char| match c.is_ascii_alphanumeric() {
        true => c.to_ascii_uppercase(),
        false => '_',
    };
    let name: String = name.chars().map(letter).collect();
    format!("{PASSWORD_VARIABLE}{name}")
}
