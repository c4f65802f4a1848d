//! Recorded items as operators see them, and what is kept of their content.

use std::collections::{BTreeSet, HashMap};

use diesel::prelude::*;
use zeroize::Zeroizing;

use super::{Stored, from_json};
use crate::domain::{Change, Flag, TraceStep, shown_changes};
use crate::jose::{DigestSource, KeyedDigest};
use crate::store::connection::AnyConnection;
use crate::store::schema::{cards, notifications};
use crate::store::{JobView, Replay, StoreError, Tx};

/// An item as operators see it: nothing sealed in it.
#[derive(Debug, Clone)]
pub struct NotificationView {
    pub id: String,
    pub delivery_id: String,
    pub delivery_sequence: i64,
    pub index: i32,
    pub card_id: Option<String>,
    pub received_at: i64,
    pub event_time: Option<i64>,
    pub reason: Option<String>,
    pub status: Option<String>,
    pub verdict: String,
    pub hold: Option<String>,
    pub rule: String,
    pub flags: Vec<Flag>,
    pub changes: Vec<Change>,
    pub trace: Vec<TraceStep>,
}

impl NotificationView {
    /// The verdict with what holds the item, if anything does.
    pub fn verdict_words(&self) -> String {
        match &self.hold {
            Some(hold) => format!("{}({hold})", self.verdict),
            None => self.verdict.clone(),
        }
    }
}

/// An item with what followed from it: how its verdict came about.
pub struct Explained {
    pub notification: NotificationView,
    /// The calls that followed.
    pub jobs: Vec<JobView>,
    pub replays: Vec<Replay>,
}

/// Which items to list; the latest come first.
#[derive(Debug, Default, Clone)]
pub struct NotificationFilter {
    pub card_id: Option<String>,
    pub verdict: Option<String>,
    /// Mastercard's reason code.
    pub reason: Option<String>,
    /// Only items received at this time or later, milliseconds since 1970, UTC.
    pub since: Option<i64>,
    /// Only items received before this time.
    pub until: Option<i64>,
    /// Only items that arrived before this one.
    pub after: Option<String>,
    /// Only items down to this place in the order of arrival, itself included.
    pub down_to: Option<(i64, i32)>,
    pub limit: i64,
}

/// What is kept of an item's content, as JSON.
pub struct KeptContent {
    pub element: Zeroizing<Vec<u8>>,
    pub payment: Option<Zeroizing<Vec<u8>>>,
    pub identity: Option<KeyedDigest>,
}

/// Sealed content, sealed payment data, identity and its sealed source.
type KeptRow = (
    Option<Vec<u8>>,
    Option<Vec<u8>>,
    Option<String>,
    Option<String>,
    Option<Vec<u8>>,
);

/// An item with the status that its card has now.
type Seen = (Stored, Option<String>);

/// Cards that are asked for at once.
const CARDS_AT_ONCE: usize = 500;

