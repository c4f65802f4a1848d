//! The items of deliveries, each with its verdict.

mod reading;
mod searching;

use std::collections::{HashMap, HashSet};

use diesel::prelude::*;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::connection::insert_rows;
use super::schema::notifications;
use super::{StoreError, Tx};
use crate::domain::{Change, Flag, Hold, TraceStep, Verdict};
use crate::jose::KeyedDigest;

pub use reading::{Explained, KeptContent, NotificationFilter, NotificationView};
pub use searching::FoundNotifications;

/// An item with the decision on it, to be recorded.
#[derive(Clone)]
pub struct NotificationRow {
    pub delivery_id: String,
    pub delivery_sequence: i64,
    pub index: i32,
    pub card_id: Option<String>,
    /// Place among the inputs decided for the card.
    pub card_order: i64,
    pub received_at: i64,
    pub event_time: Option<i64>,
    pub reason: Option<String>,
    pub status: Option<String>,
    /// Keyed hash of the decrypted content; none while it cannot be read.
    pub identity: Option<KeyedDigest>,
    /// No other effective item may have this identity.
    pub identity_is_unique: bool,
    pub verdict: Verdict,
    pub rule: &'static str,
    pub flags: Vec<Flag>,
    pub changes: Vec<Change>,
    pub trace: Vec<TraceStep>,
    /// The element without `paymentData`, as JSON.
    pub content: Option<Zeroizing<Vec<u8>>>,
    /// The decrypted `paymentData`, as JSON.
    pub payment: Option<Zeroizing<Vec<u8>>>,
    pub decided_at: i64,
    /// Decisions on it before it was judged anew, the first one first.
    pub earlier: Vec<EarlierDecision>,
}

/// A decision on an item that has been judged anew since: it was held.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct EarlierDecision {
    /// Place among the inputs decided for the card.
    pub card_order: i64,
    pub hold: String,
}

/// What is recorded of an item that was judged before.
pub struct DecidedBefore {
    /// Its verdict is final: the delivery was looked at again because of another item.
    pub is_final: bool,
    pub changes: Vec<Change>,
    /// Every decision on it so far that counted among the card's inputs.
    pub decisions: Vec<EarlierDecision>,
}

#[derive(Queryable, Selectable, Insertable, AsChangeset)]
#[diesel(table_name = notifications, treat_none_as_null = true, treat_none_as_default_value = false)]
struct Stored {
    id: String,
    delivery_sequence: i64,
    delivery_id: String,
    item_index: i32,
    card_id: Option<String>,
    card_order: i64,
    received_at: i64,
    event_time: Option<i64>,
    reason: Option<String>,
    status: Option<String>,
    identity: Option<String>,
    unique_identity: Option<String>,
    verdict: String,
    hold: Option<String>,
    rule: String,
    flags: String,
    changes: String,
    trace: String,
    content: Option<Vec<u8>>,
    payment: Option<Vec<u8>>,
    decided_at: i64,
    identity_source: Option<Vec<u8>>,
    earlier: Option<String>,
}

/// SQLite takes 32,766 values.
const VALUES_A_QUERY: usize = 10_000;

