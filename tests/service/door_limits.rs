//! What a slow or endless sender costs: its connection, in time, and nothing else.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use rstest::rstest;
use tokenkeep::settings::{Overrides, Settings};

use crate::support::build::{CARD, plain, status};
use crate::support::raw::{Connection, head, post};
use crate::support::serve::Serve;
use crate::support::{App, Backend, START, TestDatabase};

const PATH: &str = "/notifications/card";
const JSON: &str = "Host: test\r\nContent-Type: application/json\r\n";

fn chunked() -> String {
    format!("POST {PATH} HTTP/1.1\r\n{JSON}Transfer-Encoding: chunked\r\n\r\n")
}

fn body() -> String {
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

#[rstest]
#[case::silence_after_the_head(head(PATH, 1000), b"", 60_000)]
#[case::silence_after_a_head_of_chunks(chunked(), b"", 60_000)]
#[case::silence_after_half_of_the_body(head(PATH, 20) + "{\"digital", b"", 60_000)]
#[case::a_byte_at_a_time(head(PATH, 1000), b" ", 100)]
#[case::a_chunk_of_one_byte_at_a_time(chunked(), b"1\r\n \r\n", 100)]
#[case::an_endless_chunk_size(chunked(), b"0", 100)]
#[case::sixty_four_bytes_just_before_the_deadline(head(PATH, 1000), &[b' '; 64], 900)]
fn w05_a_slow_body_is_answered_408_and_its_connection_closed_a_second_after_the_deadline(
    #[case] start: String,
    #[case] piece: &'static [u8],
    #[case] every: u64,
) {
    let app = impatient();
    let mut slow = Connection::open(app.public());
    let begun = Instant::now();
    slow.send(&start);
    if !piece.is_empty() {
        slow.drip(piece, Duration::from_millis(every));
    }
    // Others are served meanwhile.
    assert_eq!(post(app.public(), body().as_bytes()).status, 204);
    let reply = slow.reply().expect("an answer");
    let answered = begun.elapsed();
    // Endless digits of a chunk's size may be refused before the deadline.
    let is_early = reply.status == 400 && start.contains("chunked");
    if !is_early {
        assert_eq!((reply.status, &*reply.code()), (408, "body-timeout"));
        assert!(answered >= Duration::from_millis(950), "{answered:?}");
    }
    let left = Duration::from_secs(2).saturating_sub(begun.elapsed());
    assert!(slow.closes_within(left), "answered after {answered:?}");
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
    assert_eq!(connection.reply().expect("an answer").status, status);
    assert!(connection.closes_within(Duration::from_secs(2)));
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

/// Begins to send chunks of 64 KB without end.
fn send_endlessly(serve: &Serve) -> Connection {
    let chunk = format!("10000\r\n{}\r\n", " ".repeat(65_536)).into_bytes();
    let mut connection = Connection::open(serve.address());
    connection.send(chunked());
    connection.drip(chunk.leak(), Duration::ZERO);
    connection
}

#[test]
fn w07_endless_chunks_are_refused_at_the_limit_and_their_connections_cut() {
    let database = TestDatabase::new(Backend::Sqlite);
    let serve = Serve::start(&database);
    let begun = Instant::now();
    let mut endless: Vec<_> = (0..3).map(|_| send_endlessly(&serve)).collect();
    for connection in &mut endless {
        let reply = connection.reply().expect("an answer");
        assert_eq!((reply.status, &*reply.code()), (413, "body-too-large"));
        assert!(begun.elapsed() < Duration::from_secs(2));
    }
    let open = endless
        .iter_mut()
        .filter_map(|connection| (!connection.closes_within(Duration::from_secs(1))).then_some(()));
    assert_eq!(open.count(), 0, "connections are still open");
    assert_eq!(post(serve.address(), body().as_bytes()).status, 204);
}

/// Starts a service and lets it take full bodies: what they bring into memory is no growth.
fn warm(database: &TestDatabase) -> (Serve, u64) {
    let serve = Serve::start(database);
    let full = format!("{}{}", body(), " ".repeat((1 << 20) - body().len()));
    for _ in 0..3 {
        assert_eq!(post(serve.address(), full.as_bytes()).status, 204);
    }
    let too_much = post(serve.address(), format!("{full} ").as_bytes());
    assert_eq!(too_much.code(), "body-too-large");
    let memory = serve.memory("VmRSS");
    (serve, memory)
}

#[test]
fn w07_announced_lengths_above_the_limit_are_refused_at_once_and_cost_under_16_megabytes() {
    let database = TestDatabase::new(Backend::Sqlite);
    let (mut serve, before) = warm(&database);
    let lengths = [(1 << 20) + 1, 10_000_000_000, usize::MAX];
    let mut announced: Vec<_> = (0..100)
        .map(|number| {
            let mut connection = Connection::open(serve.address());
            let begun = Instant::now();
            connection.send(head(PATH, lengths[number % 3]));
            let reply = connection.reply().expect("an answer");
            assert_eq!((reply.status, &*reply.code()), (413, "body-too-large"));
            assert!(begun.elapsed() < Duration::from_millis(500));
            connection.send([b' '; 65_536]);
            connection
        })
        .collect();
    for connection in &mut announced {
        assert!(connection.closes_within(Duration::from_secs(2)));
    }
    let growth = serve.memory("VmHWM").saturating_sub(before);
    assert!(growth < 16 << 20, "{growth} bytes more");
    assert!(serve.is_running());
    assert_eq!(database.deliveries(), 3);
}

#[test]
fn w07_a_hundred_endless_bodies_at_once_are_refused_and_cost_under_16_megabytes() {
    let database = TestDatabase::new(Backend::Sqlite);
    let (mut serve, before) = warm(&database);
    let mut endless: Vec<_> = (0..100).map(|_| send_endlessly(&serve)).collect();
    for connection in &mut endless {
        let status = connection.reply().expect("an answer").status;
        assert!([408, 413].contains(&status), "{status}");
    }
    let growth = serve.memory("VmHWM").saturating_sub(before);
    println!("100 endless bodies: {before} bytes of memory, then {growth} more at the highest");
    assert!(growth < 16 << 20, "{growth} bytes more");
    drop(endless);
    assert_eq!(post(serve.address(), body().as_bytes()).status, 204);
    assert!(serve.is_running());
}

#[test]
fn w07_of_an_endless_body_at_most_the_limit_and_64_kilobytes_are_read() {
    let app = App::spawn(Backend::Sqlite);
    let piece = format!("400\r\n{}\r\n", " ".repeat(1024)).into_bytes();
    let mut endless = Connection::open(app.public());
    endless.send(chunked());
    let sent = endless.pour(piece.leak());
    assert_eq!(endless.reply().expect("an answer").status, 413);
    // What is taken after the refusal counts as well, until the connection is cut.
    let mut read = None;
    while let Some(unread) = endless.unread() {
        read = Some(sent.load(Ordering::SeqCst).saturating_sub(unread));
        std::thread::sleep(Duration::from_millis(10));
    }
    let read = read.expect("the refusal came before the cut");
    println!("of an endless body {read} bytes were read");
    assert!(read <= (1 << 20) + 65_536, "{read} bytes");
}

#[test]
fn w07_twenty_bodies_of_the_full_size_at_once_are_all_kept() {
    let database = TestDatabase::new(Backend::Sqlite);
    let serve = Serve::start(&database);
    let full = format!("{}{}", body(), " ".repeat((1 << 20) - body().len()));
    let begun = Instant::now();
    std::thread::scope(|scope| {
        let post = || post(serve.address(), full.as_bytes());
        let posting: Vec<_> = (0..20).map(|_| scope.spawn(post)).collect();
        for reply in posting {
            assert_eq!(reply.join().unwrap().status, 204);
        }
    });
    println!("20 bodies of 1 MiB were kept in {:.1?}", begun.elapsed());
    assert_eq!(database.deliveries(), 20);
}
