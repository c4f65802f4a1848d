//! What a slow sender costs: its connection, in time, and nothing else.

use std::time::{Duration, Instant};

use rstest::rstest;
use tokenkeep::settings::{Overrides, Settings};

use crate::support::build::{CARD, plain, status};
use crate::support::raw::{Connection, head, post};
use crate::support::{App, Backend, START, is_full, slack};

pub const PATH: &str = "/notifications/card";
const JSON: &str = "Host: test\r\nContent-Type: application/json\r\n";

pub fn chunked() -> String {
    format!("POST {PATH} HTTP/1.1\r\n{JSON}Transfer-Encoding: chunked\r\n\r\n")
}

pub fn body() -> String {
    plain(&[status(CARD, Some(START), "ACTIVE")]).to_string()
}

/// A service whose bodies must arrive in one second.
pub fn impatient() -> App {
    let variable = ("TOKENKEEP_RECEIVER__BODY_DEADLINE", "1");
    let variable = (variable.0.to_owned(), variable.1.to_owned());
    let impatient = Settings::load(&Overrides::default(), [variable]).unwrap();
    App::spawn_with(Backend::Sqlite, |settings| {
        settings.receiver = impatient.receiver;
    })
}

/// What is sent at once, and what again and again after so many milliseconds.
type SlowBody = (&'static str, String, &'static [u8], u64);

/// Returns the answer and after how long the connection was closed.
fn send_slowly(app: &App, (case, start, piece, every): &SlowBody, most: Duration) -> Duration {
    let mut slow = Connection::open(app.public());
    let begun = Instant::now();
    slow.send(start);
    if !piece.is_empty() {
        slow.drip(piece, Duration::from_millis(*every));
    }
    let reply = slow.reply().expect("an answer");
    let answered = begun.elapsed();
    // Endless digits of a chunk's size may be refused before the deadline.
    let is_early = reply.status == 400 && *case == "an endless chunk size";
    if !is_early {
        let found = (reply.status, reply.code());
        assert_eq!(found, (408, "body-timeout".to_owned()), "{case}");
        let least = most - Duration::from_millis(1_050);
        assert!(answered >= least, "{case}: {answered:?}");
    }
    let left = (most + slack()).saturating_sub(begun.elapsed());
    assert!(
        slow.closes_within(left),
        "{case}: answered after {answered:?}"
    );
    begun.elapsed()
}

#[test]
fn w05_a_slow_body_is_answered_408_and_its_connection_closed_a_second_after_the_deadline() {
    // The default in full; else a tenth of all.
    let (app, tenths) = match is_full() {
        true => (App::spawn(Backend::Sqlite), 10),
        false => (impatient(), 1),
    };
    let most = Duration::from_secs(tenths + 1);
    let sixty_four = b" ".repeat(64).leak();
    let cases: Vec<SlowBody> = vec![
        ("silence after the head", head(PATH, 1000), b"", 0),
        ("silence after a head of chunks", chunked(), b"", 0),
        (
            "silence after half of the body",
            head(PATH, 20) + "{\"digital",
            b"",
            0,
        ),
        ("a byte at a time", head(PATH, 1000), b" ", 100 * tenths),
        (
            "a chunk of one byte at a time",
            chunked(),
            b"1\r\n \r\n",
            100 * tenths,
        ),
        ("an endless chunk size", chunked(), b"0", 100 * tenths),
        (
            "64 bytes just before the deadline",
            head(PATH, 1000),
            sixty_four,
            900 * tenths,
        ),
    ];
    let (app, most) = (&app, most);
    let times: Vec<Duration> = std::thread::scope(|scope| {
        let sending = cases
            .iter()
            .map(|case| scope.spawn(move || send_slowly(app, case, most)));
        let sending: Vec<_> = sending.collect();
        // Others are served meanwhile.
        assert_eq!(post(app.public(), body().as_bytes()).status, 204);
        sending.into_iter().map(|it| it.join().unwrap()).collect()
    });
    println!(
        "W-05 {} of {} slow bodies answered and closed, the last {:.2?} after its head (deadline {tenths} s)",
        times.len(),
        cases.len(),
        times.iter().max().unwrap()
    );
    assert_eq!(app.database.deliveries(), 1);
}

