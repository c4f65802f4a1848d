//! Deliveries become verdicts: open on all cores, decide in the order of arrival, one transaction a
//! batch. While one batch is written, the next is opened.
//!
//! The table of waiting deliveries is the truth; a hint from the receiver only saves the wait until
//! the next look. What a crash left is therefore picked up by itself, and a delivery whose item
//! waits for a key or a registration is simply put back among the waiting ones when that comes.

mod apply;
mod batch;
mod isolation;
mod key_records;
mod opening;
mod pacing;
mod rebuild;
mod registration;
mod replay;
mod rows;
mod turns;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::domain::{Hold, Policy};
use crate::jose::{KeyFolder, Keyring, Reload};
use crate::settings::ProcessorSettings;
use crate::store::{Store, StoreError, Tx};
use crate::telemetry::{Clock, Hint, Metrics, Trouble};

use pacing::Inflow;
use turns::Turns;

pub use rebuild::{Difference, Extent, Rebuild, Rebuilt};
pub use registration::{Misfit, Registered, Registering, register};
pub use replay::{Replayed, rehearse_deliveries, replay_stored};

/// The longest wait between two looks at the table.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// The longest wait between two steps of a backlog that drains.
const DRAIN_EVERY: Duration = Duration::from_millis(10);
/// What was set aside is tried again: the reason may be gone.
const RETRY_FAILED_EVERY: Duration = Duration::from_secs(300);
/// Items of one batch at most.
const BATCH_ITEMS: usize = 1000;

/// What the processor works with.
pub struct Processor {
    pub store: Store,
    pub keys: KeyFolder,
    pub policy: Policy,
    pub settings: ProcessorSettings,
    pub clock: Clock,
    pub metrics: Metrics,
    /// To whoever makes the calls that follow, if this process does.
    pub calls: Option<Hint>,
}

/// A processor at work on a thread of its own.
pub struct Running {
    wake: Wake,
    stopping: Arc<AtomicBool>,
    trouble: Trouble,
    thread: JoinHandle<()>,
}

/// Hints to the processor that there is something to do. Never needed, only faster.
#[derive(Clone)]
pub struct Wake {
    hint: Hint,
    inflow: Inflow,
}

impl Wake {
    /// Hints. A hint that is waiting already is enough.
    pub fn hint(&self) {
        self.hint.give();
    }

    /// By the intake: deliveries wait for a commit, before which the processor makes room.
    pub fn commit_wanted(&self) {
        self.inflow.wanted();
    }

    /// By the intake: so many deliveries were written in one commit.
    pub fn committed(&self, deliveries: usize) {
        self.inflow.committed(deliveries);
        self.hint();
    }
}

impl Running {
    /// For hinting.
    pub fn wake(&self) -> Wake {
        self.wake.clone()
    }

    /// What it suffers from.
    pub fn trouble(&self) -> Trouble {
        self.trouble.clone()
    }

    /// Lets it finish its batch and waits for it.
    pub fn stop(self) {
        self.stopping.store(true, Ordering::SeqCst);
        self.wake.hint();
        if self.thread.join().is_err() {
            log::error!("the processor ended with a panic");
        }
    }
}

impl Processor {
    /// Starts it on a thread of its own.
    pub fn start(mut self) -> std::io::Result<Running> {
        let (hint, hints) = Hint::channel();
        let stopping = Arc::new(AtomicBool::new(false));
        let trouble = Trouble::new("nothing is processed", "processing goes on");
        let inflow = Inflow::default();
        let wake = Wake {
            hint,
            inflow: inflow.clone(),
        };
        let (its_stopping, its_trouble) = (stopping.clone(), trouble.clone());
        let thread = std::thread::Builder::new()
            .name("processor".to_owned())
            .spawn(move || self.run(&hints, &inflow, &its_stopping, &its_trouble))?;
        Ok(Running {
            wake,
            stopping,
            trouble,
            thread,
        })
    }

    fn run(
        &mut self,
        hints: &Receiver<()>,
        inflow: &Inflow,
        stopping: &AtomicBool,
        trouble: &Trouble,
    ) {
        let mut woke_held = false;
        let mut retried_at = Instant::now();
        while !stopping.load(Ordering::SeqCst) {
            // A key may have been added, or a newer version started, while we were away.
            woke_held = woke_held || self.wake(|tx| tx.wake_held_deliveries());
            let (store, clock) = (&self.store, &self.clock);
            let admit =
                |newer: &Keyring, is_first| store.admit_keyring(newer, is_first, clock.now());
            match self.keys.reload_if_changed(admit) {
                // What is admitted was recorded with it, what is not when it was refused.
                Reload::Unchanged | Reload::NotAdmitted => {}
                Reload::Refused => self.record_refused_keys(),
                Reload::Loaded => woke_held = self.wake(|tx| tx.wake_held_deliveries()),
            }
            if retried_at.elapsed() >= RETRY_FAILED_EVERY {
                retried_at = Instant::now();
                self.wake(|tx| tx.wake_deliveries_held_for(Hold::PROCESSING_FAILED));
            }
            let begun = Instant::now();
            let goes_on = || begun.elapsed() < LOOK_EVERY && !stopping.load(Ordering::SeqCst);
            let outcome = self.run_round(inflow, goes_on);
            let outcome = outcome.or_else(|error| self.isolate_after(error));
            trouble.set(outcome.as_ref().err().map(ToString::to_string));
            let is_idle = outcome.unwrap_or(0) == 0;
            if is_idle {
                let longest = self.look_every();
                if hints.recv_timeout(longest) == Err(RecvTimeoutError::Disconnected) {
                    std::thread::sleep(longest);
                }
            }
        }
    }

    /// How long it waits where nothing is to be done now: a draining backlog goes on in a moment.
    fn look_every(&self) -> Duration {
        match self.store.read(|tx| tx.maintenance()) {
            Ok(Some(in_force)) if !in_force.is_on() => DRAIN_EVERY,
            _ => LOOK_EVERY,
        }
    }

    /// Decides waiting deliveries until none is left. Returns how many.
    pub fn run_until_idle(&self) -> Result<usize, StoreError> {
        let (mut total, turns) = (0, Turns::default());
        loop {
            match self.run_batch(&turns)? {
                0 => return Ok(total),
                decided => total += decided,
            }
        }
    }

    /// Puts held deliveries back among the waiting ones; returns whether that could be done.
    fn wake(&self, which: impl FnOnce(&mut Tx<'_>) -> Result<usize, StoreError>) -> bool {
        match self.store.write(which) {
            Ok(count) => {
                if count > 0 {
                    log::info!("{count} held deliveries are looked at again");
                }
                true
            }
            Err(error) => {
                log::warn!("held deliveries cannot be looked at: {error}");
                false
            }
        }
    }
}
