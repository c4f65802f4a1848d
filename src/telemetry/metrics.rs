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

/// Why a delivery or a sender was refused.
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

/// An attempt at a call, and how it ended.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CallLabels {
    kind: &'static str,
    outcome: &'static str,
}

/// Calls of the outbox that are not over.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct JobLabels {
    kind: &'static str,
    state: &'static str,
}

/// A program of the settings.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ProgramLabel {
    program: String,
}

/// A file of certificates that the settings name.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct FileLabel {
    file: String,
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
    senders_refused: Family<Cause, Counter>,
    certificates: Family<FileLabel, Gauge>,
    answer_seconds: Histogram,
    commit_deliveries: Histogram,
    items: Family<VerdictLabels, Counter>,
    applied_seconds: Histogram,
    batch_deliveries: Histogram,
    private_operations: Counter,
    database_away: Gauge,
    backlog: Gauge,
    spool_deliveries: Gauge,
    spool_oldest: Gauge,
    calls: Family<CallLabels, Counter>,
    jobs: Family<JobLabels, Gauge>,
    taken_over: Counter,
    stopped: Family<ProgramLabel, Gauge>,
    clock_jumps: Counter,
    clock_wrong: Gauge,
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
        let senders_refused = Family::<Cause, Counter>::default();
        let help = "Connections and requests of senders that are not accepted, by cause";
        r.register("senders_refused", help, senders_refused.clone());
        let certificates = Family::<FileLabel, Gauge>::default();
        let help = "When the first certificate of a file ends, since 1970";
        let name = "certificate_expires";
        r.register_with_unit(name, help, Unit::Seconds, certificates.clone());
        let items = Family::<VerdictLabels, Counter>::default();
        r.register(
            "items",
            "Items decided, by verdict and what holds them",
            items.clone(),
        );
        let private_operations = Counter::default();
        let help = "Operations with a private payload key";
        r.register("private_key_operations", help, private_operations.clone());
        let database_away = Gauge::default();
        let help = "1 while the database does not answer: what it knows is then as of before";
        r.register("database_away", help, database_away.clone());
        let backlog = Gauge::default();
        r.register(
            "backlog",
            "Deliveries that wait to be decided",
            backlog.clone(),
        );
        let spool_deliveries = Gauge::default();
        let help = "Deliveries in the spool, which wait for the database";
        r.register("spool_deliveries", help, spool_deliveries.clone());
        let spool_oldest = Gauge::default();
        let help = "How long the first delivery in the spool has waited";
        r.register_with_unit("spool_oldest", help, Unit::Seconds, spool_oldest.clone());
        let calls = Family::<CallLabels, Counter>::default();
        let help = "Attempts at calls, by kind and how they ended";
        r.register("calls", help, calls.clone());
        let jobs = Family::<JobLabels, Gauge>::default();
        let help = "Calls of the outbox that are not over, by kind and state";
        r.register("outbox_jobs", help, jobs.clone());
        let taken_over = Counter::default();
        let help = "Calls taken over because whoever made them was gone";
        r.register("leases_taken_over", help, taken_over.clone());
        let stopped = Family::<ProgramLabel, Gauge>::default();
        let help = "1 while the calls of a program are held back";
        r.register("calls_stopped", help, stopped.clone());
        let clock_jumps = Counter::default();
        let help = "Times the machine's clock was set by more than clock.warn_beyond";
        r.register("clock_jumps", help, clock_jumps.clone());
        let clock_wrong = Gauge::default();
        let help = "1 while acts are refused because the clock cannot be believed";
        r.register("clock_wrong", help, clock_wrong.clone());
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
            senders_refused,
            certificates,
            answer_seconds,
            commit_deliveries,
            items,
            applied_seconds,
            batch_deliveries,
            private_operations,
            database_away,
            backlog,
            spool_deliveries,
            spool_oldest,
            calls,
            jobs,
            taken_over,
            stopped,
            clock_jumps,
            clock_wrong,
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

    /// A sender was refused; the cause is a constant of the program.
    pub fn sender_refused(&self, cause: &'static str) {
        self.senders_refused.get_or_create(&Cause { cause }).inc();
    }

    /// When the first certificate of a file of the settings ends, in seconds since 1970.
    pub fn certificate(&self, file: &str, ends_at: i64) {
        let label = FileLabel {
            file: file.to_owned(),
        };
        self.certificates.get_or_create(&label).set(ends_at);
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

    /// An attempt at a call of this kind ended so.
    pub fn called(&self, kind: &'static str, outcome: &'static str) {
        self.calls
            .get_or_create(&CallLabels { kind, outcome })
            .inc();
    }

    /// So many calls were taken over.
    pub fn taken_over(&self, count: u64) {
        self.taken_over.inc_by(count);
    }

    /// How many calls of the outbox are of each kind and state. What is not named has none.
    pub fn jobs(&self, counts: &[(&'static str, &'static str, i64)]) {
        self.jobs.clear();
        for (kind, state, count) in counts {
            self.jobs
                .get_or_create(&JobLabels { kind, state })
                .set(*count);
        }
    }

    /// Whether the calls of a program of the settings are held back.
    pub fn program(&self, program: &str, is_stopped: bool) {
        let label = ProgramLabel {
            program: program.to_owned(),
        };
        self.stopped.get_or_create(&label).set(is_stopped.into());
    }

    /// The machine's clock was set.
    pub fn clock_jumped(&self) {
        self.clock_jumps.inc();
    }

    /// Whether the machine's clock cannot be believed.
    pub fn clock_wrong(&self, is_wrong: bool) {
        self.clock_wrong.set(is_wrong.into());
    }

    /// How many deliveries wait in the spool, and how many seconds the first of them has waited.
    pub fn spool(&self, deliveries: u64, oldest: i64) {
        let deliveries = i64::try_from(deliveries).unwrap_or(i64::MAX);
        self.spool_deliveries.set(deliveries);
        self.spool_oldest.set(oldest);
    }

    /// How many deliveries wait to be decided, or that the database does not tell.
    pub fn backlog(&self, deliveries: Option<i64>) {
        self.database_away.set(deliveries.is_none().into());
        if let Some(deliveries) = deliveries {
            self.backlog.set(deliveries);
        }
    }

    /// All metrics as text.
    pub fn text(&self) -> String {
        let mut text = String::new();
        // Writing to a string does not fail.
        let _ = encode(&mut text, &self.registry);
        text
    }
}
