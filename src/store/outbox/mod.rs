//! The outbox: calls that have become necessary, written in the transaction that made them so.

mod claiming;
mod commands;
mod operating;
mod waiting;

use std::collections::{HashMap, HashSet};

use diesel::dsl::exists;
use diesel::prelude::*;
use uuid::Uuid;

use super::connection::insert_rows;
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
#[diesel(table_name = outbox, treat_none_as_default_value = false)]
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

/// What is looked at to choose calls that are dropped.
#[derive(Queryable, Selectable)]
#[diesel(table_name = outbox)]
struct OpenJob {
    id: String,
    card_id: String,
    kind: String,
    number_version: Option<i32>,
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

/// A call that has become necessary, and the notification or the call behind it, if there is one.
#[derive(Clone, Copy)]
pub struct DueCall<'a> {
    pub card_id: &'a CardId,
    pub job: &'a Job,
    pub source: Option<&'a str>,
}

impl DueCall<'_> {
    /// The number that a cryptogram is for.
    fn number_version(&self) -> Result<Option<i32>, StoreError> {
        match self.job.kind {
            JobKind::Cryptogram { number_version } => stored_version(number_version).map(Some),
            JobKind::GetCard | JobKind::DeleteCard | JobKind::ReadTokens => Ok(None),
        }
    }

    fn row(&self, now: i64) -> Result<NewJob<'_>, StoreError> {
        let number_version = self.number_version()?;
        Ok(NewJob {
            id: Uuid::now_v7().to_string(),
            kind: self.job.kind.name(),
            card_id: self.card_id.as_str(),
            number_version,
            notification_id: self.source,
            state: JobState::Waiting.name(),
            open_key: Some(open_key(self.job.kind, self.card_id, number_version)),
            priority: priority(self.job.kind),
            attempts: 0,
            next_at: self.job.not_before,
            created_at: now,
            fence: 0,
            lease_until: None,
            command: None,
            token_id: None,
            command_order: None,
        })
    }
}

impl Tx<'_> {
    /// Queues one call, as [`Self::queue_jobs`] does.
    pub fn queue_job(
        &mut self,
        card_id: &CardId,
        job: &Job,
        source: Option<&str>,
        now: i64,
    ) -> Result<(), StoreError> {
        let due = DueCall {
            card_id,
            job,
            source,
        };
        self.queue_jobs(&[due], now)
    }

    /// Queues calls in this order. One of the same kind that is still open for the card (and, for a
    /// cryptogram, for the same number) is enough.
    pub fn queue_jobs(&mut self, due: &[DueCall<'_>], now: i64) -> Result<(), StoreError> {
        let mut rest = due;
        while !rest.is_empty() {
            // Each card once: a later call may take the place of an earlier one, which is there then.
            let mut cards = HashSet::new();
            let some = rest.iter().take_while(|due| cards.insert(due.card_id));
            let count = some.count();
            let (some, later) = rest.split_at(count);
            self.queue_for_different_cards(some, now)?;
            rest = later;
        }
        Ok(())
    }

    fn queue_for_different_cards(
        &mut self,
        due: &[DueCall<'_>],
        now: i64,
    ) -> Result<(), StoreError> {
        let rows = due
            .iter()
            .map(|due| due.row(now))
            .collect::<Result<Vec<_>, _>>()?;
        let for_numbers = rows
            .iter()
            .filter_map(|row| Some((row.card_id, row.number_version?)));
        let for_numbers = HashMap::<&str, i32>::from_iter(for_numbers);
        let is_other = |job: &OpenJob| {
            let wanted = for_numbers.get(job.card_id.as_str());
            job.number_version
                .is_some_and(|version| wanted != Some(&version))
        };
        let card_ids: Vec<&str> = for_numbers.keys().copied().collect();
        self.discard(&card_ids, "superseded", now, is_other)?;
        insert_rows!(self.connection, &rows, values => {
            diesel::insert_into(outbox::table)
                .values(values)
                .on_conflict(outbox::open_key)
                .do_nothing()
        });
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

    /// Drops the waiting calls for a cryptogram of cards for which none is due any more.
    pub fn withdraw_cryptogram_calls(
        &mut self,
        card_ids: &[&str],
        now: i64,
    ) -> Result<(), StoreError> {
        let is_for_cryptogram = |job: &OpenJob| job.number_version.is_some();
        self.discard(card_ids, "no longer due", now, is_for_cryptogram)
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
        let is_other = |job: &OpenJob| job.kind != delete;
        self.discard(&[card.id.as_str()], CARD_ENDED, now, is_other)?;
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

    /// Drops waiting or parked calls of cards.
    fn discard(
        &mut self,
        card_ids: &[&str],
        why: &str,
        now: i64,
        is_chosen: impl Fn(&OpenJob) -> bool,
    ) -> Result<(), StoreError> {
        if card_ids.is_empty() {
            return Ok(());
        }
        let droppable = [JobState::Waiting.name(), JobState::Parked.name()];
        let mut open: Vec<OpenJob> = outbox::table
            .filter(outbox::card_id.eq_any(card_ids))
            .filter(outbox::state.eq_any(droppable))
            .select(OpenJob::as_select())
            .load(self.connection)?;
        open.retain(is_chosen);
        if open.is_empty() {
            return Ok(());
        }
        let chosen = open.iter().map(|job| &job.id);
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
