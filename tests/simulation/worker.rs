//! A process: intake, processor and dispatcher over the shared store, taken step by step.

use std::rc::Rc;

use tokenkeep::dispatcher::{Calls, CallsSettings, ClaimedCall, Housekeeping, Jitter};
use tokenkeep::processor::Processor;
use tokenkeep::receiver::Intake;
use tokenkeep::store::Store;
use tokenkeep::telemetry::{Hint, Metrics};

use crate::faults::Faults;
use crate::kit::Kit;

pub struct Worker {
    pub faults: Faults,
    pub store: Store,
    pub processor: Rc<Processor>,
    pub calls: Calls,
    pub housekeeping: Housekeeping,
    pub intake: Intake,
    /// Claimed calls whose threads have not come to their turn.
    pub in_hand: Vec<ClaimedCall>,
}

impl Worker {
    /// A new process. `jitter` shares the seed's randomness.
    pub fn start(kit: &Kit, store: &Store, jitter: Jitter) -> Self {
        let faults = Faults::default();
        let store = faults.of(store);
        let metrics = Metrics::new();
        let (hint, _) = Hint::channel();
        let processor = Processor {
            store: store.clone(),
            keys: kit.early.clone(),
            policy: kit.policy(),
            settings: kit.processor.clone(),
            clock: kit.clock(),
            metrics: metrics.clone(),
            calls: None,
        };
        let calls = Calls::new(CallsSettings {
            store: store.clone(),
            policy: kit.policy(),
            missed: kit.settings.missed_rules(),
            clock: kit.clock(),
            running: kit.steady_clock(),
            watch: kit.watch(),
            jitter,
            metrics: metrics.clone(),
            keys: kit.early.clone(),
            dispatcher: kit.dispatcher.clone(),
            programs: vec![kit.callable()],
            hint,
        });
        let intake = Intake::start(store.clone(), None, kit.receiver(), None, metrics).unwrap();
        Self {
            faults,
            store,
            processor: Rc::new(processor),
            calls,
            housekeeping: Housekeeping::default(),
            intake,
            in_hand: Vec::new(),
        }
    }

    /// Ends its thread. A dead process stores nothing any more.
    pub fn stop(self) {
        self.intake.stop();
    }
}
