//! The recorded inputs of a card, as far as they are kept: what recomputing it reads.
//!
//! A part that was wiped or purged is none; one that is there and cannot be opened is an error.

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_types::Text;
use diesel::{QueryableByName, sql_query};
use zeroize::Zeroizing;

use super::connection::{AnyConnection, on_backend};
use super::notifications::{from_json, read_earlier};
use super::schema::{answers, cards, cryptograms, notifications, registrations, replays, tokens};
use super::{AnswerKind, EarlierDecision, KeptContent, StoreError, Tx};
use crate::domain::{CardId, Change, Flag};

/// An item with every decision on it.
pub struct RecordedNotice {
    pub card_order: i64,
    pub sequence: i64,
    pub index: i32,
    pub received_at: i64,
    pub event_time: Option<i64>,
    pub hold: Option<String>,
    pub rule: String,
    pub flags: Vec<Flag>,
    /// Decisions before it was judged anew.
    pub earlier: Vec<EarlierDecision>,
    /// Replays that counted among the card's inputs, with the rule that decided each.
    pub replays: Vec<(i64, String)>,
    pub content: Option<KeptContent>,
}

/// A registration.
pub struct RecordedRegistration {
    pub card_order: i64,
    pub received_at: i64,
    pub program: Option<String>,
    pub consumer_reference: Option<String>,
    pub content: Zeroizing<Vec<u8>>,
    pub payment: Option<Zeroizing<Vec<u8>>>,
    pub changes: Vec<Change>,
    /// Our ids of the tokens it named.
    pub tokens: Vec<String>,
}

/// An answer, a deletion, or what became of a cryptogram.
pub struct RecordedAnswer {
    pub card_order: i64,
    pub kind: AnswerKind,
    pub as_of: i64,
    pub received_at: i64,
    pub changes: Vec<Change>,
    pub content: Option<Zeroizing<Vec<u8>>>,
    pub payment: Option<Zeroizing<Vec<u8>>>,
}

/// What stands beside a card's state and must agree with it.
#[derive(Debug, Default)]
pub struct StoredBeside {
    pub status: Option<String>,
    pub consumer_reference: Option<String>,
    /// Of its token's row.
    pub token_version: Option<i32>,
    /// Of its cryptogram's row.
    pub cryptogram_version: Option<i32>,
}

#[derive(Queryable, Selectable)]
#[diesel(table_name = notifications)]
struct Notice {
    id: String,
    delivery_sequence: i64,
    item_index: i32,
    card_order: i64,
    received_at: i64,
    event_time: Option<i64>,
    hold: Option<String>,
    rule: String,
    flags: String,
    earlier: Option<String>,
}

#[derive(Queryable, Selectable)]
#[diesel(table_name = registrations)]
struct Registration {
    id: String,
    card_order: i64,
    received_at: i64,
    program: Option<String>,
    consumer_reference: Option<String>,
    content: Vec<u8>,
    payment: Option<Vec<u8>>,
    changes: String,
    tokens: Option<String>,
}

#[derive(Queryable, Selectable)]
#[diesel(table_name = answers)]
struct Answer {
    id: String,
    kind: String,
    card_order: i64,
    as_of: i64,
    received_at: i64,
    changes: String,
    content: Option<Vec<u8>>,
    payment: Option<Vec<u8>>,
}

#[derive(QueryableByName)]
struct Id {
    #[diesel(sql_type = Text)]
    id: String,
}

