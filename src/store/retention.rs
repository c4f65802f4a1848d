//! What is kept no longer: rows past their date go, a batch a transaction; those of cards on hold stay.

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Text};
use diesel::{QueryableByName, sql_query};

use super::connection::{AnyConnection, on_backend};
use super::schema::{deliveries, notifications, replays};
use super::{StoreError, Tx};
use crate::domain::{CardId, TerminalState};

/// A class of rows that are kept equally long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RetentionClass {
    RawBodies,
    Notifications,
    Answers,
    Registrations,
    Events,
    Outbox,
    EndedCards,
}

#[derive(QueryableByName)]
struct Number {
    #[diesel(sql_type = BigInt)]
    n: i64,
}

#[derive(QueryableByName)]
struct Id {
    #[diesel(sql_type = Text)]
    id: String,
}

const NO_HOLD: &str = "NOT IN (SELECT h.card_id FROM card_holds h)";

impl RetentionClass {
    pub const ALL: [Self; 7] = [
        Self::RawBodies,
        Self::Notifications,
        Self::Answers,
        Self::Registrations,
        Self::Events,
        Self::Outbox,
        Self::EndedCards,
    ];

    /// The class as it is shown and recorded.
    pub fn word(self) -> &'static str {
        match self {
            Self::RawBodies => "raw bodies",
            Self::Notifications => "notifications",
            Self::Answers => "answers",
            Self::Registrations => "registrations",
            Self::Events => "events",
            Self::Outbox => "outbox",
            Self::EndedCards => "ended cards",
        }
    }

    fn table(self) -> &'static str {
        match self {
            Self::RawBodies => "deliveries",
            Self::Notifications => "notifications",
            Self::Answers => "answers",
            Self::Registrations => "registrations",
            Self::Events => "events",
            Self::Outbox => "outbox",
            Self::EndedCards => "cards",
        }
    }

    /// Which rows of the table are due: those older than `$1`.
    fn due(self) -> String {
        match self {
            Self::RawBodies => "state = 'done' AND body IS NOT NULL AND received_at < $1 \
                 AND NOT EXISTS (SELECT 1 FROM notifications n \
                 JOIN card_holds h ON h.card_id = n.card_id \
                 WHERE n.delivery_sequence = deliveries.sequence)"
                .to_owned(),
            Self::Notifications => format!(
                "decided_at < $1 AND hold IS NULL AND (card_id IS NULL OR card_id {NO_HOLD})"
            ),
            Self::Answers | Self::Registrations => {
                format!("received_at < $1 AND card_id {NO_HOLD}")
            }
            Self::Events => format!("at < $1 AND card_id {NO_HOLD}"),
            Self::Outbox => format!(
                "ended_at < $1 AND state IN ('done', 'dead', 'discarded') AND card_id {NO_HOLD}"
            ),
            Self::EndedCards => format!(
                "updated_at < $1 AND status IN ('{}', '{}') AND id {NO_HOLD} AND id NOT IN \
                 (SELECT e.card_id FROM erasures e WHERE e.erased_at IS NOT NULL)",
                TerminalState::Cancelled.word(),
                TerminalState::Deleted.word()
            ),
        }
    }
}

