//! Sealing at rest: what is secret is stored encrypted, bound to its place, and compared by keyed digest.
//!
//! A sealed value is: version 1, length of the key id, key id, 12-byte nonce, ciphertext, 16-byte tag (AES-256-GCM).

use std::path::Path;

use openssl::rand::rand_bytes;
use openssl::sha::sha256;
use openssl::symm::{Cipher, decrypt_aead, encrypt_aead};
use zeroize::Zeroizing;

use super::digests::{self, DigestSource, KeyedDigest};
use super::enc::TAG_LENGTH;
use super::hmac::Hmac;
use super::key_settings::{self, KeySettings};
use super::{KeyDescription, KeyError, KeyPurpose, UseMark, demonstration, hex, key_files};

/// Longest id of a storage key, in characters.
pub const MAX_STORAGE_ID: usize = 32;

const VERSION: u8 = 1;
const NONCE_LENGTH: usize = 12;
const BAD_KEY: &str = "is not 64 hexadecimal digits and a line end; restore it, rows sealed with it open with nothing else";
const BAD_NAME: &str =
    "has a name that is not 1 to 32 of the characters A-Z a-z 0-9 . _ -; rename it";

/// Why a value was not sealed or opened. All reasons why it does not open look alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    #[error("a sealed value cannot be opened: the storage key is missing or the row was altered")]
    Closed,
    #[error(
        "a value cannot be sealed: OpenSSL failed; check memory and the system's random source"
    )]
    OpenSsl,
}

/// Where a sealed value is stored. It opens in no other place.
#[derive(Clone, Copy)]
pub struct Place<'a> {
    pub table: &'static str,
    pub column: &'static str,
    /// The row's identity, with the version of its number where it has one: must never change while the
    /// value is stored.
    pub row: &'a str,
}

/// One storage key, as the keys that are derived from it.
struct StorageKey {
    id: String,
    sealing: Zeroizing<[u8; 32]>,
    digests: Zeroizing<[u8; 32]>,
    audit: Zeroizing<[u8; 32]>,
    /// Tells this key from others, and nothing of it.
    fingerprint: String,
    is_demonstration: bool,
    used: UseMark,
}

/// The keys that seal rows: one that seals and opens, and earlier ones that only open.
pub struct StorageKeys {
    active: StorageKey,
    earlier: Vec<StorageKey>,
}

impl StorageKeys {
    /// Reads `root/storage/*.key`. `storage` in `root/keys.toml` names the active key, else it is the last by name.
    ///
    /// # Errors
    /// [`KeyError`] if there is no key, if one cannot be used, or if the named one is not there.
    pub fn load(root: &Path) -> Result<StorageKeys, KeyError> {
        let folder = root.join("storage");
        let mut keys = Vec::new();
        for file in key_files::list(&folder, "key")? {
            if !is_file_name(&file.id, MAX_STORAGE_ID) {
                return Err(KeyError::unusable(&file.path, BAD_NAME));
            }
            let bytes = parse(&key_files::read(root, &file.path)?)
                .ok_or(KeyError::unusable(&file.path, BAD_KEY))?;
            keys.push(StorageKey::derive(file.id, &bytes));
        }
        if let Some(named) = KeySettings::load(root)?.storage {
            let Some(place) = keys.iter().position(|key| key.id == named) else {
                return Err(missing(root, named));
            };
            let key = keys.remove(place);
            keys.push(key);
        }
        let active = keys.pop().ok_or(KeyError::NoStorageKey { folder })?;
        Ok(StorageKeys {
            active,
            earlier: keys,
        })
    }

    /// The id of the key that seals.
    pub fn active_id(&self) -> &str {
        &self.active.id
    }

    /// Whether everybody has one of these keys, because it lies in the repository.
    pub fn is_demonstration(&self) -> bool {
        self.all().any(|key| key.is_demonstration)
    }

    /// Encrypts `plaintext` under the active key for this place. One key may seal some 2^32 values.
    ///
    /// # Errors
    /// [`SealError::OpenSsl`] where OpenSSL fails.
    pub fn seal(&self, plaintext: &[u8], place: &Place<'_>) -> Result<Vec<u8>, SealError> {
        let key = &self.active;
        let mut nonce = [0; NONCE_LENGTH];
        let mut tag = [0; TAG_LENGTH];
        let aad = additional_data(&key.id, place);
        let ciphertext = rand_bytes(&mut nonce)
            .and_then(|()| {
                let cipher = Cipher::aes_256_gcm();
                encrypt_aead(
                    cipher,
                    &*key.sealing,
                    Some(&nonce),
                    &aad,
                    plaintext,
                    &mut tag,
                )
            })
            .map_err(|_| SealError::OpenSsl)?;
        key.used.set();
        Ok([head(&key.id).as_slice(), &nonce, &ciphertext, &tag].concat())
    }

    /// Decrypts what [`StorageKeys::seal`] made for the same place.
    ///
    /// # Errors
    /// [`SealError::Closed`] if the key is not loaded, or anything of value or place is not as it was.
    pub fn open(&self, sealed: &[u8], place: &Place<'_>) -> Result<Zeroizing<Vec<u8>>, SealError> {
        self.try_open(sealed, place).ok_or(SealError::Closed)
    }

