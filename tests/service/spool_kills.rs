//! Killed with a spool, while PostgreSQL goes and comes back: what got 204 is in the database in the end, once.

use std::time::Duration;

use crate::support::oracle::{Load, judge, slowest};
use crate::support::postgres_proxy::Proxy;
use crate::support::serve::Serve;
use crate::support::sql::sql;
use crate::support::{Backend, Client, TestDatabase, is_full, leaks, wait_until};

/// What `/readyz` tells of the spool.
fn spooled(serve: &Serve) -> Option<u64> {
    let url = format!("http://{}/readyz", serve.api);
    let answer = Client::new().try_get(&url, "no-key-needed").ok()?;
    answer.json()["spool"]["deliveries"].as_u64()
}

// Seen to fail (lost) where `Spool::keep` does not commit, and where what is moved is removed before it is inserted.
#[test]
fn d02_kills_with_a_spool_while_the_database_goes_and_comes_lose_nothing_and_double_nothing() {
    let rounds = if is_full() { 50 } else { 4 };
    let database = TestDatabase::new(Backend::Postgres);
    let folder = leaks::database_folder();
    let file = folder.path().join("spool.db");
    let proxy = Proxy::before(&database);
    let url = proxy.url();
    let variables = [
        ("DATABASE_URL", url.as_str()),
        ("TOKENKEEP_RECEIVER__SPOOL", file.to_str().unwrap()),
    ];
    let mut serve = Serve::start_with(&database, &variables);
    let load = Load::start(&serve.url, 200);
    let (mut kills, mut most) = (0, 0);
    for round in 0..rounds {
        load.wait_for(10 + round * 7 % 40);
        // In every other round commits are done and nobody learns of it, so that the kill falls between the commit
        // there and the removal here; else the database is not there, and it falls while the spool is written.
        match round % 2 {
            0 => sql(&database).take_away(),
            _ => proxy.cut_every(1),
        }
        load.wait_for(50 + round * 13 % 90);
        most = most.max(spooled(&serve).unwrap_or_default());
        serve.kill();
        match round % 2 {
            0 => sql(&database).bring_back(),
            _ => proxy.cut_every(0),
        }
        serve = Serve::start_with(&database, &variables);
        load.go_to(&serve.url);
        // Now while it is emptied, or just was.
        std::thread::sleep(Duration::from_millis(round as u64 * 11 % 60));
        serve.kill();
        serve = Serve::start_with(&database, &variables);
        load.go_to(&serve.url);
        kills += 2;
    }
    let (told, answers) = load.end();
    wait_until("the spool is empty", || spooled(&serve) == Some(0));
    let figures = judge(&database, &told);
    let (_, hidden) = proxy.cut();
    println!(
        "D-02 with the spool: {kills} kills, the database away {rounds} times, {hidden} commits of which nobody learnt, \
         up to {most} deliveries in the spool, {figures}, answered within {:.1?}",
        slowest(&answers, 204)
    );
    assert!(hidden > 0);
    assert!(most > 0, "the spool was never used");
    assert!(answers.iter().all(|answered| answered.status != 503));
}
