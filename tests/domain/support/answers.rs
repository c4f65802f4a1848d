//! Answers of Mastercard, and deletions, as a test writes them.

use tokenkeep::domain::{
    CardAnswer, CheckoutAnswer, Decision, Delete, DeleteConfirmed, Input, NotThere, Rank,
};

use super::item::{Item, Token, card_id};
use super::processor::{FIRST_RECEIPT, Processor};

/// When answers come, after all items.
pub const ANSWERED: i64 = FIRST_RECEIPT + 500_000;

/// An answer of Checkout.
#[derive(Debug, Clone)]
pub struct Checkout {
    pub as_of: i64,
    pub token: Token,
    pub is_consistent: bool,
    pub is_repeated: bool,
    /// None: the number version of the card when the answer comes.
    pub asked_for: Option<u32>,
}

/// Checkout answers a call that began at this time with this token.
pub fn checkout(as_of: i64, number: &str, expiry: &str) -> Checkout {
    Checkout {
        as_of,
        token: Token::new(number, Some(expiry)),
        is_consistent: true,
        is_repeated: false,
        asked_for: None,
    }
}

impl Checkout {
    /// Its own masked card names another token.
    pub fn inconsistent(self) -> Self {
        Self {
            is_consistent: false,
            ..self
        }
    }

    /// An answer to this call disagreed before.
    pub fn repeated(self) -> Self {
        Self {
            is_repeated: true,
            ..self
        }
    }

    pub fn asked_for(self, number_version: u32) -> Self {
        Self {
            asked_for: Some(number_version),
            ..self
        }
    }
}

impl Processor {
    /// Get Card answers with what the item says, as of the item's time.
    pub fn get_card(&mut self, item: &Item) -> Decision {
        self.decide(Input::CardAnswer(CardAnswer {
            card_id: card_id(),
            rank: Rank::timed(item.time.unwrap()),
            received_at: ANSWERED,
            status: item.status.clone(),
            masked: item.masked.clone(),
            payment: item.payment(),
        }))
    }

    pub fn checkout(&mut self, answer: &Checkout) -> Decision {
        let number_version = self.card.as_ref().map_or(0, |card| card.number_version);
        self.decide(Input::CheckoutAnswer(CheckoutAnswer {
            card_id: card_id(),
            rank: Rank::timed(answer.as_of),
            received_at: ANSWERED,
            asked_for: answer.asked_for.unwrap_or(number_version),
            data: answer.token.data(),
            is_consistent: answer.is_consistent,
            is_repeated: answer.is_repeated,
        }))
    }

    /// Get Card finds nothing.
    pub fn not_there(&mut self, received_at: i64) -> Decision {
        self.decide(Input::NotThere(NotThere {
            card_id: card_id(),
            received_at,
        }))
    }

    /// The merchant asks for the card's deletion.
    pub fn delete(&mut self, received_at: i64) -> Decision {
        self.decide(Input::Delete(Delete {
            card_id: card_id(),
            received_at,
        }))
    }

    pub fn confirm_deletion(&mut self, received_at: i64) -> Decision {
        self.decide(Input::DeleteConfirmed(DeleteConfirmed {
            card_id: card_id(),
            received_at,
        }))
    }
}
