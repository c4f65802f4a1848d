//! Maintenance: while it lasts what is received is kept and nothing that waits is processed; afterwards
//! the backlog may drain at a chosen rate.
//!
//! It stands in the database, so that every process that shares it keeps to it.

use diesel::prelude::*;

use super::connection::{AnyConnection, on_backend};
use super::schema::maintenance;
use super::{StoreError, Tx};

/// What is in force.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable, Insertable)]
#[diesel(table_name = maintenance)]
pub struct Maintenance {
    pub reason: String,
    /// Who began it, or let the backlog drain.
    pub operator: String,
    /// Since when, milliseconds since 1970, UTC.
    pub at: i64,
    /// It has ended, and the backlog drains at this many deliveries a second.
    pub drain_rate: Option<i32>,
    /// While it drains: no delivery is taken before this.
    next_at: i64,
}

/// How many deliveries may be processed now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Allowance {
    All,
    /// So many; then none for this many milliseconds.
    AtMost {
        count: i64,
        pause: i64,
    },
    Nothing,
}

/// Above this rate several deliveries are taken in one step of this many milliseconds.
const STEP_MS: i64 = 100;
/// No step waits so long: the clock was set back since the last one.
const TOO_LONG_MS: i64 = 60_000;

impl Maintenance {
    /// Nothing that waits is processed.
    pub fn is_on(&self) -> bool {
        self.drain_rate.is_none()
    }

    fn allowance(&self, now: i64) -> Allowance {
        match self.drain_rate.map(i64::from) {
            Some(_) if now < self.next_at && self.next_at - now < TOO_LONG_MS => Allowance::Nothing,
            // Rounded so that no second sees more than the rate.
            Some(rate) if rate * STEP_MS > 1000 => Allowance::AtMost {
                count: rate * STEP_MS / 1000,
                pause: STEP_MS,
            },
            Some(rate) => Allowance::AtMost {
                count: 1,
                pause: (1000 + rate - 1) / rate.max(1),
            },
            None => Allowance::Nothing,
        }
    }
}

impl Tx<'_> {
    /// What is in force, if anything is.
    pub fn maintenance(&mut self) -> Result<Option<Maintenance>, StoreError> {
        Ok(maintenance::table
            .select(Maintenance::as_select())
            .first(self.connection)
            .optional()?)
    }

    /// How many deliveries may be processed now. Within a transaction: while a backlog drains, no other
    /// process is told anything until it ends.
    pub fn allowance(&mut self, now: i64) -> Result<Allowance, StoreError> {
        let Some(in_force) = self.maintenance()? else {
            return Ok(Allowance::All);
        };
        let allowance = in_force.allowance(now);
        match self.connection {
            // Not before a step is due: whoever only looks keeps nobody waiting.
            AnyConnection::Postgres(c) if allowance != Allowance::Nothing => {
                let locked = maintenance::table
                    .select(Maintenance::as_select())
                    .for_update()
                    .first(c)
                    .optional()?;
                // Whatever took its place meanwhile is seen at the next look.
                Ok(locked.map_or(Allowance::Nothing, |in_force| in_force.allowance(now)))
            }
            _ => Ok(allowance),
        }
    }

    /// Notes a step of a draining backlog. Once none waits, nothing is in force any more.
    pub fn note_drained(&mut self, now: i64, pause: i64) -> Result<(), StoreError> {
        // The first one says it: counting a large backlog at every step would slow it down.
        if self.waiting_since()?.is_none() {
            return self.end_maintenance();
        }
        diesel::update(maintenance::table)
            .set(maintenance::next_at.eq(now + pause))
            .execute(self.connection)?;
        Ok(())
    }

    /// Begins maintenance, or says anew why it is on.
    pub fn begin_maintenance(&mut self, reason: &str, now: i64) -> Result<(), StoreError> {
        let begun = self.by_actor(reason, None, now);
        self.put_maintenance(&begun)
    }

    /// Ends maintenance and lets the backlog drain at this many deliveries a second.
    pub fn drain(&mut self, reason: &str, rate: i32, now: i64) -> Result<(), StoreError> {
        let drained = self.by_actor(reason, Some(rate), now);
        self.put_maintenance(&drained)?;
        match self.waiting_since()? {
            None => self.end_maintenance(),
            Some(_) => Ok(()),
        }
    }

    /// Ends maintenance, or the draining after it, at once.
    pub fn end_maintenance(&mut self) -> Result<(), StoreError> {
        diesel::delete(maintenance::table).execute(self.connection)?;
        Ok(())
    }

    /// Puts this in the place of what is in force.
    pub(super) fn put_maintenance(&mut self, new: &Maintenance) -> Result<(), StoreError> {
        self.end_maintenance()?;
        on_backend!(self.connection, c => {
            diesel::insert_into(maintenance::table)
                .values((maintenance::id.eq(1), new))
                .execute(c)
        })?;
        Ok(())
    }

    fn by_actor(&self, reason: &str, drain_rate: Option<i32>, now: i64) -> Maintenance {
        Maintenance {
            reason: reason.to_owned(),
            operator: self.actor.name().to_owned(),
            at: now,
            drain_rate,
            next_at: 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn d17_a_drain_waits_for_its_next_step_but_not_for_one_of_a_clock_that_was_ahead() {
        let at = |next_at| Maintenance {
            reason: "why".to_owned(),
            operator: "ops".to_owned(),
            at: 0,
            drain_rate: Some(50),
            next_at,
        };
        assert_eq!(at(100).allowance(0), Allowance::Nothing);
        assert_ne!(at(3_600_000).allowance(0), Allowance::Nothing);
        assert_ne!(at(0).allowance(0), Allowance::Nothing);
    }
}
