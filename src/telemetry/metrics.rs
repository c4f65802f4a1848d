//! What a process counts and measures, as OpenMetrics text.
//!
//! Labels are constants of this program: nothing a sender chooses becomes one, so the number of
//! series is bounded.

use std::sync::Arc;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

/// Why a delivery was refused.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Cause {
    cause: &'static str,
}

/// The verdict on an item, and why it is held if it is.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct VerdictLabels {
    verdict: &'static str,
    hold: &'static str,
}

/// Seconds, from a millisecond to the time a sender would wait.
const ANSWER_SECONDS: [f64; 11] = [
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 3.0,
];
/// Seconds, up to a backlog of an hour.
const APPLIED_SECONDS: [f64; 10] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1.0, 10.0, 60.0, 3600.0];
const BATCH_SIZES: [f64; 9] = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0];

/// All metrics of a process. Cheap to clone.
#[derive(Clone)]
pub struct Metrics {
    registry: Arc<Registry>,
    acknowledged: Counter,
    refused: Family<Cause, Counter>,
    answer_seconds: Histogram,
    commit_deliveries: Histogram,
    items: Family<VerdictLabels, Counter>,
    applied_seconds: Histogram,
    batch_deliveries: Histogram,
    private_operations: Counter,
    backlog: Gauge,
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// A set of its own, everything at zero.
    pub fn new() -> Self {
        let mut registry = Registry::with_prefix("tokenkeep");
        let r = &mut registry;
        let acknowledged = Counter::default();
        r.register(
            "acknowledged",
            "Deliveries kept and answered with success",
            acknowledged.clone(),
        );
        let refused = Family::<Cause, Counter>::default();
        r.register("refused", "Deliveries refused, by cause", refused.clone());
        let items = Family::<VerdictLabels, Counter>::default();
        r.register(
            "items",
            "Items decided, by verdict and what holds them",
            items.clone(),
        );
        let private_operations = Counter::default();
        let help = "Operations with a private payload key";
        r.register("private_key_operations", help, private_operations.clone());
        let backlog = Gauge::default();
        r.register(
            "backlog",
            "Deliveries that wait to be decided",
            backlog.clone(),
        );
        let mut seconds = |name, help: &str, buckets: &[f64]| {
            let histogram = Histogram::new(buckets.iter().copied());
            r.register_with_unit(name, help, Unit::Seconds, histogram.clone());
            histogram
        };
        let answer = "Time from a request's head to its answer";
        let answer_seconds = seconds("answer", answer, &ANSWER_SECONDS);
        let applied = "Time from the receipt of a delivery to its verdicts";
        let applied_seconds = seconds("applied", applied, &APPLIED_SECONDS);
        let mut sizes = |name, help: &str| {
            let histogram = Histogram::new(BATCH_SIZES);
            r.register(name, help, histogram.clone());
            histogram
        };
        let commit_deliveries = sizes("commit_deliveries", "Deliveries that shared a commit");
        let batch_deliveries = sizes("batch_deliveries", "Deliveries decided in one transaction");
        Self {
            registry: Arc::new(registry),
            acknowledged,
            refused,
            answer_seconds,
            commit_deliveries,
            items,
            applied_seconds,
            batch_deliveries,
            private_operations,
            backlog,
        }
    }

    /// A delivery was acknowledged after this many seconds.
    pub fn acknowledged(&self, seconds: f64) {
        self.acknowledged.inc();
        self.answer_seconds.observe(seconds);
    }

    /// A delivery was refused; the cause is the code of the refusal.
    pub fn refused(&self, cause: &'static str, seconds: f64) {
        self.refused.get_or_create(&Cause { cause }).inc();
        self.answer_seconds.observe(seconds);
    }

    /// So many deliveries shared a commit.
    pub fn committed(&self, deliveries: usize) {
        self.commit_deliveries.observe(deliveries as f64);
    }

    /// So many deliveries were decided in one transaction.
    pub fn batch(&self, deliveries: usize) {
        self.batch_deliveries.observe(deliveries as f64);
    }

    /// An item got a verdict, this many seconds after its receipt.
    pub fn decided(&self, verdict: &'static str, hold: Option<&'static str>, seconds: f64) {
        let hold = hold.unwrap_or("none");
        self.items
            .get_or_create(&VerdictLabels { verdict, hold })
            .inc();
        self.applied_seconds.observe(seconds);
    }

    /// So many private-key operations were done.
    pub fn private_operations(&self, count: u64) {
        self.private_operations.inc_by(count);
    }

    /// All metrics as text. The backlog is handed in, as the database knows it.
    pub fn text(&self, backlog: i64) -> String {
        self.backlog.set(backlog);
        let mut text = String::new();
        // Writing to a string does not fail.
        let _ = encode(&mut text, &self.registry);
        text
    }
}
