//! Until when calls wait, after the clock was set.

use diesel::prelude::*;
use diesel::sql_types::Bool;

use super::JobState;
use crate::store::schema::outbox;
use crate::store::{StoreError, Tx};

impl Tx<'_> {
    /// Lets waiting calls, or one of them, follow a clock that was set back by so much: until when they wait was
    /// reckoned before. Returns how many there are. Who does it twice has them made early, which harms nothing.
    pub fn set_calls_back(
        &mut self,
        only: Option<&str>,
        back: i64,
        now: i64,
    ) -> Result<usize, StoreError> {
        let is_meant = || {
            outbox::id
                .nullable()
                .eq(only)
                .or(only.is_none().into_sql::<Bool>())
        };
        let waiting = || {
            outbox::table
                .filter(outbox::state.eq(JobState::Waiting.name()))
                .filter(is_meant())
        };
        let until = now.saturating_add(back);
        let due = waiting().filter(outbox::next_at.gt(now));
        let due = diesel::update(due.filter(outbox::next_at.le(until)))
            .set(outbox::next_at.eq(now))
            .execute(self.connection)?;
        let later = diesel::update(waiting().filter(outbox::next_at.gt(until)))
            .set(outbox::next_at.eq(outbox::next_at - back))
            .execute(self.connection)?;
        Ok(due + later)
    }

    /// Lets no call wait longer than until then.
    pub fn bound_waits(&mut self, latest: i64) -> Result<usize, StoreError> {
        let waiting = outbox::table.filter(outbox::state.eq(JobState::Waiting.name()));
        let later = waiting.filter(outbox::next_at.gt(latest));
        Ok(diesel::update(later)
            .set(outbox::next_at.eq(latest))
            .execute(self.connection)?)
    }
}
