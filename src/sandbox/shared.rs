//! What all connections of a sandbox work on.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::SyncSender;
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde_json::Value;

use super::alliance_keys::AllianceKeys;
use super::authentication::Authentication;
use super::bank_tokens::BankTokens;
use super::calls::CallLog;
use super::cards::Book;
use super::contracts::Contracts;
use super::errors::Refusal;
use super::faults::{Fault, FaultBook};
use super::gate::Gate;
use super::keys::Keys;
use super::notification::Notification;
use crate::domain::{Cryptogram, TokenNumber};
use crate::telemetry::Clock;

/// Cryptograms that are remembered; older ones are forgotten.
const ISSUED: usize = 100_000;
/// 16 zero bytes in base64url: a tag that fits nothing.
const WRONG_TAG: &str = "AAAAAAAAAAAAAAAAAAAAAA";

/// A cryptogram with the token it was made for.
#[derive(Clone)]
pub struct Issued {
    pub card_id: String,
    pub number: TokenNumber,
    pub cryptogram: Cryptogram,
}

/// How many notifications were sent, and what became of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sent {
    /// Acknowledged by the receiver; one that was sent twice counts twice.
    pub accepted: u64,
    /// Not acknowledged, however often they were tried.
    pub given_up: u64,
}

pub(super) struct Shared {
    pub(super) keys: Keys,
    pub(super) alliance: AllianceKeys,
    pub(super) clock: Clock,
    pub(super) gives_tokens: bool,
    pub(super) authentication: Authentication,
    pub(super) calls: CallLog,
    pub(super) faults: FaultBook,
    pub(super) gate: Gate,
    pub(super) book: Mutex<Book>,
    pub(super) contracts: Mutex<Contracts>,
    pub(super) bank_tokens: Mutex<BankTokens>,
    pub(super) issued: Mutex<VecDeque<Issued>>,
    /// The last JWS of Checkout and its `jti`.
    pub(super) last_answer: Mutex<Option<(String, String)>>,
    /// Where notifications go, if anywhere.
    pub(super) receiver: Mutex<Option<String>>,
    pub(super) outgoing: SyncSender<Notification>,
    pub(super) accepted: AtomicU64,
    pub(super) given_up: AtomicU64,
}

impl Shared {
    pub(super) fn book(&self) -> MutexGuard<'_, Book> {
        lock(&self.book)
    }

    pub(super) fn contracts(&self) -> MutexGuard<'_, Contracts> {
        lock(&self.contracts)
    }

    pub(super) fn bank_tokens(&self) -> MutexGuard<'_, BankTokens> {
        lock(&self.bank_tokens)
    }

    pub(super) fn last_answer(&self) -> MutexGuard<'_, Option<(String, String)>> {
        lock(&self.last_answer)
    }

    pub(super) fn receiver(&self) -> MutexGuard<'_, Option<String>> {
        lock(&self.receiver)
    }

    pub(super) fn note_issued(&self, issued: Issued) {
        let mut all = lock(&self.issued);
        if all.len() == ISSUED {
            all.pop_front();
        }
        all.push_back(issued);
    }

    /// What was issued for a card, in order.
    pub(super) fn issued_for(&self, card_id: &str) -> Vec<Issued> {
        let issued = lock(&self.issued);
        let of_card = issued.iter().filter(|issued| issued.card_id == card_id);
        of_card.cloned().collect()
    }

    /// A JWE for the merchant; a fault may spoil it.
    pub(super) fn encrypted(
        &self,
        plaintext: &Value,
        enc: (&str, usize),
        fault: Option<&Fault>,
    ) -> Result<String, Refusal> {
        let token = self.keys.encrypt(plaintext, &self.keys.kid, enc);
        let token = token.map_err(|_| Refusal::internal())?;
        match (fault, token.rsplit_once('.')) {
            (Some(Fault::Undecryptable), Some((rest, _))) => Ok(format!("{rest}.{WRONG_TAG}")),
            _ => Ok(token),
        }
    }

    /// Hands a notification to the sender, if it has somewhere to send it.
    pub(super) fn send(&self, notification: Notification) {
        if self.receiver().is_some() && self.outgoing.send(notification).is_err() {
            log::warn!("a notification is not sent: the sandbox is being stopped");
        }
    }

    pub(super) fn sent(&self) -> Sent {
        Sent {
            accepted: self.accepted.load(Ordering::Relaxed),
            given_up: self.given_up.load(Ordering::Relaxed),
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
