//! Claims: who makes a call, until when, and who may still finish it.
//!
//! A claim has a lease and a fence. A process that lost its lease (killed, paused, cut off) cannot
//! finish the call any more: its fence is not the last one. At most one call of a card runs at a time.

use std::collections::{BTreeSet, HashSet};

use diesel::dsl::{exists, not};
use diesel::prelude::*;
use diesel::sql_types::BigInt;
use diesel::{QueryableByName, sql_query};
use uuid::Uuid;

use super::{CREDENTIALS, JobState, NewJob, WANTED, open_key, stored_version};
use crate::domain::{CardId, JobKind};
use crate::store::connection::AnyConnection;
use crate::store::schema::{cards, outbox};
use crate::store::tx::lock_number;
use crate::store::{StoreError, Tx};

/// A claim lasts longer than an attempt can.
pub const LEASE_MS: i64 = 60_000;

/// A claimed call: what to do, and the fence to finish it with.
#[derive(Debug, Clone, Queryable, Selectable)]
#[diesel(table_name = outbox)]
pub struct ClaimedJob {
    pub id: String,
    pub kind: String,
    pub card_id: String,
    pub number_version: Option<i32>,
    pub attempts: i32,
    pub created_at: i64,
    pub reason: Option<String>,
    pub requestor: Option<String>,
    pub fence: i64,
    /// An earlier attempt may have reached the other side.
    pub may_have_arrived: bool,
    pub flow_id: Option<String>,
    pub last_reason: Option<String>,
    /// Of a token command: what is wanted.
    pub command: Option<String>,
    /// Of a token command: the token it is for; none for all of the card.
    pub token_id: Option<String>,
}

impl ClaimedJob {
    /// Whether a caller made it for himself: it is over when he does not wait any more.
    pub fn is_of_caller(&self) -> bool {
        self.kind == CREDENTIALS
    }
}

/// What a caller who waits for a card's call gets.
pub enum Claim {
    Claimed(Box<ClaimedJob>),
    /// Another call of the card runs: wait for it.
    Busy,
}

/// How an attempt ended.
#[derive(Debug, Clone)]
pub struct Ending {
    pub state: JobState,
    /// When to try again, for [`JobState::Waiting`].
    pub next_at: Option<i64>,
    /// The HTTP status of the last answer.
    pub status: Option<u16>,
    /// Why, in stable words.
    pub reason: Option<String>,
    pub may_have_arrived: bool,
    pub flow_id: Option<String>,
}

#[derive(QueryableByName)]
struct Locked {
    #[diesel(sql_type = BigInt)]
    n: i64,
}

