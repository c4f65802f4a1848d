//! The status register: the greater rank wins, CANCELLED ends the card whatever its rank.

use serde_json::Value;

use super::{Judgement, Outcome};
use crate::domain::{
    CryptogramState, Hold, Precedence, Register, ReportedStatus, Rule, Status, Terminal,
    TerminalState, Verdict,
};

impl Judgement<'_> {
    pub(super) fn status(&mut self, reported: &ReportedStatus) -> Outcome {
        if self.card.terminal.is_some() {
            let confirmed = *reported == ReportedStatus::Cancelled && self.confirm_end();
            return match confirmed {
                true => Outcome::Changed(Rule::CANCELLED),
                false => Outcome::Absent,
            };
        }
        match reported {
            ReportedStatus::Cancelled => self.end(TerminalState::Cancelled),
            ReportedStatus::Known(status) => self.known_status(*status),
            ReportedStatus::Unknown(_) => self.unknown_status(),
        }
    }

    fn known_status(&mut self, status: Status) -> Outcome {
        let shown_before = self.card.status_word();
        let Some(held) = self.card.status.clone() else {
            self.note("status", format!("none known: {}", status.word()));
            return self.set_status(status, shown_before);
        };
        if held.value != status {
            self.doubt_untimed(held.rank, held.received_at);
        }
        match self.rank.against(held.rank) {
            Precedence::Newer => {
                let (word, held_word) = (status.word(), held.value.word());
                self.note(
                    "status",
                    match held.value == status {
                        true => format!("{word} once more, at {}", self.rank),
                        false => format!(
                            "{word} at {} is newer than {held_word} at {}",
                            self.rank, held.rank
                        ),
                    },
                );
                self.set_status(status, shown_before)
            }
            Precedence::Equal if held.value == status => Outcome::Same,
            Precedence::Equal => {
                // At equal event time SUSPENDED wins: the safe side.
                self.equal_time("status");
                self.asks_get_card = true;
                match status {
                    Status::Suspended => self.set_status(status, shown_before),
                    Status::Active => Outcome::Older(Rule::STATUS_OLDER),
                }
            }
            Precedence::Older => {
                self.note(
                    "status",
                    format!(
                        "{} at {} is older than {} at {}",
                        status.word(),
                        self.rank,
                        held.value.word(),
                        held.rank
                    ),
                );
                Outcome::Older(Rule::STATUS_OLDER)
            }
        }
    }

    fn set_status(&mut self, status: Status, shown_before: Option<&'static str>) -> Outcome {
        let held = self.card.status.as_ref().map(|register| register.value);
        self.card.status = Some(Register {
            value: status,
            rank: self.rank,
            received_at: self.received_at,
        });
        if status == Status::Suspended && self.card.cryptogram == Some(CryptogramState::Stored) {
            // Also while an unknown status hides the word. One that was handed out stays marked.
            self.destroy_cryptogram("the card is suspended");
        }
        match self.card.status_word() {
            shown if shown != shown_before => self.change("status", shown_before, shown),
            // An unknown status of greater rank hides the word, but the register moved.
            _ if held != Some(status) => {
                self.change("status", held.map(Status::word), status.word());
            }
            _ => return Outcome::Same,
        }
        Outcome::Changed(Rule::STATUS_NEWER)
    }

    /// An unknown status holds the register: the card is not chargeable until a known one of
    /// greater or equal rank comes.
    fn unknown_status(&mut self) -> Outcome {
        let shown_before = self.card.status_word();
        let set_by = self.card.status.as_ref().map(|register| register.rank);
        if set_by.is_some_and(|set_by| self.rank.against(set_by) != Precedence::Newer) {
            self.note("status", "unknown, but a known one is not older".to_owned());
            return Outcome::Older(Rule::STATUS_OLDER);
        }
        self.card.status_held = self.card.status_held.max(Some(self.rank));
        self.asks_get_card = true;
        self.note(
            "status",
            "unknown: the register is held, the card not chargeable".to_owned(),
        );
        if let Some(word) = shown_before {
            self.change("status", word, Value::Null);
        }
        Outcome::Held(Verdict::Parked(Hold::STATUS_UNKNOWN), Rule::STATUS_UNKNOWN)
    }

    /// Ends the card: unusable at once, number and cryptogram destroyed, the masked data stays as
    /// the archive.
    pub(super) fn end(&mut self, state: TerminalState) -> Outcome {
        let shown_before = self.card.status_word();
        self.note(
            "status",
            format!("{}: final, whatever its rank", state.word()),
        );
        self.destroy_cryptogram("the card has ended");
        if let Some(token) = self.card.token.take() {
            self.change("token.number", token.number.last_four(), Value::Null);
        }
        for token in &mut self.card.tokens {
            token.relinking_since = None;
        }
        self.card.status = None;
        self.card.status_held = None;
        self.card.refresh_held = None;
        self.card.terminal = Some(Terminal {
            state,
            at: self.received_at,
        });
        self.change("status", shown_before, state.word());
        Outcome::Changed(Rule::CANCELLED)
    }

    /// Takes the cryptogram of the current number away; the store wipes the sealed value.
    pub(super) fn destroy_cryptogram(&mut self, why: &str) {
        // What was handed out or ran out is gone already; only its mark goes.
        if self.card.cryptogram.take() == Some(CryptogramState::Stored) {
            self.change("cryptogram", "stored", Value::Null);
            self.note("cryptogram", format!("destroyed: {why}"));
        }
    }
}
