//! The log of calls: what was asked for, and what was answered.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Calls that are kept; older ones are forgotten.
const KEPT: usize = 100_000;

/// What a call asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Operation {
    Checkout,
    DeleteCard,
    GetCard,
    Transactions,
    /// The key set that verifies answers.
    VerificationKeys,
    /// Processing Digital: suspends, resumes or deactivates tokens.
    SetTokenStatus,
    /// Processing Digital: the tokens of a card contract or of a client, or one token.
    ReadTokens,
    /// The bank: gives a token another state.
    UpdateTokenState,
    /// The bank: one token.
    GetToken,
    /// The bank: the tokens of a customer.
    ListTokens,
}

impl Operation {
    /// Whether it is the bank that is asked, and not Mastercard.
    pub(super) fn is_of_the_bank(self) -> bool {
        matches!(
            self,
            Self::UpdateTokenState | Self::GetToken | Self::ListTokens
        )
    }
}

/// One call of the APIs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// When it came, milliseconds since 1970.
    pub at: i64,
    pub method: String,
    /// As it was sent; of a token number in the path only the last four digits.
    pub path_and_query: String,
    pub operation: Operation,
    /// The card or card contract it is about, if it names one.
    pub card_id: Option<String>,
    /// What was answered; none while the call is under way, and where no answer came.
    pub status: Option<u16>,
}

/// The calls that came, in order.
#[derive(Default)]
pub(super) struct CallLog(Mutex<Calls>);

#[derive(Default)]
struct Calls {
    kept: VecDeque<Call>,
    forgotten: usize,
}

impl CallLog {
    /// Writes a call down; returns its number.
    pub(super) fn begin(&self, call: Call) -> usize {
        let mut calls = self.lock();
        if calls.kept.len() == KEPT {
            calls.kept.pop_front();
            calls.forgotten += 1;
        }
        calls.kept.push_back(call);
        calls.forgotten + calls.kept.len() - 1
    }

    /// Adds what is answered.
    pub(super) fn answered(&self, number: usize, status: u16) {
        let mut calls = self.lock();
        let place = number.checked_sub(calls.forgotten);
        if let Some(call) = place.and_then(|place| calls.kept.get_mut(place)) {
            call.status = Some(status);
        }
    }

    pub(super) fn all(&self) -> Vec<Call> {
        self.lock().kept.iter().cloned().collect()
    }

    pub(super) fn count(&self, operation: Operation, card_id: Option<&str>) -> usize {
        let is_meant = |call: &&Call| {
            call.operation == operation
                && card_id.is_none_or(|id| call.card_id.as_deref() == Some(id))
        };
        self.lock().kept.iter().filter(is_meant).count()
    }

    fn lock(&self) -> MutexGuard<'_, Calls> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
