//! Cards of which something seems to have been missed: found by columns that each decision writes, so
//! that no question reads more than it shows, however many cards there are.

use std::collections::{BTreeMap, BTreeSet};

use diesel::dsl::sql;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Bool, Integer, Nullable};

use super::connection::AnyConnection;
use super::schema::cards;
use super::{StoreError, Tx};
use crate::domain::{Card, CardId, Missed, MissedRules, Signs};

/// So many cards of a kind are counted at most.
pub const MOST_COUNTED: i64 = 10_000;

/// A card of which something seems to have been missed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MissedCard {
    pub card_id: String,
    pub program: Option<String>,
    /// Since when it counts or is so, milliseconds since 1970, UTC.
    pub since: i64,
    /// What the next page begins behind.
    pub cursor: MissedCursor,
}

/// A place in a list of such cards.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MissedCursor {
    at: i64,
    card_id: String,
}

impl MissedCursor {
    /// The cursor that this is the text of.
    pub fn parse(text: &str) -> Option<Self> {
        let (at, card_id) = text.split_once('.')?;
        Some(Self {
            at: at.parse().ok()?,
            card_id: card_id.to_owned(),
        })
    }
}

impl std::fmt::Display for MissedCursor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.at, self.card_id)
    }
}

/// What a card is found by, as a row of `cards` has it.
#[derive(Insertable, AsChangeset)]
#[diesel(table_name = cards, treat_none_as_null = true, treat_none_as_default_value = false)]
pub(super) struct StoredSigns {
    token_ends_at: Option<i64>,
    token_told_at: i64,
    signs_noted: bool,
}

/// Since when what it is found by has been so.
#[derive(Insertable, AsChangeset)]
#[diesel(table_name = cards, treat_none_as_null = true, treat_none_as_default_value = false)]
pub(super) struct StoredSince {
    suspended_since: Option<i64>,
    cryptogram_due_since: Option<i64>,
    digits_disagree_since: Option<i64>,
}

/// The signs of a card in which whatever is so has been so since `at`.
pub(super) fn stored_signs(card: &Card, at: i64) -> (StoredSigns, StoredSince) {
    let signs = Signs::of(card);
    let stored = StoredSigns {
        token_ends_at: signs.token_ends_at,
        token_told_at: signs.token_told_at,
        signs_noted: true,
    };
    let since = StoredSince {
        suspended_since: signs.is_suspended.then_some(at),
        cryptogram_due_since: signs.lacks_cryptogram.then_some(at),
        digits_disagree_since: signs.digits_disagree.then_some(at),
    };
    (stored, since)
}

diesel::define_sql_function! {
    fn coalesce(one: Nullable<BigInt>, other: Nullable<BigInt>) -> Nullable<BigInt>;
}

/// What has been so for longer keeps its beginning where a card's row is written again. Built of what diesel
/// knows: the statement is prepared once, however many cards are written.
macro_rules! since_kept {
    ($($column:ident),+) => {
        ($({
            let (there, new) = (cards::$column, diesel::upsert::excluded(cards::$column));
            let earliest = $crate::store::missed::coalesce(there, new);
            there.eq(diesel::dsl::case_when(new.is_not_null(), earliest))
        }),+)
    };
}
pub(super) use since_kept;

type OfCards<'a> = cards::BoxedQuery<'a, <AnyConnection as Connection>::Backend>;

/// The column by which cards of a kind are found, and in the order of which they are listed.
fn column(kind: Missed) -> &'static str {
    match kind {
        Missed::TokenExpires => "token_ends_at",
        Missed::SuspendedLong => "suspended_since",
        Missed::CryptogramMissing => "cryptogram_due_since",
        Missed::DigitsDisagree => "digits_disagree_since",
    }
}

/// The cards of a kind; none where the kind is not looked for. Only numbers of ours stand in the text: the
/// planner sees by them that the kind's index serves.
fn of_kind<'a>(kind: Missed, rules: &'a MissedRules, now: i64) -> Option<OfCards<'a>> {
    let time = rules.time(kind)?;
    let column = column(kind);
    let up_to = |at: i64| sql::<Bool>(&format!("{column} <= {at}"));
    let cards = cards::table.into_boxed();
    Some(match kind {
        // Once it has ended it has been missed, whatever was told of it, until that is long ago.
        Missed::TokenExpires => cards
            .filter(up_to(now + time))
            .filter(sql::<Bool>(&format!("{column} >= {}", now - time)))
            .filter(cards::token_told_at.le(now - time).or(up_to(now))),
        Missed::CryptogramMissing => cards
            .filter(up_to(now - time))
            .filter(cards::program.eq_any(&rules.cryptogram_programs)),
        Missed::SuspendedLong | Missed::DigitsDisagree => cards.filter(up_to(now - time)),
    })
}

