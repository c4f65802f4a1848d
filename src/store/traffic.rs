//! How many items were decided hour by hour, by the program of their cards: what silence is heard by.

use std::collections::BTreeMap;

use diesel::dsl::max;
use diesel::prelude::*;
use diesel::sql_query;

use super::connection::on_backend;
use super::schema::traffic;
use super::{StoreError, Tx};
use crate::domain::{MissedRules, Silence};

const HOUR: i64 = 3_600_000;
/// An hour is counted so long after its end: what was decided in it is committed by then.
const SETTLED_AFTER: i64 = 5 * 60_000;
/// Hours that are kept, and looked back upon by the first count.
const KEPT: i64 = 35 * 24;
/// Hours by which the count may lag before silence is not judged.
const LAG: i64 = 2;

/// A program that has fallen silent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SilentProgram {
    pub program: String,
    pub silence: Silence,
}

impl Tx<'_> {
    /// The next hour that is over and not counted, if there is one.
    pub fn uncounted_hour(&mut self, now: i64) -> Result<Option<i64>, StoreError> {
        let end = (now - SETTLED_AFTER) / HOUR;
        let next = self.counted_until()?.unwrap_or(0).max(end - KEPT);
        Ok((next < end).then_some(next))
    }

    /// The end of the last hour that was counted.
    fn counted_until(&mut self) -> Result<Option<i64>, StoreError> {
        let last: Option<i64> = traffic::table
            .select(max(traffic::hour))
            .first(self.connection)?;
        Ok(last.map(|hour| hour + 1))
    }

    /// Counts an hour, and forgets those that are too old. Another process may do the same: the count is
    /// written once.
    pub fn count_hour(&mut self, hour: i64) -> Result<(), StoreError> {
        let (from, to) = (hour * HOUR, (hour + 1) * HOUR);
        let counted = format!(
            "INSERT INTO traffic (hour, program, items) \
             SELECT {hour}, coalesce(cards.program, ''), count(*) FROM notifications \
             LEFT JOIN cards ON cards.id = notifications.card_id \
             WHERE decided_at >= {from} AND decided_at < {to} \
             GROUP BY coalesce(cards.program, '') ON CONFLICT DO NOTHING"
        );
        on_backend!(self.connection, c => sql_query(&counted).execute(c))?;
        let mark = format!(
            "INSERT INTO traffic (hour, program, items) VALUES ({hour}, '', 0) ON CONFLICT DO NOTHING"
        );
        on_backend!(self.connection, c => sql_query(&mark).execute(c))?;
        diesel::delete(traffic::table.filter(traffic::hour.lt(hour - KEPT)))
            .execute(self.connection)?;
        Ok(())
    }

    /// The programs that have fallen silent; none at all while the count lags behind, or if the rules do
    /// not ask.
    pub fn silent_programs(
        &mut self,
        rules: &MissedRules,
        now: i64,
    ) -> Result<Option<Vec<SilentProgram>>, StoreError> {
        let (Some(silence), Some(end)) = (rules.silence, self.counted_until()?) else {
            return Ok(None);
        };
        if end + LAG < (now - SETTLED_AFTER) / HOUR {
            return Ok(None);
        }
        let rows: Vec<(String, i64, i64)> = traffic::table
            .filter(traffic::hour.ge(silence.first_hour(end)))
            .filter(traffic::program.eq_any(&rules.programs))
            .order(traffic::hour)
            .select((traffic::program, traffic::hour, traffic::items))
            .load(self.connection)?;
        let mut by_program: BTreeMap<String, Vec<(i64, i64)>> = BTreeMap::new();
        for (program, hour, items) in rows {
            by_program.entry(program).or_default().push((hour, items));
        }
        let silent = by_program.into_iter().filter_map(|(program, items)| {
            let silence = silence.judge(&items, end)?;
            Some(SilentProgram { program, silence })
        });
        Ok(Some(silent.collect()))
    }
}
