//! Everything about a token that is checked before any key is touched.
//!
//! josekit accepts shortened tags, `crit`, repeated header names and unlimited `zip`, and panics on an empty IV.
//! What passes here holds none of these, so that josekit only ever sees well-formed parts.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};

use super::enc::{Enc, TAG_LENGTH};
use super::json;

/// Longest token, in characters.
pub const MAX_TOKEN: usize = 64 * 1024;
/// Longest decoded header, in bytes.
pub const MAX_HEADER: usize = 4 * 1024;

const ALG: &str = "RSA-OAEP-256";

/// Header names that change how a token is read; each is an attack on some library and none is in use here.
const FORBIDDEN: [&str; 14] = [
    "crit", "zip", "jwk", "jku", "x5u", "x5c", "epk", "apu", "apv", "p2s", "p2c", "iv", "tag",
    "b64",
];
/// Registered names that are allowed, in their one spelling.
const ALLOWED: [&str; 11] = [
    "alg", "enc", "kid", "typ", "cty", "x5t", "x5t#S256", "iat", "iss", "sub", "aud",
];

/// What a deployment lets in, and how far it looks for a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenPolicy {
    /// What `enc` may be.
    pub enc: Vec<Enc>,
    pub unknown_kid: UnknownKid,
}

/// What to do with a token that names only keys nobody knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UnknownKid {
    /// Wait for the key, or for an alias of one.
    Hold,
    /// Try the default key and all active ones before waiting.
    TryAll,
}

impl Default for OpenPolicy {
    fn default() -> Self {
        Self {
            enc: vec![Enc::A128Gcm, Enc::A192Gcm, Enc::A256Gcm],
            unknown_kid: UnknownKid::Hold,
        }
    }
}

/// A token that must not be opened. There is one answer for all reasons, so that none can be told from another.
pub(crate) struct Refused;

/// A token whose form is in order; nothing about it is authentic yet.
pub(crate) struct Checked<'a> {
    pub(super) header: JoseHeader,
    /// The header as it was sent: the additional data of the encryption.
    pub(super) protected: &'a str,
    pub(super) encrypted_key: Vec<u8>,
    pub(super) iv: Vec<u8>,
    pub(super) ciphertext: Vec<u8>,
    pub(super) tag: Vec<u8>,
}

pub(crate) struct JoseHeader {
    pub(super) enc: Enc,
    pub(super) kid: Option<String>,
    /// Mastercard's `keyId`, seen in place of `kid`.
    pub(super) key_id: Option<String>,
    /// Mastercard's `keyFingerprintId`.
    pub(super) fingerprint: Option<String>,
}

/// Checks sizes, parts, header, IV and tag of a compact JWE.
pub(crate) fn check<'a>(token: &'a str, policy: &OpenPolicy) -> Result<Checked<'a>, Refused> {
    if token.len() > MAX_TOKEN {
        return Err(Refused);
    }
    let mut parts = token.split('.');
    let mut next = || parts.next().ok_or(Refused);
    let (protected, encrypted_key, iv, ciphertext, tag) =
        (next()?, next()?, next()?, next()?, next()?);
    if parts.next().is_some()
        || protected.len() > encoded(MAX_HEADER)
        || tag.len() != encoded(TAG_LENGTH)
    {
        return Err(Refused);
    }
    let header = JoseHeader::parse(&decode(protected)?, policy)?;
    let checked = Checked {
        header,
        protected,
        encrypted_key: decode(encrypted_key)?,
        iv: decode(iv)?,
        ciphertext: decode(ciphertext)?,
        tag: decode(tag)?,
    };
    let in_order = checked.header.enc.takes_iv_of(checked.iv.len())
        && checked.tag.len() == TAG_LENGTH
        && !checked.ciphertext.is_empty();
    if in_order { Ok(checked) } else { Err(Refused) }
}

impl JoseHeader {
    /// The names under which a token asks for its key, the first one counting most. `beside` came with the token.
    pub(super) fn key_hints<'a>(
        &'a self,
        beside: Option<&'a str>,
    ) -> impl Iterator<Item = &'a str> {
        let names = [&self.kid, &self.key_id, &self.fingerprint];
        names
            .into_iter()
            .filter_map(|name| name.as_deref())
            .chain(beside)
    }

    fn parse(bytes: &[u8], policy: &OpenPolicy) -> Result<JoseHeader, Refused> {
        let Ok(Value::Object(header)) = json::parse(bytes) else {
            return Err(Refused);
        };
        if header.keys().any(|name| is_refused(name))
            || text(&header, "alg")?.as_deref() != Some(ALG)
        {
            return Err(Refused);
        }
        let enc = text(&header, "enc")?
            .and_then(|name| Enc::from_name(&name))
            .filter(|enc| policy.enc.contains(enc))
            .ok_or(Refused)?;
        Ok(JoseHeader {
            enc,
            kid: text(&header, "kid")?,
            key_id: text(&header, "keyId")?,
            fingerprint: text(&header, "keyFingerprintId")?,
        })
    }
}

/// Whether a header name is forbidden, or looks like a registered one to a reader that ignores case.
pub(super) fn is_refused(name: &str) -> bool {
    FORBIDDEN
        .iter()
        .any(|known| name.eq_ignore_ascii_case(known))
        || ALLOWED
            .iter()
            .any(|known| name.eq_ignore_ascii_case(known) && name != *known)
}

/// A member that must be a string where it is there at all.
pub(super) fn text(header: &Map<String, Value>, name: &str) -> Result<Option<String>, Refused> {
    match header.get(name) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(_) => Err(Refused),
    }
}

/// The engine takes neither padding nor other alphabets nor set trailing bits: one spelling for each value.
pub(super) fn decode(part: &str) -> Result<Vec<u8>, Refused> {
    URL_SAFE_NO_PAD.decode(part).map_err(|_| Refused)
}

/// Length of `bytes` bytes in unpadded base64.
pub(super) const fn encoded(bytes: usize) -> usize {
    (bytes * 4).div_ceil(3)
}