#[rstest]
#[case::media_type(chunked().replace("/json", "/xml"), 415)]
#[case::coding(chunked().replace("Host", "Content-Encoding: gzip\r\nHost"), 415)]
#[case::path(chunked().replace("/card", "/cards"), 404)]
#[case::method(chunked().replace("POST", "PUT"), 405)]
fn w05_chunks_that_nobody_wants_are_not_read_on_after_a_refusal(
    #[case] start: String,
    #[case] status: u16,
    #[values(b"", b"1\r\n \r\n")] piece: &'static [u8],
) {
    let app = App::spawn(Backend::Sqlite);
    let mut connection = Connection::open(app.public());
    connection.send(start);
    if !piece.is_empty() {
        connection.drip(piece, Duration::from_millis(100));
    }
    let begun = Instant::now();
    assert_eq!(connection.reply().expect("an answer").status, status);
    assert!(connection.closes_within(Duration::from_secs(2)));
    println!(
        "W-05 chunks after a refusal ({status}, {} bytes more): closed after {:.1?}",
        piece.len(),
        begun.elapsed()
    );
}

/// What is sent at once, what once that is answered, and what every second from then on.
type Slow = (&'static str, String, String, &'static [u8]);

/// Returns what of these is still open after 6 seconds.
fn still_open(app: &App, cases: Vec<Slow>) -> Vec<&'static str> {
    let watch = |(case, first, then, piece): Slow| {
        let mut connection = Connection::open(app.public());
        std::thread::spawn(move || {
            connection.send(&first);
            if first.ends_with('}') {
                assert_eq!(connection.reply().expect("an answer").status, 204);
            }
            connection.send(then);
            if !piece.is_empty() {
                connection.drip(piece, Duration::from_secs(1));
            }
            let is_closed = connection.closes_within(Duration::from_secs(6));
            (!is_closed).then_some(case)
        })
    };
    let watched: Vec<_> = cases.into_iter().map(watch).collect();
    let watched = watched.into_iter().map(|watched| watched.join().unwrap());
    watched.flatten().collect()
}

#[test]
fn w04_a_slow_head_and_an_idle_connection_are_closed_within_6_seconds() {
    let app = App::spawn(Backend::Sqlite);
    let none = String::new;
    let half = format!("POST {PATH} HTTP/1.1\r\n{JSON}");
    let good = format!("{}{}", head(PATH, body().len()), body());
    let cases: Vec<Slow> = vec![
        ("silence", none(), none(), b""),
        ("half a head", half.clone(), none(), b""),
        ("a head byte by byte", half.clone() + "X-A: ", none(), b"a"),
        ("empty lines", none(), none(), b"\r\n"),
        ("idle after an answer", good.clone(), none(), b""),
        ("half a second head", good.clone(), half.clone(), b""),
        (
            "a second head byte by byte",
            good.clone(),
            half.clone() + "X-A: ",
            b"a",
        ),
        ("empty lines after an answer", good.clone(), none(), b"\r\n"),
    ];
    let count = cases.len() + 1;
    // Half of the second head comes with the first request already.
    let mut together = Connection::open(app.public());
    together.send(good + &half);
    assert_eq!(together.reply().expect("an answer").status, 204);
    assert_eq!(still_open(&app, cases), [""; 0]);
    assert!(together.closes_within(Duration::from_millis(500)));
    println!("W-04 {count} of {count} slow heads and idle connections were closed within 6 s");
    assert_eq!(post(app.public(), body().as_bytes()).status, 204);
}

#[test]
fn w04_an_honest_sender_keeps_its_connection_however_long_each_request_takes() {
    let app = App::spawn(Backend::Sqlite);
    let mut kept = Connection::open(app.public());
    let body = body();
    // The pauses are each shorter than the time a head may take, and longer together.
    for pause in [0, 2_500, 2_500, 100] {
        std::thread::sleep(Duration::from_millis(pause));
        let head = head(PATH, body.len());
        let (first, second) = head.split_at(30);
        assert!(kept.send(first));
        std::thread::sleep(Duration::from_millis(300));
        assert!(kept.send(second));
        std::thread::sleep(Duration::from_millis(pause / 2));
        assert!(kept.send(&body));
        assert_eq!(kept.reply().expect("an answer").status, 204);
    }
    assert_eq!(app.database.deliveries(), 4);
}
