//! What became of the deliveries that were kept.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;

use super::Metrics;
use super::described::{Label, Reading, Registering, Values, listed, set_counts};

/// Seconds, up to a backlog of an hour.
const APPLIED_SECONDS: [f64; 10] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1.0, 10.0, 60.0, 3600.0];
pub(super) const BATCH_SIZES: [f64; 9] = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0];

const VERDICTS: [&str; 6] = [
    "applied",
    "no_change",
    "duplicate",
    "stale",
    "parked",
    "quarantined",
];
const HOLDS: [&str; 11] = [
    "none",
    "unknown-card",
    "status-unknown",
    "both-forms",
    "unknown-key",
    "unreadable",
    "not-a-notification",
    "payment-data-missing",
    "no-card-id",
    "digits-disagree",
    "processing-failed",
];
const HOLD: Label = Label {
    name: "hold",
    values: Values::OneOf(&HOLDS),
};

/// The verdicts of what is held.
const HELD: [&str; 2] = ["parked", "quarantined"];

/// The verdict on an item, and why it is held if it is.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct VerdictLabels {
    verdict: &'static str,
    hold: &'static str,
}

#[derive(Clone)]
pub(super) struct Processing {
    items: Family<VerdictLabels, Counter>,
    held: Family<VerdictLabels, Gauge>,
    applied_seconds: Histogram,
    batch_deliveries: Histogram,
    backlog: Reading,
    oldest: Reading,
    maintenance: Reading,
}

impl Processing {
    pub fn new(to: &mut Registering) -> Self {
        Self {
            items: to
                .metric("items", "Items decided, by verdict and what holds them")
                .labels(&[
                    Label {
                        name: "verdict",
                        values: Values::OneOf(&VERDICTS),
                    },
                    HOLD,
                ])
                .add(Family::default()),
            held: to
                .metric(
                    "held_items",
                    "Items that are held in the database, by verdict and what holds them",
                )
                .labels(&[
                    Label {
                        name: "verdict",
                        values: Values::OneOf(&HELD),
                    },
                    HOLD,
                ])
                .advice(
                    "`unknown-key` and `unreadable` are refreshes that wait for a payload key; \
                     `unknown-card` waits for a registration. `notifications list` shows them.",
                )
                .add(Family::default()),
            applied_seconds: to
                .metric("applied", "Time from the receipt of a delivery to its verdicts")
                .seconds()
                .add(Histogram::new(APPLIED_SECONDS)),
            batch_deliveries: to
                .metric("batch_deliveries", "Deliveries decided in one transaction")
                .add(Histogram::new(BATCH_SIZES)),
            backlog: to
                .metric("backlog", "Deliveries that wait in the database to be decided")
                .advice("It comes and goes in seconds. If it stays, /readyz says why.")
                .add(Reading::default()),
            oldest: to
                .metric(
                    "oldest_waiting",
                    "For how long the first of the deliveries has waited to be decided; 0 if none waits",
                )
                .seconds()
                .add(Reading::default()),
            maintenance: to
                .metric("maintenance", "1 while nothing that waits is processed")
                .advice(
                    "Somebody wanted it so: `maintenance status` tells who and why. Deliveries are \
                     received and kept all the same.",
                )
                .add(Reading::default()),
        }
    }

    /// What is in the database is not known.
    pub fn forget(&self) {
        self.held.clear();
        self.backlog.set(None);
        self.oldest.set(None);
        self.maintenance.set(None);
    }
}

impl Metrics {
    /// So many deliveries were decided in one transaction.
    pub fn batch(&self, deliveries: usize) {
        self.processing.batch_deliveries.observe(deliveries as f64);
    }

    /// An item got a verdict, this many seconds after its receipt.
    pub fn decided(&self, verdict: &'static str, hold: Option<&'static str>, seconds: f64) {
        let labels = labels(verdict, hold);
        self.processing.items.get_or_create(&labels).inc();
        self.processing.applied_seconds.observe(seconds);
    }

    /// How many deliveries wait to be decided, and for how many seconds the first of them has.
    pub fn backlog(&self, deliveries: i64, seconds: i64) {
        self.processing.backlog.set(Some(deliveries));
        self.processing.oldest.set(Some(seconds));
    }

    /// Whether nothing that waits is processed.
    pub fn maintenance(&self, is_on: bool) {
        self.processing.maintenance.set(Some(is_on.into()));
    }

    /// How many items are held: verdict, what holds them, how many. What is not named has none.
    pub fn held(&self, counts: &[(String, Option<String>, i64)]) {
        let all = HELD.iter().flat_map(|verdict| {
            let of_hold = move |hold: &&'static str| labels(verdict, Some(hold));
            HOLDS.iter().map(of_hold)
        });
        let counted = counts
            .iter()
            .map(|(verdict, hold, count)| (labels(verdict, hold.as_deref()), *count));
        set_counts(&self.processing.held, all, counted);
    }
}

fn labels(verdict: &str, hold: Option<&str>) -> VerdictLabels {
    VerdictLabels {
        verdict: listed(verdict, &VERDICTS),
        hold: listed(hold.unwrap_or("none"), &HOLDS),
    }
}
