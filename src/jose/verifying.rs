//! Verifying a JWS: a guard in front of every key, then the key that its `kid` names.
//!
//! The key decides the algorithm: a key on a curve is for one, an RSA key for the one its JWK names, else RS256. The
//! token's `alg` must only agree with it, so neither `none` nor an HMAC keyed with a public key has a way in.

use std::collections::BTreeMap;

use josekit::jws::JwsVerifier;
use serde_json::{Map, Value};
use zeroize::Zeroizing;

use super::guard::{self, MAX_HEADER, Refused};
use super::jwks::{self, JwksFault};
use super::{JwsAlg, KeyDescription, KeyPurpose, UseMark, demonstration, hex, json};

/// Longest token, in characters.
pub const MAX_JWS: usize = 256 * 1024;

/// One public key and the algorithm it verifies.
pub(super) struct VerificationKey {
    pub(super) alg: JwsAlg,
    pub(super) verifier: Box<dyn JwsVerifier>,
    /// SHA-256 of the DER SubjectPublicKeyInfo.
    pub(super) spki_sha256: [u8; 32],
    pub(super) bits: u32,
    pub(super) used: UseMark,
}

/// Public keys that verify what the other side signs, each under its kid.
#[derive(Default)]
pub struct VerificationKeys {
    keys: BTreeMap<String, VerificationKey>,
}

/// A JWS whose signature is right.
pub struct VerifiedJws {
    /// The key that verified it.
    pub kid: String,
    /// What it was signed by: whether that is accepted here is the caller's to say.
    pub alg: JwsAlg,
    /// The whole protected header.
    pub header: Map<String, Value>,
    pub payload: Zeroizing<Vec<u8>>,
}

/// Why a JWS is not believed. Nothing of the token is quoted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum VerifyFault {
    /// Not a compact JWS, too long, or with a header that must not be.
    #[error("not a compact JWS in an accepted form")]
    Malformed,
    /// `alg` is no [`JwsAlg`], or not that of the key.
    #[error("the JWS's alg is not the one its key is for")]
    AlgNotAllowed,
    /// No key is known under the kid. It may be known after the key set was fetched anew.
    #[error("no verification key is known under the JWS's kid")]
    UnknownKid,
    /// The signature is not that key's signature of this header and payload.
    #[error("the JWS's signature is wrong")]
    WrongSignature,
}

impl VerifyFault {
    /// The word for it in the reason of a call's failure.
    pub fn word(self) -> &'static str {
        match self {
            Self::Malformed => "jws-malformed",
            Self::AlgNotAllowed => "jws-alg-not-allowed",
            Self::UnknownKid => "jws-unknown-kid",
            Self::WrongSignature => "jws-wrong-signature",
        }
    }
}

impl From<Refused> for VerifyFault {
    fn from(_: Refused) -> Self {
        Self::Malformed
    }
}

impl VerificationKeys {
    /// Reads a JWK set. Keys that are there for something else are left out.
    ///
    /// # Errors
    /// [`JwksFault`]: one key that must not be in such a set refuses all of it.
    pub fn parse_jwks(bytes: &[u8]) -> Result<Self, JwksFault> {
        let keys = jwks::parse(bytes)?;
        Ok(Self { keys })
    }

    /// Adds the keys of another set; the same key may stand in both.
    ///
    /// # Errors
    /// [`JwksFault::Substituted`] if a kid names one key here and another key there: then nothing is added.
    pub fn merge(&mut self, other: Self) -> Result<(), JwksFault> {
        if self.contradicts(&other) {
            return Err(JwksFault::Substituted);
        }
        self.keys.extend(other.keys);
        Ok(())
    }

    /// Whether a kid names one key here and another key there.
    pub fn contradicts(&self, other: &Self) -> bool {
        let is_other_key = |(kid, new): (&String, &VerificationKey)| {
            let known = self.keys.get(kid);
            known.is_some_and(|known| known.spki_sha256 != new.spki_sha256)
        };
        other.keys.iter().any(is_other_key)
    }

