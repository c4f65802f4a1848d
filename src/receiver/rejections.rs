//! Who was refused at a listener, until the audit has it: one record a minute for each address, key and
//! cause, with how many it stands for.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde_json::json;

use crate::audit::{Act, Actor};
use crate::store::{Entry, Store, StoreError};
use crate::telemetry::Tally;

/// What is refused alike is recorded this often.
const EVERY: Duration = Duration::from_secs(60);
/// What the audit calls the two listeners.
const API: &str = "api";
const PUBLIC: &str = "receiver";
/// What is told apart at each; what is refused beyond counts as from anywhere. Whoever reaches the public
/// listener could fill the audit otherwise.
const MOST_AT_API: usize = 4096;
const MOST_AT_PUBLIC: usize = 100;

/// The refusals at one listener that are not recorded yet. Cheap to clone.
#[derive(Clone)]
pub struct Rejections {
    listener: &'static str,
    /// How many of a window are recorded as they come.
    at_once: u64,
    counted: Arc<Mutex<Counts>>,
}

struct Counts {
    tally: Tally<Refusal>,
    /// Of windows that have ended.
    ended: Vec<(Refusal, u64)>,
}

#[derive(Clone, PartialEq, Eq, Hash)]
struct Refusal {
    from: Option<IpAddr>,
    key: Option<String>,
    cause: &'static str,
}

impl Rejections {
    /// Those of the API: whoever refuses records the first one of each window.
    pub fn at_api() -> Self {
        Self::new(API, 1, MOST_AT_API)
    }

    /// Those of the public listener.
    pub fn at_public_listener() -> Self {
        Self::new(PUBLIC, 0, MOST_AT_PUBLIC)
    }

    fn new(listener: &'static str, at_once: u64, most: usize) -> Self {
        let refusals = Counts {
            tally: Tally::new(EVERY, most),
            ended: Vec::new(),
        };
        Self {
            listener,
            at_once,
            counted: Arc::new(Mutex::new(refusals)),
        }
    }

    /// Counts a refusal: from where, with whose key if that is known, and why. Returns whether it is the
    /// first one of its window.
    pub fn count(
        &self,
        peer: Option<SocketAddr>,
        key: Option<&str>,
        cause: &'static str,
        now: Instant,
    ) -> bool {
        let refusal = Refusal {
            from: peer.map(|peer| counted_as(peer.ip())),
            key: key.map(str::to_owned),
            cause,
        };
        let anybody = Refusal {
            from: None,
            key: None,
            cause,
        };
        let mut refusals = self.lock();
        if refusals.tally.is_full() {
            let ended = refusals.tally.take_ended(now);
            refusals.ended.extend(ended);
        }
        let counted = refusals.tally.count(refusal.clone(), anybody, now);
        if counted.before > 0 {
            refusals.ended.push((refusal, counted.before));
        }
        counted.nth == 1
    }

    /// Records what the audit does not have yet of the windows that have ended, or of all where the service
    /// stops. What cannot be recorded is kept for the next time.
    pub fn record(&self, store: &Store, at: i64, is_over: bool) -> Result<(), StoreError> {
        let mut due = {
            let mut refusals = self.lock();
            let mut due = std::mem::take(&mut refusals.ended);
            due.extend(match is_over {
                true => refusals.tally.take_all(),
                false => refusals.tally.take_ended(Instant::now()),
            });
            due
        };
        while let Some((refusal, count)) = due.pop() {
            let recorded = self.record_one(store, &refusal, count, at);
            if recorded.is_err() {
                due.push((refusal, count));
                self.lock().ended.extend(due);
                return recorded;
            }
        }
        Ok(())
    }

    fn record_one(
        &self,
        store: &Store,
        refusal: &Refusal,
        count: u64,
        at: i64,
    ) -> Result<(), StoreError> {
        let count = count.saturating_sub(self.at_once);
        if count == 0 {
            return Ok(());
        }
        let actor = Actor::at_address(refusal.key.as_deref(), refusal.from);
        let entry = Entry {
            act: Act::AccessRefused,
            object: self.listener,
            outcome: refusal.cause,
            details: json!({ "count": count }),
            at,
        };
        store.acting(actor).write(|tx| tx.audit(entry))
    }

    fn lock(&self) -> MutexGuard<'_, Counts> {
        self.counted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A network of IPv6 counts as one: whoever has an address of it has all of them.
pub fn counted_as(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
        address => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the audit does not have yet, as address, key, cause and count.
    fn due(rejections: &Rejections) -> Vec<(String, Option<String>, &'static str, u64)> {
        let mut refusals = rejections.lock();
        let mut due = std::mem::take(&mut refusals.ended);
        due.extend(refusals.tally.take_all());
        let told = |(refusal, count): (Refusal, u64)| {
            let from = refusal
                .from
                .map_or_else(String::new, |from| from.to_string());
            (from, refusal.key, refusal.cause, count)
        };
        let mut due: Vec<_> = due.into_iter().map(told).collect();
        due.sort();
        due
    }

    #[test]
    fn each_refusal_counts_for_its_own_address_key_and_cause_and_none_is_lost() {
        let rejections = Rejections::at_api();
        let begun = Instant::now();
        let count = |peer: &str, key, cause, seconds| {
            let now = begun + Duration::from_secs(seconds);
            rejections.count(Some(peer.parse().unwrap()), key, cause, now)
        };
        assert!(count("192.0.2.1:1", None, "unknown-api-key", 0));
        assert!(!count("192.0.2.1:2", None, "unknown-api-key", 59));
        assert!(count("192.0.2.1:3", Some("till"), "role-not-allowed", 59));
        assert!(count("192.0.2.1:4", None, "unknown-api-key", 60));
        assert!(count("[2001:db8::1]:1", None, "no-api-key", 60));
        assert!(!count("[2001:db8::2]:1", None, "no-api-key", 60));
        let of = |from: &str, key: Option<&str>, cause, count| {
            (from.to_owned(), key.map(str::to_owned), cause, count)
        };
        let expected = [
            of("192.0.2.1", None, "unknown-api-key", 1),
            of("192.0.2.1", None, "unknown-api-key", 2),
            of("192.0.2.1", Some("till"), "role-not-allowed", 1),
            of("2001:db8::", None, "no-api-key", 2),
        ];
        assert_eq!(due(&rejections), expected);
    }

    #[test]
    fn a_swarm_at_the_public_listener_is_recorded_as_a_whole_beyond_a_hundred_addresses() {
        let rejections = Rejections::at_public_listener();
        for number in 0..1000_u32 {
            let peer = (IpAddr::from(number.to_be_bytes()), 1).into();
            rejections.count(Some(peer), None, "authority", Instant::now());
        }
        let due = due(&rejections);
        assert_eq!(due.len(), MOST_AT_PUBLIC + 1);
        assert_eq!(due.iter().map(|(.., count)| count).sum::<u64>(), 1000);
    }
}
