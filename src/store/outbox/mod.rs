//! The outbox: calls that have become necessary, written in the transaction that made them so.

mod claiming;
mod commands;
mod operating;
mod waiting;

use diesel::dsl::exists;
use diesel::prelude::*;
use uuid::Uuid;

use super::connection::on_backend;
use super::schema::{cards, outbox};
use super::{StoreError, Tx};
use crate::domain::{Card, CardId, Job, JobKind, TerminalState};

pub use claiming::{Claim, ClaimedJob, Ending, LEASE_MS};
pub use operating::{JobFilter, JobView, OPEN};

/// Where a call stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JobState {
    Waiting,
    /// Claimed, until its lease ends.
    Running,
    Done,
    /// The other side refused it: it waits for an operator.
    Parked,
    /// Given up for its age.
    Dead,
    /// Not needed any more.
    Discarded,
}

impl JobState {
    /// The state's name, as stored and shown.
    pub fn name(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Running => "running",
            Self::Done => "done",
            Self::Parked => "parked",
            Self::Dead => "dead",
            Self::Discarded => "discarded",
        }
    }
}

/// A call that a waiting caller makes itself; it has no place in the queue.
pub const CREDENTIALS: &str = "credentials";
/// A token command.
pub const TOKEN_STATUS: &str = "token_status";
/// All kinds of calls.
pub const KINDS: [&str; 6] = [
    "cryptogram",
    "get_card",
    "delete_card",
    "read_tokens",
    TOKEN_STATUS,
    CREDENTIALS,
];

#[derive(Insertable)]
#[diesel(table_name = outbox)]
struct NewJob<'a> {
    id: String,
    kind: &'a str,
    card_id: &'a str,
    number_version: Option<i32>,
    notification_id: Option<&'a str>,
    state: &'a str,
    open_key: Option<String>,
    priority: i32,
    attempts: i32,
    next_at: i64,
    created_at: i64,
    fence: i64,
    lease_until: Option<i64>,
    command: Option<&'a str>,
    token_id: Option<&'a str>,
    command_order: Option<i64>,
}

/// Why a call of an ended card is dropped.
const CARD_ENDED: &str = "the card has ended";
/// The priority of a call that an operator wants at once: it is tried even while the others wait.
const WANTED: i32 = -1;

/// Deletions go first, then cryptograms, then what is only to be looked up.
fn priority(kind: JobKind) -> i32 {
    match kind {
        JobKind::DeleteCard => 0,
        JobKind::Cryptogram { .. } => 2,
        JobKind::GetCard | JobKind::ReadTokens => 3,
    }
}

/// While a call waits, runs or is parked, no second one of its kind is queued.
fn open_key(kind: JobKind, card_id: &CardId, number_version: Option<i32>) -> String {
    format!(
        "{}/{card_id}/{}",
        kind.name(),
        number_version.unwrap_or_default()
    )
}

fn stored_version(number_version: u32) -> Result<i32, StoreError> {
    i32::try_from(number_version).map_err(|_| StoreError::Damaged("a version is out of range"))
}

