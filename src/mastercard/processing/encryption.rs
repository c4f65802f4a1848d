//! Encrypting requests to Mastercard's key.

use std::path::Path;

use openssl::error::ErrorStack;
use openssl::pkey::PKey;
use openssl::sha::sha256;
use openssl::x509::X509;
use serde_json::json;

use crate::jose::{EncryptError, KeyError, demonstration, encrypt, hex, key_files};
use crate::settings::ProcessingSettings;

/// Bytes of the IV, as RFC 7518 has it for GCM.
const IV: usize = 12;

const PRIVATE: &str =
    "holds a private key; put the public key or certificate there that Mastercard has given";
const UNFIT: &str = "is not an RSA public key or certificate of 2048 bits or more in PEM form";

/// Whom requests are encrypted to, and how.
pub(super) struct Recipient {
    pem: Vec<u8>,
    spki_sha256: String,
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
        let spki = spki(&pem).map_err(|_| unusable(UNFIT))?;
        let spki_sha256 = hex::encode(&sha256(&spki));
        let kid = match settings.encryption_kid.as_str() {
            "" => spki_sha256.clone(),
            kid => kid.to_owned(),
        };
        let recipient = Self {
            pem: pem.to_vec(),
            spki_sha256,
            kid,
            enc: settings.encryption_enc.clone(),
            field: settings.encrypted_field.clone(),
        };
        match recipient.wrapped(b"{}") {
            Ok(_) => Ok(recipient),
            Err(_) => Err(unusable(UNFIT)),
        }
    }

    /// A payload as it goes over the wire: an object with the encrypted payload in its one field.
    pub(super) fn wrapped(&self, payload: &[u8]) -> Result<Vec<u8>, EncryptError> {
        let token = encrypt(payload, &self.pem, Some(&self.kid), &self.enc, IV)?;
        let body = json!({ (self.field.as_str()): token });
        Ok(body.to_string().into_bytes())
    }

    /// Whether everybody can open what is encrypted to it, because its private half lies in the
    /// repository.
    pub(super) fn is_demonstration(&self) -> bool {
        demonstration::ENCRYPTION_KEYS.contains(&self.spki_sha256.as_str())
    }
}

/// The DER SubjectPublicKeyInfo of a public key or a certificate.
fn spki(pem: &[u8]) -> Result<Vec<u8>, ErrorStack> {
    if holds(pem, b"-----BEGIN CERTIFICATE") {
        X509::from_pem(pem)?.public_key()?.public_key_to_der()
    } else {
        PKey::public_key_from_pem(pem)?.public_key_to_der()
    }
}

fn holds(pem: &[u8], label: &[u8]) -> bool {
    pem.windows(label.len()).any(|window| window == label)
}
