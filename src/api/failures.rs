//! Requests without a valid API key, counted by the address they come from.

use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::receiver::counted_as;
use crate::telemetry::Tally;

/// Failures that an address may have in one window; the further ones are told to wait.
pub(super) const FREE: u32 = 100;
pub(super) const WINDOW: Duration = Duration::from_secs(60);
/// Addresses that are counted one by one. Whoever comes beyond them is counted together.
pub(super) const MOST_ADDRESSES: usize = 4096;

/// The failures of the last minute. Cheap to clone: all clones count together.
#[derive(Clone)]
pub struct Failures(Arc<Mutex<Tally<IpAddr>>>);

impl Default for Failures {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(Tally::new(WINDOW, MOST_ADDRESSES))))
    }
}

impl Failures {
    /// Counts a failure. Returns the seconds to wait if there were too many.
    pub(super) fn count(&self, address: IpAddr, now: Instant) -> Option<u32> {
        let mut tally = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if tally.is_full() {
            tally.take_ended(now);
        }
        let address = counted_as(address);
        let counted = tally.count(address, Ipv6Addr::UNSPECIFIED.into(), now);
        if counted.nth == u64::from(FREE) + 1 {
            log::warn!(address:%; "too many requests without a valid API key");
        }
        let seconds = u32::try_from(counted.left.as_secs()).unwrap_or(u32::MAX);
        (counted.nth > FREE.into()).then_some(seconds.max(1))
    }

    /// How many addresses are remembered.
    #[cfg(test)]
    pub(super) fn remembered(&self) -> usize {
        self.0.lock().unwrap().keys()
    }
}
