//! Keyed digests: equal for equal things, of no use without the key, and made anew under another key although
//! the thing itself is gone.
//!
//! A digest is `KEYID:` and the hex HMAC-SHA-256 of its source, which is the SHA-256 of the parts. The source is
//! stored sealed beside the digest: without it a digest could never leave the key it was made with.

use openssl::sha::Sha256;
use zeroize::Zeroizing;

use super::hex;
use super::hmac::Hmac;

/// SHA-256 of what a digest stands for. Few numbers come into question where the last four are known, so this is
/// as secret as the number.
#[derive(Clone)]
pub struct DigestSource(Zeroizing<[u8; 32]>);

impl DigestSource {
    /// The source of a digest of these parts; where one ends counts.
    pub(super) fn of(parts: &[&[u8]]) -> DigestSource {
        let mut hash = Sha256::new();
        for part in parts {
            hash.update(&(part.len() as u64).to_be_bytes());
            hash.update(part);
        }
        DigestSource(Zeroizing::new(hash.finish()))
    }

    /// Takes a stored source.
    pub fn parse(bytes: &[u8]) -> Option<DigestSource> {
        let bytes = <[u8; 32]>::try_from(bytes).ok()?;
        Some(DigestSource(Zeroizing::new(bytes)))
    }

    /// The source itself: only for sealing it.
    pub fn expose(&self) -> &[u8; 32] {
        &self.0
    }
}

/// The digest of one thing: as it is written now, and as earlier rows may hold it.
#[derive(Clone)]
pub struct KeyedDigest {
    /// Under the active key.
    pub text: String,
    /// Under the other keys that are loaded, and in the form of rows that have no source.
    pub(super) earlier: Vec<String>,
    /// None of a digest whose row has none.
    pub source: Option<DigestSource>,
}

impl KeyedDigest {
    /// A digest as it stands in a row without a source.
    pub fn without_source(text: String) -> KeyedDigest {
        KeyedDigest {
            text,
            earlier: Vec::new(),
            source: None,
        }
    }

    /// Every form in which a row may hold it, the one that is written first.
    pub fn forms(&self) -> impl Iterator<Item = &String> {
        std::iter::once(&self.text).chain(&self.earlier)
    }

    /// Whether `stored` is this digest in any form.
    pub fn is(&self, stored: &str) -> bool {
        self.forms().any(|form| form == stored)
    }
}

/// The digest of a source under a key.
pub(super) fn of_source(id: &str, key: &[u8; 32], source: &DigestSource) -> String {
    let mut hmac = Hmac::new(key);
    hmac.update(source.expose());
    format!("{id}:{}", hex::encode(&hmac.finish()))
}

/// The digest of rows without a source: of the parts themselves.
pub(super) fn of_parts(id: &str, key: &[u8; 32], parts: &[&[u8]]) -> String {
    let mut hmac = Hmac::new(key);
    for part in parts {
        hmac.update(&(part.len() as u64).to_be_bytes());
        hmac.update(part);
    }
    format!("{id}:{}", hex::encode(&hmac.finish()))
}
