//! Where answers wait: while a test holds them, and no longer than the sandbox runs.

use std::collections::HashSet;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::calls::Operation;

#[derive(Default)]
pub(super) struct Gate {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    held: HashSet<Operation>,
    is_stopped: bool,
}

impl Gate {
    /// From now on the answers to this operation wait.
    pub(super) fn hold(&self, operation: Operation) {
        self.lock().held.insert(operation);
    }

    /// Lets go what waits, and holds nothing any more.
    pub(super) fn release(&self) {
        self.lock().held.clear();
        self.changed.notify_all();
    }

    pub(super) fn stop(&self) {
        self.lock().is_stopped = true;
        self.changed.notify_all();
    }

    pub(super) fn is_stopped(&self) -> bool {
        self.lock().is_stopped
    }

    /// Waits while answers to this operation are held.
    pub(super) fn wait(&self, operation: Operation) {
        let is_held = |state: &mut State| !state.is_stopped && state.held.contains(&operation);
        drop(self.changed.wait_while(self.lock(), is_held));
    }

    /// Waits so long; returns whether the sandbox still runs.
    pub(super) fn pause(&self, time: Duration) -> bool {
        let end = Instant::now() + time;
        let mut state = self.lock();
        while !state.is_stopped {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return true;
            }
            let waited = self.changed.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        false
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
