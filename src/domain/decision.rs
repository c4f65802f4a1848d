//! What [`decide`](super::decide()) returns: the verdict, the rule behind it, and what follows.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Card, CryptogramState, Event, Hold};

/// The verdict on one input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    Applied,
    NoChange,
    Duplicate,
    Stale,
    /// A part waits for something other than a key.
    Parked(Hold),
    /// A part cannot be opened or read.
    Quarantined(Hold),
}

impl Verdict {
    /// The verdict's name, as stored and shown.
    pub fn name(self) -> &'static str {
        match self {
            Self::Applied => "applied",
            Self::NoChange => "no_change",
            Self::Duplicate => "duplicate",
            Self::Stale => "stale",
            Self::Parked(_) => "parked",
            Self::Quarantined(_) => "quarantined",
        }
    }

    /// Why the item is held, for the two verdicts that hold one.
    pub fn hold(self) -> Option<Hold> {
        match self {
            Self::Parked(hold) | Self::Quarantined(hold) => Some(hold),
            _ => None,
        }
    }
}

/// The rule that gave a verdict; its name is stored and shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rule(pub &'static str);

impl Rule {
    /// The same identity is already recorded.
    pub const SAME_IDENTITY: Self = Self("same-identity");
    /// An untimed item repeats the card's latest one.
    pub const UNTIMED_REPEAT: Self = Self("untimed-repeat");
    /// The card has ended; what comes later revives nothing.
    pub const TERMINAL: Self = Self("terminal");
    pub const CANCELLED: Self = Self("cancelled");
    pub const FIRST_TOKEN: Self = Self("first-token");
    pub const NUMBER_AND_EXPIRY_CHANGED: Self = Self("number-and-expiry-changed");
    pub const NUMBER_CHANGED: Self = Self("number-changed");
    pub const EXPIRY_CHANGED: Self = Self("expiry-changed");
    pub const STATUS_NEWER: Self = Self("status-newer");
    pub const MASKED_CARD_NEWER: Self = Self("masked-card-newer");
    pub const TOKEN_OLDER: Self = Self("token-older");
    pub const STATUS_OLDER: Self = Self("status-older");
    pub const MASKED_CARD_OLDER: Self = Self("masked-card-older");
    pub const SAME_VALUES: Self = Self("same-values");
    pub const UNKNOWN_CARD: Self = Self("unknown-card");
    pub const STATUS_UNKNOWN: Self = Self("status-unknown");
    pub const REFRESH_UNREADABLE: Self = Self("refresh-unreadable");
    pub const REGISTERED: Self = Self("registered");
    /// The merchant asked for the card's deletion.
    pub const DELETE_ASKED: Self = Self("delete-asked");
    /// Mastercard confirmed the deletion.
    pub const DELETE_CONFIRMED: Self = Self("delete-confirmed");
    /// Mastercard does not know the card.
    pub const NOT_THERE: Self = Self("not-there");
    /// A Checkout answer for the number we hold.
    pub const CHECKOUT_CONFIRMS: Self = Self("checkout-confirms");
    /// A Checkout answer whose number or expiry is not ours.
    pub const CHECKOUT_DISAGREES: Self = Self("checkout-disagrees");
    /// A Checkout answer that came too late: the number moved on, or the card may not be charged.
    pub const CHECKOUT_LATE: Self = Self("checkout-late");
    /// The stored cryptogram was handed out or ran out.
    pub const CRYPTOGRAM_SPENT: Self = Self("cryptogram-spent");
    /// A token command was carried out there.
    pub const COMMAND_DONE: Self = Self("command-done");
    /// The program's reads of a card's tokens.
    pub const TOKENS_READ: Self = Self("tokens-read");
    /// The issuer told the status of the card contract.
    pub const CONTRACT_STATUS: Self = Self("contract-status");
    /// The delivery, or the item in it, could not be read as a notification.
    pub const NOT_READABLE: Self = Self("not-readable");
}

/// A remark on an item that does not change its verdict.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Flag {
    /// No usable event time; ranked by its receipt.
    Untimed,
    /// Another input of the same event time has a different value.
    EqualTime,
    /// Decrypted token and masked digits of the same item differ.
    DigitsDisagree,
    /// Masked digits newer than our token, or a Checkout answer, differ from it.
    RefreshSuspected,
    /// A Checkout answer brought a token that no notification had told of.
    RefreshMissed,
    /// Mastercard does not know the card.
    NotFoundThere,
}

/// One field that changed. Full numbers never appear: the token number is shown by its last four.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    pub field: String,
    pub from: Value,
    pub to: Value,
}

/// A call to Mastercard that has become necessary.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Job {
    pub kind: JobKind,
    /// Not before this instant (milliseconds since 1970, UTC).
    pub not_before: i64,
}

/// The kinds of calls a decision can make necessary.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JobKind {
    /// A fresh cryptogram for this `numberVersion`.
    Cryptogram { number_version: u32 },
    /// Ask Mastercard what is true.
    GetCard,
    /// Tell Mastercard that the card is gone.
    DeleteCard,
    /// Ask the program what is true of the card's tokens.
    ReadTokens,
}

impl JobKind {
    /// The kind's name, as stored and shown.
    pub fn name(self) -> &'static str {
        match self {
            Self::Cryptogram { .. } => "cryptogram",
            Self::GetCard => "get_card",
            Self::DeleteCard => "delete_card",
            Self::ReadTokens => "read_tokens",
        }
    }
}

/// One step of a decision, for `explain`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TraceStep {
    pub register: String,
    pub step: String,
}

/// The outcome of [`decide`](super::decide()).
pub struct Decision {
    /// The card as it is afterwards; none while an unknown card is parked.
    pub card: Option<Card>,
    pub verdict: Verdict,
    pub rule: Rule,
    pub flags: Vec<Flag>,
    pub changes: Vec<Change>,
    pub jobs: Vec<Job>,
    pub trace: Vec<TraceStep>,
    /// A cryptogram was due before and is not any more: a call that waits for one is withdrawn.
    pub no_longer_due: bool,
    /// What becomes of the cryptogram a Checkout answer brought.
    pub fresh_cryptogram: FreshCryptogram,
    pub events: Vec<Event>,
}

/// What becomes of the cryptogram a Checkout answer brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FreshCryptogram {
    /// The input brought none.
    None,
    /// It belongs to the card's current number.
    Usable,
    /// It is destroyed.
    Destroyed,
}

impl Decision {
    /// The fresh cryptogram goes to a caller at once instead of being stored.
    pub fn hand_out_cryptogram(&mut self) {
        let Some(card) = &mut self.card else {
            return;
        };
        card.cryptogram = Some(CryptogramState::HandedOut);
        let handed_out = card.cryptogram_event(CryptogramState::HandedOut.word());
        self.events.retain(|event| event.kind != handed_out.kind);
        self.events.push(handed_out);
    }
}
