//! How long an acknowledgement takes at the load that is to be borne, whatever the other side does.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use rstest::rstest;
use serde_json::Value;
use tokenkeep::sandbox::{Fault, Operation};
use tokenkeep::telemetry::Clock;

use crate::support::build::{NUMBER_1, encrypted, payment_jwe, plain, refresh_with, status};
use crate::support::calls::{SERVICE, sandbox, serve};
use crate::support::raw::{Connection, head};
use crate::support::{Backend, START, TestDatabase, is_full, wait_until};

const RATE: usize = 200;

/// Posts bodies at so many a second over some connections that stay open, whether or not others are
/// answered; each must be acknowledged. Returns how long each took, from when it was due.
pub fn post_at_a_pace(
    address: SocketAddr,
    bodies: Vec<String>,
    rate: u32,
    connections: usize,
) -> Vec<Duration> {
    let (begun, next) = (Instant::now(), AtomicUsize::new(0));
    let work = || {
        let mut connection = Connection::open(address);
        let mut times = Vec::new();
        loop {
            let number = next.fetch_add(1, Ordering::SeqCst);
            let Some(body) = bodies.get(number) else {
                return times;
            };
            let due = begun + Duration::from_secs(1) * u32::try_from(number).unwrap() / rate;
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
            let due = due.max(begun);
            assert!(connection.send(head("/notifications/card", body.len()) + body));
            let reply = connection.reply().expect("an answer");
            assert_eq!(reply.status, 204, "{}", reply.body);
            times.push(due.elapsed());
        }
    };
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..connections).map(|_| scope.spawn(work)).collect();
        workers
            .into_iter()
            .flat_map(|it| it.join().unwrap())
            .collect()
    })
}

/// The time of all but the slowest of a hundred.
pub fn percentile(times: &[Duration], hundredth: usize) -> Duration {
    let mut times = times.to_vec();
    times.sort();
    times[(times.len() - 1) * hundredth / 100]
}

/// Of the program that is called.
fn of_service(mut item: Value) -> Value {
    item["maskedCard"]["serviceId"] = SERVICE.into();
    item
}

/// Plain and encrypted, alone and in batches, known cards and new ones.
fn mixed(count: usize) -> Vec<String> {
    // Encrypting takes the sender's time, not ours.
    let tokens: Vec<String> = (0..8)
        .map(|_| payment_jwe(NUMBER_1, ("12", "2031")))
        .collect();
    let whole = encrypted(&Value::Array(vec![status("whole", Some(START), "ACTIVE")])).to_string();
    let body = |number: usize| {
        let card = format!("budget-{}", number % 400);
        let time = START + i64::try_from(number).unwrap();
        let of_status = || of_service(status(&card, Some(time), "ACTIVE"));
        match number % 8 {
            0 => whole.clone(),
            1 => plain(&(0..10).map(|_| of_status()).collect::<Vec<_>>()).to_string(),
            2 | 3 => {
                let item = refresh_with(&card, time, &tokens[number % tokens.len()]);
                plain(&[of_service(item)]).to_string()
            }
            _ => plain(&[of_status()]).to_string(),
        }
    };
    (0..count).map(body).collect()
}

#[rstest]
fn w35_at_200_a_second_with_an_upstream_that_hangs_every_acknowledgement_comes_in_time(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let database = TestDatabase::new(backend);
    let sandbox = sandbox(Clock::system(), |_| {});
    for operation in [Operation::Checkout, Operation::GetCard] {
        sandbox.set_fault(operation, Some(Fault::Hang));
    }
    let serve = serve(&database, &sandbox, "timeout = 30");
    let seconds = if is_full() { 60 } else { 5 };
    let bodies = mixed(RATE * seconds);
    post_at_a_pace(serve.address(), bodies[..50].to_vec(), 50, 16);
    let times = post_at_a_pace(serve.address(), bodies, RATE as u32, 16);
    let [p50, p99, max] = [50, 99, 100].map(|hundredth| percentile(&times, hundredth));
    println!(
        "W-35 {backend:?}: {} acknowledged at {RATE} a second: p50 {p50:.1?}, p99 {p99:.1?}, max {max:.1?}",
        times.len()
    );
    wait_until("the other side hangs", || {
        sandbox.count(Operation::Checkout, None) > 0
    });
    // The bounds are of a machine that does nothing besides; in the suite all tests share it.
    let factor = if is_full() { 1 } else { 10 };
    assert!(p50 <= factor * Duration::from_millis(10), "{p50:?}");
    assert!(p99 <= factor * Duration::from_millis(100), "{p99:?}");
    assert!(max <= factor * Duration::from_secs(1), "{max:?}");
}