impl Tx<'_> {
    /// What changed of a card, as its status lets it be shown.
    pub fn shown_changes(
        &mut self,
        card_id: Option<&str>,
        changes: Vec<Change>,
    ) -> Result<Vec<Change>, StoreError> {
        let status: Option<Option<String>> = cards::table
            .filter(cards::id.nullable().eq(card_id))
            .select(cards::status)
            .first(self.connection)
            .optional()?;
        Ok(shown_changes(changes, status.flatten().as_deref()))
    }

    /// One item, if it is known.
    pub fn notification(&mut self, id: &str) -> Result<Option<NotificationView>, StoreError> {
        let row: Option<Stored> = notifications::table
            .filter(notifications::id.eq(id))
            .select(Stored::as_select())
            .first(self.connection)
            .optional()?;
        let seen = self.with_status(row.into_iter().collect())?;
        seen.into_iter().next().map(view).transpose()
    }

    /// One item with what followed from it, if it is known.
    pub fn explained(&mut self, id: &str) -> Result<Option<Explained>, StoreError> {
        let Some(notification) = self.notification(id)? else {
            return Ok(None);
        };
        Ok(Some(Explained {
            notification,
            jobs: self.jobs_of_notification(id)?,
            replays: self.replays_of(id)?,
        }))
    }

    /// Items, the latest arrival first. One whose row is damaged is left out and logged; the page
    /// is filled up with those behind it.
    pub fn list_notifications(
        &mut self,
        filter: &NotificationFilter,
    ) -> Result<Vec<NotificationView>, StoreError> {
        let mut before = match &filter.after {
            None => None,
            Some(id) => match self.place_of(id)? {
                Some(place) => Some(place),
                None => return Ok(Vec::new()),
            },
        };
        let mut found = Vec::new();
        loop {
            let wanted = filter.limit - found.len() as i64;
            let rows = self.rows_before(filter, before, wanted)?;
            let is_last = (rows.len() as i64) < wanted;
            before = rows
                .last()
                .map(|(row, _)| (row.delivery_sequence, row.item_index));
            for row in rows {
                let id = row.0.id.clone();
                match view(row) {
                    Ok(item) => found.push(item),
                    Err(error) => log::error!("item {id} is left out of a list: {error}"),
                }
            }
            if is_last || found.len() as i64 >= filter.limit {
                return Ok(found);
            }
        }
    }

    /// Where an item stands in the order of arrival.
    pub(super) fn place_of(&mut self, id: &str) -> Result<Option<(i64, i32)>, StoreError> {
        Ok(notifications::table
            .filter(notifications::id.eq(id))
            .select((notifications::delivery_sequence, notifications::item_index))
            .first(self.connection)
            .optional()?)
    }

    fn rows_before(
        &mut self,
        filter: &NotificationFilter,
        before: Option<(i64, i32)>,
        limit: i64,
    ) -> Result<Vec<Seen>, StoreError> {
        let latest_first = (
            notifications::delivery_sequence.desc(),
            notifications::item_index.desc(),
        );
        let rows = chosen(filter, before)
            .order(latest_first)
            .limit(limit)
            .select(Stored::as_select())
            .load(self.connection)?;
        self.with_status(rows)
    }

    /// The items, each with the status of its card.
    fn with_status(&mut self, rows: Vec<Stored>) -> Result<Vec<Seen>, StoreError> {
        let cards: BTreeSet<&String> = rows.iter().filter_map(|row| row.card_id.as_ref()).collect();
        let cards: Vec<&String> = cards.into_iter().collect();
        let mut known: HashMap<String, Option<String>> = HashMap::new();
        for some in cards.chunks(CARDS_AT_ONCE) {
            let found: Vec<(String, Option<String>)> = cards::table
                .filter(cards::id.eq_any(some.iter().copied()))
                .select((cards::id, cards::status))
                .load(self.connection)?;
            known.extend(found);
        }
        let seen = |row: Stored| {
            let status = row.card_id.as_ref().and_then(|id| known.get(id));
            let status = status.cloned().flatten();
            (row, status)
        };
        Ok(rows.into_iter().map(seen).collect())
    }

    /// The items of these deliveries, in the order of their arrival.
    pub fn items_of(&mut self, deliveries: &[i64]) -> Result<Vec<NotificationView>, StoreError> {
        let rows = notifications::table
            .filter(notifications::delivery_sequence.eq_any(deliveries))
            .order((notifications::delivery_sequence, notifications::item_index))
            .select(Stored::as_select())
            .load(self.connection)?;
        let seen = self.with_status(rows)?;
        seen.into_iter().map(view).collect()
    }

    /// What an item said, opened: the element without `paymentData`, and the payment data.
    pub fn kept_content(&mut self, id: &str) -> Result<Option<KeptContent>, StoreError> {
        let row: Option<KeptRow> = notifications::table
            .filter(notifications::id.eq(id))
            .select((
                notifications::content,
                notifications::payment,
                notifications::identity,
                notifications::unique_identity,
                notifications::identity_source,
            ))
            .first(self.connection)
            .optional()?;
        let Some((Some(content), payment, identity, unique, source)) = row else {
            return Ok(None);
        };
        let payment = payment.map(|sealed| self.open(&sealed, "notifications", "payment", id));
        Ok(Some(KeptContent {
            element: self.open(&content, "notifications", "content", id)?,
            payment: payment.transpose()?,
            identity: match source {
                Some(sealed) => Some(self.open_source(&sealed, id)?),
                // Of a card that has ended, only the one that no other item may have is left.
                None => identity.or(unique).map(KeyedDigest::without_source),
            },
        }))
    }

    /// The identity of an item, of its sealed source.
    pub(in crate::store) fn open_source(
        &self,
        sealed: &[u8],
        id: &str,
    ) -> Result<KeyedDigest, StoreError> {
        let source = self.open(sealed, "notifications", "identity_source", id)?;
        let source = DigestSource::parse(&source);
        let damaged = StoreError::Damaged("the source of an identity cannot be read");
        Ok(self.keys().digest_of(source.ok_or(damaged)?))
    }

    /// How many sealed numbers are kept in a card's items.
    pub fn count_kept_numbers(&mut self, card_id: &str) -> Result<i64, StoreError> {
        Ok(notifications::table
            .filter(notifications::card_id.eq(card_id))
            .filter(notifications::payment.is_not_null())
            .count()
            .get_result(self.connection)?)
    }
}

/// The items that a filter chooses among those before a place.
pub(super) fn chosen(
    filter: &NotificationFilter,
    before: Option<(i64, i32)>,
) -> notifications::BoxedQuery<'_, <AnyConnection as Connection>::Backend> {
    let mut query = notifications::table.into_boxed();
    if let Some(card_id) = &filter.card_id {
        query = query.filter(notifications::card_id.eq(card_id));
    }
    if let Some(verdict) = &filter.verdict {
        query = query.filter(notifications::verdict.eq(verdict));
    }
    if let Some(reason) = &filter.reason {
        query = query.filter(notifications::reason.eq(reason));
    }
    if let Some(since) = filter.since {
        query = query.filter(notifications::received_at.ge(since));
    }
    if let Some(until) = filter.until {
        query = query.filter(notifications::received_at.lt(until));
    }
    if let Some((sequence, index)) = filter.down_to {
        let same = notifications::delivery_sequence.eq(sequence);
        let later = same.and(notifications::item_index.ge(index));
        query = query.filter(notifications::delivery_sequence.gt(sequence).or(later));
    }
    if let Some((sequence, index)) = before {
        let same = notifications::delivery_sequence.eq(sequence);
        let earlier = same.and(notifications::item_index.lt(index));
        query = query.filter(notifications::delivery_sequence.lt(sequence).or(earlier));
    }
    query
}

fn view((row, status): Seen) -> Result<NotificationView, StoreError> {
    Ok(NotificationView {
        id: row.id,
        delivery_id: row.delivery_id,
        delivery_sequence: row.delivery_sequence,
        index: row.item_index,
        card_id: row.card_id,
        received_at: row.received_at,
        event_time: row.event_time,
        reason: row.reason,
        status: row.status,
        verdict: row.verdict,
        hold: row.hold,
        rule: row.rule,
        flags: from_json(&row.flags)?,
        changes: shown_changes(from_json(&row.changes)?, status.as_deref()),
        trace: from_json(&row.trace)?,
    })
}
