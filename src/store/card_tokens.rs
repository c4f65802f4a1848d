//! The texts of tokens of programs whose cards have tokens of their own: sealed, found by keyed hash.

use diesel::prelude::*;
use uuid::Uuid;

use super::schema::{card_tokens, cards};
use super::{StoreError, Tx};
use crate::domain::{Card, CardId, ProgramToken, SeenToken};

/// A token as it is known here, or as it would be.
#[derive(Debug, Clone)]
pub struct KnownToken {
    /// A new one if the token is not known.
    pub id: String,
    pub last_four: String,
    /// The card that has it, if one does.
    pub card_id: Option<String>,
}

impl KnownToken {
    /// What the domain is told of it.
    pub fn seen(&self) -> SeenToken {
        SeenToken {
            id: self.id.clone(),
            last_four: self.last_four.clone(),
        }
    }

    /// Whether another card has it.
    pub fn is_of_another(&self, card_id: &CardId) -> bool {
        let of = self.card_id.as_deref();
        of.is_some_and(|of| of != card_id.as_str())
    }
}

#[derive(Insertable)]
#[diesel(table_name = card_tokens)]
struct Stored<'a> {
    id: &'a str,
    card_id: &'a str,
    digest: String,
    digest_source: Option<Vec<u8>>,
    value: Vec<u8>,
    relinking: bool,
}

impl Tx<'_> {
    /// What is known here of a token; one that has ended is known, too.
    pub fn known_token(&mut self, token: &ProgramToken) -> Result<KnownToken, StoreError> {
        let digest = self.keys().digest(&digest_parts(token));
        let known: Option<(String, String)> = card_tokens::table
            .filter(card_tokens::digest.eq_any(digest.forms()))
            .select((card_tokens::id, card_tokens::card_id))
            .first(self.connection)
            .optional()?;
        let (id, card_id) = match known {
            Some((id, card_id)) => (id, Some(card_id)),
            None => (Uuid::now_v7().to_string(), None),
        };
        Ok(KnownToken {
            id,
            last_four: token.last_four(),
            card_id,
        })
    }

    /// Keeps the text of a token that the card has now. One that is kept already stays as it is; one
    /// that another card had is this card's from now on.
    pub fn keep_token(
        &mut self,
        card_id: &CardId,
        known: &KnownToken,
        token: &ProgramToken,
    ) -> Result<(), StoreError> {
        if known.card_id.is_some() {
            diesel::update(card_tokens::table.filter(card_tokens::id.eq(&known.id)))
                .set(card_tokens::card_id.eq(card_id.as_str()))
                .execute(self.connection)?;
            return Ok(());
        }
        let value = token.expose().as_bytes();
        let digest = self.keys().digest(&digest_parts(token));
        let stored = Stored {
            digest_source: self.seal_source(&digest, "card_tokens", "digest_source", &known.id)?,
            value: self.seal(value, "card_tokens", "value", &known.id)?,
            digest: digest.text,
            id: &known.id,
            card_id: card_id.as_str(),
            relinking: false,
        };
        diesel::insert_into(card_tokens::table)
            .values(&stored)
            .execute(self.connection)?;
        Ok(())
    }

    /// The text of a card's token; none if it has ended.
    pub fn token_text(&mut self, id: &str) -> Result<Option<ProgramToken>, StoreError> {
        let sealed: Option<Option<Vec<u8>>> = card_tokens::table
            .filter(card_tokens::id.eq(id))
            .select(card_tokens::value)
            .first(self.connection)
            .optional()?;
        let Some(sealed) = sealed.flatten() else {
            return Ok(None);
        };
        let damaged = StoreError::Damaged("a token's text cannot be read");
        let text = self.open(&sealed, "card_tokens", "value", id)?;
        let token = std::str::from_utf8(&text)
            .ok()
            .and_then(ProgramToken::parse);
        token.map(Some).ok_or(damaged)
    }

    /// Brings the kept texts in line with a card after a decision: what has ended is wiped.
    pub(super) fn settle_tokens(&mut self, card: &Card) -> Result<(), StoreError> {
        if card.tokens.is_empty() {
            return Ok(());
        }
        let has_ended = card.terminal.is_some();
        let of = |is_chosen: &dyn Fn(&crate::domain::CardToken) -> bool| {
            let chosen = card.tokens.iter().filter(|token| is_chosen(token));
            Vec::from_iter(chosen.map(|token| token.id.clone()))
        };
        let ended = of(&|token| has_ended || token.has_ended());
        let kept = card_tokens::table
            .filter(card_tokens::id.eq_any(ended))
            .filter(card_tokens::value.is_not_null());
        diesel::update(kept)
            .set(card_tokens::value.eq(None::<Vec<u8>>))
            .execute(self.connection)?;
        for is_marked in [true, false] {
            let tokens = of(&|token| token.relinking_since.is_some() == is_marked);
            let unlike = card_tokens::table
                .filter(card_tokens::id.eq_any(tokens))
                .filter(card_tokens::relinking.ne(is_marked));
            diesel::update(unlike)
                .set(card_tokens::relinking.eq(is_marked))
                .execute(self.connection)?;
        }
        Ok(())
    }

    /// Cards with a token that waits to be linked to a replaced card, and of which nothing was heard
    /// since.
    pub fn cards_relinking(&mut self, since: i64, limit: i64) -> Result<Vec<String>, StoreError> {
        let waits = card_tokens::table
            .filter(card_tokens::card_id.eq(cards::id))
            .filter(card_tokens::relinking.eq(true));
        Ok(cards::table
            .filter(cards::heard_at.lt(since))
            .filter(diesel::dsl::exists(waits))
            .order(cards::id)
            .limit(limit)
            .select(cards::id)
            .load(self.connection)?)
    }
}

fn digest_parts(token: &ProgramToken) -> [&[u8]; 2] {
    [b"token", token.expose().as_bytes()]
}
