//! Whether the machine's clock can be believed, as far as that shows without asking anybody outside.
//!
//! It is compared with the time the machine has been running, with the database's clock where that is
//! another, and with the newest record of the audit.

#[cfg(test)]
mod tests;

use std::fmt::{self, Display};
use std::sync::{Arc, Mutex, PoisonError};

use serde::Deserialize;

use super::{Clock, timestamp};

/// 2026-01-01: before this program was written.
const EARLIEST: i64 = 1_767_225_600_000;
/// How long a jump is shown.
const SHOWN: i64 = 3_600_000;

/// Seconds by which the clock may be off; 0 is without limit.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClockLimits {
    pub warn_beyond: u32,
    pub refuse_beyond: u32,
}

/// What the database knows of the time.
#[derive(Debug, Clone, Copy)]
pub struct KnownTimes {
    /// The time there, if it has a clock of its own.
    pub database: Option<i64>,
    /// The time of the newest record of the audit.
    pub newest: Option<i64>,
}

/// Why the clock is not believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClockFault {
    TooEarly,
    /// Seconds it is ahead of the database's clock, or behind it if negative.
    OffDatabase(i64),
    /// Seconds it has moved against the running time.
    Jumped(i64),
    /// Seconds it is behind the newest record of the audit.
    BehindRecords(i64),
}

impl Display for ClockFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooEarly => f.write_str("the clock stands before 2026"),
            Self::OffDatabase(seconds) if *seconds < 0 => {
                write!(f, "the clock is {} s behind the database's", -seconds)
            }
            Self::OffDatabase(seconds) => {
                write!(f, "the clock is {seconds} s ahead of the database's")
            }
            Self::Jumped(seconds) => {
                write!(f, "the clock has moved by {seconds} s since the start")
            }
            Self::BehindRecords(seconds) => write!(
                f,
                "the clock is {seconds} s behind the newest record of the audit"
            ),
        }
    }
}

/// Watches a clock. Cheap to clone: all clones know the same.
#[derive(Clone)]
pub struct ClockWatch(Arc<Inner>);

struct Inner {
    clock: Clock,
    running: Clock,
    limits: ClockLimits,
    /// What the clock was ahead of the running time when the watch began.
    begun: i64,
    seen: Mutex<Seen>,
}

/// What the last look saw.
#[derive(Default)]
struct Seen {
    drift: i64,
    /// What the clock was ahead of the database's.
    ahead: Option<i64>,
    newest: Option<i64>,
    /// The last jump: its milliseconds, when it was seen, and the running time then.
    jump: Option<(i64, i64, i64)>,
    is_warned: bool,
}

impl ClockWatch {
    /// Begins to watch: `running` is how long the machine has been running.
    pub fn new(clock: Clock, running: Clock, limits: ClockLimits) -> Self {
        let begun = clock.now() - running.now();
        let seen = Mutex::default();
        Self(Arc::new(Inner {
            clock,
            running,
            limits,
            begun,
            seen,
        }))
    }

    /// Compares the clock with what is known. Returns whether it has jumped since the last look.
    pub fn look(&self, known: KnownTimes) -> bool {
        let (now, running, drift) = self.read();
        let warn = milliseconds(self.0.limits.warn_beyond);
        let mut seen = self.seen();
        let jump = drift - seen.drift;
        let has_jumped = exceeds(jump, warn);
        if has_jumped {
            log::warn!("the clock has jumped by {} s", jump / 1000);
            seen.jump = Some((jump, now, running));
        }
        seen.drift = drift;
        seen.ahead = known.database.map(|database| now - database);
        seen.newest = known.newest;
        let off = Self::warning(&seen, now, drift, warn);
        if let (Some(off), false) = (&off, seen.is_warned) {
            log::warn!("{off}");
        }
        seen.is_warned = off.is_some();
        has_jumped
    }

    /// Milliseconds that the clock was set by since the watch began: more than 0 if ahead.
    pub fn drift(&self) -> i64 {
        self.read().2
    }

    /// Whether a clock that was set by so much is told.
    pub fn is_jump(&self, by: i64) -> bool {
        exceeds(by, milliseconds(self.0.limits.warn_beyond))
    }

    /// Why the clock is not believed at this moment; it may have been set since the last look.
    pub fn fault(&self) -> Option<ClockFault> {
        let (now, _, drift) = self.read();
        let refuse = milliseconds(self.0.limits.refuse_beyond)?;
        let seen = self.seen();
        if now < EARLIEST {
            return Some(ClockFault::TooEarly);
        }
        match seen.ahead {
            // Where there is another clock it decides: what moved both, or one host's records of a wrong
            // time, is for people.
            Some(ahead) => off_database(&seen, ahead, drift, refuse),
            None if drift.abs() >= refuse => Some(ClockFault::Jumped(drift / 1000)),
            None => behind_records(&seen, now, refuse),
        }
    }

    /// What is worth knowing and refuses nothing.
    pub fn warnings(&self) -> Vec<String> {
        let (now, running, drift) = self.read();
        let seen = self.seen();
        let jump = seen.jump.filter(|(_, _, at)| running - at < SHOWN);
        let jump = jump.map(|(jump, at, _)| {
            format!(
                "the clock has jumped by {} s, seen at {}",
                jump / 1000,
                timestamp(at)
            )
        });
        let off = Self::warning(&seen, now, drift, milliseconds(self.0.limits.warn_beyond));
        jump.into_iter().chain(off).collect()
    }

    fn warning(seen: &Seen, now: i64, drift: i64, warn: Option<i64>) -> Option<String> {
        let warn = warn?;
        let off = seen
            .ahead
            .and_then(|ahead| off_database(seen, ahead, drift, warn));
        let fault = off.or_else(|| behind_records(seen, now, warn))?;
        Some(fault.to_string())
    }

    /// The time, the running time, and by how much the clock has moved against it.
    fn read(&self) -> (i64, i64, i64) {
        let (now, running) = (self.0.clock.now(), self.0.running.now());
        (now, running, now - running - self.0.begun)
    }

    fn seen(&self) -> std::sync::MutexGuard<'_, Seen> {
        self.0.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The difference from the database's clock, if it is so large. What the clock has moved since it was
/// compared counts.
fn off_database(seen: &Seen, ahead: i64, drift: i64, limit: i64) -> Option<ClockFault> {
    let ahead = ahead + drift - seen.drift;
    (ahead.abs() >= limit).then_some(ClockFault::OffDatabase(ahead / 1000))
}

fn behind_records(seen: &Seen, now: i64, limit: i64) -> Option<ClockFault> {
    let behind = seen.newest? - now;
    (behind >= limit).then_some(ClockFault::BehindRecords(behind / 1000))
}

fn milliseconds(seconds: u32) -> Option<i64> {
    (seconds > 0).then(|| i64::from(seconds) * 1000)
}

fn exceeds(jump: i64, limit: Option<i64>) -> bool {
    limit.is_some_and(|limit| jump.abs() >= limit)
}