impl Tx<'_> {
    /// The items that were decided for a card.
    pub fn recorded_notices(&mut self, id: &CardId) -> Result<Vec<RecordedNotice>, StoreError> {
        let rows: Vec<Notice> = notifications::table
            .filter(notifications::card_id.eq(id.as_str()))
            .filter(notifications::card_order.gt(0))
            .order(notifications::card_order)
            .select(Notice::as_select())
            .load(self.connection)?;
        let mut found = Vec::new();
        for row in rows {
            found.push(RecordedNotice {
                replays: self.counted_replays(&row.id)?,
                content: self.kept_content(&row.id)?,
                card_order: row.card_order,
                sequence: row.delivery_sequence,
                index: row.item_index,
                received_at: row.received_at,
                event_time: row.event_time,
                hold: row.hold,
                rule: row.rule,
                flags: from_json(&row.flags)?,
                earlier: read_earlier(row.earlier)?,
            });
        }
        Ok(found)
    }

    fn counted_replays(&mut self, id: &str) -> Result<Vec<(i64, String)>, StoreError> {
        let rows: Vec<(Option<i64>, String)> = replays::table
            .filter(replays::notification_id.eq(id))
            .filter(replays::card_order.is_not_null())
            .select((replays::card_order, replays::rule))
            .load(self.connection)?;
        let counted = rows.into_iter();
        Ok(counted
            .filter_map(|(order, rule)| Some((order?, rule)))
            .collect())
    }

    /// The registrations of a card.
    pub fn recorded_registrations(
        &mut self,
        id: &CardId,
    ) -> Result<Vec<RecordedRegistration>, StoreError> {
        let rows: Vec<Registration> = registrations::table
            .filter(registrations::card_id.eq(id.as_str()))
            .order(registrations::card_order)
            .select(Registration::as_select())
            .load(self.connection)?;
        let read = |row: Registration| {
            let payment = row.payment.as_ref();
            let payment = payment.map(|p| self.open(p, "registrations", "payment", &row.id));
            Ok(RecordedRegistration {
                content: self.open(&row.content, "registrations", "content", &row.id)?,
                payment: payment.transpose()?,
                card_order: row.card_order,
                received_at: row.received_at,
                program: row.program,
                consumer_reference: row.consumer_reference,
                changes: from_json(&row.changes)?,
                tokens: row
                    .tokens
                    .map_or(Ok(Vec::new()), |tokens| from_json(&tokens))?,
            })
        };
        rows.into_iter().map(read).collect()
    }

    /// The answers on a card.
    pub fn recorded_answers(&mut self, id: &CardId) -> Result<Vec<RecordedAnswer>, StoreError> {
        let rows: Vec<Answer> = answers::table
            .filter(answers::card_id.eq(id.as_str()))
            .order(answers::card_order)
            .select(Answer::as_select())
            .load(self.connection)?;
        let read = |row: Answer| {
            let open = |sealed: &Option<Vec<u8>>, column| {
                let sealed = sealed.as_ref();
                sealed
                    .map(|sealed| self.open(sealed, "answers", column, &row.id))
                    .transpose()
            };
            let kind = AnswerKind::ALL.into_iter().find(|k| k.name() == row.kind);
            Ok(RecordedAnswer {
                kind: kind.ok_or(StoreError::Damaged("an answer is of no known kind"))?,
                content: open(&row.content, "content")?,
                payment: open(&row.payment, "payment")?,
                card_order: row.card_order,
                as_of: row.as_of,
                received_at: row.received_at,
                changes: from_json(&row.changes)?,
            })
        };
        rows.into_iter().map(read).collect()
    }

    /// What stands beside a card's state.
    pub fn stored_beside(&mut self, id: &CardId) -> Result<StoredBeside, StoreError> {
        let columns: Option<(Option<String>, Option<String>)> = cards::table
            .filter(cards::id.eq(id.as_str()))
            .select((cards::status, cards::consumer_reference))
            .first(self.connection)
            .optional()?;
        let (status, consumer_reference) = columns.unwrap_or_default();
        Ok(StoredBeside {
            status,
            consumer_reference,
            token_version: tokens::table
                .filter(tokens::card_id.eq(id.as_str()))
                .select(tokens::number_version)
                .first(self.connection)
                .optional()?,
            cryptogram_version: cryptograms::table
                .filter(cryptograms::card_id.eq(id.as_str()))
                .select(cryptograms::number_version)
                .first(self.connection)
                .optional()?,
        })
    }

    /// Ids of cards in ascending order, also of those whose row is damaged.
    pub fn card_ids_after(&mut self, after: &str, limit: i64) -> Result<Vec<String>, StoreError> {
        Ok(cards::table
            .filter(cards::id.gt(after))
            .order(cards::id)
            .limit(limit)
            .select(cards::id)
            .load(self.connection)?)
    }

    /// Cards that inputs were decided for, and that have no row. Within a snapshot: it looks through all
    /// that is kept, and has as much time as that needs.
    pub fn cards_without_row(&mut self) -> Result<Vec<String>, StoreError> {
        if let AnyConnection::Postgres(c) = self.connection {
            c.batch_execute("SET LOCAL statement_timeout = 0")?;
        }
        let of = |table: &str, decided: &str| {
            format!(
                "SELECT i.card_id AS id FROM {table} i WHERE {decided} \
                 AND NOT EXISTS (SELECT 1 FROM cards c WHERE c.id = i.card_id)"
            )
        };
        let query = [
            of("notifications", "i.card_order > 0"),
            of("registrations", "i.card_order > 0"),
            of("answers", "i.card_order > 0"),
        ];
        let query = sql_query(query.join(" UNION "));
        let found: Vec<Id> = on_backend!(self.connection, c => query.load(c))?;
        Ok(found.into_iter().map(|row| row.id).collect())
    }
}
