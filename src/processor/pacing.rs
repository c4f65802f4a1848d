//! Acknowledging goes first: after a step the processor lets the deliveries that wait for their
//! commit go before it.
//!
//! Both share the cores and SQLite's one write lock. A sender gives up after few tries; what is
//! kept can be decided a moment later.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Two commits of fewer deliveries together mean that the intake has caught up: in a storm a small one and a large
/// one follow each other.
const CAUGHT_UP: usize = 8;
/// The first commit after a step holds what waited for it, and says nothing.
const COMMITS_LOOKED_AT: u64 = 3;
/// So many looks at an intake with nothing to do in a row mean that nobody waits.
const LOOKS: u32 = 5;
/// The longest rest after a step, as a multiple of its time, and in all: in a storm the processor
/// still gets on.
const REST: u32 = 3;
const LONGEST_REST: Duration = Duration::from_millis(100);
const LOOK_EVERY: Duration = Duration::from_micros(300);

/// What the intake of this process is doing. Cheap to clone.
#[derive(Clone, Default)]
pub(super) struct Inflow {
    commits: Arc<Mutex<Commits>>,
    /// One lane rests at a time: two that rested together would leave half of it. How many commits there were when
    /// the last rest ended.
    resting: Arc<Mutex<u64>>,
}

#[derive(Clone, Copy, Default)]
struct Commits {
    /// One is wanted or under way.
    is_waiting: bool,
    count: u64,
    /// Deliveries of the last one, and of the one before.
    sizes: (usize, usize),
}

impl Commits {
    fn caught_up_since(&self, before: &Self) -> bool {
        let (one, other) = self.sizes;
        self.count >= before.count + COMMITS_LOOKED_AT && one + other < CAUGHT_UP
    }
}

impl Inflow {
    /// Deliveries wait for a commit.
    pub fn wanted(&self) {
        self.lock().is_waiting = true;
    }

    /// So many deliveries were written in one commit.
    pub fn committed(&self, deliveries: usize) {
        let mut commits = self.lock();
        *commits = Commits {
            is_waiting: false,
            count: commits.count + 1,
            sizes: (deliveries, commits.sizes.0),
        };
    }

    /// Lets those who wait go first, after a step that took so long.
    pub fn rest(&self, step: Duration) {
        let mut rested_at = self.resting.lock().unwrap_or_else(PoisonError::into_inner);
        let begun = Instant::now();
        let longest = (step * REST).min(LONGEST_REST);
        let before = *self.lock();
        if before.count == *rested_at && !before.is_waiting {
            return;
        }
        let (mut now, mut idle_looks) = (before, 0);
        while begun.elapsed() < longest && idle_looks < LOOKS && !now.caught_up_since(&before) {
            std::thread::sleep(LOOK_EVERY);
            let last = std::mem::replace(&mut now, *self.lock());
            let is_idle = now.count == last.count && !now.is_waiting;
            idle_looks = if is_idle { idle_looks + 1 } else { 0 };
        }
        *rested_at = now.count;
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Commits> {
        self.commits.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    const STEP: Duration = Duration::from_millis(20);

    fn rest_of(inflow: &Inflow) -> Duration {
        let begun = Instant::now();
        inflow.rest(STEP);
        begun.elapsed()
    }

    #[test]
    fn without_anything_coming_in_there_is_no_rest() {
        assert!(rest_of(&Inflow::default()) < STEP);
    }

    #[test]
    fn while_deliveries_wait_it_rests_but_gets_on_in_the_end() {
        let inflow = Inflow::default();
        inflow.wanted();
        assert!(rest_of(&inflow) >= STEP * REST);
    }

    /// The intake commits so many at a time, and always has more.
    fn rest_beside(sizes: [usize; 2]) -> Duration {
        let inflow = Inflow::default();
        inflow.wanted();
        let is_over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for size in sizes.into_iter().cycle() {
                    inflow.committed(size);
                    inflow.wanted();
                    std::thread::sleep(Duration::from_millis(1));
                    if is_over.load(Ordering::Relaxed) {
                        return;
                    }
                }
            });
            let rest = rest_of(&inflow);
            is_over.store(true, Ordering::Relaxed);
            rest
        })
    }

    #[test]
    fn it_goes_on_once_the_intake_has_caught_up() {
        assert!(rest_beside([3, 4]) < STEP * REST);
    }

    // Seen to fail where one small commit counts.
    #[test]
    fn in_a_storm_small_commits_follow_large_ones_and_it_rests() {
        assert!(rest_beside([1, 60]) >= STEP * REST);
    }
}
