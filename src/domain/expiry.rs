//! A token's or card's expiry: month and year.

use chrono::{DateTime, Datelike, Months, NaiveDate, NaiveTime, Utc};
use serde::{Deserialize, Serialize};

/// Expiry month and year; ordered by year, then month.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Expiry {
    year: u16,
    month: u8,
}

impl Expiry {
    /// Takes month and year as Mastercard writes them: one or two digits for the month, four (or
    /// two, meaning 20YY) for the year. `None` if they name no month.
    pub fn parse(month: &str, year: &str) -> Option<Self> {
        let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
        if !digits(month) || !digits(year) || !matches!(month.len(), 1 | 2) {
            return None;
        }
        let month: u8 = month.parse().ok()?;
        let year: u16 = match year.len() {
            4 => year.parse().ok()?,
            2 => 2000 + year.parse::<u16>().ok()?,
            _ => return None,
        };
        (1..=12).contains(&month).then_some(Self { year, month })
    }

    /// The month as `MM`.
    pub fn month(self) -> String {
        format!("{:02}", self.month)
    }

    /// The year as `YYYY`.
    pub fn year(self) -> String {
        format!("{:04}", self.year)
    }

    /// The first instant behind the expiry month, milliseconds since 1970, UTC; none where no calendar
    /// has it.
    pub fn ends_at(self) -> Option<i64> {
        let first = NaiveDate::from_ymd_opt(self.year.into(), self.month.into(), 1)?;
        let next = first.checked_add_months(Months::new(1))?;
        Some(next.and_time(NaiveTime::MIN).and_utc().timestamp_millis())
    }

    /// Whether the last day of the expiry month is over at `now` (milliseconds since 1970, UTC).
    pub fn is_past(self, now: i64) -> bool {
        DateTime::<Utc>::from_timestamp_millis(now).is_some_and(|now| {
            (now.year(), now.month()) > (i32::from(self.year), u32::from(self.month))
        })
    }
}

/// `MM/YYYY`, as people read it.
impl std::fmt::Display for Expiry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:02}/{:04}", self.month, self.year)
    }
}
