//! How a sandbox is to be.

use std::path::PathBuf;
use std::time::Duration;

use super::sender::SendingFault;
use crate::telemetry::Clock;

/// How a sandbox is to be.
#[derive(Clone)]
pub struct SandboxSettings {
    pub listen: String,
    /// The merchant's key folder: of its default payload key and its signing keys, the public halves
    /// are used.
    pub keys: PathBuf,
    /// The merchant's signing key in that folder.
    pub signing_key: PathBuf,
    /// The key in that folder with which the merchant signs what it asks of the bank. Without the file
    /// the bank believes nobody.
    pub alliance_signing_key: PathBuf,
    /// The name that the bank has given that key.
    pub alliance_kid: String,
    /// The service that cards belong to unless they say otherwise.
    pub service_id: String,
    /// Cards that are there from the start.
    pub cards: usize,
    /// Whether Get Card may give tokens.
    pub gives_tokens: bool,
    /// Where notifications are sent, if anywhere.
    pub send_to: Option<String>,
    /// Time between two attempts to send a notification.
    pub retry_pause: Duration,
    /// Changes of cards in a second that come about by themselves, if any.
    pub rate: Option<u32>,
    pub sending_faults: Vec<SendingFault>,
    /// What all choices follow from; none means a new one.
    pub seed: Option<u64>,
    pub clock: Clock,
}

impl SandboxSettings {
    /// A sandbox on a free port of this machine, without cards, for the merchant of a key folder.
    pub fn new(keys: impl Into<PathBuf>) -> Self {
        Self {
            listen: "127.0.0.1:0".to_owned(),
            keys: keys.into(),
            signing_key: "signing/demo-signing.pem".into(),
            alliance_signing_key: "signing/demo-alliance.pem".into(),
            alliance_kid: "6f1f1f9e-0f0b-4d57-9c65-3b5b0f4f7d11".to_owned(),
            service_id: "SECURE_COF_MERCHANT#START_COF-UPN2#01".to_owned(),
            cards: 0,
            gives_tokens: true,
            send_to: None,
            retry_pause: Duration::from_secs(3),
            rate: None,
            sending_faults: Vec::new(),
            seed: None,
            clock: Clock::system(),
        }
    }
}
