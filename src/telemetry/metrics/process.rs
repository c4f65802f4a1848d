//! The process itself: whether it is ready, its connections to the database, its clock.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;

use super::Metrics;
use super::described::{Label, Reading, Registering, Values, listed};
use crate::telemetry::Clock;

const CHECKS: [&str; 7] = [
    "database",
    "receiving",
    "processing",
    "clock",
    "backlog",
    "calls",
    "payload-keys",
];
const USES: [&str; 2] = ["busy", "free"];

/// A check of `/readyz`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CheckLabel {
    check: &'static str,
}

/// What becomes of a connection to the database.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct UseLabel {
    state: &'static str,
}

#[derive(Clone)]
pub(super) struct Process {
    ready: Family<CheckLabel, Gauge>,
    connections: Family<UseLabel, Gauge>,
    sqlite_log: Reading,
    clock_jumps: Counter,
    clock_wrong: Gauge,
}

impl Process {
    pub fn new(to: &mut Registering) -> Self {
        let ready = to
            .metric("ready", "1 while a check of /readyz finds nothing wrong")
            .labels(&[Label {
                name: "check",
                values: Values::OneOf(&CHECKS),
            }])
            .advice(
                "The first four make the process not ready, `database` only where there is no spool. `receiving` and `processing` are there only where the \
                 process has the role. /readyz tells the reason.",
            )
            .add(Family::default());
        let connections = to
            .metric(
                "database_connections",
                "Connections to the database that are busy, and that could still be had",
            )
            .labels(&[Label {
                name: "state",
                values: Values::OneOf(&USES),
            }])
            .advice("None free for long: the database is slow, or too much is asked of it.")
            .add(Family::default());
        let sqlite_log = to
            .metric(
                "sqlite_log_bytes",
                "Bytes of the write-ahead log beside the SQLite file",
            )
            .advice(
                "Some megabytes are usual. It grows as long as somebody reads one state of the file, and is cut \
                 to 16 MiB soon after.",
            )
            .add(Reading::default());
        let clock_jumps = to
            .metric(
                "clock_jumps",
                "Times the machine's clock was set by more than clock.warn_beyond",
            )
            .add(Counter::default());
        let clock_wrong = to
            .metric(
                "clock_wrong",
                "1 while acts are refused because the clock cannot be believed",
            )
            .add(Gauge::default());
        let started: Gauge = to
            .metric("start_time", "When the process began, since 1970")
            .seconds()
            .add(Gauge::default());
        started.set(Clock::system().now() / 1000);
        Self {
            ready,
            connections,
            sqlite_log,
            clock_jumps,
            clock_wrong,
        }
    }
}

impl Metrics {
    /// Whether a check of `/readyz` finds nothing wrong.
    pub fn ready(&self, check: &'static str, is_ok: bool) {
        let check = listed(check, &CHECKS);
        let ready = self.process.ready.get_or_create(&CheckLabel { check });
        ready.set(is_ok.into());
    }

    /// How many connections to the database are busy, and how many more could be had.
    pub fn connections(&self, busy: u32, free: u32) {
        for (state, count) in USES.into_iter().zip([busy, free]) {
            let connections = &self.process.connections;
            connections
                .get_or_create(&UseLabel { state })
                .set(count.into());
        }
    }

    /// How large SQLite's write-ahead log is, where there is one.
    pub fn sqlite_log(&self, bytes: Option<u64>) {
        let bytes = bytes.map(|bytes| i64::try_from(bytes).unwrap_or(i64::MAX));
        self.process.sqlite_log.set(bytes);
    }

    /// The machine's clock was set.
    pub fn clock_jumped(&self) {
        self.process.clock_jumps.inc();
    }

    /// Whether the machine's clock cannot be believed.
    pub fn clock_wrong(&self, is_wrong: bool) {
        self.process.clock_wrong.set(is_wrong.into());
    }
}
