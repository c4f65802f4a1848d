//! What is told of a key or certificate: everything but the key.

use std::collections::BTreeMap;

use openssl::asn1::{Asn1Time, Asn1TimeRef};
use openssl::error::ErrorStack;
use openssl::pkey::{HasPublic, Id, PKeyRef};
use openssl::sha::sha256;

use super::{UseMark, hex};

const DAY: i64 = 86_400;

/// What a key is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum KeyPurpose {
    /// Opens what is encrypted to us.
    Payload,
    /// Seals rows.
    Storage,
    /// Signs our requests.
    Signing,
    /// Verifies another side's answers.
    Verification,
    /// Requests are encrypted to it.
    Encryption,
    /// Issues the certificates of senders.
    ClientAuthority,
    /// The listener's own certificate and its intermediates.
    Listener,
}

impl KeyPurpose {
    /// The purpose as it is stored and shown.
    pub fn word(self) -> &'static str {
        match self {
            Self::Payload => "payload",
            Self::Storage => "storage",
            Self::Signing => "signing",
            Self::Verification => "verification",
            Self::Encryption => "encryption",
            Self::ClientAuthority => "client-authority",
            Self::Listener => "listener",
        }
    }
}

/// A key or certificate as an inventory lists it.
#[derive(Debug, Clone)]
pub struct KeyDescription {
    pub purpose: KeyPurpose,
    /// The program whose key it is; empty if it is none's.
    pub program: String,
    /// Its kid, the file that holds it where it has none, or the subject of an authority.
    pub kid: String,
    /// Other names of the same key.
    pub aliases: Vec<String>,
    /// Where it is, relative to the key folder; empty where it has no file of its own.
    pub file: String,
    /// `RSA`, `EC` or `AES`.
    pub kind: &'static str,
    /// What it is used with.
    pub algorithm: String,
    pub bits: u32,
    /// Hex: SHA-256 of a public key, of a storage key a keyed digest.
    pub fingerprint: String,
    /// When its certificate ends, in seconds since 1970, if it has one.
    pub ends_at: Option<i64>,
    pub used: UseMark,
}

impl KeyDescription {
    /// Of a public key, or the public half of a private one.
    ///
    /// # Errors
    /// Where OpenSSL cannot write the key.
    pub fn of<T: HasPublic>(purpose: KeyPurpose, key: &PKeyRef<T>) -> Result<Self, ErrorStack> {
        Ok(Self {
            purpose,
            program: String::new(),
            kid: String::new(),
            aliases: Vec::new(),
            file: String::new(),
            kind: kind(key.id()),
            algorithm: String::new(),
            bits: key.bits(),
            fingerprint: fingerprint(key)?,
            ends_at: None,
            used: UseMark::default(),
        })
    }

    /// Whole days that are left of its certificate, less than 0 once it has ended. `now` is in milliseconds
    /// since 1970.
    pub fn days_left(&self, now: i64) -> Option<i64> {
        self.ends_at.map(|ends_at| days_left(ends_at, now))
    }
}

/// SHA-256 of a public key, in hex.
pub(crate) fn fingerprint<T: HasPublic>(key: &PKeyRef<T>) -> Result<String, ErrorStack> {
    Ok(hex::encode(&sha256(&key.public_key_to_der()?)))
}

/// Whole days from `now`, in milliseconds since 1970, to `ends_at`, in seconds.
pub fn days_left(ends_at: i64, now: i64) -> i64 {
    (ends_at - now.div_euclid(1000)).div_euclid(DAY)
}

/// Seconds since 1970.
pub(crate) fn seconds_of(time: &Asn1TimeRef) -> Result<i64, ErrorStack> {
    let since = Asn1Time::from_unix(0)?.diff(time)?;
    Ok(i64::from(since.days) * DAY + i64::from(since.secs))
}

pub(super) fn kind(id: Id) -> &'static str {
    match id {
        Id::RSA => "RSA",
        Id::EC => "EC",
        _ => "other",
    }
}

/// One name of a key, and which key it names.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct NamedKey {
    pub purpose: &'static str,
    pub program: String,
    pub kid: String,
    pub fingerprint: String,
}

/// All names under which these keys are found, their own ones before aliases. The listener's own certificate is
/// not among them: it is renewed often, with a new key, and nobody is trusted for it.
pub fn named_keys(keys: &[KeyDescription]) -> Vec<NamedKey> {
    let mut names = BTreeMap::<_, Vec<&str>>::new();
    for key in keys {
        if key.purpose == KeyPurpose::Listener {
            continue;
        }
        let aliases = key.aliases.iter().map(|alias| (true, alias));
        for (is_alias, name) in [(false, &key.kid)].into_iter().chain(aliases) {
            let name = (is_alias, key.purpose.word(), &key.program, name);
            names.entry(name).or_default().push(&key.fingerprint);
        }
    }
    let mut named = Vec::new();
    for ((_, purpose, program, kid), mut prints) in names {
        // Authorities of one subject count as one: whoever has one of the keys can issue.
        prints.sort_unstable();
        prints.dedup();
        named.push(NamedKey {
            purpose,
            program: program.clone(),
            kid: kid.clone(),
            fingerprint: prints.join("+"),
        });
    }
    named
}
