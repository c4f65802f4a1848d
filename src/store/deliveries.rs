//! Deliveries: what was received and acknowledged, in the order of arrival.

use std::collections::{HashMap, HashSet};

use diesel::dsl::sql;
use diesel::expression::SqlLiteral;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Bool, Nullable};
use zeroize::Zeroizing;

use super::connection::{AnyConnection, insert_rows};
use super::schema::{cards, deliveries, notifications};
use super::{NewDelivery, StoreError, Tx};
use crate::domain::{CardId, Hold, TerminalState};

/// A delivery that waits to be decided.
pub struct Delivery {
    pub sequence: i64,
    pub id: String,
    pub received_at: i64,
    /// None if it cannot be unsealed: the storage key is missing or the row was altered.
    pub body: Option<Zeroizing<Vec<u8>>>,
}

/// Which waiting deliveries to take.
#[derive(Debug, Clone, Copy)]
pub enum Waiting {
    /// Those that arrived first: this many at most, and no more bytes of bodies than
    /// a batch may have, but always one.
    First(i64),
    /// The one of this sequence.
    This(i64),
}

/// Bodies of one batch: more would take too long in one transaction.
const BATCH_BYTES: i64 = 1 << 20;

/// Where a delivery stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeliveryState {
    Waiting,
    /// An item waits for a key or a registration; the body is kept until then.
    Held,
    Done,
}

impl DeliveryState {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Held => "held",
            Self::Done => "done",
        }
    }
}

#[derive(Insertable)]
#[diesel(table_name = deliveries, treat_none_as_default_value = false)]
pub(super) struct NewRow<'a> {
    pub(super) id: &'a str,
    pub(super) received_at: i64,
    pub(super) source: &'a str,
    pub(super) response_host: Option<&'a str>,
    pub(super) body: Option<Vec<u8>>,
    pub(super) state: &'a str,
}

#[derive(Queryable, Selectable)]
#[diesel(table_name = deliveries)]
struct WaitingRow {
    sequence: i64,
    id: String,
    received_at: i64,
    body: Option<Vec<u8>>,
}

/// A condition with the state as a literal: with a bound value PostgreSQL plans for any state, and
/// leaves the index of the few open ones aside.
fn is(state: DeliveryState) -> SqlLiteral<Bool> {
    sql(match state {
        DeliveryState::Waiting => "state = 'waiting'",
        DeliveryState::Held => "state = 'held'",
        DeliveryState::Done => "state = 'done'",
    })
}

