//! Ranks: which of two inputs is the later word on a register.

use serde::{Deserialize, Serialize};

/// The rank of an input: (time, untimed after timed, delivery sequence, index).
///
/// Two timed inputs of the same event time are equal whatever their arrival, because arrival must
/// not decide the end state; the values decide then. Untimed ones are ordered by arrival, for want
/// of anything better.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Rank {
    time: i64,
    untimed: bool,
    sequence: i64,
    index: i32,
}

/// How an input's rank stands to the rank a register holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Precedence {
    Newer,
    Older,
    /// The same rank: two timed inputs of one event time, or the same item judged anew.
    Equal,
}

impl Rank {
    /// Below everything a notification can have: what a registration or an import sets.
    pub const LOWEST: Self = Self {
        time: i64::MIN,
        untimed: false,
        sequence: 0,
        index: 0,
    };

    /// The rank of an input whose event time is known (milliseconds since 1970, UTC).
    pub fn timed(event_time: i64) -> Self {
        Self {
            time: event_time,
            untimed: false,
            sequence: 0,
            index: 0,
        }
    }

    /// The rank of an input without a usable event time: its receipt, then its place of arrival.
    pub fn untimed(received_at: i64, sequence: i64, index: i32) -> Self {
        Self {
            time: received_at,
            untimed: true,
            sequence,
            index,
        }
    }

    /// The time that counts, in milliseconds since 1970, UTC.
    pub fn time(self) -> i64 {
        self.time
    }

    /// Whether the time is that of the receipt, for want of an event time.
    pub fn is_untimed(self) -> bool {
        self.untimed
    }

    /// Compares with the rank that a register holds.
    pub fn against(self, held: Self) -> Precedence {
        match self.cmp(&held) {
            std::cmp::Ordering::Greater => Precedence::Newer,
            std::cmp::Ordering::Less => Precedence::Older,
            std::cmp::Ordering::Equal => Precedence::Equal,
        }
    }
}

/// The instant in words, for decision traces.
impl std::fmt::Display for Rank {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if *self == Self::LOWEST {
            return f.write_str("registration");
        }
        match chrono::DateTime::<chrono::Utc>::from_timestamp_millis(self.time) {
            Some(time) => write!(f, "{}", time.format("%Y-%m-%dT%H:%M:%S%.3fZ"))?,
            None => write!(f, "{} ms", self.time)?,
        }
        if self.untimed {
            f.write_str(" (receipt)")?;
        }
        Ok(())
    }
}
