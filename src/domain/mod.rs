//! The rules of card on file, pure: no database, no network, no clock, no JOSE.
//!
//! [`decide()`] is the one function through which every input goes: a live notification, a
//! registration, an answer of Mastercard, a replay, a dry run. It takes a card and an input and returns the card as it is
//! afterwards, a verdict with the rule that gave it, and the calls that have become necessary.
//!
//! A card is a set of independent *registers* (status, each masked field, token). Each register
//! remembers the [`Rank`] of what last set it, and the greater rank wins, so the end state does not
//! depend on the order in which notifications arrive.

mod card;
mod command;
mod decide;
mod decision;
mod display;
mod event;
mod expiry;
mod hold;
mod input;
mod masked;
mod missed;
mod numbers;
mod policy;
mod program_token;
mod rank;
mod readiness;
mod secret;
mod silence;
mod status;

pub use card::{Card, CardId, CardIdFault, CheckoutReason, LatestItem, Register, Token};
pub use command::{CommandState, OpenCommand, Ruling, rule_on_command};
pub use decide::decide;
pub use decision::{
    Change, Decision, Flag, FreshCryptogram, Job, JobKind, Rule, TraceStep, Verdict,
};
pub use display::{
    Display, WITHHELD, display, is_field_shown, shown_changes, shown_fields, shown_masked_card,
};
pub use event::{Event, EventKind};
pub use expiry::Expiry;
pub use hold::Hold;
pub use input::{
    CardAnswer, CheckoutAnswer, ContractStatus, CryptogramSpent, Delete, DeleteConfirmed, Input,
    NotThere, Notice, Payment, PaymentData, ReadToken, Registration, SeenToken, TokenCommandDone,
    TokensRead,
};
pub use masked::{MaskedFields, masked_fields, without_full_numbers};
pub use missed::{Missed, MissedRules, Signs};
pub use numbers::{could_hold_a_number, has_full_number, with_numbers_masked};
pub use policy::{
    BothForms, CryptogramPolicy, MismatchPolicy, Policy, ProgramMatch, StatusWord, TimeUnit,
    TokensOfCard, UnknownCardPolicy, WireForm,
};
pub use program_token::{CardToken, ProgramToken, TokenCommand, TokenReading, TokenStatus};
pub use rank::{Precedence, Rank};
pub use readiness::{Reason, Warning, may_charge, not_there_since, reasons, warnings};
pub use secret::{Cryptogram, NotATokenNumber, TokenNumber};
pub use silence::{Silence, SilenceRules};
pub use status::{CryptogramState, ReportedStatus, Status, Terminal, TerminalState};
