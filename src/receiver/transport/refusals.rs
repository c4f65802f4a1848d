//! Senders that are refused: counted by cause, and told without filling the log.

use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use openssl::ssl::{Error, SslRef};
use openssl::x509::X509VerifyResult;

use crate::receiver::Rejections;
use crate::telemetry::{Metrics, Tally};

pub const HANDSHAKE: &str = "handshake";
pub const TIMEOUT: &str = "handshake-timeout";
pub const NO_CERTIFICATE: &str = "no-certificate";
pub const SUBJECT: &str = "subject";
pub const UNTRUSTED: &str = "untrusted-address";
pub const NO_HEADER: &str = "no-certificate-header";

/// One line a minute for each cause.
const QUIET: Duration = Duration::from_secs(60);

/// Causes there are: all are told apart.
const CAUSES: usize = 64;

/// What is refused, for the metrics, the log and the audit.
pub struct Refusals {
    metrics: Metrics,
    told: Mutex<Tally<&'static str>>,
    pub(super) rejections: Rejections,
}

impl Refusals {
    pub fn new(metrics: Metrics) -> Self {
        Self {
            metrics,
            told: Mutex::new(Tally::new(QUIET, CAUSES)),
            rejections: Rejections::at_public_listener(),
        }
    }

    /// Counts a refusal; the first one and then one a minute is logged.
    pub fn count(&self, cause: &'static str, peer: Option<SocketAddr>) {
        self.metrics.sender_refused(cause);
        let now = Instant::now();
        self.rejections.count(peer, None, cause, now);
        let Some(others) = self.others(cause, now) else {
            return;
        };
        let peer = peer.map_or_else(|| "unknown".to_owned(), |peer| peer.to_string());
        log::warn!(cause, peer:%, others; "sender refused: {cause}, from {peer}, {others} more since this was last told");
    }

    /// How many were not told since the last one that was; none if this one is not told either.
    pub(super) fn others(&self, cause: &'static str, now: Instant) -> Option<u64> {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let counted = told.count(cause, "other", now);
        (counted.nth == 1).then(|| counted.before.saturating_sub(1))
    }
}

/// Why a handshake failed.
pub fn of_handshake(ssl: &SslRef, error: &Error) -> &'static str {
    let without =
        |error: &openssl::error::Error| error.reason() == Some("peer did not return a certificate");
    let stack = error.ssl_error();
    if stack.is_some_and(|stack| stack.errors().iter().any(without)) {
        return NO_CERTIFICATE;
    }
    of_certificate(ssl.verify_result())
}

/// The numbers are those of OpenSSL's verification errors, which its binding does not name.
fn of_certificate(result: X509VerifyResult) -> &'static str {
    match result.as_raw() {
        0 => HANDSHAKE,
        9 => "certificate-not-yet-valid",
        10 => "certificate-expired",
        3 | 8 | 11 | 12 | 33 => "revocation-unknown",
        22 => "chain-too-long",
        23 => "certificate-revoked",
        26 => "certificate-purpose",
        50 => SUBJECT,
        66..=68 => "certificate-weak",
        _ => "authority",
    }
}
