//! Processes that are killed again and again: when each died, and how long the next took to be ready.

use std::time::{Duration, Instant};

use tokenkeep::telemetry::Clock;

use super::{Sandboxes, Told, judge_with};
use crate::support::calls::serve;
use crate::support::serve::Serve;
use crate::support::{Client, TestDatabase, wait_until};

/// What is killed, and what became of it.
pub struct Killed<'a> {
    pub database: &'a TestDatabase,
    pub sandboxes: &'a Sandboxes,
    /// When a process died, milliseconds since 1970.
    pub deaths: Vec<i64>,
    /// How long the slowest start took until it was ready.
    pub slowest: Duration,
}

impl<'a> Killed<'a> {
    pub fn new(database: &'a TestDatabase, sandboxes: &'a Sandboxes) -> Self {
        Self {
            database,
            sandboxes,
            deaths: Vec::new(),
            slowest: Duration::ZERO,
        }
    }

    /// Starts a process whose program is this sandbox; returns once it is ready.
    pub fn start(&mut self, sandbox: usize) -> Serve {
        let begun = Instant::now();
        // Few calls at once, so that two processes take turns.
        let more = "rate = 1000\nconcurrency = 4\n";
        let serve = serve(self.database, &self.sandboxes[sandbox], more);
        let url = format!("http://{}/readyz", serve.api);
        let client = Client::new();
        let is_ready = || {
            client
                .try_get(&url, "no-key-needed")
                .is_ok_and(|it| it.status == 200)
        };
        wait_until("it is ready", is_ready);
        self.slowest = self.slowest.max(begun.elapsed());
        serve
    }

    pub fn kill(&mut self, serve: &mut Serve) {
        self.deaths.push(Clock::system().now());
        serve.kill();
    }

    /// Stands for the minute after which the claims of dead processes end. None is alive.
    pub fn let_claims_end(&self) {
        self.database
            .execute("UPDATE outbox SET lease_until = 0 WHERE state = 'running'");
    }

    /// Lets one process decide and call for whatever is left, ends it, and judges. Returns the figures.
    pub fn judge(&mut self, told: &Told) -> String {
        self.let_claims_end();
        let mut serve = self.start(0);
        let open = "SELECT (SELECT count(*) FROM deliveries WHERE state = 'waiting') \
             + (SELECT count(*) FROM outbox WHERE state IN ('waiting', 'running')) AS number";
        let mut least = i64::MAX;
        while least > 0 {
            wait_until("it becomes less", || self.database.number(open) < least);
            least = self.database.number(open);
        }
        serve.terminate();
        judge_with(self.database, told, Some(self))
    }
}
