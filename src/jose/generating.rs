//! Making the keys that a key folder lacks.

use std::path::{Path, PathBuf};

use openssl::pkey::PKey;
use openssl::rand::rand_bytes;
use openssl::rsa::Rsa;
use zeroize::Zeroizing;

use super::key_checks::{MAX_BITS, MIN_BITS};
use super::sealing::{self, MAX_STORAGE_ID};
use super::{KeyError, PayloadKey, hex, key_files};

/// Longest kid that is made, in characters; Mastercard's own have about 60.
const MAX_KID: usize = 128;

/// A key that is to be made. There is nothing of it yet.
#[derive(Debug, PartialEq, Eq)]
pub struct MissingKey {
    file: PathBuf,
    name: String,
    kind: Kind,
}

#[derive(Debug, PartialEq, Eq)]
enum Kind {
    Payload { bits: u32 },
    Storage,
}

/// What a key folder lacks: a payload key of `bits` bits where there is none, or where `kid` names one that is
/// not there, and a storage key where there is none. `today` becomes part of the names that are not given.
///
/// # Errors
/// [`KeyError`] if a name or size cannot be, or the folder cannot be read.
pub fn missing_keys(
    root: &Path,
    kid: Option<&str>,
    bits: u32,
    today: &str,
) -> Result<Vec<MissingKey>, KeyError> {
    let mut missing = Vec::new();
    let payload = root.join("payload");
    let existing = key_files::list(&payload, "pem")?;
    let wanted = match kid {
        Some(kid) => (!existing.iter().any(|file| file.id == kid)).then(|| kid.to_owned()),
        None => existing.is_empty().then(|| format!("payload-{today}")),
    };
    if let Some(name) = wanted {
        check_name(&name, MAX_KID)?;
        if !(MIN_BITS..=MAX_BITS).contains(&bits) {
            return Err(KeyError::Size { bits });
        }
        missing.push(MissingKey {
            file: payload.join(format!("{name}.pem")),
            name,
            kind: Kind::Payload { bits },
        });
    }
    let storage = root.join("storage");
    if key_files::list(&storage, "key")?.is_empty() {
        let name = format!("storage-{today}");
        check_name(&name, MAX_STORAGE_ID)?;
        missing.push(MissingKey {
            file: storage.join(format!("{name}.key")),
            name,
            kind: Kind::Storage,
        });
    }
    Ok(missing)
}

impl MissingKey {
    /// Where it will be.
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// Makes it.
    ///
    /// # Errors
    /// [`KeyError`] if the file cannot be written. An existing file is never touched.
    pub fn make(&self) -> Result<(), KeyError> {
        let content = match self.kind {
            Kind::Payload { bits } => payload_key(&self.name, bits)?,
            Kind::Storage => storage_key(&self.name)?,
        };
        key_files::create(&self.file, &content)
    }
}

/// The public half of a payload key as PEM: what is uploaded to Mastercard Connect.
///
/// # Errors
/// [`KeyError::OpenSsl`] where OpenSSL fails.
pub fn public_key_pem(key: &PayloadKey) -> Result<String, KeyError> {
    PKey::public_key_from_der(key.spki())
        .and_then(|public| public.public_key_to_pem())
        .ok()
        .and_then(|pem| String::from_utf8(pem).ok())
        .ok_or_else(|| KeyError::openssl(key.kid()))
}

fn check_name(name: &str, most: usize) -> Result<(), KeyError> {
    if sealing::is_file_name(name, most) {
        return Ok(());
    }
    Err(KeyError::Name {
        name: name.to_owned(),
        most,
    })
}

fn payload_key(kid: &str, bits: u32) -> Result<Zeroizing<Vec<u8>>, KeyError> {
    Rsa::generate(bits)
        .and_then(PKey::from_rsa)
        .and_then(|key| key.private_key_to_pem_pkcs8())
        .map(Zeroizing::new)
        .map_err(|_| KeyError::openssl(kid))
}

fn storage_key(id: &str) -> Result<Zeroizing<Vec<u8>>, KeyError> {
    let mut key = Zeroizing::new([0; 32]);
    rand_bytes(&mut *key).map_err(|_| KeyError::openssl(id))?;
    let digits = Zeroizing::new(hex::encode(&*key));
    Ok(Zeroizing::new([digits.as_bytes(), b"\n"].concat()))
}
