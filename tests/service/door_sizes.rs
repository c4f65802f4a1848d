//! What an endless or oversized body costs: it is read to the limit at most, and never held in memory.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crate::door_budget::percentile;
use crate::door_limits::{PATH, body, chunked};
use crate::support::raw::{Connection, head, post};
use crate::support::serve::Serve;
use crate::support::{App, Backend, TestDatabase, slack};

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
        assert!(begun.elapsed() < Duration::from_secs(2) + slack());
    }
    let open = endless
        .iter_mut()
        .filter_map(|connection| (!connection.closes_within(Duration::from_secs(1))).then_some(()));
    let open = open.count();
    println!(
        "W-07 3 endless bodies: 3 answered 413, {open} still open after {:.1?}",
        begun.elapsed()
    );
    assert_eq!(open, 0, "connections are still open");
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
    let mut times = Vec::new();
    let mut announced: Vec<_> = (0..100)
        .map(|number| {
            let mut connection = Connection::open(serve.address());
            let begun = Instant::now();
            connection.send(head(PATH, lengths[number % 3]));
            let reply = connection.reply().expect("an answer");
            assert_eq!((reply.status, &*reply.code()), (413, "body-too-large"));
            times.push(begun.elapsed());
            connection.send([b' '; 65_536]);
            connection
        })
        .collect();
    // Each at once; one or the other may have had to wait for a core, but none for the body's deadline.
    let [most, slowest] = [90, 100].map(|hundredth| percentile(&times, hundredth));
    let at_once = Duration::from_millis(500);
    assert!(most < at_once, "{most:?}");
    assert!(slowest < at_once + slack(), "{slowest:?}");
    for connection in &mut announced {
        assert!(connection.closes_within(Duration::from_secs(2) + slack()));
    }
    let growth = serve.memory("VmHWM").saturating_sub(before);
    println!(
        "W-07 {} announced lengths above the limit: 413 and closed, {growth} bytes of memory more",
        announced.len()
    );
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
    println!(
        "W-07 {} endless bodies at once: {before} bytes of memory, then {growth} more at the highest",
        endless.len()
    );
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
    // What is taken after the refusal counts as well, until the connection is cut. The two ends are
    // not looked at in one moment: only what two looks agree on is believed.
    let (mut looked, mut read) = (None, None);
    while let Some(unread) = endless.unread() {
        let look = Some((sent.load(Ordering::SeqCst), unread));
        if look == looked {
            read = look.map(|(sent, unread)| sent.saturating_sub(unread));
        }
        looked = look;
        std::thread::sleep(Duration::from_millis(10));
    }
    let read = read.expect("the refusal came before the cut");
    println!("W-07 of an endless body {read} bytes were read");
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
    println!(
        "W-07 20 bodies of 1 MiB were kept in {:.1?}",
        begun.elapsed()
    );
    assert_eq!(database.deliveries(), 20);
}
