//! The outbox: calls that have become necessary, written in the transaction that made them so.

use diesel::prelude::*;
use uuid::Uuid;

use super::connection::on_backend;
use super::schema::outbox;
use super::{StoreError, Tx};
use crate::domain::{CardId, Job, JobKind};

/// A call that waits, runs or has ended.
#[derive(Debug, Clone, Queryable, Selectable)]
#[diesel(table_name = outbox)]
pub struct JobView {
    pub id: String,
    pub kind: String,
    pub card_id: String,
    pub number_version: Option<i32>,
    pub notification_id: Option<String>,
    pub state: String,
    pub attempts: i32,
    pub next_at: i64,
    pub created_at: i64,
}

#[derive(Insertable)]
#[diesel(table_name = outbox)]
struct NewJob<'a> {
    id: String,
    kind: &'a str,
    card_id: &'a str,
    number_version: Option<i32>,
    notification_id: Option<&'a str>,
    state: &'a str,
    open_key: String,
    attempts: i32,
    next_at: i64,
    created_at: i64,
}

const WAITING: &str = "waiting";
const DISCARDED: &str = "discarded";

impl Tx<'_> {
    /// Queues a call. One of the same kind that still waits or runs for the card (and, for a
    /// cryptogram, for the same number) is enough.
    pub fn queue_job(
        &mut self,
        card_id: &CardId,
        job: &Job,
        notification_id: Option<&str>,
        now: i64,
    ) -> Result<(), StoreError> {
        let number_version = match job.kind {
            JobKind::Cryptogram { number_version } => {
                let version = i32::try_from(number_version)
                    .map_err(|_| StoreError::Damaged("a version is out of range"))?;
                let is_other = |waiting: Option<i32>| waiting.is_some_and(|other| other != version);
                self.discard(card_id, "superseded", is_other)?;
                Some(version)
            }
            JobKind::GetCard => None,
        };
        let new = NewJob {
            id: Uuid::now_v7().to_string(),
            kind: job.kind.name(),
            card_id: card_id.as_str(),
            number_version,
            notification_id,
            state: WAITING,
            open_key: format!(
                "{}/{card_id}/{}",
                job.kind.name(),
                number_version.unwrap_or(0)
            ),
            attempts: 0,
            next_at: job.not_before,
            created_at: now,
        };
        on_backend!(self.connection, c => {
            diesel::insert_into(outbox::table)
                .values(&new)
                .on_conflict(outbox::open_key)
                .do_nothing()
                .execute(c)
        })?;
        Ok(())
    }

    /// Drops the waiting calls for a cryptogram of a card for which none is due any more.
    pub fn withdraw_cryptogram_calls(&mut self, card_id: &CardId) -> Result<(), StoreError> {
        self.discard(card_id, "no longer due", |version| version.is_some())
    }

    /// Drops every waiting call of a card that has ended.
    pub fn discard_jobs(&mut self, card_id: &CardId) -> Result<(), StoreError> {
        self.discard(card_id, "the card has ended", |_| true)
    }

    /// Drops waiting calls of a card, chosen by number version: only those for a cryptogram have one.
    fn discard(
        &mut self,
        card_id: &CardId,
        why: &str,
        is_chosen: impl Fn(Option<i32>) -> bool,
    ) -> Result<(), StoreError> {
        let waiting: Vec<(String, Option<i32>)> = outbox::table
            .filter(outbox::card_id.eq(card_id.as_str()))
            .filter(outbox::state.eq(WAITING))
            .select((outbox::id, outbox::number_version))
            .load(self.connection)?;
        let chosen = waiting
            .into_iter()
            .filter(|(_, version)| is_chosen(*version));
        let chosen: Vec<String> = chosen.map(|(id, _)| id).collect();
        if chosen.is_empty() {
            return Ok(());
        }
        diesel::update(outbox::table.filter(outbox::id.eq_any(chosen)))
            .set((
                outbox::state.eq(DISCARDED),
                outbox::open_key.eq(None::<String>),
                outbox::last_reason.eq(Some(why)),
            ))
            .execute(self.connection)?;
        Ok(())
    }

    /// The calls of a card, in the order they became necessary.
    pub fn jobs_of_card(&mut self, card_id: &CardId) -> Result<Vec<JobView>, StoreError> {
        Ok(outbox::table
            .filter(outbox::card_id.eq(card_id.as_str()))
            .order((outbox::created_at, outbox::id))
            .select(JobView::as_select())
            .load(self.connection)?)
    }

    /// The calls that followed from a notification.
    pub fn jobs_of_notification(&mut self, id: &str) -> Result<Vec<JobView>, StoreError> {
        Ok(outbox::table
            .filter(outbox::notification_id.eq(id))
            .order((outbox::created_at, outbox::id))
            .select(JobView::as_select())
            .load(self.connection)?)
    }
}
