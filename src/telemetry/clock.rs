//! The clock, injected so that tests can set it.

use std::sync::Arc;

use chrono::{DateTime, SecondsFormat, Utc};
use rustix::time::{ClockId, clock_gettime};

/// Tells the time in milliseconds since 1970 (UTC).
#[derive(Clone)]
pub struct Clock(Arc<dyn Fn() -> i64 + Send + Sync>);

impl Clock {
    /// The clock of the machine.
    pub fn system() -> Self {
        Self(Arc::new(|| Utc::now().timestamp_millis()))
    }

    /// How long the machine has been running, asleep or not: nobody sets it.
    pub fn running() -> Self {
        Self(Arc::new(|| {
            let time = clock_gettime(ClockId::Boottime);
            time.tv_sec * 1000 + time.tv_nsec / 1_000_000
        }))
    }

    /// A clock that tells what `time` says.
    pub fn from_fn(time: impl Fn() -> i64 + Send + Sync + 'static) -> Self {
        Self(Arc::new(time))
    }

    /// Now.
    pub fn now(&self) -> i64 {
        (self.0)()
    }
}

/// An instant as it is shown everywhere: ISO-8601 with milliseconds, UTC.
pub fn timestamp(milliseconds: i64) -> String {
    DateTime::<Utc>::from_timestamp_millis(milliseconds)
        .map(|time| time.to_rfc3339_opts(SecondsFormat::Millis, true))
        .unwrap_or_default()
}