    /// The kids of all keys, in order.
    pub fn kids(&self) -> impl Iterator<Item = &str> {
        self.keys.keys().map(String::as_str)
    }

    /// What an inventory tells of each key, as keys of this program.
    pub fn descriptions(&self, program: &str) -> Vec<KeyDescription> {
        let describe = |(kid, key): (&String, &VerificationKey)| KeyDescription {
            purpose: KeyPurpose::Verification,
            program: program.to_owned(),
            kid: kid.clone(),
            aliases: Vec::new(),
            file: String::new(),
            kind: if key.alg.is_rsa() { "RSA" } else { "EC" },
            algorithm: key.alg.name().to_owned(),
            bits: key.bits,
            fingerprint: hex::encode(&key.spki_sha256),
            ends_at: None,
            used: key.used.clone(),
        };
        self.keys.iter().map(describe).collect()
    }

    /// Whether everybody can sign for one of these keys, because its private half lies in the repository.
    pub fn holds_demonstration_key(&self) -> bool {
        self.keys.values().any(|key| {
            let fingerprint = hex::encode(&key.spki_sha256);
            demonstration::VERIFICATION_KEYS.contains(&fingerprint.as_str())
        })
    }

    /// Verifies a compact JWS under the key that its `kid` names.
    ///
    /// # Errors
    /// See [`VerifyFault`].
    pub fn verify(&self, compact: &str) -> Result<VerifiedJws, VerifyFault> {
        let token = Unverified::parse(compact)?;
        let (kid, key) = self
            .keys
            .get_key_value(&token.kid)
            .ok_or(VerifyFault::UnknownKid)?;
        if key.alg != token.alg {
            return Err(VerifyFault::AlgNotAllowed);
        }
        key.verifier
            .verify(token.signed.as_bytes(), &token.signature)
            .map_err(|_| VerifyFault::WrongSignature)?;
        key.used.set();
        Ok(VerifiedJws {
            kid: kid.clone(),
            alg: key.alg,
            header: token.header,
            payload: token.payload,
        })
    }
}

/// A JWS whose form is in order; nothing about it is authentic yet.
struct Unverified<'a> {
    header: Map<String, Value>,
    alg: JwsAlg,
    kid: String,
    payload: Zeroizing<Vec<u8>>,
    /// Header and payload as they were sent: what is signed.
    signed: &'a str,
    signature: Vec<u8>,
}

impl<'a> Unverified<'a> {
    fn parse(compact: &'a str) -> Result<Self, VerifyFault> {
        if compact.len() > MAX_JWS {
            return Err(VerifyFault::Malformed);
        }
        let (signed, signature) = compact.rsplit_once('.').ok_or(VerifyFault::Malformed)?;
        let (protected, payload) = signed.split_once('.').ok_or(VerifyFault::Malformed)?;
        // Of two dots one ends the header and one begins the signature: a third would be in the payload.
        if payload.contains('.')
            || protected.is_empty()
            || signature.is_empty()
            || protected.len() > guard::encoded(MAX_HEADER)
        {
            return Err(VerifyFault::Malformed);
        }
        let Ok(Value::Object(header)) = json::parse(&guard::decode(protected)?) else {
            return Err(VerifyFault::Malformed);
        };
        if header.keys().any(|name| guard::is_refused(name)) {
            return Err(VerifyFault::Malformed);
        }
        let alg = guard::text(&header, "alg")?.ok_or(VerifyFault::Malformed)?;
        // Before a key is looked for: an unknown kid makes callers fetch the key set anew.
        let alg = JwsAlg::from_name(&alg).ok_or(VerifyFault::AlgNotAllowed)?;
        Ok(Self {
            kid: guard::text(&header, "kid")?.ok_or(VerifyFault::Malformed)?,
            alg,
            header,
            payload: Zeroizing::new(guard::decode(payload)?),
            signed,
            signature: guard::decode(signature)?,
        })
    }
}
