//! Killed under load: whatever got 204 is in the store after the restart, and applied once.

use rstest::rstest;

use crate::support::load::{Load, judge};
use crate::support::serve::Serve;
use crate::support::{Backend, TestDatabase};

const KILLS: usize = 20;

#[rstest]
fn d01_d02_twenty_kills_under_load_lose_nothing_and_apply_nothing_twice(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let database = TestDatabase::new(backend);
    let mut serve = Serve::start(&database);
    let load = Load::start(&serve.url, 400);
    for kill in 0..KILLS {
        // The kill falls at another moment each time, always with answers under way.
        load.wait_for(10 + kill * 13 % 90);
        serve.kill();
        serve = Serve::start(&database);
        load.go_to(&serve.url);
    }
    let (told, _) = load.end();
    let figures = judge(&database, &told);
    println!(
        "{} {backend:?}: {KILLS} kills, {figures}",
        match backend {
            Backend::Sqlite => "D-01",
            Backend::Postgres => "D-02",
        }
    );
}
