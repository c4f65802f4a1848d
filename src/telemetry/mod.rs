//! What operators learn from a running process: logs and metrics; and the clock it goes by.

mod clock;
mod clock_watch;
mod hint;
mod logs;
mod metrics;
mod tally;
#[cfg(test)]
mod tests;
mod trouble;

pub use clock::{Clock, timestamp};
pub use clock_watch::{ClockFault, ClockLimits, ClockWatch, KnownTimes};
pub use hint::Hint;
pub use logs::{LogFormat, init_logs};
pub use metrics::{Described, Label, Metrics, Values};
pub use tally::{Counted, Tally};
pub use trouble::Trouble;
