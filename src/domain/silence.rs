//! Whether a program has fallen silent: few items lately of one that usually tells of many.
//!
//! What is usual is the median of the two weeks before, day by day: a burst on one day does not raise it,
//! an outage on another does not lower it, and of a program that is known for less than about a week
//! nothing is usual yet.

const HOURS: i64 = 24;
const DAYS: i64 = 14;

/// When a program counts as silent.
#[derive(Debug, Clone, Copy)]
pub struct SilenceRules {
    /// The latest so many whole hours are looked at.
    pub hours: i64,
    /// A program with fewer items on a usual day is not judged.
    pub usual: i64,
    /// Silent is who has at most this share of what is usual, in hundredths.
    pub share: i64,
}

/// What is known of a silent program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Silence {
    /// Items of the latest hours.
    pub lately: i64,
    /// Items of a usual day.
    pub usual: i64,
    /// The end of the last hour with an item, milliseconds since 1970, UTC.
    pub since: i64,
}

impl SilenceRules {
    /// The first hour that is looked at, where the last one ends at `end` (hours since 1970).
    pub fn first_hour(&self, end: i64) -> i64 {
        end - self.hours - DAYS * HOURS
    }

    /// Judges a program by its items of each hour, ascending, up to the hour that ends at `end`.
    pub fn judge(&self, items: &[(i64, i64)], end: i64) -> Option<Silence> {
        let sum = |from: i64, to: i64| -> i64 {
            let within = items.iter().filter(|(hour, _)| (from..to).contains(hour));
            within.map(|(_, count)| count).sum()
        };
        let begin = end - self.hours;
        let day = |day: i64| sum(begin - (day + 1) * HOURS, begin - day * HOURS);
        let mut days = Vec::from_iter((0..DAYS).map(day));
        days.sort_unstable();
        let usual = *days.get((days.len() - 1) / 2)?;
        let lately = sum(begin, end);
        let is_less = lately * 100 * HOURS <= usual * self.hours * self.share;
        let last = items.iter().rev().find(|(_, count)| *count > 0)?;
        (usual >= self.usual && is_less).then(|| Silence {
            lately,
            usual,
            since: (last.0 + 1) * 3_600_000,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULES: SilenceRules = SilenceRules {
        hours: 24,
        usual: 20,
        share: 10,
    };
    /// Some hour since 1970.
    const END: i64 = 495_000;

    /// So many items in one hour of each of these days before `END`; day 0 is the latest.
    fn days(counts: impl IntoIterator<Item = (i64, i64)>) -> Vec<(i64, i64)> {
        let hour = |(day, count)| (END - 24 * day - 7, count);
        let mut items = Vec::from_iter(counts.into_iter().map(hour));
        items.sort_unstable();
        items
    }

    fn usual_then(count: i64, lately: i64) -> Vec<(i64, i64)> {
        days((1..=14).map(|day| (day, count)).chain([(0, lately)]))
    }

    #[test]
    fn a_program_that_tells_of_many_a_day_and_now_of_none_is_silent() {
        let silence = RULES.judge(&usual_then(100, 0), END);
        let expected = Silence {
            lately: 0,
            usual: 100,
            since: (END - 30) * 3_600_000,
        };
        assert_eq!(silence, Some(expected));
    }

    #[test]
    fn far_below_the_usual_is_silent_up_to_the_share_and_not_above() {
        assert!(RULES.judge(&usual_then(100, 10), END).is_some());
        assert!(RULES.judge(&usual_then(100, 11), END).is_none());
        let none_at_all = SilenceRules { share: 0, ..RULES };
        assert!(none_at_all.judge(&usual_then(100, 1), END).is_none());
        assert!(none_at_all.judge(&usual_then(100, 0), END).is_some());
    }

    #[test]
    fn a_program_of_few_items_or_without_history_is_not_judged() {
        assert!(RULES.judge(&usual_then(20, 0), END).is_some());
        assert!(RULES.judge(&usual_then(19, 0), END).is_none());
        assert!(RULES.judge(&[], END).is_none());
        let of_last = |days_known: i64| days((1..=days_known).map(|day| (day, 500)));
        assert!(RULES.judge(&of_last(7), END).is_none(), "a week is new");
        assert!(RULES.judge(&of_last(8), END).is_some());
    }

    #[test]
    fn neither_a_burst_nor_an_outage_changes_what_is_usual() {
        let burst = days([(1, 90_000), (2, 50_000), (9, 1)]);
        assert!(RULES.judge(&burst, END).is_none());
        let with_outage = days((1..=14).filter(|day| day % 3 != 0).map(|day| (day, 40)));
        let silence = RULES.judge(&with_outage, END);
        assert_eq!(silence.map(|silence| silence.usual), Some(40));
    }

    #[test]
    fn fewer_hours_are_measured_against_their_part_of_a_day() {
        let rules = SilenceRules { hours: 6, ..RULES };
        let mut items = Vec::from_iter((0..15 * 24).map(|hour| (END - 1 - hour, 10)));
        items.reverse();
        assert!(rules.judge(&items, END).is_none());
        items.truncate(items.len() - 6);
        let silence = rules.judge(&items, END).unwrap();
        assert_eq!((silence.lately, silence.usual), (0, 240));
        assert_eq!(silence.since, (END - 6) * 3_600_000);
    }
}
