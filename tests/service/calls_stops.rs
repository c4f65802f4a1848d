//! O-07 and O-05: calls stop where they are of no use, go on by themselves, and an answer that comes
//! when somebody else has the call is dropped.

use std::time::Duration;

use rstest::rstest;
use serde_json::{Value, json};
use tokenkeep::sandbox::{Fault, Operation, Refresh};

use crate::support::calls::{HOUR, LONGEST_WAIT, Shop};
use crate::support::{Backend, wait_until};

const FAILING: &str = "tokenkeep_calls_stopped{program=\"shop\",cause=\"failing\"}";
const DENIED: &str = "tokenkeep_calls_stopped{program=\"shop\",cause=\"denied\"}";
const FENCED_OFF: &str = "tokenkeep_calls_total{kind=\"cryptogram\",outcome=\"fenced_off\"}";

fn names(count: usize) -> Vec<String> {
    (0..count).map(|card| format!("card-{card}")).collect()
}

/// Makes a cryptogram due for each card, all in one delivery.
fn make_due(shop: &Shop, cards: &[String]) {
    let refresh = |card: &String| {
        shop.new_card(card);
        shop.sandbox.refresh(card, Refresh::Nothing).unwrap()
    };
    let bodies: Vec<Value> = cards.iter().map(refresh).collect();
    shop.app.deliver(&Shop::together(&bodies));
}

fn checkouts(shop: &Shop) -> usize {
    shop.sandbox.count(Operation::Checkout, None)
}

/// Nothing more is asked for a while.
fn assert_quiet(shop: &Shop, calls: usize) {
    std::thread::sleep(Duration::from_millis(1_500));
    assert_eq!(checkouts(shop), calls, "calls while they are stopped");
}

/// A refused credential is refused for every call: none is made but what an operator asks for.
#[rstest]
fn o07_a_refused_credential_stops_the_calls_at_once_and_a_retry_gets_through(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
    #[values(401, 403)] status: u16,
) {
    let shop = Shop::open_with(backend, &json!({ "concurrency": 1 }), |_| {});
    let fault = Fault::service_error(status);
    shop.sandbox.set_fault(Operation::Checkout, Some(fault));
    let cards = names(10);
    make_due(&shop, &cards);
    wait_until("the calls stop", || shop.metric(DENIED) == 1);
    assert_eq!(shop.metric(FAILING), 0);
    let ready = shop.app.get("/readyz");
    let told = json!({ "name": "calls", "ok": false, "required": false,
        "reason": "calls are held back: shop (denied)" });
    let checks = ready.json()["checks"].as_array().unwrap().clone();
    assert!(ready.status == 200 && checks.contains(&told), "{checks:?}");
    assert_quiet(&shop, 1);

    let waiting = |card: &&String| shop.job(card, "cryptogram").attempts == 0;
    let chosen = cards.iter().find(waiting).unwrap();
    assert!(shop.retry(&shop.job(chosen, "cryptogram")));
    wait_until("it is tried", || checkouts(&shop) == 2);
    assert_quiet(&shop, 2);
    assert_eq!(
        shop.job(chosen, "cryptogram").last_status,
        Some(status.into())
    );

    shop.sandbox.set_fault(Operation::Checkout, None);
    assert!(shop.retry(&shop.job(chosen, "cryptogram")));
    shop.settle();
    shop.advance(LONGEST_WAIT);
    shop.settle();
    assert_eq!(shop.metric(DENIED), 0);
    assert!(cards.iter().all(|card| shop.assert_pair(card)));
    let calls = checkouts(&shop);
    println!("O-07 on {backend:?}, {status}: 10 calls wait behind 1 refusal, {calls} made in all");
}

/// Another process has the calls by now: the answers are dropped, and asked for again by it.
#[rstest]
fn o05_an_answer_under_an_old_fence_is_dropped_and_counted(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let shop = Shop::open_with(backend, &json!({ "concurrency": 50 }), |_| {});
    let cards = names(50);
    shop.sandbox.hold(Operation::Checkout);
    make_due(&shop, &cards);
    shop.wait_for_calls(Operation::Checkout, 50);
    shop.app
        .database
        .execute("UPDATE outbox SET fence = fence + 1");
    shop.sandbox.release();
    wait_until("the late answers are dropped", || {
        shop.metric(FENCED_OFF) == 50
    });
    for card in &cards {
        assert!(!shop.assert_pair(card), "{card}");
        let job = shop.job(card, "cryptogram");
        assert_eq!((job.state.as_str(), job.attempts), ("running", 1));
    }
    // Stands for the minute after which the claims of that process end.
    shop.app
        .database
        .execute("UPDATE outbox SET lease_until = 0 WHERE state = 'running'");
    shop.settle();
    for card in &cards {
        assert!(shop.assert_pair(card), "{card}");
        let kept = shop.cryptogram(card).unwrap();
        let issued = shop.sandbox.issued(card);
        assert!(issued.len() == 2 && issued[1].cryptogram == kept.value);
    }
    assert_eq!(shop.metric("tokenkeep_leases_taken_over_total"), 50);
    println!("O-05 on {backend:?}: 50 of 50 late answers dropped, 0 doubled");
}

/// Cryptograms and look-ups are of no use after two days; the last attempt is their end.
#[rstest]
fn a_cryptogram_that_nobody_could_obtain_for_two_days_is_given_up(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let shop = Shop::open(backend);
    let fault = Fault::service_error(503);
    shop.sandbox.set_fault(Operation::Checkout, Some(fault));
    make_due(&shop, &names(1));
    for hours in [0, 47, 1] {
        assert_ne!(shop.job("card-0", "cryptogram").state, "dead");
        shop.advance(hours * HOUR);
        shop.settle();
    }
    assert_eq!(shop.job("card-0", "cryptogram").state, "dead");
    assert_eq!(checkouts(&shop), 3);

    shop.sandbox.set_fault(Operation::Checkout, None);
    assert!(shop.retry(&shop.job("card-0", "cryptogram")));
    shop.settle();
    assert!(shop.assert_pair("card-0"));
}
