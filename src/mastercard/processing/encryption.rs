//! Encrypting requests to Mastercard's key.

use std::path::Path;

use openssl::error::ErrorStack;
use openssl::pkey::PKey;
use openssl::x509::X509;
use serde_json::json;

use crate::jose::key_description::seconds_of;
use crate::jose::{
    EncryptError, KeyDescription, KeyError, KeyPurpose, demonstration, encrypt, key_files,
};
use crate::settings::ProcessingSettings;

/// Bytes of the IV, as RFC 7518 has it for GCM.
const IV: usize = 12;

const PRIVATE: &str =
    "holds a private key; put the public key or certificate there that Mastercard has given";
const UNFIT: &str = "is not an RSA public key or certificate of 2048 bits or more in PEM form";

/// Whom requests are encrypted to, and how.
pub(super) struct Recipient {
    pem: Vec<u8>,
    /// Of a key without a program yet.
    description: KeyDescription,
    kid: String,
    enc: String,
    field: String,
}

impl Recipient {
    /// Reads Mastercard's key from the key folder, and tries it.
    pub(super) fn load(
        settings: &ProcessingSettings,
        keys_folder: &Path,
    ) -> Result<Self, KeyError> {
        let file = keys_folder.join(&settings.encryption_key);
        let pem = key_files::read(keys_folder, &file)?;
        let unusable = |problem| KeyError::Unusable {
            file: file.clone(),
            problem,
        };
        if holds(&pem, b"PRIVATE KEY-----") {
            return Err(unusable(PRIVATE));
        }
        let description = described(&pem).map_err(|_| unusable(UNFIT))?;
        let kid = match settings.encryption_kid.as_str() {
            "" => description.fingerprint.clone(),
            kid => kid.to_owned(),
        };
        let recipient = Self {
            pem: pem.to_vec(),
            description: KeyDescription {
                kid: settings.encryption_key.clone(),
                file: settings.encryption_key.clone(),
                algorithm: format!("RSA-OAEP-256 {}", settings.encryption_enc),
                ..description
            },
            kid,
            enc: settings.encryption_enc.clone(),
            field: settings.encrypted_field.clone(),
        };
        match recipient.wrapped(b"{}") {
            Ok(_) => {
                // To try it is no use.
                recipient.description.used.take();
                Ok(recipient)
            }
            Err(_) => Err(unusable(UNFIT)),
        }
    }

    /// A payload as it goes over the wire: an object with the encrypted payload in its one field.
    pub(super) fn wrapped(&self, payload: &[u8]) -> Result<Vec<u8>, EncryptError> {
        let token = encrypt(payload, &self.pem, Some(&self.kid), &self.enc, IV)?;
        self.description.used.set();
        let body = json!({ (self.field.as_str()): token });
        Ok(body.to_string().into_bytes())
    }

    /// Whether everybody can open what is encrypted to it, because its private half lies in the
    /// repository.
    pub(super) fn is_demonstration(&self) -> bool {
        demonstration::ENCRYPTION_KEYS.contains(&self.description.fingerprint.as_str())
    }

    /// What an inventory tells of it: of which program it is, is the caller's to say.
    pub(super) fn description(&self) -> &KeyDescription {
        &self.description
    }
}

/// A public key, or that of a certificate, without its names.
fn described(pem: &[u8]) -> Result<KeyDescription, ErrorStack> {
    if !holds(pem, b"-----BEGIN CERTIFICATE") {
        let key = PKey::public_key_from_pem(pem)?;
        return KeyDescription::of(KeyPurpose::Encryption, &key);
    }
    let certificate = X509::from_pem(pem)?;
    let key = certificate.public_key()?;
    Ok(KeyDescription {
        ends_at: Some(seconds_of(certificate.not_after())?),
        ..KeyDescription::of(KeyPurpose::Encryption, &key)?
    })
}

fn holds(pem: &[u8], label: &[u8]) -> bool {
    pem.windows(label.len()).any(|window| window == label)
}
