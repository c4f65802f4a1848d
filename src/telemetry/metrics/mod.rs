//! What a process counts and measures, as OpenMetrics text; and what each metric means, of which
//! `docs/metrics.md` is made.
//!
//! Labels are constants of this program or names of the settings: nothing a sender chooses becomes one, so
//! the number of series is bounded.

mod calls;
mod described;
mod keys;
mod missed;
mod process;
mod processing;
mod receiving;

use std::sync::Arc;

use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;

use calls::Calls;
use described::Registering;
use keys::Keys;
use missed::MissedCards;
use process::Process;
use processing::Processing;
use receiving::Receiving;

pub use described::{Described, Label, Values};

/// All metrics of a process. Cheap to clone.
#[derive(Clone)]
pub struct Metrics {
    registry: Arc<Registry>,
    described: Arc<[Described]>,
    receiving: Receiving,
    processing: Processing,
    calls: Calls,
    keys: Keys,
    missed: MissedCards,
    process: Process,
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// A set of its own, everything at zero.
    pub fn new() -> Self {
        let mut to = Registering::new("tokenkeep");
        let receiving = Receiving::new(to.group("Receiving"));
        let processing = Processing::new(to.group("Processing"));
        let calls = Calls::new(to.group("Calls"));
        let keys = Keys::new(to.group("Keys"));
        let missed = MissedCards::new(to.group("What seems to have been missed"));
        let process = Process::new(to.group("The process"));
        let (registry, described) = to.done();
        Self {
            registry: Arc::new(registry),
            described: described.into(),
            receiving,
            processing,
            calls,
            keys,
            missed,
            process,
        }
    }

    /// What each of them means, group by group.
    pub fn described(&self) -> &[Described] {
        &self.described
    }

    /// The database does not answer: what is read there is not told until it does.
    pub fn database_unknown(&self) {
        self.processing.forget();
        self.calls.forget();
    }

    /// All metrics as text.
    pub fn text(&self) -> String {
        let mut text = String::new();
        // Writing to a string does not fail.
        let _ = encode(&mut text, &self.registry);
        text
    }
}
