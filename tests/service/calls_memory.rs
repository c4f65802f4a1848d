//! O-06, as to memory: an answer without end or of enormous size does not grow the process.

use rstest::rstest;
use tokenkeep::sandbox::{Fault, NewCard, Operation, Refresh, Sandbox};
use tokenkeep::telemetry::Clock;

use crate::support::calls::{Shop, sandbox, serve};
use crate::support::serve::Serve;
use crate::support::{Backend, Client, TestDatabase, wait_until};

const MOST: u64 = 16 << 20;
const CARDS: usize = 4;

const FAULTS: [Fault; 5] = [
    Fault::HugeBody,
    Fault::EndlessChunks,
    Fault::GzipBomb,
    Fault::HugeHeader,
    Fault::InformationalFlood,
];

/// Cryptograms become due for new cards; returns when each has been asked for and answered.
fn ask(serve: &Serve, sandbox: &Sandbox, database: &TestDatabase, name: &str) {
    let refresh = |card: usize| {
        let id = Some(format!("{name}-{card}"));
        let new = NewCard {
            id,
            ..NewCard::default()
        };
        let card = sandbox.create_card(new).unwrap();
        sandbox.refresh(&card.id, Refresh::Nothing).unwrap()
    };
    let bodies: Vec<_> = (0..CARDS).map(refresh).collect();
    let answer = Client::new().post(&serve.url, &Shop::together(&bodies).to_string());
    assert_eq!(answer.status, 204);
    let attempted = format!(
        "SELECT count(*) AS number FROM outbox \
         WHERE card_id LIKE '{name}-%' AND attempts > 0 AND state <> 'running'"
    );
    wait_until(name, || database.number(&attempted) == CARDS as i64);
}

#[rstest]
fn o06_answers_without_end_do_not_grow_the_process(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let database = TestDatabase::new(backend);
    let sandbox = sandbox(Clock::system(), |_| {});
    let serve = serve(&database, &sandbox, "timeout = 2");
    ask(&serve, &sandbox, &database, "true");
    let before = serve.memory("VmHWM");
    for (number, fault) in FAULTS.into_iter().enumerate() {
        sandbox.set_fault(Operation::Checkout, Some(fault));
        ask(&serve, &sandbox, &database, &format!("fault{number}"));
        // A success in between: too many failures in a row would stop the calls.
        sandbox.set_fault(Operation::Checkout, None);
        ask(&serve, &sandbox, &database, &format!("true{number}"));
    }
    let growth = serve.memory("VmHWM") - before;
    assert!(growth < MOST, "{growth} bytes");
    let kib = growth >> 10;
    println!(
        "O-06 on {backend:?}: {} attempts at endless answers, {kib} KiB more at most",
        5 * CARDS
    );
}