impl Tx<'_> {
    /// Keeps deliveries, in this order.
    pub fn insert_deliveries(&mut self, new: &[NewDelivery]) -> Result<(), StoreError> {
        let mut rows = Vec::with_capacity(new.len());
        for delivery in new {
            rows.push(NewRow {
                id: &delivery.id,
                received_at: delivery.received_at,
                source: &delivery.source,
                response_host: delivery.response_host.as_deref(),
                body: Some(delivery.sealed_body(self.keys())?),
                state: DeliveryState::Waiting.name(),
            });
        }
        insert_rows!(self.connection, &rows, values => {
            diesel::insert_into(deliveries::table).values(values)
        });
        Ok(())
    }

    /// Waiting deliveries in the order of their arrival, without those that others of this process have in work.
    /// On PostgreSQL they are claimed for this transaction: nobody else sees them until it ends.
    pub fn waiting_deliveries(
        &mut self,
        which: Waiting,
        others: &HashSet<i64>,
    ) -> Result<Vec<Delivery>, StoreError> {
        let (from, to, limit) = match which {
            Waiting::First(limit) => (i64::MIN, i64::MAX, limit),
            Waiting::This(sequence) => (sequence, sequence, 1),
        };
        let asked_for = limit.saturating_add_unsigned(others.len() as u64);
        let length = sql::<Nullable<BigInt>>("CAST(length(body) AS BIGINT)");
        let waiting = deliveries::table
            .filter(is(DeliveryState::Waiting))
            .filter(deliveries::sequence.between(from, to))
            .order(deliveries::sequence)
            .limit(asked_for)
            .select((deliveries::sequence, length));
        let lengths: Vec<(i64, Option<i64>)> = match self.connection {
            AnyConnection::Sqlite(c) => waiting.load(c)?,
            AnyConnection::Postgres(c) => waiting.for_update().skip_locked().load(c)?,
        };
        let mut bytes = 0;
        let fits = |(place, (_, length)): &(usize, (i64, Option<i64>))| {
            bytes += length.unwrap_or(0);
            *place == 0 || bytes <= BATCH_BYTES
        };
        let free = lengths.into_iter();
        let free = free.filter(|(sequence, _)| !others.contains(sequence));
        let free = free.take(usize::try_from(limit).unwrap_or(usize::MAX));
        let chosen = free.enumerate().take_while(fits);
        let chosen: Vec<i64> = chosen.map(|(_, (sequence, _))| sequence).collect();
        self.read_deliveries(&chosen)
    }

    /// Deliveries with their bodies, in the order of their arrival, whatever their state.
    pub fn read_deliveries(&mut self, sequences: &[i64]) -> Result<Vec<Delivery>, StoreError> {
        if sequences.is_empty() {
            return Ok(Vec::new());
        }
        let rows: Vec<WaitingRow> = deliveries::table
            .filter(deliveries::sequence.eq_any(sequences))
            .order(deliveries::sequence)
            .select(WaitingRow::as_select())
            .load(self.connection)?;
        let open = |row: WaitingRow| Delivery {
            body: row
                .body
                .and_then(|b| self.open(&b, "deliveries", "body", &row.id).ok()),
            sequence: row.sequence,
            id: row.id,
            received_at: row.received_at,
        };
        Ok(rows.into_iter().map(open).collect())
    }

    /// The sequences of these deliveries.
    pub fn sequences_of(&mut self, ids: &[String]) -> Result<HashMap<String, i64>, StoreError> {
        let found: Vec<(String, i64)> = deliveries::table
            .filter(deliveries::id.eq_any(ids))
            .select((deliveries::id, deliveries::sequence))
            .load(self.connection)?;
        Ok(HashMap::from_iter(found))
    }

    /// The sequences of the waiting deliveries that arrived first.
    pub fn waiting_sequences(&mut self, limit: i64) -> Result<Vec<i64>, StoreError> {
        Ok(deliveries::table
            .filter(is(DeliveryState::Waiting))
            .order(deliveries::sequence)
            .limit(limit)
            .select(deliveries::sequence)
            .load(self.connection)?)
    }

    /// Which of these deliveries still wait. On SQLite they were read before the transaction began,
    /// and another process may have decided them since.
    pub fn still_waiting(&mut self, sequences: &[i64]) -> Result<HashSet<i64>, StoreError> {
        let found: Vec<i64> = deliveries::table
            .filter(deliveries::sequence.eq_any(sequences))
            .filter(is(DeliveryState::Waiting))
            .select(deliveries::sequence)
            .load(self.connection)?;
        Ok(HashSet::from_iter(found))
    }

    /// Moves deliveries on.
    pub fn set_delivery_state(
        &mut self,
        sequences: &[i64],
        state: DeliveryState,
    ) -> Result<(), StoreError> {
        if sequences.is_empty() {
            return Ok(());
        }
        diesel::update(deliveries::table.filter(deliveries::sequence.eq_any(sequences)))
            .set(deliveries::state.eq(state.name()))
            .execute(self.connection)?;
        Ok(())
    }

    /// Lets every held delivery be looked at again, for instance because a key was loaded. Returns
    /// how many.
    pub fn wake_held_deliveries(&mut self) -> Result<usize, StoreError> {
        let held = deliveries::table.filter(is(DeliveryState::Held));
        Ok(diesel::update(held)
            .set(deliveries::state.eq(DeliveryState::Waiting.name()))
            .execute(self.connection)?)
    }

    /// Lets deliveries be looked at again whose items are held for this reason. Returns how many.
    pub fn wake_deliveries_held_for(&mut self, hold: Hold) -> Result<usize, StoreError> {
        let of_hold = notifications::table
            .filter(notifications::hold.eq(hold.0))
            .select(notifications::delivery_sequence);
        let held = deliveries::table
            .filter(is(DeliveryState::Held))
            .filter(deliveries::sequence.eq_any(of_hold));
        Ok(diesel::update(held)
            .set(deliveries::state.eq(DeliveryState::Waiting.name()))
            .execute(self.connection)?)
    }

    /// Lets the deliveries be looked at again in which items of this card wait for its registration.
    pub fn wake_deliveries_parked_for(&mut self, card: &CardId) -> Result<usize, StoreError> {
        let of_card = notifications::table
            .filter(notifications::card_id.eq(card.as_str()))
            .filter(notifications::hold.eq(Hold::UNKNOWN_CARD.0))
            .select(notifications::delivery_sequence);
        let held = deliveries::table
            .filter(is(DeliveryState::Held))
            .filter(deliveries::sequence.eq_any(of_card));
        Ok(diesel::update(held)
            .set(deliveries::state.eq(DeliveryState::Waiting.name()))
            .execute(self.connection)?)
    }

    /// Wipes the bodies of deliveries that hold items of a card that has ended. A held one keeps its
    /// body: other cards wait in it.
    pub fn wipe_bodies_of(&mut self, card: &CardId) -> Result<(), StoreError> {
        let of_card = notifications::table
            .filter(notifications::card_id.eq(card.as_str()))
            .select(notifications::delivery_sequence);
        let done = deliveries::table
            .filter(deliveries::sequence.eq_any(of_card))
            .filter(deliveries::state.eq(DeliveryState::Done.name()))
            .filter(deliveries::body.is_not_null());
        diesel::update(done)
            .set(deliveries::body.eq(None::<Vec<u8>>))
            .execute(self.connection)?;
        Ok(())
    }

    /// The same for deliveries that were held when their card ended and are done now.
    pub fn wipe_bodies_with_ended_cards(&mut self, sequences: &[i64]) -> Result<(), StoreError> {
        let with_ended = notifications::table
            .inner_join(cards::table.on(notifications::card_id.eq(cards::id.nullable())))
            .filter(notifications::delivery_sequence.eq_any(sequences))
            .filter(cards::status.eq_any(TerminalState::ALL.map(TerminalState::word)))
            .select(notifications::delivery_sequence);
        let found: Vec<i64> = with_ended.load(self.connection)?;
        diesel::update(deliveries::table.filter(deliveries::sequence.eq_any(found)))
            .set(deliveries::body.eq(None::<Vec<u8>>))
            .execute(self.connection)?;
        Ok(())
    }

    /// When the first delivery was received of those that wait to be decided.
    pub fn waiting_since(&mut self) -> Result<Option<i64>, StoreError> {
        Ok(deliveries::table
            .filter(is(DeliveryState::Waiting))
            .order(deliveries::sequence)
            .select(deliveries::received_at)
            .first(self.connection)
            .optional()?)
    }

    /// How many deliveries wait to be decided.
    pub fn count_waiting(&mut self) -> Result<i64, StoreError> {
        Ok(deliveries::table
            .filter(is(DeliveryState::Waiting))
            .count()
            .get_result(self.connection)?)
    }
}
