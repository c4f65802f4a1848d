//! Killed under load: whatever got 204 is in the store after the restart, was applied once, and called for once.

use std::time::{Duration, Instant};

use rstest::rstest;
use tokenkeep::telemetry::Clock;

use crate::support::calls::{sandbox, serve};
use crate::support::oracle::{Load, Outside, Sandboxes, judge_with};
use crate::support::random::Random;
use crate::support::serve::Serve;
use crate::support::{Backend, Client, TestDatabase, is_full, slack, wait_until};

/// Notifications a second, at most.
const RATE: u32 = 400;
const READY_WITHIN: Duration = Duration::from_secs(2);

/// A service that is killed again and again, and what became of it.
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
        let serve = serve(self.database, &self.sandboxes[sandbox], "rate = 1000\n");
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

    /// Lets one process decide and call for whatever is left.
    pub fn settle(&mut self) {
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
    }
}

// Seen to fail (lost) where the intake acknowledges before its commit.
#[rstest]
fn d01_d02_kills_under_load_lose_nothing_and_apply_nothing_twice(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let (kills, longest, least) = if is_full() {
        (200, 2_000, 20_000)
    } else {
        (40, 300, 400)
    };
    let database = TestDatabase::new(backend);
    let sandboxes = Sandboxes::from([sandbox(Clock::system(), |_| {})]);
    let mut killed = Killed::new(&database, &sandboxes);
    let mut serve = killed.start(0);
    let load = Load::start_with(&sandboxes, &serve.url, RATE);
    let mut random = Random::new(20_261_122);
    for _ in 0..kills {
        // At a moment that nobody chose, also before anything is answered.
        std::thread::sleep(Duration::from_millis(
            50 + random.below(longest - 50) as u64,
        ));
        killed.kill(&mut serve);
        killed.let_claims_end();
        serve = killed.start(0);
        load.go_to(&serve.url);
    }
    while load.acknowledged() < least {
        load.wait_for(1);
    }
    let (told, _) = load.end();
    killed.kill(&mut serve);
    killed.settle();
    let outside = Outside {
        sandboxes: &sandboxes,
        deaths: &killed.deaths,
    };
    let figures = judge_with(&database, &told, Some(&outside));
    println!(
        "{} {backend:?}: {kills} kills, {figures}, ready within {:.1?} of each start",
        match backend {
            Backend::Sqlite => "D-01",
            Backend::Postgres => "D-02",
        },
        killed.slowest
    );
    assert!(
        killed.slowest <= READY_WITHIN + slack(),
        "{:?}",
        killed.slowest
    );
}