impl Tx<'_> {
    /// How many cards there are of each kind that is looked for, [`MOST_COUNTED`] at most.
    pub fn count_missed(
        &mut self,
        rules: &MissedRules,
        now: i64,
    ) -> Result<Vec<(Missed, i64)>, StoreError> {
        let mut counts = Vec::new();
        for kind in Missed::ALL {
            let Some(query) = of_kind(kind, rules, now) else {
                continue;
            };
            let found: Vec<i32> = query
                .select(sql::<Integer>("1"))
                .limit(MOST_COUNTED)
                .load(self.connection)?;
            counts.push((kind, found.len() as i64));
        }
        Ok(counts)
    }

    /// How many of the cards of a kind are of each program, [`MOST_COUNTED`] altogether at most.
    pub fn missed_by_program(
        &mut self,
        kind: Missed,
        rules: &MissedRules,
        now: i64,
    ) -> Result<BTreeMap<Option<String>, i64>, StoreError> {
        let mut counts = BTreeMap::new();
        let Some(query) = of_kind(kind, rules, now) else {
            return Ok(counts);
        };
        let programs: Vec<Option<String>> = query
            .select(cards::program)
            .limit(MOST_COUNTED)
            .load(self.connection)?;
        for program in programs {
            *counts.entry(program).or_default() += 1;
        }
        Ok(counts)
    }

    /// Cards of a kind, those that are longest so first.
    pub fn missed_cards(
        &mut self,
        kind: Missed,
        rules: &MissedRules,
        now: i64,
        after: Option<&MissedCursor>,
        limit: i64,
    ) -> Result<Vec<MissedCard>, StoreError> {
        let Some(mut query) = of_kind(kind, rules, now) else {
            return Ok(Vec::new());
        };
        let column = column(kind);
        if let Some(MissedCursor { at, card_id }) = after {
            // The first condition is where the index is entered, the second leaves out what was shown.
            let further = sql::<Bool>(&format!("{column} > {at}"));
            query = query
                .filter(sql::<Bool>(&format!("{column} >= {at}")))
                .filter(further.or(cards::id.gt(card_id)));
        }
        self.load_missed(kind, rules, query.limit(limit))
    }

    /// The kinds that a card is of, each with the time since when it counts or is so.
    pub fn missed_of(
        &mut self,
        id: &CardId,
        rules: &MissedRules,
        now: i64,
    ) -> Result<Vec<(Missed, i64)>, StoreError> {
        let mut found = Vec::new();
        for kind in Missed::ALL {
            let Some(query) = of_kind(kind, rules, now) else {
                continue;
            };
            let of_card = query.filter(cards::id.eq(id.as_str()));
            let cards = self.load_missed(kind, rules, of_card)?;
            found.extend(cards.first().map(|card| (kind, card.since)));
        }
        Ok(found)
    }

    fn load_missed(
        &mut self,
        kind: Missed,
        rules: &MissedRules,
        query: OfCards<'_>,
    ) -> Result<Vec<MissedCard>, StoreError> {
        let rows: Vec<(String, Option<String>, i64, i64)> = query
            .order((sql::<BigInt>(column(kind)), cards::id))
            .select((
                cards::id,
                cards::program,
                sql::<BigInt>(column(kind)),
                cards::token_told_at,
            ))
            .load(self.connection)?;
        // A token that ends counts once it is near enough, and nothing was told for as long or it has ended.
        let since = |at: i64, told_at: i64| match (kind, rules.time(kind)) {
            (Missed::TokenExpires, Some(time)) => (told_at + time).clamp(at - time, at),
            _ => at,
        };
        let card = |(card_id, program, at, told_at): (String, Option<String>, i64, i64)| {
            let since = since(at, told_at);
            let cursor = MissedCursor {
                at,
                card_id: card_id.clone(),
            };
            MissedCard {
                card_id,
                program,
                since,
                cursor,
            }
        };
        Ok(rows.into_iter().map(card).collect())
    }

    /// Cards from before their signs were kept, by ascending id.
    pub fn cards_without_signs(&mut self, limit: i64) -> Result<Vec<String>, StoreError> {
        Ok(cards::table
            .filter(sql::<Bool>("NOT signs_noted"))
            .order(cards::id)
            .limit(limit)
            .select(cards::id)
            .load(self.connection)?)
    }

    /// How many such cards there are, [`MOST_COUNTED`] at most: they are of no kind yet.
    pub fn count_unjudged(&mut self) -> Result<i64, StoreError> {
        let found: Vec<i32> = cards::table
            .filter(sql::<Bool>("NOT signs_noted"))
            .select(sql::<Integer>("1"))
            .limit(MOST_COUNTED)
            .load(self.connection)?;
        Ok(found.len() as i64)
    }

    /// Notes the signs of these cards; as their beginning counts when anything last changed of the card. Of
    /// one whose row is damaged there are none.
    pub fn note_signs(&mut self, ids: &BTreeSet<CardId>) -> Result<(), StoreError> {
        self.lock_cards(ids)?;
        for (id, card) in self.load_cards(ids)? {
            let of_card = diesel::update(cards::table.filter(cards::id.eq(id.as_str())));
            match card {
                Some(card) => of_card
                    .set(stored_signs(&card, card.updated_at))
                    .execute(self.connection)?,
                None => of_card
                    .set(cards::signs_noted.eq(true))
                    .execute(self.connection)?,
            };
        }
        Ok(())
    }
}
