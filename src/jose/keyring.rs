//! The payload keys: loaded and checked once, then found by whatever name a token gives.

use std::collections::HashMap;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};
use josekit::jwe::alg::rsaes::RsaesJweDecrypter;
use josekit::jwe::{JweAlgorithm as _, RSA_OAEP_256};
use openssl::sha::sha256;
use zeroize::Zeroizing;

use super::guard::{JoseHeader, OpenPolicy, UnknownKid};
use super::key_files::KeyFile;
use super::key_settings::KeySettings;
use super::opening::OpenError;
use super::{
    KeyDescription, KeyError, KeyPurpose, UseMark, demonstration, hex, key_checks, key_files,
};

/// One payload key pair. The private half never leaves it.
pub struct PayloadKey {
    kid: String,
    /// Other names under which a token may ask for this key, from `keys.toml`.
    pub aliases: Vec<String>,
    spki: Vec<u8>,
    spki_sha256: [u8; 32],
    bits: u32,
    is_default: bool,
    is_retired: bool,
    pub(super) modulus_length: usize,
    pub(super) decrypter: RsaesJweDecrypter,
    pub(super) used: UseMark,
}

impl PayloadKey {
    /// The key's id: its file's name without `.pem`.
    pub fn kid(&self) -> &str {
        &self.kid
    }

    /// SHA-256 of the public key (DER SubjectPublicKeyInfo) in lower-case hex: Mastercard's key fingerprint.
    pub fn spki_sha256_hex(&self) -> String {
        hex::encode(&self.spki_sha256)
    }

    /// Size of the modulus in bits.
    pub fn bits(&self) -> u32 {
        self.bits
    }

    /// Whether this key is tried first for a token that names none.
    pub fn is_default(&self) -> bool {
        self.is_default
    }

    /// Whether this key is no longer given out and only opens what is still under way.
    pub fn is_retired(&self) -> bool {
        self.is_retired
    }

    /// Whether everybody has this key, because it lies in the repository.
    pub fn is_demonstration(&self) -> bool {
        demonstration::PAYLOAD_KEYS.contains(&self.spki_sha256_hex().as_str())
    }

    /// The public key as DER SubjectPublicKeyInfo.
    pub(super) fn spki(&self) -> &[u8] {
        &self.spki
    }

    /// What an inventory tells of this key.
    pub fn description(&self) -> KeyDescription {
        KeyDescription {
            purpose: KeyPurpose::Payload,
            program: String::new(),
            kid: self.kid.clone(),
            aliases: self.aliases.clone(),
            file: format!("payload/{}.pem", self.kid),
            kind: "RSA",
            algorithm: RSA_OAEP_256.name().to_owned(),
            bits: self.bits,
            fingerprint: self.spki_sha256_hex(),
            ends_at: None,
            used: self.used.clone(),
        }
    }

    fn load(root: &Path, file: KeyFile, settings: &KeySettings) -> Result<PayloadKey, KeyError> {
        let rsa = key_checks::private_key(&file.path, &key_files::read(root, &file.path)?)?;
        let kid = file.id;
        let failed = |_| KeyError::openssl(&kid);
        let der = Zeroizing::new(rsa.private_key_to_der().map_err(failed)?);
        let decrypter = RSA_OAEP_256
            .decrypter_from_der(&*der)
            .map_err(|_| KeyError::openssl(&kid))?;
        let spki = rsa.public_key_to_der().map_err(failed)?;
        Ok(PayloadKey {
            aliases: settings.aliases_of(&kid),
            spki_sha256: sha256(&spki),
            spki,
            bits: rsa.n().num_bits().unsigned_abs(),
            is_default: settings.default.as_ref() == Some(&kid),
            is_retired: settings.retired.contains(&kid),
            modulus_length: rsa.size() as usize,
            decrypter,
            used: UseMark::default(),
            kid,
        })
    }

    /// Everything this key answers to. Hex comes in lower case.
    fn names(&self) -> impl Iterator<Item = String> {
        let hash = &self.spki_sha256;
        let derived = [
            hex::encode(hash),
            STANDARD.encode(hash),
            STANDARD_NO_PAD.encode(hash),
            URL_SAFE.encode(hash),
            URL_SAFE_NO_PAD.encode(hash),
        ];
        [&self.kid]
            .into_iter()
            .chain(&self.aliases)
            .cloned()
            .chain(derived)
    }
}

