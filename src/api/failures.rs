//! Requests without a valid API key, counted by the address they come from.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Failures that an address may have in one window; the further ones are told to wait.
pub(super) const FREE: u32 = 100;
pub(super) const WINDOW: Duration = Duration::from_secs(60);
/// Addresses that are counted one by one. Whoever comes beyond them is counted together.
pub(super) const MOST_ADDRESSES: usize = 4096;

/// The failures of the last minute. Cheap to clone: all clones count together.
#[derive(Clone, Default)]
pub struct Failures(Arc<Mutex<HashMap<IpAddr, Window>>>);

struct Window {
    begun: Instant,
    count: u32,
}

impl Window {
    fn is_over(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.begun) >= WINDOW
    }
}

impl Failures {
    /// Counts a failure. Returns the seconds to wait if there were too many.
    pub(super) fn count(&self, address: IpAddr, now: Instant) -> Option<u32> {
        let mut windows = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut address = counted_as(address);
        if windows.len() >= MOST_ADDRESSES && !windows.contains_key(&address) {
            windows.retain(|_, window| !window.is_over(now));
            if windows.len() >= MOST_ADDRESSES {
                address = Ipv6Addr::UNSPECIFIED.into();
            }
        }
        let new = || Window {
            begun: now,
            count: 0,
        };
        let window = windows.entry(address).or_insert_with(new);
        if window.is_over(now) {
            *window = new();
        }
        window.count = window.count.saturating_add(1);
        if window.count == FREE + 1 {
            log::warn!(address:%; "too many requests without a valid API key");
        }
        let left = WINDOW.saturating_sub(now.saturating_duration_since(window.begun));
        let seconds = u32::try_from(left.as_secs()).unwrap_or(u32::MAX);
        (window.count > FREE).then_some(seconds.max(1))
    }

    /// How many addresses are remembered.
    #[cfg(test)]
    pub(super) fn remembered(&self) -> usize {
        self.0.lock().unwrap().len()
    }
}

/// A network of IPv6 counts as one: whoever has an address of it has all of them.
fn counted_as(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
        address => address,
    }
}
