//! Acknowledging goes first: after a step the processor lets the deliveries that wait for their
//! commit go before it.
//!
//! Both share the cores and SQLite's one write lock. A sender gives up after few tries; what is
//! kept can be decided a moment later.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// A commit of fewer deliveries means that the intake has caught up.
const CAUGHT_UP: usize = 8;
/// The longest rest after a step, as a multiple of its time, and in all: in a storm the processor
/// still gets on.
const REST: u32 = 3;
const LONGEST_REST: Duration = Duration::from_millis(100);
const LOOK_EVERY: Duration = Duration::from_micros(300);

/// What the intake of this process is doing. Cheap to clone.
#[derive(Clone, Default)]
pub(super) struct Inflow(Arc<Mutex<Commits>>);

#[derive(Clone, Copy, Default)]
struct Commits {
    /// One is wanted or under way.
    is_waiting: bool,
    count: u64,
    /// Deliveries of the last one.
    size: usize,
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
            size: deliveries,
        };
    }

    /// Lets those who wait go first, after a step that took so long.
    pub fn rest(&self, step: Duration) {
        let begun = Instant::now();
        let longest = (step * REST).min(LONGEST_REST);
        let before = self.lock().count;
        while begun.elapsed() < longest {
            let now = *self.lock();
            let nobody_waits = now.count == before && !now.is_waiting;
            let caught_up = now.count > before && now.size < CAUGHT_UP;
            if nobody_waits || caught_up {
                return;
            }
            std::thread::sleep(LOOK_EVERY);
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Commits> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
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

    #[test]
    fn it_goes_on_once_the_intake_has_caught_up() {
        let inflow = Inflow::default();
        inflow.wanted();
        let intake = inflow.clone();
        let commits = std::thread::spawn(move || intake.committed(CAUGHT_UP - 1));
        assert!(rest_of(&inflow) < STEP * REST);
        commits.join().expect("the intake");
    }
}
