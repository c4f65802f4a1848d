//! Mastercard Processing Digital: the tokens of an issuer's cards, their status and what is known of
//! them.
//!
//! A request is encrypted first and then signed, so that the signature covers what goes over the wire.
//! An answer may be encrypted or plain, a list bare or inside an object: each is read as it comes. One of
//! the addresses holds a token number; none is ever logged, stored or part of a failure.

mod calls;
mod encryption;
mod reading;
#[cfg(test)]
mod tests;

use std::path::Path;
use std::sync::Arc;

use super::call::Caller;
use super::credential::{Credential, OAUTH};
use crate::jose::KeyDescription;
use crate::settings::{ConnectionSettings, ProcessingSettings};
use crate::telemetry::Clock;
use crate::upstream::{Algorithms, ClientError};
use encryption::Recipient;

/// Makes the calls of one program. Cheap to clone; all clones share connections and keys.
#[derive(Clone)]
pub struct Client(Arc<Program>);

/// What the calls need.
struct Program {
    base_url: String,
    settings: ProcessingSettings,
    caller: Caller,
    /// None where payloads are not encrypted.
    recipient: Option<Recipient>,
    remarks: Vec<String>,
    keys: Vec<KeyDescription>,
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
        settings: &ProcessingSettings,
        keys_folder: &Path,
        clock: Clock,
    ) -> Result<Self, ClientError> {
        if settings.payload_encryption {
            let needed = [("encryption_key", settings.encryption_key.as_str())];
            ClientError::first_unset(name, &needed)?;
        }
        let credential = Credential {
            program: name,
            consumer_key: &settings.consumer_key,
            signing_key: &settings.signing_key,
            password_file: &settings.signing_key_password_file,
            form: settings.oauth_base_string,
        };
        let signer = credential.signer(keys_folder)?;
        let recipient = match settings.payload_encryption {
            true => Some(Recipient::load(settings, keys_folder)?),
            false => None,
        };
        let mut keys = vec![credential.description(&signer)?];
        keys.extend(recipient.iter().map(|recipient| KeyDescription {
            program: name.to_owned(),
            ..recipient.description().clone()
        }));
        let encrypts_to_demonstration =
            (recipient.as_ref()).is_some_and(Recipient::is_demonstration);
        let holds_demonstration_key = signer.holds_demonstration_key() || encrypts_to_demonstration;
        Ok(Self(Arc::new(Program {
            base_url: connection.base_url.clone(),
            caller: Caller::new(connection, signer, clock),
            remarks: remarks(name, settings),
            settings: settings.clone(),
            recipient,
            keys,
            holds_demonstration_key,
        })))
    }

    /// What an operator should know of this program before it is called.
    pub fn remarks(&self) -> &[String] {
        &self.0.remarks
    }

    /// What an inventory tells of its keys.
    pub fn keys(&self) -> Vec<KeyDescription> {
        self.0.keys.clone()
    }

    /// How its requests and its answers are protected.
    pub fn algorithms(&self) -> Algorithms {
        let mut requests = vec![OAUTH.to_owned()];
        if let Some(recipient) = &self.0.recipient {
            requests.push(format!("JWE {}", recipient.description().algorithm));
        }
        Algorithms::new(requests, &[])
    }

    /// Whether it signs with, or encrypts to, a key that lies in the repository: never in production.
    pub fn holds_demonstration_key(&self) -> bool {
        self.0.holds_demonstration_key
    }
}

fn remarks(name: &str, settings: &ProcessingSettings) -> Vec<String> {
    let is_off = !settings.payload_encryption;
    let remark = is_off.then(|| {
        format!(
            "programs.{name}.payload_encryption is off: token numbers are sent with no encryption but that of the connection"
        )
    });
    remark.into_iter().collect()
}