impl Tx<'_> {
    /// Queues a call. One of the same kind that is still open for the card (and, for a cryptogram, for
    /// the same number) is enough.
    pub fn queue_job(
        &mut self,
        card_id: &CardId,
        job: &Job,
        notification_id: Option<&str>,
        now: i64,
    ) -> Result<(), StoreError> {
        let number_version = match job.kind {
            JobKind::Cryptogram { number_version } => {
                let version = stored_version(number_version)?;
                let is_other = |waiting: Option<i32>| waiting.is_some_and(|other| other != version);
                self.discard(card_id, "superseded", now, |_, version| is_other(version))?;
                Some(version)
            }
            JobKind::GetCard | JobKind::DeleteCard | JobKind::ReadTokens => None,
        };
        let new = NewJob {
            id: Uuid::now_v7().to_string(),
            kind: job.kind.name(),
            card_id: card_id.as_str(),
            number_version,
            notification_id,
            state: JobState::Waiting.name(),
            open_key: Some(open_key(job.kind, card_id, number_version)),
            priority: priority(job.kind),
            attempts: 0,
            next_at: job.not_before,
            created_at: now,
            fence: 0,
            lease_until: None,
            command: None,
            token_id: None,
            command_order: None,
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

    /// Says of a card's waiting deletion what the caller gave with it.
    pub fn describe_deletion(
        &mut self,
        card_id: &CardId,
        program: Option<&str>,
        reason: Option<&str>,
        requestor: Option<&str>,
    ) -> Result<(), StoreError> {
        let key = open_key(JobKind::DeleteCard, card_id, None);
        diesel::update(outbox::table.filter(outbox::open_key.eq(key)))
            .set((
                outbox::program.eq(program),
                outbox::reason.eq(reason),
                outbox::requestor.eq(requestor),
            ))
            .execute(self.connection)?;
        Ok(())
    }

    /// Drops the waiting calls for a cryptogram of a card for which none is due any more.
    pub fn withdraw_cryptogram_calls(
        &mut self,
        card_id: &CardId,
        now: i64,
    ) -> Result<(), StoreError> {
        self.discard(card_id, "no longer due", now, |_, version| {
            version.is_some()
        })
    }

    /// Settles the calls of a card that has ended: drops all but its deletion. A deletion that was
    /// parked because the card was not found is done once Mastercard says that it is cancelled, a
    /// deactivation once the tokens are found deleted.
    pub fn settle_jobs_of_ended(&mut self, card: &Card, now: i64) -> Result<(), StoreError> {
        let state = card.terminal.map(|terminal| terminal.state);
        if state == Some(TerminalState::Deleted) {
            self.end_deactivations(&card.id, now)?;
        }
        let delete = JobKind::DeleteCard.name();
        self.discard(&card.id, CARD_ENDED, now, |kind, _| kind != delete)?;
        if state == Some(TerminalState::Cancelled) {
            let parked = outbox::table
                .filter(outbox::open_key.eq(open_key(JobKind::DeleteCard, &card.id, None)))
                .filter(outbox::state.eq(JobState::Parked.name()));
            diesel::update(parked)
                .set((
                    outbox::state.eq(JobState::Done.name()),
                    outbox::open_key.eq(None::<String>),
                    outbox::ended_at.eq(Some(now)),
                    outbox::last_reason.eq(Some("cancelled there")),
                ))
                .execute(self.connection)?;
        }
        Ok(())
    }

    /// Drops what is only to be looked up, of those of these cards that have ended: such a call ran
    /// when its card ended, and nobody needs its answer any more.
    fn drop_lookups_of_ended(&mut self, card_ids: &[String], now: i64) -> Result<(), StoreError> {
        let states = [
            TerminalState::DeletePending,
            TerminalState::Cancelled,
            TerminalState::Deleted,
        ];
        let ended = cards::table
            .filter(cards::id.eq(outbox::card_id))
            .filter(cards::status.eq_any(states.map(TerminalState::word)));
        let kinds = [JobKind::GetCard, JobKind::ReadTokens].map(JobKind::name);
        let lookups = outbox::table
            .filter(outbox::card_id.eq_any(card_ids))
            .filter(
                outbox::kind
                    .eq_any(kinds)
                    .or(outbox::number_version.is_not_null()),
            )
            .filter(outbox::state.eq_any([JobState::Waiting, JobState::Parked].map(JobState::name)))
            .filter(exists(ended));
        diesel::update(lookups)
            .set((
                outbox::state.eq(JobState::Discarded.name()),
                outbox::open_key.eq(None::<String>),
                outbox::ended_at.eq(Some(now)),
                outbox::last_reason.eq(Some(CARD_ENDED)),
            ))
            .execute(self.connection)?;
        Ok(())
    }

    /// Drops waiting or parked calls of a card, chosen by kind and number version.
    fn discard(
        &mut self,
        card_id: &CardId,
        why: &str,
        now: i64,
        is_chosen: impl Fn(&str, Option<i32>) -> bool,
    ) -> Result<(), StoreError> {
        let droppable = [JobState::Waiting.name(), JobState::Parked.name()];
        let waiting: Vec<(String, String, Option<i32>)> = outbox::table
            .filter(outbox::card_id.eq(card_id.as_str()))
            .filter(outbox::state.eq_any(droppable))
            .select((outbox::id, outbox::kind, outbox::number_version))
            .load(self.connection)?;
        let chosen = waiting
            .into_iter()
            .filter(|(_, kind, version)| is_chosen(kind, *version));
        let chosen: Vec<String> = chosen.map(|(id, ..)| id).collect();
        if chosen.is_empty() {
            return Ok(());
        }
        diesel::update(outbox::table.filter(outbox::id.eq_any(chosen)))
            .set((
                outbox::state.eq(JobState::Discarded.name()),
                outbox::open_key.eq(None::<String>),
                outbox::ended_at.eq(Some(now)),
                outbox::last_reason.eq(Some(why)),
            ))
            .execute(self.connection)?;
        Ok(())
    }
}
