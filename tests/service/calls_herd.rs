//! O-07: a crowd of calls that fails together neither runs against a side that is down nor comes back all
//! at once.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rstest::rstest;
use serde_json::{Value, json};
use tokenkeep::sandbox::{Fault, Operation, Refresh};

use crate::support::calls::{LONGEST_WAIT, MINUTE, Shop};
use crate::support::{Backend, SetOnDrop, is_full, slack, wait_until};

const FAILING: &str = "tokenkeep_calls_stopped{program=\"shop\",cause=\"failing\"}";
/// The default of a program.
const CONCURRENCY: usize = 16;

/// Calls that fail together, and those that may begin in a second: in full the default of a program.
fn size() -> (usize, usize) {
    if is_full() { (1_000, 50) } else { (300, 25) }
}

/// What was seen of the calls, every few milliseconds.
#[derive(Default)]
struct Seen {
    /// When, and how many calls had come to the other side by then.
    came: Vec<(Instant, usize)>,
    /// The most calls that were under way at one moment.
    under_way: i64,
}

impl Seen {
    /// The most calls that came in any one second.
    fn most_in_a_second(&self) -> usize {
        let after = |(begun, before): &(Instant, usize)| {
            let within = |seen: &&(Instant, usize)| seen.0 < *begun + Duration::from_secs(1);
            let last = self.came.iter().rev().find(within);
            last.map_or(0, |(_, count)| count.saturating_sub(*before))
        };
        self.came.iter().map(after).max().unwrap_or(0)
    }
}

fn checkouts(shop: &Shop) -> usize {
    shop.sandbox.count(Operation::Checkout, None)
}

fn under_way(shop: &Shop) -> i64 {
    let running = "SELECT count(*) AS number FROM outbox WHERE state = 'running'";
    shop.app.database.number(running)
}

fn look(shop: &Shop, stop: &AtomicBool) -> Seen {
    let mut seen = Seen::default();
    while !stop.load(Ordering::SeqCst) {
        seen.under_way = seen.under_way.max(under_way(shop));
        seen.came.push((Instant::now(), checkouts(shop)));
        std::thread::sleep(Duration::from_millis(10));
    }
    seen
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

/// Waits until the calls have stopped; returns how many were made.
fn stopped(shop: &Shop) -> usize {
    wait_until("the calls stop", || shop.metric(FAILING) == 1);
    // Those that were claimed by then are made.
    wait_until("none is under way", || under_way(shop) == 0);
    let calls = checkouts(shop);
    std::thread::sleep(Duration::from_millis(1_500));
    assert_eq!(checkouts(shop), calls, "calls while they are stopped");
    let card = "card-0";
    let reply = shop.credentials(card, &json!({ "use": "single" }));
    assert_eq!(
        (reply.status, reply.code().as_str()),
        (503, "no-cryptogram")
    );
    assert_eq!(checkouts(shop), calls, "nor is one made for a caller");
    calls
}

/// Seen to fail with 2,000 failures for the breaker (it does not open in time), and without the rate of
/// the lane (the herd comes in one second).
#[rstest]
fn o07_a_herd_stops_after_twenty_failures_and_comes_back_spread_out(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let (herd, rate) = size();
    let more = json!({ "rate": rate, "concurrency": CONCURRENCY });
    let shop = Shop::open_with(backend, &more, |_| {});
    let fault = Fault::service_error(503);
    shop.sandbox.set_fault(Operation::Checkout, Some(fault));
    let cards: Vec<String> = (0..herd).map(|card| format!("card-{card}")).collect();
    make_due(&shop, &cards);
    let failures = stopped(&shop);
    let stopped_at = Instant::now();
    // Those that were under way at the twentieth failure may end.
    let most = 20 + CONCURRENCY;
    assert!((20..most).contains(&failures), "{failures}");

    // The other side is back after a minute; what failed is due again by then.
    shop.advance(MINUTE);
    shop.sandbox.set_fault(Operation::Checkout, None);
    let stop = AtomicBool::new(false);
    let (closed_after, seen) = std::thread::scope(|threads| {
        let ends = SetOnDrop(&stop);
        let looking = threads.spawn(|| look(&shop, &stop));
        wait_until("the calls go on", || shop.metric(FAILING) == 0);
        let closed_after = stopped_at.elapsed();
        shop.settle();
        drop(ends);
        (closed_after, looking.join().unwrap())
    });
    let latest = Duration::from_secs(35) + slack();
    assert!(closed_after <= latest, "{closed_after:?}");
    let in_a_second = seen.most_in_a_second();
    assert!(in_a_second * 10 <= herd, "{in_a_second} in one second");
    assert!(seen.under_way <= CONCURRENCY as i64, "{}", seen.under_way);
    shop.advance(LONGEST_WAIT);
    shop.settle();
    assert!(cards.iter().all(|card| shop.assert_pair(card)));
    assert_eq!(checkouts(&shop), failures + herd);
    println!(
        "O-07 on {backend:?}: {herd} calls failed together, {failures} were made, at most {in_a_second} in one second when the other side was back, {} under way, closed after {closed_after:?}",
        seen.under_way
    );
}
