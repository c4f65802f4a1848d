//! Calls to the other side.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;

use super::Metrics;
use super::described::{Label, Reading, Registering, Values, listed, set_counts};

const KINDS: [&str; 6] = [
    "cryptogram",
    "get_card",
    "delete_card",
    "read_tokens",
    "token_status",
    "credentials",
];
const OUTCOMES: [&str; 6] = [
    "done",
    "waiting",
    "parked",
    "dead",
    "discarded",
    "fenced_off",
];
const STATES: [&str; 4] = ["waiting", "running", "parked", "dead"];
const STOPS: [&str; 2] = ["failing", "denied"];
const KIND: Label = Label {
    name: "kind",
    values: Values::OneOf(&KINDS),
};

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

/// A program of the settings, and why its calls would be held back.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StopLabels {
    program: String,
    cause: &'static str,
}

#[derive(Clone)]
pub(super) struct Calls {
    calls: Family<CallLabels, Counter>,
    jobs: Family<JobLabels, Gauge>,
    oldest_deletion: Reading,
    taken_over: Counter,
    stopped: Family<StopLabels, Gauge>,
}

impl Calls {
    pub fn new(to: &mut Registering) -> Self {
        Self {
            calls: to
                .metric("calls", "Attempts at calls, by kind and how they ended")
                .labels(&[
                    KIND,
                    Label {
                        name: "outcome",
                        values: Values::OneOf(&OUTCOMES),
                    },
                ])
                .advice(
                    "`waiting` is made again later; `fenced_off` was taken over by another process \
                     meanwhile.",
                )
                .add(Family::default()),
            jobs: to
                .metric(
                    "outbox_jobs",
                    "Calls of the outbox that are not over, by kind and state",
                )
                .labels(&[
                    KIND,
                    Label {
                        name: "state",
                        values: Values::OneOf(&STATES),
                    },
                ])
                .advice(
                    "`dead` was given up and `parked` refused by the other side: both wait for somebody, \
                     who looks with `outbox list`.",
                )
                .add(Family::default()),
            oldest_deletion: to
                .metric(
                    "oldest_deletion",
                    "For how long the first of the deletions is not confirmed; 0 if all are",
                )
                .seconds()
                .add(Reading::default()),
            taken_over: to
                .metric(
                    "leases_taken_over",
                    "Calls taken over because whoever made them was gone",
                )
                .add(Counter::default()),
            stopped: to
                .metric(
                    "calls_stopped",
                    "1 while the calls of a program are held back for this cause",
                )
                .labels(&[
                    Label {
                        name: "program",
                        values: Values::Each("program of the settings"),
                    },
                    Label {
                        name: "cause",
                        values: Values::OneOf(&STOPS),
                    },
                ])
                .advice("`failing`: the other side does not work. `denied`: it refuses the credential.")
                .add(Family::default()),
        }
    }

    /// What is in the database is not known.
    pub fn forget(&self) {
        self.jobs.clear();
        self.oldest_deletion.set(None);
    }
}

impl Metrics {
    /// An attempt at a call of this kind ended so.
    pub fn called(&self, kind: &'static str, outcome: &'static str) {
        let (kind, outcome) = (listed(kind, &KINDS), listed(outcome, &OUTCOMES));
        let labels = CallLabels { kind, outcome };
        self.calls.calls.get_or_create(&labels).inc();
    }

    /// So many calls were taken over.
    pub fn taken_over(&self, count: u64) {
        self.calls.taken_over.inc_by(count);
    }

    /// How many calls of the outbox are of each kind and state. What is not named has none.
    pub fn jobs(&self, counts: &[(&'static str, &'static str, i64)]) {
        let labels = |kind: &str, state: &str| JobLabels {
            kind: listed(kind, &KINDS),
            state: listed(state, &STATES),
        };
        let all = KINDS
            .iter()
            .flat_map(|kind| STATES.iter().map(move |state| labels(kind, state)));
        let counted = counts
            .iter()
            .map(|(kind, state, count)| (labels(kind, state), *count));
        set_counts(&self.calls.jobs, all, counted);
    }

    /// For how many seconds the first of the deletions is not confirmed.
    pub fn oldest_deletion(&self, seconds: i64) {
        self.calls.oldest_deletion.set(Some(seconds));
    }

    /// Why the calls of a program of the settings are held back, if they are.
    pub fn program(&self, program: &str, stop: Option<&'static str>) {
        for cause in STOPS {
            let labels = StopLabels {
                program: program.to_owned(),
                cause,
            };
            let is_stopped = stop == Some(cause);
            let stopped = self.calls.stopped.get_or_create(&labels);
            stopped.set(is_stopped.into());
        }
    }
}
