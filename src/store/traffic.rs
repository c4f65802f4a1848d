//! How many items were decided hour by hour, by the program of their cards: what silence is heard by.

use std::collections::BTreeMap;

use diesel::dsl::{max, min};
use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::{BigInt, Text};

use super::connection::on_backend;
use super::schema::{notifications, traffic};
use super::{StoreError, Tx};
use crate::domain::{MissedRules, Silence};

const HOUR: i64 = 3_600_000;
/// An hour is counted so long after its end: what was decided in it is committed by then.
const SETTLED_AFTER: i64 = 5 * 60_000;
/// Hours that are kept, and that the first count looks back upon at most.
const KEPT: i64 = 35 * 24;
/// An hour is counted in so many slices, and so many items of each at most: no question takes long.
const SLICES: i64 = 12;
const MOST_COUNTED: i64 = 20_000;
/// Hours by which the count may lag before silence is not judged.
const LAG: i64 = 2;

/// A program that has fallen silent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SilentProgram {
    pub program: String,
    pub silence: Silence,
}

/// Which programs have fallen silent, where that is asked and can be told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SilentPrograms {
    /// The rules do not ask.
    NotAsked,
    /// The latest hours are not counted.
    NotCounted,
    Judged(Vec<SilentProgram>),
}

#[derive(QueryableByName)]
struct OfProgram {
    #[diesel(sql_type = Text)]
    program: String,
    #[diesel(sql_type = BigInt)]
    items: i64,
}

impl Tx<'_> {
    /// The next hour that is over and not counted, if there is one.
    pub fn uncounted_hour(&mut self, now: i64) -> Result<Option<i64>, StoreError> {
        let end = (now - SETTLED_AFTER) / HOUR;
        let next = match self.counted_until()? {
            Some(next) => next,
            None => self.first_hour()?.unwrap_or(end - 1),
        };
        let next = next.max(end - KEPT);
        Ok((next < end).then_some(next))
    }

    /// The hour of the first item that is kept.
    fn first_hour(&mut self) -> Result<Option<i64>, StoreError> {
        let first: Option<i64> = notifications::table
            .select(min(notifications::decided_at))
            .first(self.connection)?;
        Ok(first.map(|at| at / HOUR))
    }

    /// The end of the last hour that was counted.
    fn counted_until(&mut self) -> Result<Option<i64>, StoreError> {
        let last: Option<i64> = traffic::table
            .select(max(traffic::hour))
            .first(self.connection)?;
        Ok(last.map(|hour| hour + 1))
    }

    /// How many items were decided in an hour, by the program of their cards (none known: ''), up to
    /// `MOST_COUNTED` of each slice of it.
    pub fn items_of_hour(&mut self, hour: i64) -> Result<BTreeMap<String, i64>, StoreError> {
        let mut items = BTreeMap::new();
        for slice in 0..SLICES {
            let from = hour * HOUR + slice * (HOUR / SLICES);
            let to = from + HOUR / SLICES;
            let counted = format!(
                "SELECT coalesce(cards.program, '') AS program, count(*) AS items FROM \
                 (SELECT card_id FROM notifications WHERE decided_at >= {from} \
                 AND decided_at < {to} LIMIT {MOST_COUNTED}) slice \
                 LEFT JOIN cards ON cards.id = slice.card_id GROUP BY 1"
            );
            let rows: Vec<OfProgram> =
                on_backend!(self.connection, c => sql_query(&counted).load(c))?;
            for row in rows {
                *items.entry(row.program).or_default() += row.items;
            }
        }
        Ok(items)
    }

    /// Keeps the count of an hour, and forgets those that are too old. Another process may do the same: the
    /// first count stays.
    pub fn keep_hour(
        &mut self,
        hour: i64,
        items: &BTreeMap<String, i64>,
    ) -> Result<(), StoreError> {
        let of_none = items.get("").copied().unwrap_or(0);
        let of_programs = items.iter().filter(|(program, _)| !program.is_empty());
        let of_programs = of_programs.map(|(program, items)| (program.as_str(), *items));
        for (program, items) in of_programs.chain([("", of_none)]) {
            let row = (
                traffic::hour.eq(hour),
                traffic::program.eq(program),
                traffic::items.eq(items),
            );
            on_backend!(self.connection, c => {
                diesel::insert_into(traffic::table)
                    .values(row)
                    .on_conflict_do_nothing()
                    .execute(c)
            })?;
        }
        diesel::delete(traffic::table.filter(traffic::hour.lt(hour - KEPT)))
            .execute(self.connection)?;
        Ok(())
    }

    /// The programs that have fallen silent.
    pub fn silent_programs(
        &mut self,
        rules: &MissedRules,
        now: i64,
    ) -> Result<SilentPrograms, StoreError> {
        let Some(silence) = rules.silence else {
            return Ok(SilentPrograms::NotAsked);
        };
        let latest = (now - SETTLED_AFTER) / HOUR;
        let counted = self.counted_until()?;
        let Some(end) = counted.filter(|end| end + LAG >= latest) else {
            return Ok(SilentPrograms::NotCounted);
        };
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
        Ok(SilentPrograms::Judged(silent.collect()))
    }
}
