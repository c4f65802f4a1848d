//! Who calls: the checks of the gateway in front of the APIs, on an OAuth 1.0a signature.

use std::collections::{HashSet, VecDeque};
use std::sync::{Mutex, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use openssl::hash::MessageDigest;
use openssl::pkey::{PKey, Public};
use openssl::sign::Verifier;

use super::http::Request;
use crate::mastercard::oauth::{Parameters, base_string, body_hash, parse_header};

/// Milliseconds by which a timestamp may differ from our clock.
const WINDOW: i64 = 5 * 60 * 1000;
/// Nonces that are remembered; of more, the oldest are forgotten before their time.
const NONCES: usize = 100_000;

/// Why a request is not believed to be the merchant's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum AuthFault {
    #[error("There is no OAuth 1.0a Authorization header.")]
    NoHeader,
    #[error("Problem with the OAuth parameters: one is missing or not as it must be.")]
    Parameters,
    #[error("The body hash is not that of the body.")]
    BodyHash,
    #[error("The timestamp is more than five minutes off.")]
    Timestamp,
    #[error("The nonce was used before.")]
    Nonce,
    #[error("The signature is wrong.")]
    Signature,
}

impl AuthFault {
    /// The reason code in the gateway's answer.
    pub(super) fn code(self) -> &'static str {
        match self {
            Self::NoHeader | Self::Parameters => "INVALID_OAUTH_SBS",
            Self::BodyHash => "INVALID_BODY_HASH",
            Self::Timestamp => "INVALID_TIMESTAMP",
            Self::Nonce => "INVALID_NONCE",
            Self::Signature => "AUTHENTICATION_FAILED",
        }
    }
}

/// Checks requests against the merchant's public key.
pub(super) struct Authentication {
    key: PKey<Public>,
    nonces: Mutex<Nonces>,
}

impl Authentication {
    pub(super) fn new(key: PKey<Public>) -> Self {
        Self {
            key,
            nonces: Mutex::default(),
        }
    }

    /// Whether the merchant has signed this request, just now and for this one time.
    pub(super) fn check(&self, request: &Request, now: i64) -> Result<(), AuthFault> {
        let header = request.header("authorization").and_then(parse_header);
        let parameters = header.ok_or(AuthFault::NoHeader)?;
        let text = |name| {
            let value = parameters.get(name).filter(|value| !value.is_empty());
            value.ok_or(AuthFault::Parameters)
        };
        text("oauth_consumer_key")?;
        let nonce = text("oauth_nonce")?;
        let timestamp = text("oauth_timestamp")?.parse::<i64>();
        let timestamp = timestamp.map_err(|_| AuthFault::Parameters)?;
        if text("oauth_signature_method")? != "RSA-SHA256" || text("oauth_version")? != "1.0" {
            return Err(AuthFault::Parameters);
        }
        if *text("oauth_body_hash")? != body_hash(&request.body) {
            return Err(AuthFault::BodyHash);
        }
        if timestamp.saturating_mul(1000).abs_diff(now) > WINDOW.unsigned_abs() {
            return Err(AuthFault::Timestamp);
        }
        if !self.is_signed(request, &parameters, text("oauth_signature")?) {
            return Err(AuthFault::Signature);
        }
        // Only now, so that nobody else can use up or fill what is remembered.
        let mut nonces = self.nonces.lock().unwrap_or_else(PoisonError::into_inner);
        match nonces.is_new(nonce, now) {
            true => Ok(()),
            false => Err(AuthFault::Nonce),
        }
    }

    fn is_signed(&self, request: &Request, parameters: &Parameters, signature: &str) -> bool {
        let host = request.header("host").unwrap_or_default();
        let url = format!("http://{host}{}", request.target);
        let signature = STANDARD.decode(signature).ok();
        let signed = base_string(&request.method, &url, parameters).ok();
        signature.zip(signed).is_some_and(|(signature, signed)| {
            let verifier = Verifier::new(MessageDigest::sha256(), &self.key);
            let verified = verifier
                .and_then(|mut verifier| verifier.verify_oneshot(&signature, signed.as_bytes()));
            verified.unwrap_or(false)
        })
    }
}

/// The nonces of the time in which their requests could be sent again.
#[derive(Default)]
pub(super) struct Nonces {
    known: HashSet<String>,
    /// In the order of their coming, with its time.
    order: VecDeque<(i64, String)>,
}

impl Nonces {
    /// Whether the nonce was not used before; it is from now on.
    pub(super) fn is_new(&mut self, nonce: &str, now: i64) -> bool {
        while let Some((came, oldest)) = self.order.front() {
            // A timestamp may lie a window ahead, and counts for a window after that.
            if now - came <= 2 * WINDOW && self.order.len() < NONCES {
                break;
            }
            self.known.remove(oldest);
            self.order.pop_front();
        }
        let is_new = self.known.insert(nonce.to_owned());
        if is_new {
            self.order.push_back((now, nonce.to_owned()));
        }
        is_new
    }
}
