//! Names and keys that a sender's certificate must have.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;

use crate::jose::hex;

/// Where in a certificate a name stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SubjectKind {
    /// The common name.
    Cn,
    /// The whole distinguished name, as RFC 4514 writes it.
    Dn,
    /// A DNS name among the alternative names.
    San,
}

impl SubjectKind {
    fn name(self) -> &'static str {
        match self {
            Self::Cn => "cn",
            Self::Dn => "dn",
            Self::San => "san",
        }
    }
}

/// A name that a sender's certificate may have: `cn:…`, `dn:…` or `san:…`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct ClientSubject {
    kind: SubjectKind,
    name: String,
}

impl ClientSubject {
    pub fn kind(&self) -> SubjectKind {
        self.kind
    }

    /// The name, to be compared letter by letter.
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl fmt::Display for ClientSubject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.kind.name(), self.name)
    }
}

impl TryFrom<String> for ClientSubject {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let kinds = [SubjectKind::Cn, SubjectKind::Dn, SubjectKind::San];
        let parts = text.split_once(':').and_then(|(kind, name)| {
            let kind = kinds.into_iter().find(|known| known.name() == kind)?;
            (!name.is_empty()).then(|| Self {
                kind,
                name: name.to_owned(),
            })
        });
        parts.ok_or("a subject is cn:NAME, dn:NAME or san:NAME")
    }
}

/// SHA-256 of the public key (DER SubjectPublicKeyInfo) that a sender's certificate may have.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct ClientPin([u8; 32]);

impl ClientPin {
    pub fn is_of(&self, spki: &[u8]) -> bool {
        openssl::sha::sha256(spki) == self.0
    }
}

impl fmt::Display for ClientPin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "pin:{}", hex::encode(&self.0))
    }
}

impl TryFrom<String> for ClientPin {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let from_base64 = || STANDARD.decode(&text).ok()?.try_into().ok();
        let hash = hex::decode_32(text.as_bytes()).or_else(from_base64);
        hash.map(Self)
            .ok_or("a pin is a SHA-256 in 64 hexadecimal digits or in base64")
    }
}
