//! Wrong API keys: guessing is slowed down, whoever has a key passes, and time tells nothing.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use rstest::rstest;
use tokenkeep::api::access::AccessRole;

use crate::support::build::{plain, status};
use crate::support::raw::{Connection, post};
use crate::support::{App, Backend, START, SetOnDrop, is_full};

fn request(key: &str) -> String {
    format!("GET /v1/outbox?limit=1 HTTP/1.1\r\nHost: test\r\nAuthorization: Bearer {key}\r\n\r\n")
}

/// How many were told what.
#[derive(Default)]
struct Told {
    unknown: AtomicUsize,
    wait: AtomicUsize,
}

/// Tries so many wrong keys on one connection.
fn guess(app: &App, count: usize, told: &Told) {
    let mut connection = Connection::open(app.service().api);
    for number in 0..count {
        assert!(connection.send(request(&format!("tk_ops_{number:043}"))));
        let reply = connection.reply().expect("an answer");
        match reply.status {
            401 => told.unknown.fetch_add(1, Ordering::SeqCst),
            429 => {
                let wait: u32 = reply.header("retry-after").unwrap().parse().unwrap();
                assert!((1..=60).contains(&wait));
                assert_eq!(reply.code(), "too-many-failures");
                told.wait.fetch_add(1, Ordering::SeqCst)
            }
            other => panic!("{other}"),
        };
    }
}

/// Goes on with honest requests until told to end; returns how many there were.
fn honest(app: &App, key: &str, end: &AtomicBool) -> (usize, usize) {
    let (mut asked, mut sent) = (0, 0);
    let mut connection = Connection::open(app.service().api);
    while !end.load(Ordering::SeqCst) {
        assert!(connection.send(request(key)));
        assert_eq!(connection.reply().expect("an answer").status, 200);
        asked += 1;
        let body = plain(&[status(&format!("honest-{sent}"), Some(START), "ACTIVE")]);
        assert_eq!(post(app.public(), body.to_string().as_bytes()).status, 204);
        sent += 1;
        std::thread::sleep(Duration::from_millis(20));
    }
    (asked, sent)
}

#[rstest]
fn w22_guessed_keys_are_told_to_wait_and_honest_requests_from_the_same_address_all_pass(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let app = App::spawn(backend);
    let key = app.new_key(AccessRole::Ops, "honest");
    let share = if is_full() { 2_500 } else { 250 };
    let (told, end) = (Told::default(), AtomicBool::new(false));
    let (asked, sent) = std::thread::scope(|scope| {
        let ending = SetOnDrop(&end);
        let honest = scope.spawn(|| honest(&app, &key, &end));
        let guessing: Vec<_> = (0..4)
            .map(|_| scope.spawn(|| guess(&app, share, &told)))
            .collect();
        guessing.into_iter().for_each(|it| it.join().unwrap());
        drop(ending);
        honest.join().unwrap()
    });
    let [unknown, wait] = [&told.unknown, &told.wait].map(|count| count.load(Ordering::SeqCst));
    println!(
        "W-22 {backend:?}: of {} wrong keys {unknown} were told 401 and {wait} 429; {asked} right keys \
         and {sent} notifications all passed",
        4 * share
    );
    // A minute may have ended in between, but not many.
    assert!((100..=1_000).contains(&unknown) && unknown + wait == 4 * share);
    assert!(wait > share && asked > 0);
}

/// Welch's t of two samples.
fn t_of(first: &[f64], second: &[f64]) -> f64 {
    let moments = |sample: &[f64]| {
        let count = sample.len() as f64;
        let mean = sample.iter().sum::<f64>() / count;
        let squares = sample.iter().map(|x| (x - mean).powi(2)).sum::<f64>();
        (mean, squares / (count - 1.0) / count)
    };
    let ((mean_1, error_1), (mean_2, error_2)) = (moments(first), moments(second));
    (mean_1 - mean_2) / (error_1 + error_2).sqrt()
}

/// Welch's t of the times of two kinds of wrong requests, asked in turn.
fn compared(app: &App, wrong: &[String; 2], count: usize) -> f64 {
    let mut times = [Vec::new(), Vec::new()];
    let mut connection = Connection::open(app.service().api);
    for number in 0..2 * count + 200 {
        let which = number % 2;
        let begun = Instant::now();
        assert!(connection.send(&wrong[which]));
        assert!(connection.reply().expect("an answer").status >= 401);
        // The first ones warm it up, and use up the failures that are free.
        if number >= 200 {
            times[which].push(begun.elapsed().as_secs_f64());
        }
    }
    // What the machine does besides makes some slower by a hundred times: the slowest tenth tells
    // nothing of the keys.
    for sample in &mut times {
        sample.sort_by(f64::total_cmp);
        sample.truncate(count * 9 / 10);
    }
    t_of(&times[0], &times[1]).abs()
}

#[test]
fn w21_the_time_of_a_refusal_does_not_tell_where_a_key_is_wrong() {
    let app = App::spawn(Backend::Sqlite);
    let key = app.new_key(AccessRole::Ops, "mine");
    let (head, last) = key.split_at(key.len() - 1);
    let wrong = [
        request(&format!("x{}", &key[1..])),
        request(&format!("{head}{}", if last == "A" { "B" } else { "A" })),
    ];
    let count = if is_full() { 5_000 } else { 500 };
    // What the machine does besides may fall on one kind by chance, but not three times.
    let mut tries = Vec::new();
    while tries.len() < 3 && tries.last().is_none_or(|t| *t >= 4.5) {
        tries.push(compared(&app, &wrong, count));
    }
    println!("W-21 {count} interleaved timings of each kind: |t| = {tries:.2?}");
    assert!(tries.iter().any(|t| *t < 4.5));
}