impl Tx<'_> {
    /// Which of these identities an effective item already has.
    pub fn known_identities(&mut self, wanted: &[String]) -> Result<HashSet<String>, StoreError> {
        let mut known = HashSet::new();
        for wanted in wanted.chunks(VALUES_A_QUERY) {
            let found: Vec<Option<String>> = notifications::table
                .filter(notifications::unique_identity.eq_any(wanted))
                .select(notifications::unique_identity)
                .load(self.connection)?;
            known.extend(found.into_iter().flatten());
        }
        Ok(known)
    }

    /// What is recorded already of the items of these deliveries, by delivery and index.
    pub fn decided_before(
        &mut self,
        sequences: &[i64],
    ) -> Result<HashMap<(i64, i32), DecidedBefore>, StoreError> {
        type Row = (i64, i32, i64, Option<String>, String, Option<String>);
        let rows: Vec<Row> = notifications::table
            .filter(notifications::delivery_sequence.eq_any(sequences))
            .select((
                notifications::delivery_sequence,
                notifications::item_index,
                notifications::card_order,
                notifications::hold,
                notifications::changes,
                notifications::earlier,
            ))
            .load(self.connection)?;
        let read = |(sequence, index, card_order, hold, changes, earlier): Row| {
            let may_open_later = hold.as_deref().is_some_and(Hold::named_may_open_later);
            // A damaged column must not stop the item from being judged anew.
            let mut decisions: Vec<EarlierDecision> = read_earlier(earlier).unwrap_or_default();
            let last = hold.map(|hold| EarlierDecision { card_order, hold });
            decisions.extend(last.filter(|last| last.card_order > 0));
            let before = DecidedBefore {
                is_final: !may_open_later,
                changes: from_json(&changes).unwrap_or_default(),
                decisions,
            };
            ((sequence, index), before)
        };
        Ok(rows.into_iter().map(read).collect())
    }

    /// Records items with their verdicts. `again` are those that have a row already: they were
    /// held, and have been judged anew.
    pub fn record(
        &mut self,
        new: &[NotificationRow],
        again: &[NotificationRow],
    ) -> Result<(), StoreError> {
        let new = new
            .iter()
            .map(|row| self.stored(row))
            .collect::<Result<Vec<_>, _>>()?;
        insert_rows!(self.connection, &new, values => {
            diesel::insert_into(notifications::table).values(values)
        });
        for row in again {
            let stored = self.stored(row)?;
            diesel::update(notifications::table.filter(notifications::id.eq(&stored.id)))
                .set(&stored)
                .execute(self.connection)?;
        }
        Ok(())
    }

    fn stored(&self, row: &NotificationRow) -> Result<Stored, StoreError> {
        let id = format!("{}.{}", row.delivery_id, row.index);
        let seal = |part: &Option<Zeroizing<Vec<u8>>>, column| match part {
            Some(plaintext) => self.seal(plaintext, "notifications", column, &id).map(Some),
            None => Ok(None),
        };
        let identity = row.identity.as_ref();
        let source = identity
            .map(|digest| self.seal_source(digest, "notifications", "identity_source", &id));
        Ok(Stored {
            content: seal(&row.content, "content")?,
            payment: seal(&row.payment, "payment")?,
            id,
            delivery_sequence: row.delivery_sequence,
            delivery_id: row.delivery_id.clone(),
            item_index: row.index,
            card_id: row.card_id.clone(),
            card_order: row.card_order,
            received_at: row.received_at,
            event_time: row.event_time,
            reason: row.reason.clone(),
            status: row.status.clone(),
            unique_identity: identity
                .filter(|_| row.identity_is_unique)
                .map(|d| d.text.clone()),
            identity: identity.map(|digest| digest.text.clone()),
            identity_source: source.transpose()?.flatten(),
            verdict: row.verdict.name().to_owned(),
            hold: row.verdict.hold().map(|hold| hold.0.to_owned()),
            rule: row.rule.to_owned(),
            flags: to_json(&row.flags)?,
            changes: to_json(&row.changes)?,
            trace: to_json(&row.trace)?,
            decided_at: row.decided_at,
            earlier: match row.earlier.is_empty() {
                true => None,
                false => Some(to_json(&row.earlier)?),
            },
        })
    }
}

pub(super) fn read_earlier(column: Option<String>) -> Result<Vec<EarlierDecision>, StoreError> {
    column.map_or(Ok(Vec::new()), |text| from_json(&text))
}

pub(super) fn to_json(value: &impl serde::Serialize) -> Result<String, StoreError> {
    serde_json::to_string(value).map_err(|_| StoreError::Damaged("a column cannot be written"))
}

pub(super) fn from_json<T: serde::de::DeserializeOwned>(text: &str) -> Result<T, StoreError> {
    serde_json::from_str(text).map_err(|_| StoreError::Damaged("a column cannot be read"))
}
