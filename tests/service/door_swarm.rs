//! Crowds: a thousand slow senders, and more connections than the process may have open.

use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::door_budget::{percentile, post_at_a_pace};
use crate::support::build::{plain, status};
use crate::support::raw::{Connection, head};
use crate::support::serve::Serve;
use crate::support::{Backend, START, SetOnDrop, TestDatabase, is_full, slack};

const PATH: &str = "/notifications/card";
const SLOW: usize = 1_000;
/// Connections to the database are opened as they are needed; each has a few descriptors.
const POOLED: usize = 24;

fn body(card: &str) -> String {
    plain(&[status(card, Some(START), "ACTIVE")]).to_string()
}

/// One that takes its time: what it says first, what then, and after how many seconds each time.
struct Slow {
    connection: Connection,
    piece: &'static [u8],
    every: u64,
}

impl Slow {
    fn open(address: SocketAddr, number: usize) -> Self {
        let chunked = head(PATH, 0).replace("Content-Length: 0", "Transfer-Encoding: chunked");
        let (start, piece, every): (String, &'static [u8], u64) = match number % 4 {
            0 => (head(PATH, 1_000), b"", 1),
            1 => (head(PATH, 1_000), b" ", 1),
            2 => (chunked, b"1\r\n \r\n", 1),
            _ => (head(PATH, 1_000), &[b' '; 64], 9),
        };
        let mut connection = Connection::open(address);
        connection.send(start);
        Self {
            connection,
            piece,
            every,
        }
    }
}

/// Holds a thousand of them; whoever is cut comes again. Returns how often that happened.
fn swarm(address: SocketAddr, end: &AtomicBool) -> usize {
    let mut slow: Vec<_> = (0..SLOW)
        .map(|number| Slow::open(address, number))
        .collect();
    let mut cut = 0;
    for second in 1.. {
        let begun = Instant::now();
        for (number, one) in slow.iter_mut().enumerate() {
            if end.load(Ordering::SeqCst) {
                return cut;
            }
            let is_due = second % one.every == 0;
            let is_cut = one.connection.is_closed() || (is_due && !one.connection.send(one.piece));
            if is_cut {
                *one = Slow::open(address, number);
                cut += 1;
            }
        }
        std::thread::sleep(Duration::from_secs(1).saturating_sub(begun.elapsed()));
    }
    cut
}

#[test]
fn w06_among_a_thousand_slow_senders_every_honest_notification_is_acknowledged_in_time() {
    let database = TestDatabase::new(Backend::Sqlite);
    let (seconds, deadline) = if is_full() { (60, "10") } else { (8, "3") };
    let serve = Serve::start_with(
        &database,
        &[("TOKENKEEP_RECEIVER__BODY_DEADLINE", deadline)],
    );
    let bodies = |count: usize| {
        (0..count)
            .map(|number| body(&format!("honest-{number}")))
            .collect()
    };
    // The database's own descriptors are opened with the first requests.
    post_at_a_pace(serve.address(), bodies(20), 20, 1);
    std::thread::sleep(Duration::from_millis(500));
    let before = serve.descriptors();
    let end = AtomicBool::new(false);
    let (cut, times, most) = std::thread::scope(|scope| {
        let ending = SetOnDrop(&end);
        let swarm = scope.spawn(|| swarm(serve.address(), &end));
        std::thread::sleep(Duration::from_secs(1));
        let most = scope.spawn(|| {
            let mut most = 0;
            while !end.load(Ordering::SeqCst) {
                most = most.max(serve.descriptors());
                std::thread::sleep(Duration::from_millis(100));
            }
            most
        });
        let times = post_at_a_pace(serve.address(), bodies(50 * seconds), 50, 5);
        drop(ending);
        (swarm.join().unwrap(), times, most.join().unwrap())
    });
    let begun = Instant::now();
    while serve.descriptors() > before + POOLED
        && begun.elapsed() < Duration::from_secs(15) + slack()
    {
        std::thread::sleep(Duration::from_millis(50));
    }
    let p99 = percentile(&times, 99);
    println!(
        "W-06 {} of {} acknowledged among {SLOW} slow senders ({cut} cut), p99 {p99:.1?}; {most} \
         descriptors, after {:.1?} {} as before",
        times.len(),
        50 * seconds,
        begun.elapsed(),
        serve.descriptors(),
    );
    assert!(most > SLOW / 2, "the slow ones were not held");
    assert!(cut > 0, "no slow one was cut");
    // The bound is for a machine that does nothing else.
    let factor = if is_full() { 1 } else { 6 };
    assert!(p99 <= factor * Duration::from_millis(500), "{p99:?}");
    assert!(
        serve.descriptors() <= before + POOLED,
        "{} descriptors",
        serve.descriptors()
    );
}

#[test]
fn w37_without_free_descriptors_the_process_neither_ends_nor_spins_and_recovers() {
    let database = TestDatabase::new(Backend::Sqlite);
    let mut serve = Serve::start_with_descriptors(&database, 256);
    post_at_a_pace(serve.address(), vec![body("before")], 1, 1);
    let held_for = Duration::from_secs(if is_full() { 30 } else { 5 });
    let address = serve.address();
    let connect = |_| TcpStream::connect_timeout(&address, Duration::from_millis(200)).ok();
    let mut held: Vec<_> = (0..1_000).filter_map(connect).collect();
    let (begun, used) = (Instant::now(), serve.processor_time());
    let mut most = 0;
    while begun.elapsed() < held_for {
        most = most.max(serve.descriptors());
        // Those that the head's deadline has cut come again.
        held.extend((0..20).filter_map(connect));
        std::thread::sleep(Duration::from_millis(200));
    }
    let (time, used) = (begun.elapsed(), serve.processor_time() - used);
    let share = used.as_secs_f64() / time.as_secs_f64() * 100.0;
    let connected = held.len();
    drop(held);
    let begun = Instant::now();
    let good = head(PATH, body("after").len()) + &body("after");
    let is_kept = || {
        let mut connection = Connection::open(address);
        connection.send(&good);
        let reply =
            connection.reply_within(Duration::from_millis(if is_full() { 500 } else { 3_000 }));
        reply.is_some_and(|reply| reply.status == 204)
    };
    while !is_kept() && begun.elapsed() < Duration::from_secs(6) + slack() {}
    println!(
        "W-37 {connected} connections for {time:.0?}, {most} of 256 descriptors, {share:.0}% of a core, \
         recovered after {:.1?}",
        begun.elapsed()
    );
    assert!(serve.is_running());
    assert!(most >= 240, "descriptors were left: {most}");
    assert!(share < 50.0, "{share}% of a core");
    assert!(begun.elapsed() <= Duration::from_secs(5) + slack());
}
