//! What can go wrong with an answer, on demand.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::calls::Operation;

/// A fault of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// The request is taken and never answered; nothing is done.
    Hang,
    /// The connection is reset after the request; nothing is done.
    Reset,
    /// What was asked for is done, then the connection is reset.
    AnswerLost,

    /// The true answer, one byte a second from the first one on.
    SlowHead,
    /// The head of the true answer at once, its body one byte a second.
    SlowBody,
    /// The true answer, closed in the middle of its body.
    ShortBody,
    /// The true answer in HTTP/1.0: no length, ended by closing.
    Http10,
    /// The true answer with a header of 1 MB.
    HugeHeader,
    /// `100 Continue` without end instead of the true answer.
    InformationalFlood,
    /// 200, and chunks without end.
    EndlessChunks,
    /// 200, and 100 MB of spaces.
    HugeBody,
    /// 200, and 1 MB of gzip that would be 1 GB.
    GzipBomb,

    /// 200 with an HTML page, as a proxy would.
    Html,
    /// This status and no body.
    Empty(u16),
    /// 200 and JSON that breaks off.
    BadJson,
    /// 200 and JSON of another shape.
    WrongSchema,
    /// This status, and this address to go to.
    Redirect { status: u16, location: String },
    /// This status with an error in one of the two documented shapes of Mastercard's; of the bank its
    /// own, signed where the service reports it.
    Error {
        status: u16,
        shape: ErrorShape,
        /// The value of `Retry-After`, if it is to be there.
        retry_after: Option<String>,
    },

    /// A JWS whose signature belongs to another payload (Checkout, bank).
    WrongSignature,
    /// A JWS under a kid that is in no key set (Checkout, bank).
    ForeignKid,
    /// A JWE that does not open (Checkout, Get Card, reads of Processing).
    Undecryptable,
    /// Everything right, but of another card (Checkout, Get Card) or token (reads of Processing, bank).
    OtherCard,
    /// A cryptogram that ran out a day ago (Checkout).
    ExpiredCryptogram,
    /// Right, but for another `srcCorrelationId` than the request's (Checkout).
    OtherRequest,
    /// Right, but signed a day ago (Checkout).
    SignedYesterday,
    /// Right, but with the `jti` of the answer before (Checkout).
    RepeatedJti,
    /// The true answer before, once more (Checkout).
    Replayed,
    /// `tokenUpdated` is false, and the token as it was (update at the bank).
    NotUpdated,
    /// 200 with a signed error of this code; nothing is done (bank).
    ErrorWithin200(&'static str),
    /// 200 with an unsigned error of this code; nothing is done (bank).
    PlainError(&'static str),
    /// The true answer as plain JSON, without a signature (bank).
    Unsigned,
}

/// Who reports an error: the two have different shapes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorShape {
    /// The service, with the reason that goes with the status, and perhaps a detail's reason. The
    /// bank's error has one code only: the detail's reason takes the place of the usual one.
    Service { detail: Option<&'static str> },
    /// The gateway in front of it.
    Gateway { recoverable: bool },
}

impl Fault {
    /// Whether it is the content of the answer that is wrong, and nothing about how it travels.
    pub(super) fn is_of_content(&self) -> bool {
        matches!(
            self,
            Self::WrongSignature
                | Self::ForeignKid
                | Self::Undecryptable
                | Self::OtherCard
                | Self::ExpiredCryptogram
                | Self::OtherRequest
                | Self::SignedYesterday
                | Self::RepeatedJti
                | Self::Replayed
                | Self::NotUpdated
                | Self::ErrorWithin200(_)
                | Self::PlainError(_)
                | Self::Unsigned
        )
    }

    /// An error as the service reports it.
    pub fn service_error(status: u16) -> Self {
        Self::Error {
            status,
            shape: ErrorShape::Service { detail: None },
            retry_after: None,
        }
    }

    /// An error as the gateway reports it.
    pub fn gateway_error(status: u16, recoverable: bool) -> Self {
        Self::Error {
            status,
            shape: ErrorShape::Gateway { recoverable },
            retry_after: None,
        }
    }
}

/// A token number or a bank's token that differs from this one in its last character only.
pub(super) fn another(token: &str) -> String {
    let mut other = token.to_owned();
    let last = other.pop();
    other.push(if last == Some('0') { '1' } else { '0' });
    other
}

/// The faults that are asked for.
#[derive(Default)]
pub(super) struct FaultBook(Mutex<HashMap<Operation, Planned>>);

#[derive(Default)]
struct Planned {
    next: VecDeque<Fault>,
    standing: Option<Fault>,
}

impl FaultBook {
    /// The next answer to this operation that has no fault planned gets this one.
    pub(super) fn answer_next(&self, operation: Operation, fault: Fault) {
        let mut planned = self.lock();
        planned.entry(operation).or_default().next.push_back(fault);
    }

    /// All further answers to this operation get this fault, or none.
    pub(super) fn set(&self, operation: Operation, fault: Option<Fault>) {
        self.lock().entry(operation).or_default().standing = fault;
    }

    /// The fault of the answer at hand.
    pub(super) fn take(&self, operation: Operation) -> Option<Fault> {
        let mut planned = self.lock();
        let planned = planned.get_mut(&operation)?;
        planned
            .next
            .pop_front()
            .or_else(|| planned.standing.clone())
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Operation, Planned>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
