//! O-15, O-16: each attempt at a call is signed anew, and waits no longer than it may, whatever it is asked.

use std::collections::HashSet;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rstest::rstest;
use serde_json::json;
use tokenkeep::mastercard::oauth::{body_hash, nonce, parse_header};
use tokenkeep::sandbox::{ErrorShape, Fault, NewCard, Operation, Refresh};
use tokenkeep::telemetry::Clock;

use crate::support::calls::{HOUR, LONGEST_WAIT, Shop, sandbox, serve};
use crate::support::{Backend, Client, TestDatabase, wait_until};

const CARDS: usize = 3;
/// With so many for each card no stop comes in between: twenty failures in a row would be one.
const ATTEMPTS: usize = 6;
const NONCES: usize = 100_000;

/// A request as it came: its `Authorization`, and its body.
type Recorded = (String, Vec<u8>);

/// Another side that writes down what comes, and is out of service. Runs until the tests end.
fn recorder() -> (String, Arc<Mutex<Vec<Recorded>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let recorded: Arc<Mutex<Vec<Recorded>>> = Arc::default();
    let kept = recorded.clone();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut reader = BufReader::new(stream.try_clone().unwrap());
            let (mut authorization, mut length, mut line) = (String::new(), 0, String::new());
            while reader.read_line(&mut line).is_ok_and(|read| read > 2) {
                let (name, value) = line.trim().split_once(": ").unwrap_or_default();
                match name.to_ascii_lowercase().as_str() {
                    "authorization" => value.clone_into(&mut authorization),
                    "content-length" => length = value.parse().unwrap(),
                    _ => {}
                }
                line.clear();
            }
            let mut body = vec![0; length];
            reader.read_exact(&mut body).unwrap();
            kept.lock().unwrap().push((authorization, body));
            let answer = "HTTP/1.1 503 Away\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
            let _ = stream.write_all(answer.as_bytes());
        }
    });
    (address, recorded)
}

/// Seen to fail with nonces made of the time.
#[rstest]
fn o15_each_attempt_has_a_nonce_and_a_time_of_its_own_and_the_hash_of_its_body(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let (address, recorded) = recorder();
    let shop = Shop::open_with(backend, &json!({ "base_url": address }), |_| {});
    let cards = Vec::from_iter((0..CARDS).map(|card| format!("card-{card}")));
    let told = |card: &String| {
        shop.new_card(card);
        shop.sandbox.refresh(card, Refresh::Nothing).unwrap()
    };
    let bodies = Vec::from_iter(cards.iter().map(told));
    shop.app.deliver(&Shop::together(&bodies));
    let (mut nonces, mut looked_at) = (HashSet::new(), 0);
    for attempt in 1..=ATTEMPTS {
        wait_until("all are attempted", || {
            let attempts = |card: &String| shop.job(card, "cryptogram").attempts as usize;
            cards.iter().all(|card| attempts(card) >= attempt)
        });
        shop.settle();
        let all = recorded.lock().unwrap();
        for (authorization, body) in &all[looked_at..] {
            let header = parse_header(authorization).expect("an OAuth header");
            assert_eq!(header["oauth_body_hash"], body_hash(body));
            let seconds = (shop.now() / 1000).to_string();
            assert_eq!(header["oauth_timestamp"], seconds, "attempt {attempt}");
            assert!(
                nonces.insert(header["oauth_nonce"].clone()),
                "a nonce again"
            );
        }
        looked_at = all.len();
        drop(all);
        shop.advance(LONGEST_WAIT);
    }
    let signed = nonces.len();
    nonces.extend((0..NONCES).map(|_| nonce().unwrap()));
    assert_eq!(nonces.len(), signed + NONCES, "a nonce again");
    println!("O-15 on {backend:?}: {signed} attempts signed anew, 0 of {NONCES} nonces repeated");
}

/// A process of its own, for what it logs. Seen to fail without the longest wait (`retry_after`).
#[rstest]
fn o16_a_wait_of_thirty_years_is_an_hour_and_is_told(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
    #[values("1000000000", "Sat, 01 Jan 2056 00:00:00 GMT")] asked: &str,
) {
    const TOLD: &str = "asks for a wait of an hour or more";
    let database = TestDatabase::new(backend);
    let sandbox = sandbox(Clock::system(), |_| {});
    let serve = serve(&database, &sandbox, "");
    let waits_for = [("60", 60_000, 61_000), (asked, HOUR, HOUR)];
    for (number, (asked, least, most)) in waits_for.into_iter().enumerate() {
        let fault = Fault::Error {
            status: 429,
            shape: ErrorShape::Service { detail: None },
            retry_after: Some(asked.to_owned()),
        };
        sandbox.set_fault(Operation::Checkout, Some(fault));
        let id = Some(format!("card-{number}"));
        let card = sandbox.create_card(NewCard {
            id,
            ..NewCard::default()
        });
        let body = sandbox
            .refresh(&card.unwrap().id, Refresh::Nothing)
            .unwrap();
        let begun = Clock::system().now();
        assert_eq!(
            Client::new().post(&serve.url, &body.to_string()).status,
            204
        );
        let waiting =
            "SELECT count(*) AS number FROM outbox WHERE state = 'waiting' AND attempts = 1";
        wait_until("it waits", || database.number(waiting) == number as i64 + 1);
        let until = database.number("SELECT max(next_at) AS number FROM outbox");
        let (waits, took) = (until - begun, Clock::system().now() - begun);
        assert!((least..=most + took).contains(&waits), "{asked}: {waits}");
        std::thread::sleep(Duration::from_millis(100));
        assert_eq!(serve.logged(TOLD).len(), number, "{asked}");
    }
    println!("O-16 on {backend:?}: asked to wait until {asked}, one hour is waited, told once");
}