impl Tx<'_> {
    /// How many rows of a class are older than this and on no hold.
    pub fn count_due(&mut self, class: RetentionClass, before: i64) -> Result<i64, StoreError> {
        let (table, due) = (class.table(), class.due());
        let query = format!("SELECT count(*) AS n FROM {table} WHERE {due}");
        let query = sql_query(query).bind::<BigInt, _>(before);
        let counted: Number = on_backend!(self.connection, c => query.get_result(c))?;
        Ok(counted.n)
    }

    /// Removes some rows of a class that are older than this and on no hold.
    pub fn purge_batch(
        &mut self,
        class: RetentionClass,
        before: i64,
        limit: i64,
        now: i64,
    ) -> Result<usize, StoreError> {
        self.lock_holds()?;
        match class {
            RetentionClass::RawBodies => self.purge_by(
                "UPDATE deliveries SET body = NULL",
                (class, "sequence"),
                before,
                limit,
            ),
            RetentionClass::Answers => {
                self.purge_by("DELETE FROM answers", (class, "id"), before, limit)
            }
            RetentionClass::Registrations => {
                self.purge_by("DELETE FROM registrations", (class, "id"), before, limit)
            }
            RetentionClass::Events => {
                self.purge_by("DELETE FROM events", (class, "sequence"), before, limit)
            }
            RetentionClass::Outbox => {
                self.purge_by("DELETE FROM outbox", (class, "id"), before, limit)
            }
            RetentionClass::Notifications => self.purge_notifications(before, limit),
            RetentionClass::EndedCards => self.purge_ended_cards(before, limit, now),
        }
    }

    fn purge_by(
        &mut self,
        remove: &str,
        (class, key): (RetentionClass, &str),
        before: i64,
        limit: i64,
    ) -> Result<usize, StoreError> {
        let (table, due) = (class.table(), class.due());
        let query =
            format!("{remove} WHERE {key} IN (SELECT {key} FROM {table} WHERE {due} LIMIT $2)");
        let query = sql_query(query).bind::<BigInt, _>(before);
        let query = query.bind::<BigInt, _>(limit);
        Ok(on_backend!(self.connection, c => query.execute(c))?)
    }

    fn due_ids(
        &mut self,
        (class, key): (RetentionClass, &str),
        before: i64,
        limit: i64,
    ) -> Result<Vec<String>, StoreError> {
        let (table, due) = (class.table(), class.due());
        let query = format!("SELECT {key} AS id FROM {table} WHERE {due} LIMIT $2");
        let query = sql_query(query).bind::<BigInt, _>(before);
        let query = query.bind::<BigInt, _>(limit);
        let found: Vec<Id> = on_backend!(self.connection, c => query.load(c))?;
        Ok(found.into_iter().map(|row| row.id).collect())
    }

    /// Items with their replays, and the deliveries of which nothing is left then.
    fn purge_notifications(&mut self, before: i64, limit: i64) -> Result<usize, StoreError> {
        let ids = self.due_ids((RetentionClass::Notifications, "id"), before, limit)?;
        let chosen = notifications::table.filter(notifications::id.eq_any(&ids));
        let sequences: Vec<i64> = chosen
            .select(notifications::delivery_sequence)
            .load(self.connection)?;
        diesel::delete(replays::table.filter(replays::notification_id.eq_any(&ids)))
            .execute(self.connection)?;
        let removed = diesel::delete(notifications::table.filter(notifications::id.eq_any(&ids)))
            .execute(self.connection)?;
        let kept = notifications::table
            .filter(notifications::delivery_sequence.eq_any(&sequences))
            .select(notifications::delivery_sequence);
        let kept: Vec<i64> = kept.load(self.connection)?;
        let empty = deliveries::table
            .filter(deliveries::sequence.eq_any(sequences))
            .filter(diesel::dsl::not(deliveries::sequence.eq_any(kept)))
            .filter(deliveries::state.eq("done"));
        diesel::delete(empty).execute(self.connection)?;
        Ok(removed)
    }

    fn purge_ended_cards(
        &mut self,
        before: i64,
        limit: i64,
        now: i64,
    ) -> Result<usize, StoreError> {
        let ids = self.due_ids((RetentionClass::EndedCards, "id"), before, limit)?;
        let ids: Vec<CardId> = ids.iter().filter_map(|id| CardId::parse(id).ok()).collect();
        self.lock_cards(&ids.iter().cloned().collect())?;
        for id in &ids {
            self.erase_card(id, now)?;
        }
        Ok(ids.len())
    }

    /// Lets go of what the write-ahead log still holds of removed rows. SQLite only; where others read
    /// at this moment, it is tried again the next time.
    pub fn shorten_log(&mut self) -> Result<(), StoreError> {
        if let AnyConnection::Sqlite(c) = self.connection {
            use diesel::connection::SimpleConnection;
            c.batch_execute("PRAGMA wal_checkpoint(TRUNCATE)")?;
        }
        Ok(())
    }
}