impl Tx<'_> {
    /// Claims due calls of a program, the most urgent first, at most one of each card, until
    /// `lease_until`; with `only_wanted` those only that an operator wants at once. On PostgreSQL calls and cards that another process works on are skipped.
    pub fn claim_jobs(
        &mut self,
        program: &str,
        limit: i64,
        only_wanted: bool,
        now: i64,
        lease_until: i64,
    ) -> Result<Vec<ClaimedJob>, StoreError> {
        let least_urgent = if only_wanted { WANTED } else { i32::MAX };
        let other = diesel::alias!(outbox as other);
        // An offset keeps each of these three questions one of a row, asked by index: PostgreSQL would make joins of
        // them, and compare each waiting call with each command of a card that has hundreds.
        let runs = other
            .filter(other.field(outbox::card_id).eq(outbox::card_id))
            .filter(other.field(outbox::state).eq(JobState::Running.name()))
            .offset(0);
        let earlier = other
            .filter(other.field(outbox::card_id).eq(outbox::card_id))
            .filter(other.field(outbox::state).eq(JobState::Waiting.name()))
            // Only commands have an order; saying so lets the index on them be used.
            .filter(other.field(outbox::command).is_not_null())
            .filter(other.field(outbox::command_order).lt(outbox::command_order))
            .offset(0);
        let card_of_program = cards::table
            .filter(cards::id.eq(outbox::card_id))
            .filter(cards::program.eq(program))
            .offset(0);
        let of_program = outbox::program
            .eq(program)
            .or(outbox::program.is_null().and(exists(card_of_program)));
        let due = outbox::table
            .filter(outbox::state.eq(JobState::Waiting.name()))
            .filter(outbox::next_at.le(now))
            .filter(outbox::priority.le(least_urgent))
            .filter(of_program)
            .filter(not(exists(runs)))
            // Commands are carried out in the order they were given.
            .filter(not(exists(earlier)))
            // The order of the index and no other, so that it is read no further than the last one found.
            .order((outbox::priority, outbox::next_at))
            .limit(limit)
            .select((outbox::id, outbox::card_id));
        let found: Vec<(String, String)> = match self.connection {
            AnyConnection::Sqlite(c) => due.load(c)?,
            AnyConnection::Postgres(c) => due.for_update().skip_locked().load(c)?,
        };
        let free = self.cards_without_running_call(&found)?;
        let mut taken = HashSet::new();
        let chosen = found
            .into_iter()
            .filter(|(_, card_id)| free.contains(card_id) && taken.insert(card_id.clone()));
        let chosen: Vec<String> = chosen.map(|(id, _)| id).collect();
        self.take(&chosen, lease_until)
    }

    /// Whether any call is due.
    pub fn any_due_job(&mut self, now: i64) -> Result<bool, StoreError> {
        let due = outbox::table
            .filter(outbox::state.eq(JobState::Waiting.name()))
            .filter(outbox::next_at.le(now));
        Ok(diesel::select(exists(due)).get_result(self.connection)?)
    }

    /// The cards among these that nobody else works on: on PostgreSQL a call that started since the
    /// statement began is not seen by it, so each card is locked and looked at again.
    fn cards_without_running_call(
        &mut self,
        found: &[(String, String)],
    ) -> Result<HashSet<String>, StoreError> {
        let mut free: HashSet<String> = found.iter().map(|(_, card)| card.clone()).collect();
        if let AnyConnection::Postgres(c) = self.connection {
            // Tried only: to wait here with a call locked could end in a deadlock with the processor.
            let number = |card: &String| CardId::parse(card).ok().map(|id| lock_number(&id));
            let wanted: BTreeSet<i64> = free.iter().filter_map(number).collect();
            let query = "SELECT n FROM unnest($1) AS n WHERE pg_try_advisory_xact_lock(n)";
            let locked: Vec<Locked> = sql_query(query)
                .bind::<diesel::sql_types::Array<BigInt>, _>(Vec::from_iter(wanted))
                .load(c)?;
            let locked: HashSet<i64> = locked.into_iter().map(|row| row.n).collect();
            free.retain(|card| number(card).is_some_and(|number| locked.contains(&number)));
            let busy: Vec<String> = outbox::table
                .filter(outbox::card_id.eq_any(&free))
                .filter(outbox::state.eq(JobState::Running.name()))
                .select(outbox::card_id)
                .load(c)?;
            busy.iter().for_each(|card| {
                free.remove(card);
            });
        }
        Ok(free)
    }

    fn take(&mut self, ids: &[String], lease_until: i64) -> Result<Vec<ClaimedJob>, StoreError> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        diesel::update(outbox::table.filter(outbox::id.eq_any(ids)))
            .set((
                outbox::state.eq(JobState::Running.name()),
                outbox::attempts.eq(outbox::attempts + 1),
                outbox::fence.eq(outbox::fence + 1),
                outbox::lease_until.eq(Some(lease_until)),
            ))
            .execute(self.connection)?;
        Ok(outbox::table
            .filter(outbox::id.eq_any(ids))
            .order((outbox::priority, outbox::next_at, outbox::id))
            .select(ClaimedJob::as_select())
            .load(self.connection)?)
    }

    /// Claims a Checkout call of a card for a caller who waits: the waiting one for its number, or a
    /// new one. The card's lock is held.
    pub fn claim_for_caller(
        &mut self,
        card_id: &CardId,
        number_version: u32,
        now: i64,
        lease_until: i64,
    ) -> Result<Claim, StoreError> {
        if self.any_running_job(card_id)? {
            return Ok(Claim::Busy);
        }
        let version = stored_version(number_version)?;
        let key = open_key(
            JobKind::Cryptogram { number_version },
            card_id,
            Some(version),
        );
        let waiting: Option<String> = outbox::table
            .filter(outbox::open_key.eq(key))
            .select(outbox::id)
            .first(self.connection)
            .optional()?;
        let id = match waiting {
            Some(id) => id,
            None => self.insert_caller_job(card_id, version, now)?,
        };
        let claimed = self.take(&[id], lease_until)?.pop();
        claimed
            .map(|job| Claim::Claimed(Box::new(job)))
            .ok_or(StoreError::Damaged("a call cannot be claimed"))
    }

    fn insert_caller_job(
        &mut self,
        card_id: &CardId,
        version: i32,
        now: i64,
    ) -> Result<String, StoreError> {
        let new = NewJob {
            id: Uuid::now_v7().to_string(),
            kind: CREDENTIALS,
            card_id: card_id.as_str(),
            number_version: Some(version),
            notification_id: None,
            state: JobState::Running.name(),
            open_key: None,
            priority: 1,
            attempts: 0,
            next_at: now,
            created_at: now,
            fence: 0,
            lease_until: Some(now),
            command: None,
            token_id: None,
            command_order: None,
        };
        diesel::insert_into(outbox::table)
            .values(&new)
            .execute(self.connection)?;
        Ok(new.id)
    }

    /// Ends an attempt. Returns false, and writes nothing, if the claim is not the last one any more.
    pub fn finish_job(
        &mut self,
        job: &ClaimedJob,
        ending: &Ending,
        now: i64,
    ) -> Result<bool, StoreError> {
        let is_over = !matches!(ending.state, JobState::Waiting | JobState::Parked);
        let claim = outbox::table
            .filter(outbox::id.eq(&job.id))
            .filter(outbox::fence.eq(job.fence))
            .filter(outbox::state.eq(JobState::Running.name()));
        let common = (
            outbox::state.eq(ending.state.name()),
            outbox::lease_until.eq(None::<i64>),
            outbox::next_at.eq(ending.next_at.unwrap_or(now)),
            outbox::last_status.eq(ending.status.map(i32::from)),
            outbox::last_reason.eq(ending.reason.as_deref()),
            outbox::may_have_arrived.eq(job.may_have_arrived || ending.may_have_arrived),
            outbox::flow_id.eq(ending.flow_id.as_deref().or(job.flow_id.as_deref())),
        );
        let finished = if is_over {
            let over = (
                outbox::open_key.eq(None::<String>),
                outbox::ended_at.eq(Some(now)),
            );
            diesel::update(claim)
                .set((common, over))
                .execute(self.connection)?
        } else {
            let finished = diesel::update(claim).set(common).execute(self.connection)?;
            if finished == 1 {
                self.drop_lookups_of_ended(std::slice::from_ref(&job.card_id), now)?;
            }
            finished
        };
        Ok(finished == 1)
    }

    /// Whether a claim is still the last one: asked before what the answer brought is written. Until
    /// the transaction ends nobody can take the call over.
    pub fn holds_claim(&mut self, job: &ClaimedJob) -> Result<bool, StoreError> {
        let claim = outbox::table
            .filter(outbox::id.eq(&job.id))
            .filter(outbox::fence.eq(job.fence))
            .filter(outbox::state.eq(JobState::Running.name()))
            .select(outbox::id);
        let held: Option<String> = match self.connection {
            AnyConnection::Sqlite(c) => claim.first(c).optional()?,
            AnyConnection::Postgres(c) => claim.for_update().first(c).optional()?,
        };
        Ok(held.is_some())
    }

    /// Extends the leases of calls that are still under way.
    pub fn extend_leases(&mut self, jobs: &[ClaimedJob], until: i64) -> Result<(), StoreError> {
        for job in jobs {
            let claim = outbox::table
                .filter(outbox::id.eq(&job.id))
                .filter(outbox::fence.eq(job.fence))
                .filter(outbox::state.eq(JobState::Running.name()));
            diesel::update(claim)
                .set(outbox::lease_until.eq(Some(until)))
                .execute(self.connection)?;
        }
        Ok(())
    }

    /// Whether a call of the card runs.
    pub fn any_running_job(&mut self, card_id: &CardId) -> Result<bool, StoreError> {
        let running = outbox::table
            .filter(outbox::card_id.eq(card_id.as_str()))
            .filter(outbox::state.eq(JobState::Running.name()));
        Ok(diesel::select(exists(running)).get_result(self.connection)?)
    }

    /// Whether a lease has ended by [`Tx::lease_time`], or is to be shortened.
    pub fn any_ended_lease(&mut self, lease_time: i64) -> Result<bool, StoreError> {
        let ended = outbox::lease_until.lt(lease_time);
        let too_long = outbox::lease_until.gt(lease_time + LEASE_MS);
        let ended = outbox::table
            .filter(outbox::state.eq(JobState::Running.name()))
            .filter(ended.or(too_long));
        Ok(diesel::select(exists(ended)).get_result(self.connection)?)
    }

    /// Puts calls back among the waiting ones whose lease has ended: whoever made them is gone. Their
    /// attempt may have arrived. One that a caller made is over, because nobody waits for it any more.
    /// Returns how many leases had ended.
    pub fn end_leases(&mut self, lease_time: i64, now: i64) -> Result<usize, StoreError> {
        let running = || outbox::table.filter(outbox::state.eq(JobState::Running.name()));
        // It was given before the machine was started anew, or by a server's clock that was ahead. Whoever has it may
        // still work, and then extends it.
        let longest = lease_time + LEASE_MS;
        diesel::update(running().filter(outbox::lease_until.gt(longest)))
            .set(outbox::lease_until.eq(Some(longest)))
            .execute(self.connection)?;
        let ended = || running().filter(outbox::lease_until.lt(lease_time));
        let cards: Vec<String> = ended()
            .select(outbox::card_id)
            .distinct()
            .load(self.connection)?;
        let gone = diesel::update(ended().filter(outbox::kind.eq(CREDENTIALS)))
            .set((
                outbox::state.eq(JobState::Discarded.name()),
                outbox::lease_until.eq(None::<i64>),
                outbox::ended_at.eq(Some(now)),
                outbox::last_reason.eq(Some("its caller is gone")),
            ))
            .execute(self.connection)?;
        let back = diesel::update(ended())
            .set((
                outbox::state.eq(JobState::Waiting.name()),
                outbox::lease_until.eq(None::<i64>),
                outbox::next_at.eq(now),
                outbox::may_have_arrived.eq(true),
            ))
            .execute(self.connection)?;
        self.drop_lookups_of_ended(&cards, now)?;
        Ok(gone + back)
    }
}
