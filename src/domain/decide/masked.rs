//! The masked card: field by field, each with its own rank; an absent field keeps what is there.

use std::borrow::Cow;

use serde_json::Value;

use super::{Judgement, Outcome};
use crate::domain::{MaskedFields, Precedence, Rank, Register, Rule};

impl Judgement<'_> {
    pub(super) fn masked(&mut self, fields: &MaskedFields) -> Outcome {
        let mut outcome = Outcome::Absent;
        if self.card.erased_at.is_some() {
            self.note("maskedCard", "the card is erased: not kept".to_owned());
            return outcome;
        }
        for (name, value) in fields {
            outcome = gravest(outcome, self.masked_field(name, value));
        }
        if let Outcome::Older(_) = outcome {
            self.note("maskedCard", "older than what is held".to_owned());
        }
        outcome
    }

    fn masked_field(&mut self, name: &str, value: &Value) -> Outcome {
        let Some(held) = self.card.masked.get(name).cloned() else {
            return self.set_field(name, value, Value::Null);
        };
        let same = held.value == *value;
        if !same {
            self.doubt_untimed(held.rank, held.received_at);
        }
        match self.rank.against(held.rank) {
            Precedence::Older => Outcome::Older(Rule::MASKED_CARD_OLDER),
            Precedence::Equal if same => Outcome::Same,
            Precedence::Equal => {
                self.equal_time("maskedCard");
                if text(value) > text(&held.value) {
                    self.set_field(name, value, held.value)
                } else {
                    Outcome::Older(Rule::MASKED_CARD_OLDER)
                }
            }
            Precedence::Newer => self.set_field(name, value, held.value),
        }
    }

    fn set_field(&mut self, name: &str, value: &Value, before: Value) -> Outcome {
        let register = Register {
            value: value.clone(),
            rank: self.rank,
            received_at: self.received_at,
        };
        self.card.masked.insert(name.to_owned(), register);
        if before == *value {
            return Outcome::Same;
        }
        self.change(&format!("maskedCard.{name}"), before, value.clone());
        Outcome::Changed(Rule::MASKED_CARD_NEWER)
    }

    /// Fills a field that no notification has set; a registration never overwrites one.
    pub(super) fn fill_field(&mut self, name: &str, value: &Value) {
        if !self.card.masked.contains_key(name) {
            debug_assert_eq!(self.rank, Rank::LOWEST);
            self.set_field(name, value, Value::Null);
        }
    }
}

/// What is compared of two values of one event time.
fn text(value: &Value) -> Cow<'_, str> {
    match value {
        Value::String(text) => text.into(),
        structured => structured.to_string().into(),
    }
}

/// The outcome of several fields together: one changed field is a change, one older makes it old.
fn gravest(one: Outcome, other: Outcome) -> Outcome {
    let weight = |outcome: &Outcome| match outcome {
        Outcome::Absent => 0,
        Outcome::Same => 1,
        Outcome::Older(_) => 2,
        Outcome::Held(..) => 3,
        Outcome::Changed(_) => 4,
    };
    if weight(&other) > weight(&one) {
        other
    } else {
        one
    }
}
