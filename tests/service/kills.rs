//! Killed under load: whatever got 204 is in the store after the restart, was applied once, and called for once.

use std::time::Duration;

use rstest::rstest;
use tokenkeep::telemetry::Clock;

use crate::support::calls::sandbox;
use crate::support::oracle::{Killed, Load, Sandboxes};
use crate::support::random::Random;
use crate::support::{Backend, TestDatabase, is_full, slack};

/// Notifications a second, at most.
const RATE: u32 = 400;
const READY_WITHIN: Duration = Duration::from_secs(2);

// Seen to fail where the intake acknowledges before its commit: 77 lost on SQLite, 4 on PostgreSQL.
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
    let figures = killed.judge(&told);
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