    fn try_open(&self, sealed: &[u8], place: &Place<'_>) -> Option<Zeroizing<Vec<u8>>> {
        let (id, rest) = split_head(sealed)?;
        let key = self.all().find(|key| key.id == id)?;
        let (nonce, rest) = rest.split_at_checked(NONCE_LENGTH)?;
        let (ciphertext, tag) = rest.split_at_checked(rest.len().checked_sub(TAG_LENGTH)?)?;
        let aad = additional_data(id, place);
        let cipher = Cipher::aes_256_gcm();
        let plaintext = decrypt_aead(cipher, &*key.sealing, Some(nonce), &aad, ciphertext, tag);
        let plaintext = plaintext.ok().map(Zeroizing::new)?;
        key.used.set();
        Some(plaintext)
    }

    /// The ids of the keys that only open.
    pub fn earlier_ids(&self) -> impl Iterator<Item = &str> {
        self.earlier.iter().map(|key| key.id.as_str())
    }

    /// What an inventory tells of each key, the one that seals first.
    pub fn descriptions(&self) -> Vec<KeyDescription> {
        let describe = |key: &StorageKey| KeyDescription {
            purpose: KeyPurpose::Storage,
            program: String::new(),
            kid: key.id.clone(),
            aliases: Vec::new(),
            file: format!("storage/{}.key", key.id),
            kind: "AES",
            algorithm: "A256GCM".to_owned(),
            bits: 256,
            fingerprint: key.fingerprint.clone(),
            ends_at: None,
            used: key.used.clone(),
        };
        self.all().map(describe).collect()
    }

    /// What every value begins with that the active key sealed.
    pub fn active_head(&self) -> Vec<u8> {
        head(&self.active.id)
    }

    /// The keyed digest of `parts`: equal for equal parts, and of no use without the key.
    pub fn digest(&self, parts: &[&[u8]]) -> KeyedDigest {
        let mut digest = self.digest_of(DigestSource::of(parts));
        let older = self
            .all()
            .map(|key| digests::of_parts(&key.id, &key.digests, parts));
        digest.earlier.extend(older);
        digest
    }

    /// The keyed digest of what this is the source of.
    pub fn digest_of(&self, source: DigestSource) -> KeyedDigest {
        let under = |key: &StorageKey| digests::of_source(&key.id, &key.digests, &source);
        KeyedDigest {
            text: under(&self.active),
            earlier: self.earlier.iter().map(under).collect(),
            source: Some(source),
        }
    }

    /// A keyed digest of an audit record, as `KEYID:hex`: nobody without the key can write one.
    pub fn audit_digest(&self, parts: &[&[u8]]) -> String {
        let key = &self.active;
        digests::of_parts(&key.id, &key.audit, parts)
    }

    /// Whether `digest` is the audit digest of `parts`; none if its key is not loaded.
    pub fn is_audit_digest(&self, digest: &str, parts: &[&[u8]]) -> Option<bool> {
        let (id, _) = digest.split_once(':')?;
        let key = self.all().find(|key| key.id == id)?;
        let expected = digests::of_parts(&key.id, &key.audit, parts);
        Some(expected == digest)
    }

    fn all(&self) -> impl Iterator<Item = &StorageKey> {
        std::iter::once(&self.active).chain(&self.earlier)
    }
}

impl StorageKey {
    fn derive(id: String, key: &[u8; 32]) -> StorageKey {
        let subkey = |label: &[u8]| {
            let mut hmac = Hmac::new(key);
            hmac.update(label);
            Zeroizing::new(hmac.finish())
        };
        StorageKey {
            id,
            sealing: subkey(b"tokenkeep sealing 1"),
            digests: subkey(b"tokenkeep digests 1"),
            audit: subkey(b"tokenkeep audit 1"),
            fingerprint: hex::encode(&*subkey(b"tokenkeep fingerprint 1")),
            is_demonstration: demonstration::STORAGE_KEYS
                .contains(&hex::encode(&sha256(key)).as_str()),
            used: UseMark::default(),
        }
    }
}

/// The id of the key that a sealed value was sealed with.
pub fn sealed_with(sealed: &[u8]) -> Option<&str> {
    split_head(sealed).map(|(id, _)| id)
}

/// Whether `name` may name a key file: it then needs no quoting anywhere.
pub(super) fn is_file_name(name: &str, most: usize) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    (1..=most).contains(&name.len()) && !name.starts_with('.') && name.bytes().all(plain)
}

fn parse(content: &[u8]) -> Option<Zeroizing<[u8; 32]>> {
    let digits = content.strip_suffix(b"\n").unwrap_or(content);
    hex::decode_32(digits).map(Zeroizing::new)
}

fn missing(root: &Path, name: String) -> KeyError {
    KeyError::Missing {
        file: key_settings::path(root),
        setting: "storage",
        name,
        folder: "storage",
        extension: "key",
    }
}

/// Version and key id, in front of every sealed value. An id has at most 32 bytes.
fn head(id: &str) -> Vec<u8> {
    [&[VERSION, id.len() as u8], id.as_bytes()].concat()
}

fn split_head(sealed: &[u8]) -> Option<(&str, &[u8])> {
    let [VERSION, length, rest @ ..] = sealed else {
        return None;
    };
    let (id, rest) = rest.split_at_checked(usize::from(*length))?;
    Some((std::str::from_utf8(id).ok()?, rest))
}

/// Version, key id and place, each text behind its length, so that no two places encode alike.
fn additional_data(id: &str, place: &Place<'_>) -> Vec<u8> {
    let mut data = head(id);
    for text in [place.table, place.column, place.row] {
        data.extend_from_slice(&(text.len() as u64).to_be_bytes());
        data.extend_from_slice(text.as_bytes());
    }
    data
}
