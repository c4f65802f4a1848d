//! Opening a token: the guard, the choice of the key, then the private-key operation and the decryption.
//!
//! josekit's operations are called one by one, not through its `JweContext`: so `alg`, `enc` and `zip` of the
//! token choose nothing, the MAC of CBC is checked before the padding, and the CEK is wiped after use.

use std::sync::atomic::Ordering;

use josekit::jwe::{JweDecrypter as _, JweHeader};
use openssl::error::ErrorStack;
use openssl::hash::MessageDigest;
use openssl::memcmp;
use openssl::pkey::PKey;
use openssl::rand::rand_bytes;
use openssl::sign::Signer;
use zeroize::Zeroizing;

use super::enc::{Enc, TAG_LENGTH};
use super::guard::{self, Checked, JoseHeader, Refused};
use super::{Keyring, PayloadKey};

/// Most private-key operations for one token, however many keys are loaded.
///
/// That is what bounds a sender's tokens without a key id. No rate does besides: only senders that the public
/// listener knows are heard, a body has a largest size, and who waits for an answer never waits for a key.
pub const MAX_PRIVATE_OPERATIONS: usize = 4;

/// Most characters of a token's key id that are written to the log.
const SHOWN: usize = 64;

/// Why a token stays closed. All reasons but one look alike, so that the answer tells a forger nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// The token, or its surroundings, name a key that is not loaded. It may open after a reload.
    #[error("no loaded key answers to the token's key id")]
    UnknownKey,
    /// Malformed, not allowed, or not encrypted to any key tried.
    #[error("the token cannot be opened")]
    Refused,
}

impl Keyring {
    /// Decrypts a compact JWE. `fingerprint_hint` is a `keyFingerprintId` that came beside the token.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub fn open(
        &self,
        token: &str,
        fingerprint_hint: Option<&str>,
    ) -> Result<Zeroizing<Vec<u8>>, OpenError> {
        let token = guard::check(token, &self.policy).map_err(|Refused| OpenError::Refused)?;
        let (candidates, closed) = self.candidates(&token.header, fingerprint_hint);
        let opened = candidates
            .into_iter()
            .filter(|key| key.modulus_length == token.encrypted_key.len())
            .take(MAX_PRIVATE_OPERATIONS)
            .find_map(|key| self.open_with(key, &token));
        if opened.is_none() && closed == OpenError::UnknownKey {
            log_unknown(&token.header, fingerprint_hint);
        }
        opened.ok_or(closed)
    }

    fn open_with(&self, key: &PayloadKey, token: &Checked<'_>) -> Option<Zeroizing<Vec<u8>>> {
        self.private_operations.fetch_add(1, Ordering::Relaxed);
        let enc = token.header.enc;
        // RFC 7516, 11.5: with a random CEK in its place, a bad encrypted key takes the path and time of a bad tag.
        let random = random_cek(enc).ok()?;
        let cek = unwrap_cek(key, token).unwrap_or(random);
        let opened = decrypt(enc, &cek, token)?;
        key.used.set();
        Some(opened)
    }
}

/// The token's CEK, if it has the length that its `enc` wants.
fn unwrap_cek(key: &PayloadKey, token: &Checked<'_>) -> Option<Zeroizing<Vec<u8>>> {
    let enc = token.header.enc.josekit();
    let cek = key
        .decrypter
        .decrypt(Some(&token.encrypted_key), enc, &JweHeader::new());
    cek.ok()
        .map(|cek| Zeroizing::new(cek.into_owned()))
        .filter(|cek| cek.len() == enc.key_len())
}

fn random_cek(enc: Enc) -> Result<Zeroizing<Vec<u8>>, ErrorStack> {
    let mut cek = Zeroizing::new(vec![0; enc.josekit().key_len()]);
    rand_bytes(&mut cek)?;
    Ok(cek)
}

fn decrypt(enc: Enc, cek: &[u8], token: &Checked<'_>) -> Option<Zeroizing<Vec<u8>>> {
    // josekit looks at CBC's padding first and at its MAC afterwards, which makes a padding oracle.
    if enc == Enc::A128CbcHs256 && !cbc_mac_holds(cek, token).ok()? {
        return None;
    }
    let aad = token.protected.as_bytes();
    let plaintext = enc.josekit().decrypt(
        cek,
        Some(&token.iv),
        &token.ciphertext,
        aad,
        Some(&token.tag),
    );
    plaintext.ok().map(Zeroizing::new)
}

/// Checks the MAC of AES_128_CBC_HMAC_SHA_256 (RFC 7518, 5.2.2).
fn cbc_mac_holds(cek: &[u8], token: &Checked<'_>) -> Result<bool, ErrorStack> {
    let (mac_key, _) = cek.split_at(cek.len() / 2);
    let aad = token.protected.as_bytes();
    let key = PKey::hmac(mac_key)?;
    let mut signer = Signer::new(MessageDigest::sha256(), &key)?;
    signer.update(aad)?;
    signer.update(&token.iv)?;
    signer.update(&token.ciphertext)?;
    signer.update(&(aad.len() as u64 * 8).to_be_bytes())?;
    let mac = signer.sign_to_vec()?;
    let tag = mac.get(..TAG_LENGTH).unwrap_or_default();
    Ok(tag.len() == token.tag.len() && memcmp::eq(tag, &token.tag))
}

/// The sender chooses these names, so they are escaped and cut.
fn log_unknown(header: &JoseHeader, fingerprint_hint: Option<&str>) {
    let hint = header
        .key_hints(fingerprint_hint)
        .next()
        .unwrap_or_default();
    let shown: String = hint.escape_default().take(SHOWN).collect();
    log::warn!(
        "no loaded payload key answers to the key id \"{shown}\"; add the key or an alias for it, then reload"
    );
}
