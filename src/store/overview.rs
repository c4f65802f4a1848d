//! What all processes together did lately, counted in the database. Each question looks at so many rows
//! at most, however many there are.

use diesel::dsl::count_star;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Text};
use diesel::{QueryableByName, sql_query};

use super::connection::on_backend;
use super::schema::{cards, notifications, outbox};
use super::{JobState, Maintenance, StoreError, Tx};
use crate::domain::{JobKind, TerminalState};

/// So many of the latest rows are looked at.
pub const LATEST: i64 = 100_000;
/// So many of the latest decisions say how long they took.
const TIMED: i64 = 1000;

/// How many of something there were in one minute.
#[derive(Debug, Clone, QueryableByName)]
pub struct InMinute {
    /// Minutes since 1970.
    #[diesel(sql_type = BigInt)]
    pub minute: i64,
    /// `accepted`, or a verdict.
    #[diesel(sql_type = Text)]
    pub what: String,
    #[diesel(sql_type = BigInt)]
    pub count: i64,
}

/// What waits for somebody or something.
#[derive(Debug, Default)]
pub struct Stuck {
    /// Deliveries that wait to be decided, and since when the first of them does.
    pub backlog: i64,
    pub waiting_since: Option<i64>,
    /// Notifications of which a part is held: verdict, what holds it, how many.
    pub held: Vec<(String, Option<String>, i64)>,
    /// Calls that are not over: kind, state, how many.
    pub calls: Vec<(&'static str, &'static str, i64)>,
    /// Since when the first deletion is not confirmed.
    pub deleting_since: Option<i64>,
    /// Why what waits is left alone, or drains slowly.
    pub maintenance: Option<Maintenance>,
}

impl Tx<'_> {
    /// Deliveries by the minute of their receipt, since this time.
    pub fn accepted_by_minute(&mut self, since: i64) -> Result<Vec<InMinute>, StoreError> {
        let counted = format!(
            "SELECT received_at / 60000 AS minute, 'accepted' AS what, count(*) AS count FROM \
             (SELECT received_at FROM deliveries ORDER BY sequence DESC LIMIT {LATEST}) latest \
             WHERE received_at >= {since} GROUP BY received_at / 60000"
        );
        Ok(on_backend!(self.connection, c => sql_query(&counted).load(c))?)
    }

    /// Items by the minute of their decision and their verdict, since this time.
    pub fn decided_by_minute(&mut self, since: i64) -> Result<Vec<InMinute>, StoreError> {
        let counted = format!(
            "SELECT decided_at / 60000 AS minute, verdict AS what, count(*) AS count FROM \
             (SELECT decided_at, verdict FROM notifications WHERE decided_at >= {since} \
             ORDER BY decided_at DESC LIMIT {LATEST}) latest GROUP BY decided_at / 60000, verdict"
        );
        Ok(on_backend!(self.connection, c => sql_query(&counted).load(c))?)
    }

    /// How long the latest items that were applied took from receipt to decision, in milliseconds and
    /// ascending order; since this time.
    pub fn times_to_apply(&mut self, since: i64) -> Result<Vec<i64>, StoreError> {
        let latest: Vec<(i64, i64, String)> = notifications::table
            .filter(notifications::decided_at.ge(since))
            .order(notifications::decided_at.desc())
            .limit(TIMED)
            .select((
                notifications::received_at,
                notifications::decided_at,
                notifications::verdict,
            ))
            .load(self.connection)?;
        let applied = latest
            .into_iter()
            .filter(|(.., verdict)| verdict == "applied");
        let mut times: Vec<i64> = applied
            .map(|(received, decided, _)| (decided - received).max(0))
            .collect();
        times.sort_unstable();
        Ok(times)
    }

    /// How many cards there are of each status.
    pub fn count_cards(&mut self) -> Result<Vec<(Option<String>, i64)>, StoreError> {
        Ok(cards::table
            .group_by(cards::status)
            .select((cards::status, count_star()))
            .order(cards::status)
            .load(self.connection)?)
    }

    /// How many cards there are that have not ended, of one program or of all.
    pub fn count_living(&mut self, program: Option<&str>) -> Result<i64, StoreError> {
        let ended = cards::status.eq_any(TerminalState::ALL.map(TerminalState::word));
        let mut living = cards::table
            .filter(cards::status.is_null().or(diesel::dsl::not(ended)))
            .into_boxed();
        if let Some(program) = program {
            living = living.filter(cards::program.eq(program));
        }
        Ok(living.count().get_result(self.connection)?)
    }

    /// What waits for somebody or something.
    pub fn stuck(&mut self) -> Result<Stuck, StoreError> {
        let held = notifications::table
            .filter(notifications::verdict.eq_any(["parked", "quarantined"]))
            .group_by((notifications::verdict, notifications::hold))
            .select((notifications::verdict, notifications::hold, count_star()))
            .order((notifications::verdict.desc(), notifications::hold))
            .load(self.connection)?;
        let open = [JobState::Waiting, JobState::Running, JobState::Parked];
        let deleting_since = outbox::table
            .filter(outbox::kind.eq(JobKind::DeleteCard.name()))
            .filter(outbox::state.eq_any(open.map(JobState::name)))
            .select(diesel::dsl::min(outbox::created_at))
            .first(self.connection)?;
        Ok(Stuck {
            backlog: self.count_waiting()?,
            waiting_since: self.waiting_since()?,
            held,
            calls: self.count_open_jobs()?,
            deleting_since,
            maintenance: self.maintenance()?,
        })
    }
}