/// All payload keys of a key folder. Share it in an `Arc`; a reload makes a new one.
pub struct Keyring {
    /// In the order in which they are tried: the default, the others, the retired ones.
    keys: Vec<PayloadKey>,
    /// Places in `keys`.
    names: HashMap<String, usize>,
    pub(super) policy: OpenPolicy,
    pub(super) private_operations: AtomicU64,
    /// How many of them were told as further ones.
    told: AtomicU64,
}

impl Keyring {
    /// Reads `root/payload/*.pem` and `root/keys.toml`. No keys at all is no error, see [`Keyring::is_empty`].
    ///
    /// # Errors
    /// [`KeyError`] for the first file that cannot be read or used, and where names contradict each other.
    pub fn load(root: &Path, policy: OpenPolicy) -> Result<Keyring, KeyError> {
        let settings = KeySettings::load(root)?;
        let mut keys = Vec::new();
        for file in key_files::list(&root.join("payload"), "pem")? {
            keys.push(PayloadKey::load(root, file, &settings)?);
        }
        settings.check_payload(root, |kid| keys.iter().any(|key| key.kid == kid))?;
        if let ([only], None) = (keys.as_mut_slice(), &settings.default) {
            only.is_default = !only.is_retired;
        }
        // Stable, so that keys of one kind stay in the order of their kids.
        keys.sort_by_key(|key| (!key.is_default, key.is_retired));
        Ok(Keyring {
            names: index(&keys)?,
            keys,
            policy,
            private_operations: AtomicU64::new(0),
            told: AtomicU64::new(0),
        })
    }

    /// The keys, in the order in which they are tried for a token that names none.
    pub fn keys(&self) -> impl Iterator<Item = &PayloadKey> {
        self.keys.iter()
    }

    /// Whether there is no key, so that nothing can be opened.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// Private-key operations since this keyring was loaded.
    pub fn private_operations(&self) -> u64 {
        self.private_operations.load(Ordering::Relaxed)
    }

    /// Those since this was last asked, whoever did.
    pub fn further_private_operations(&self) -> u64 {
        let all = self.private_operations();
        all.saturating_sub(self.told.fetch_max(all, Ordering::Relaxed))
    }

    /// What an inventory tells of each key.
    pub fn descriptions(&self) -> Vec<KeyDescription> {
        self.keys.iter().map(PayloadKey::description).collect()
    }

    /// The keys to try for a token, best first, and what it means when none of them opens it: the
    /// key it names, or all where it names none. What a name nobody knows leads to is a choice.
    pub(super) fn candidates(
        &self,
        header: &JoseHeader,
        fingerprint_hint: Option<&str>,
    ) -> (Vec<&PayloadKey>, OpenError) {
        let mut hints = header.key_hints(fingerprint_hint).peekable();
        if hints.peek().is_none() {
            return (self.keys.iter().collect(), OpenError::Refused);
        }
        if let Some(key) = hints.find_map(|hint| self.find(hint)) {
            return (vec![key], OpenError::Refused);
        }
        let keys = match self.policy.unknown_kid {
            UnknownKid::Hold => Vec::new(),
            UnknownKid::TryAll => self.keys.iter().filter(|key| !key.is_retired).collect(),
        };
        (keys, OpenError::UnknownKey)
    }

    fn find(&self, name: &str) -> Option<&PayloadKey> {
        let place = self.names.get(name).or_else(|| {
            let is_hash = name.len() == 64 && name.bytes().all(|byte| byte.is_ascii_hexdigit());
            is_hash
                .then(|| self.names.get(&name.to_ascii_lowercase()))
                .flatten()
        })?;
        self.keys.get(*place)
    }
}

fn index(keys: &[PayloadKey]) -> Result<HashMap<String, usize>, KeyError> {
    let mut names = HashMap::new();
    for (place, key) in keys.iter().enumerate() {
        for name in key.names() {
            let other = names
                .insert(name.clone(), place)
                .and_then(|other| keys.get(other));
            if let Some(other) = other.filter(|other| other.kid != key.kid) {
                return Err(KeyError::Ambiguous {
                    name,
                    first: other.kid.clone(),
                    second: key.kid.clone(),
                });
            }
        }
    }
    Ok(names)
}
