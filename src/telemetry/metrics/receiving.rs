//! What the public listener kept and refused.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;

use super::Metrics;
use super::described::{Label, Registering, Values, listed};
use super::processing::BATCH_SIZES;

/// Seconds, from a millisecond to the time a sender would wait.
const ANSWER_SECONDS: [f64; 11] = [
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 3.0,
];

/// The codes of the refusals.
const REFUSED: [&str; 10] = [
    "storage-unavailable",
    "queue-full",
    "unknown-sender",
    "not-a-notification",
    "too-many-items",
    "body-too-large",
    "body-timeout",
    "incomplete-body",
    "unsupported-media-type",
    "unsupported-content-encoding",
];

const SENDERS_REFUSED: [&str; 14] = [
    "handshake",
    "handshake-timeout",
    "no-certificate",
    "subject",
    "authority",
    "certificate-not-yet-valid",
    "certificate-expired",
    "certificate-revoked",
    "certificate-purpose",
    "certificate-weak",
    "chain-too-long",
    "revocation-unknown",
    "untrusted-address",
    "no-certificate-header",
];

/// Why a delivery or a sender was refused.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Cause {
    cause: &'static str,
}

#[derive(Clone)]
pub(super) struct Receiving {
    acknowledged: Counter,
    refused: Family<Cause, Counter>,
    senders_refused: Family<Cause, Counter>,
    answer_seconds: Histogram,
    commit_deliveries: Histogram,
    spool_deliveries: Gauge,
    spool_oldest: Gauge,
}

impl Receiving {
    pub fn new(to: &mut Registering) -> Self {
        let receiving = Self {
            acknowledged: to
                .metric("acknowledged", "Deliveries kept and answered with success")
                .advice("If it stands still though cards are used, look whether Mastercard gets here.")
                .add(Counter::default()),
            refused: to
                .metric("refused", "Deliveries refused, by cause")
                .labels(&[Label {
                    name: "cause",
                    values: Values::OneOf(&REFUSED),
                }])
                .advice(
                    "`storage-unavailable` and `queue-full` are ours, answered 503: the database. The \
                     others are the sender's; their codes are in the log.",
                )
                .add(Family::default()),
            senders_refused: to
                .metric(
                    "senders_refused",
                    "Connections and requests of senders that are not accepted, by cause",
                )
                .labels(&[Label {
                    name: "cause",
                    values: Values::OneOf(&SENDERS_REFUSED),
                }])
                .advice(
                    "Strangers are refused every day. Many at once, while nothing is acknowledged, are \
                     Mastercard with another certificate than the settings name.",
                )
                .add(Family::default()),
            answer_seconds: to
                .metric("answer", "Time from a request's head to its answer")
                .seconds()
                .advice("The sender gives up after 3 s; most of it is the commit to the database.")
                .add(Histogram::new(ANSWER_SECONDS)),
            commit_deliveries: to
                .metric("commit_deliveries", "Deliveries that shared a commit")
                .add(Histogram::new(BATCH_SIZES)),
            spool_deliveries: to
                .metric(
                    "spool_deliveries",
                    "Deliveries in the spool of this process, which wait for the database",
                )
                .advice("They were acknowledged: until they are moved, this process's disk is all that has them.")
                .add(Gauge::default()),
            spool_oldest: to
                .metric(
                    "spool_oldest",
                    "For how long the first delivery in the spool has waited; 0 if none waits",
                )
                .seconds()
                .add(Gauge::default()),
        };
        // A series that begins with its first failure hides that one from a rate.
        for cause in REFUSED {
            let _ = receiving.refused.get_or_create(&Cause { cause });
        }
        receiving
    }
}

impl Metrics {
    /// A delivery was acknowledged after this many seconds.
    pub fn acknowledged(&self, seconds: f64) {
        self.receiving.acknowledged.inc();
        self.receiving.answer_seconds.observe(seconds);
    }

    /// A delivery was refused; the cause is the code of the refusal.
    pub fn refused(&self, cause: &'static str, seconds: f64) {
        let cause = listed(cause, &REFUSED);
        self.receiving.refused.get_or_create(&Cause { cause }).inc();
        self.receiving.answer_seconds.observe(seconds);
    }

    /// A sender was refused; the cause is a constant of the program.
    pub fn sender_refused(&self, cause: &'static str) {
        let cause = listed(cause, &SENDERS_REFUSED);
        let refused = &self.receiving.senders_refused;
        refused.get_or_create(&Cause { cause }).inc();
    }

    /// So many deliveries shared a commit.
    pub fn committed(&self, deliveries: usize) {
        self.receiving.commit_deliveries.observe(deliveries as f64);
    }

    /// How many deliveries wait in the spool, and how many seconds the first of them has waited.
    pub fn spool(&self, deliveries: u64, oldest: i64) {
        let deliveries = i64::try_from(deliveries).unwrap_or(i64::MAX);
        self.receiving.spool_deliveries.set(deliveries);
        self.receiving.spool_oldest.set(oldest);
    }
}
