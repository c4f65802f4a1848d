//! Events: what the merchant's systems are told, each change once, in an order a reader can follow.
//!
//! `sequence` is the order. SQLite has one writer, so it is the order of commit there. On PostgreSQL a
//! writer that drew a low number may commit after one with a higher number: a reader that went on
//! would miss it. So each row keeps its `horizon`: above the id of every transaction that was open after
//! its number was drawn. A row may be read once every transaction below its horizon has ended, and
//! nothing is read beyond a row that may not: whoever commits later then has a higher number.

use diesel::prelude::*;
use diesel::sql_types::BigInt;
use diesel::{QueryableByName, sql_query};

use super::connection::AnyConnection;
use super::notifications::{from_json, to_json};
use super::schema::events;
use super::{StoreError, Tx};
use crate::domain::{CardId, Event};

/// An event as it is read.
#[derive(Debug, Clone)]
pub struct EventRow {
    pub sequence: i64,
    pub kind: String,
    /// Milliseconds since 1970, UTC.
    pub at: i64,
    pub card_id: String,
    pub data: serde_json::Value,
}

#[derive(Insertable)]
#[diesel(table_name = events)]
struct NewEvent<'a> {
    kind: &'a str,
    at: i64,
    card_id: &'a str,
    data: String,
    horizon: i64,
}

#[derive(QueryableByName)]
struct Number {
    #[diesel(sql_type = BigInt)]
    n: i64,
}

/// The filter runs first: the transaction has its id before a number is drawn.
const DRAW: &str = "SELECT nextval('events_sequence_seq') AS n FROM generate_series(1, $1) \
    WHERE pg_current_xact_id() IS NOT NULL";
/// Every transaction with an id holds a lock on it until it has ended. A snapshot does not do: its xmax
/// follows the last id that ended, and open ones may lie above it. The locks have the lower 32 bits.
const HORIZON: &str = "SELECT own.n + 1 \
    + max(CASE WHEN ahead.n < 2147483648 THEN ahead.n ELSE 0 END) AS n \
    FROM (SELECT pg_current_xact_id()::text::bigint AS n) own, pg_locks, \
    LATERAL (SELECT (transactionid::text::bigint - own.n) & 4294967295 AS n) ahead \
    WHERE locktype = 'transactionid' GROUP BY own.n";
const OLDEST_OPEN: &str = "SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint AS n";

impl Tx<'_> {
    /// Writes events in this order. The rows they tell of are written before, in the same transaction.
    pub fn tell(&mut self, told: &[(&CardId, &Event)], now: i64) -> Result<(), StoreError> {
        if told.is_empty() {
            return Ok(());
        }
        let mut rows = Vec::with_capacity(told.len());
        for (card_id, event) in told {
            rows.push(NewEvent {
                kind: event.kind.name(),
                at: now,
                card_id: card_id.as_str(),
                data: to_json(&event.data)?,
                horizon: 0,
            });
        }
        match self.connection {
            AnyConnection::Sqlite(c) => {
                for row in &rows {
                    diesel::insert_into(events::table).values(row).execute(c)?;
                }
            }
            AnyConnection::Postgres(c) => {
                let count = i64::try_from(rows.len()).unwrap_or(i64::MAX);
                let drawn: Vec<Number> = sql_query(DRAW).bind::<BigInt, _>(count).load(c)?;
                let horizon: Number = sql_query(HORIZON).get_result(c)?;
                for row in &mut rows {
                    row.horizon = horizon.n;
                }
                let numbered = rows.iter().zip(drawn);
                let numbered = numbered.map(|(row, number)| (events::sequence.eq(number.n), row));
                diesel::insert_into(events::table)
                    .values(numbered.collect::<Vec<_>>())
                    .execute(c)?;
            }
        }
        Ok(())
    }

    /// Events behind a cursor, in order, none left out: see the module's text.
    pub fn events_after(&mut self, after: i64, limit: i64) -> Result<Vec<EventRow>, StoreError> {
        let oldest_open = self.oldest_open()?;
        type Row = (i64, String, i64, String, String, i64);
        let rows: Vec<Row> = events::table
            .filter(events::sequence.gt(after))
            .order(events::sequence)
            .limit(limit)
            .load(self.connection)?;
        rows.into_iter()
            .take_while(|(.., horizon)| *horizon <= oldest_open)
            .map(|(sequence, kind, at, card_id, data, _)| {
                Ok(EventRow {
                    sequence,
                    kind,
                    at,
                    card_id,
                    data: from_json(&data)?,
                })
            })
            .collect()
    }

    /// The cursor behind the latest event that may be read: where a reader begins that wants none of
    /// the past.
    pub fn latest_event(&mut self) -> Result<i64, StoreError> {
        let oldest_open = self.oldest_open()?;
        let waiting: Option<i64> = events::table
            .filter(events::horizon.gt(oldest_open))
            .select(diesel::dsl::min(events::sequence))
            .first(self.connection)?;
        let latest: Option<i64> = events::table
            .select(diesel::dsl::max(events::sequence))
            .first(self.connection)?;
        let latest = latest.unwrap_or(0);
        Ok(waiting.map_or(latest, |first| latest.min(first - 1)))
    }

    /// Rows of a horizon up to this may be read. Asked before the rows: a transaction that ends in
    /// between only makes the reader wait.
    fn oldest_open(&mut self) -> Result<i64, StoreError> {
        Ok(match self.connection {
            AnyConnection::Sqlite(_) => i64::MAX,
            AnyConnection::Postgres(c) => sql_query(OLDEST_OPEN).get_result::<Number>(c)?.n,
        })
    }
}
