//! The parts of a recorded item that do not depend on its decision.

use crate::domain::{Hold, ReportedStatus, Rule, Verdict};
use crate::store::NotificationRow;

/// Where an item came from.
#[derive(Clone)]
pub struct Origin {
    pub delivery_id: String,
    pub sequence: i64,
    pub index: i32,
    pub received_at: i64,
}

/// Whether an item of this verdict stands for its identity: a repeat does not, nor does one that is
/// judged anew later.
pub fn is_effective(verdict: Verdict) -> bool {
    verdict != Verdict::Duplicate && !verdict.hold().is_some_and(Hold::may_open_later)
}

pub fn status_word(status: &ReportedStatus) -> Option<String> {
    match status {
        ReportedStatus::Known(status) => Some(status.word().to_owned()),
        ReportedStatus::Cancelled => Some("CANCELLED".to_owned()),
        ReportedStatus::Unknown(word) => Some(word.clone()).filter(|word| !word.is_empty()),
    }
}

pub fn bare_row(origin: Origin, verdict: Verdict, rule: Rule, now: i64) -> NotificationRow {
    NotificationRow {
        delivery_id: origin.delivery_id,
        delivery_sequence: origin.sequence,
        index: origin.index,
        card_id: None,
        card_order: 0,
        received_at: origin.received_at,
        event_time: None,
        reason: None,
        status: None,
        identity: None,
        identity_is_unique: false,
        verdict,
        rule: rule.0,
        flags: Vec::new(),
        changes: Vec::new(),
        trace: Vec::new(),
        content: None,
        payment: None,
        decided_at: now,
        earlier: Vec::new(),
    }
}
