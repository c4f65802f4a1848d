//! The outbox as operators see it: list, look, try again, discard.

use diesel::prelude::*;

use super::JobState;
use crate::domain::{CardId, JobKind};
use crate::store::schema::outbox;
use crate::store::{StoreError, Tx};

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
    pub ended_at: Option<i64>,
    pub last_status: Option<i32>,
    pub last_reason: Option<String>,
    /// Of a token command: what is wanted.
    pub command: Option<String>,
    /// Of a token command: the token it is for; none for all of the card.
    pub token_id: Option<String>,
}

/// Which calls to list; the oldest come first.
#[derive(Debug, Default, Clone)]
pub struct JobFilter {
    pub state: Option<String>,
    /// Only those that are not over.
    pub is_open: bool,
    pub kind: Option<String>,
    pub card_id: Option<String>,
    /// Only ids above this one.
    pub after: Option<String>,
    pub limit: i64,
}

/// The states of calls that are not over.
pub const OPEN: [JobState; 4] = [
    JobState::Waiting,
    JobState::Running,
    JobState::Parked,
    JobState::Dead,
];

impl Tx<'_> {
    /// Calls in the order they became necessary.
    pub fn list_jobs(&mut self, filter: &JobFilter) -> Result<Vec<JobView>, StoreError> {
        let mut query = outbox::table.into_boxed();
        if let Some(state) = &filter.state {
            query = query.filter(outbox::state.eq(state));
        }
        if filter.is_open {
            query = query.filter(outbox::state.eq_any(OPEN.map(JobState::name)));
        }
        if let Some(kind) = &filter.kind {
            query = query.filter(outbox::kind.eq(kind));
        }
        if let Some(card_id) = &filter.card_id {
            query = query.filter(outbox::card_id.eq(card_id));
        }
        if let Some(after) = &filter.after {
            query = query.filter(outbox::id.gt(after));
        }
        Ok(query
            .order(outbox::id)
            .limit(filter.limit)
            .select(JobView::as_select())
            .load(self.connection)?)
    }

    /// One call, if it is known.
    pub fn job(&mut self, id: &str) -> Result<Option<JobView>, StoreError> {
        Ok(outbox::table
            .filter(outbox::id.eq(id))
            .select(JobView::as_select())
            .first(self.connection)
            .optional()?)
    }

    /// The calls of a card, in the order they became necessary.
    pub fn jobs_of_card(&mut self, card_id: &CardId) -> Result<Vec<JobView>, StoreError> {
        Ok(outbox::table
            .filter(outbox::card_id.eq(card_id.as_str()))
            .order((outbox::created_at, outbox::id))
            .select(JobView::as_select())
            .load(self.connection)?)
    }

    /// The open deletion of a card.
    pub fn open_deletion(&mut self, card_id: &CardId) -> Result<Option<JobView>, StoreError> {
        Ok(outbox::table
            .filter(outbox::open_key.eq(super::open_key(JobKind::DeleteCard, card_id, None)))
            .select(JobView::as_select())
            .first(self.connection)
            .optional()?)
    }

    /// Whether a call for a cryptogram of a card waits or runs.
    pub fn cryptogram_is_requested(&mut self, card_id: &CardId) -> Result<bool, StoreError> {
        let open = [JobState::Waiting.name(), JobState::Running.name()];
        let requested = outbox::table
            .filter(outbox::card_id.eq(card_id.as_str()))
            .filter(outbox::number_version.is_not_null())
            .filter(outbox::state.eq_any(open));
        Ok(diesel::select(diesel::dsl::exists(requested)).get_result(self.connection)?)
    }

    /// The calls that followed from a notification.
    pub fn jobs_of_notification(&mut self, id: &str) -> Result<Vec<JobView>, StoreError> {
        Ok(outbox::table
            .filter(outbox::notification_id.eq(id))
            .order((outbox::created_at, outbox::id))
            .select(JobView::as_select())
            .load(self.connection)?)
    }

    /// Lets a call be made at once, even while its program's calls are held back: a waiting, parked or
    /// dead one. Returns false for any other.
    pub fn retry_job(&mut self, id: &str, now: i64) -> Result<bool, StoreError> {
        let may = [JobState::Waiting, JobState::Parked, JobState::Dead].map(JobState::name);
        let Some(job) = self.job(id)?.filter(|job| may.contains(&&*job.state)) else {
            return Ok(false);
        };
        let key = format!(
            "{}/{}/{}",
            job.kind,
            job.card_id,
            job.number_version.unwrap_or_default()
        );
        // Several commands of a card may wait.
        let key = job.command.is_none().then_some(key);
        let same_open = outbox::table
            .filter(outbox::open_key.eq(&key))
            .filter(outbox::id.ne(id));
        if diesel::select(diesel::dsl::exists(same_open)).get_result(self.connection)? {
            return Ok(false);
        }
        // Its age begins anew: an operator wants it.
        diesel::update(outbox::table.filter(outbox::id.eq(id)))
            .set((
                outbox::state.eq(JobState::Waiting.name()),
                outbox::open_key.eq(key),
                outbox::priority.eq(super::WANTED),
                outbox::next_at.eq(now),
                outbox::created_at.eq(now),
                outbox::ended_at.eq(None::<i64>),
            ))
            .execute(self.connection)?;
        Ok(true)
    }

    /// Gives a call up for good: a waiting, parked or dead one. Returns false for any other.
    pub fn discard_job(&mut self, id: &str, reason: &str, now: i64) -> Result<bool, StoreError> {
        let may = [JobState::Waiting, JobState::Parked, JobState::Dead].map(JobState::name);
        let chosen = outbox::table
            .filter(outbox::id.eq(id))
            .filter(outbox::state.eq_any(may));
        let discarded = diesel::update(chosen)
            .set((
                outbox::state.eq(JobState::Discarded.name()),
                outbox::open_key.eq(None::<String>),
                outbox::ended_at.eq(Some(now)),
                outbox::last_reason.eq(Some(reason)),
            ))
            .execute(self.connection)?;
        Ok(discarded == 1)
    }

    /// How many calls there are of each kind and state that are not over.
    pub fn count_open_jobs(
        &mut self,
    ) -> Result<Vec<(&'static str, &'static str, i64)>, StoreError> {
        let mut counts = Vec::new();
        for state in OPEN {
            for kind in super::KINDS {
                let of_kind = outbox::table
                    .filter(outbox::state.eq(state.name()))
                    .filter(outbox::kind.eq(kind));
                let count = of_kind.count().get_result(self.connection)?;
                counts.push((kind, state.name(), count));
            }
        }
        Ok(counts)
    }
}
