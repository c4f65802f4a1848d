//! What operators learn from a running process, and the clock it goes by.

mod clock;
mod logs;

pub use clock::{Clock, timestamp};
pub use logs::init_logs;
