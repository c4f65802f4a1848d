//! W-36: a stop answers what was accepted, stores what it acknowledged, and does not take long.

use std::collections::BTreeSet;
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use rstest::rstest;
use tokenkeep::sandbox::{Fault, Operation};
use tokenkeep::telemetry::Clock;

use crate::support::build::{NUMBER_1, plain, refresh, status};
use crate::support::calls;
use crate::support::raw::{Connection, head};
use crate::support::serve::Serve;
use crate::support::sql::sql;
use crate::support::{
    App, Backend, Client, START, SetOnDrop, TestDatabase, is_full, slack, wait_until,
};

const SENDERS: usize = 8;
/// Answers a second when a stop comes, at least.
const LOAD: usize = 200;

/// How often it is stopped.
fn rounds() -> u32 {
    if is_full() { 20 } else { 5 }
}

fn body(card: &str) -> String {
    plain(&[status(card, Some(START), "ACTIVE")]).to_string()
}

/// Posts notifications of new cards until told to stop; returns the cards acknowledged.
fn send(url: &str, prefix: &str, stop: &AtomicBool, count: &AtomicUsize) -> Vec<String> {
    let client = Client::new();
    let mut acknowledged = Vec::new();
    for number in 0.. {
        if stop.load(Ordering::SeqCst) {
            break;
        }
        let card = format!("{prefix}-{number}");
        match client.try_post(url, &body(&card)) {
            Ok(answer) => {
                assert_eq!(answer.status, 204, "{answer:?}");
                acknowledged.push(card);
                count.fetch_add(1, Ordering::SeqCst);
            }
            // Nobody listens, or a connection that carried no request was closed.
            Err(_) => std::thread::sleep(Duration::from_millis(5)),
        }
    }
    acknowledged
}

/// Connections that are open and say nothing, half of them after a request.
fn idle_connections(address: SocketAddr) -> Vec<Connection> {
    let idle = (0..4).map(|number| {
        let mut connection = Connection::open(address);
        if number % 2 == 0 {
            connection.send("GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n");
            assert_eq!(connection.reply().unwrap().status, 200);
        }
        connection
    });
    idle.collect()
}

/// What came of the stops.
#[derive(Default)]
struct Stopped {
    acknowledged: BTreeSet<String>,
    slowest: Duration,
    /// Answers a second before a stop, where they were fewest.
    load: Option<usize>,
}

/// Waits until answers come as often as they are to come; returns how often, in a second.
fn wait_for_load(count: &AtomicUsize) -> usize {
    let (mut load, mut last, mut before) = (0, Instant::now(), 0);
    wait_until("200 answers a second come", || {
        if last.elapsed() < Duration::from_millis(200) {
            return false;
        }
        let answers = count.load(Ordering::SeqCst);
        load = ((answers - before) as f64 / last.elapsed().as_secs_f64()) as usize;
        (last, before) = (Instant::now(), answers);
        load >= LOAD
    });
    load
}

/// Sends over `SENDERS` connections while `stop_it` stops the service.
fn stop_under_load(url: &str, round: u32, stopped: &mut Stopped, stop_it: impl FnOnce()) {
    let address = url.strip_prefix("http://").unwrap();
    let address = address.split('/').next().unwrap().parse().unwrap();
    let _idle = idle_connections(address);
    let (stop, count) = (AtomicBool::new(false), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        let until_here = SetOnDrop(&stop);
        let senders: Vec<_> = (0..SENDERS)
            .map(|sender| {
                let (stop, count) = (&stop, &count);
                let prefix = format!("card-{round}-{sender}");
                scope.spawn(move || send(url, &prefix, stop, count))
            })
            .collect();
        let load = wait_for_load(&count);
        stopped.load = Some(stopped.load.map_or(load, |least| least.min(load)));
        // The stop falls at another moment each time, always with answers under way.
        std::thread::sleep(Duration::from_millis(7) * round);
        let begun = Instant::now();
        stop_it();
        stopped.slowest = stopped.slowest.max(begun.elapsed());
        drop(until_here);
        for sender in senders {
            stopped.acknowledged.extend(sender.join().unwrap());
        }
    });
    assert!(stopped.slowest <= Duration::from_secs(10) + slack());
}

impl Stopped {
    /// Tells what came of it, and checks that what was acknowledged is what is stored.
    fn tell(&self, how: &str, database: &TestDatabase) {
        let kept = kept(database);
        println!(
            "W-36 {how}: {} times under {} requests a second at least: {} acknowledged, {} lost, {} stored \
             without an answer; the slowest exit took {:.1?}",
            rounds(),
            self.load.unwrap_or_default(),
            self.acknowledged.len(),
            self.acknowledged.difference(&kept).count(),
            kept.difference(&self.acknowledged).count(),
            self.slowest,
        );
        assert_eq!(kept, self.acknowledged);
    }
}

fn kept(database: &TestDatabase) -> BTreeSet<String> {
    let cards = sql(database).texts("SELECT card_id AS text FROM notifications");
    let kept: BTreeSet<String> = cards.iter().cloned().collect();
    assert_eq!(kept.len(), cards.len(), "each was sent once");
    kept
}

#[rstest]
fn w36_a_stop_under_load_answers_all_it_stored_and_stores_all_it_acknowledged(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let mut app = App::spawn(backend);
    let mut stopped = Stopped::default();
    for round in 0..rounds() {
        let url = app.receiver_url();
        stop_under_load(&url, round, &mut stopped, || app.stop());
        app.start();
    }
    app.settle();
    stopped.tell(&format!("{backend:?} stop"), &app.database);
}

#[rstest]
fn w36_sigterm_under_load_answers_all_it_stored_and_stores_all_it_acknowledged(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let database = TestDatabase::new(backend);
    let mut stopped = Stopped::default();
    for round in 0..rounds() {
        let mut serve = Serve::start(&database);
        let url = serve.url.clone();
        stop_under_load(&url, round, &mut stopped, || {
            let (status, _) = serve.terminate();
            assert_eq!(status.code(), Some(0));
        });
    }
    let _serve = Serve::start(&database);
    wait_until("all is decided", || sql(&database).is_settled());
    stopped.tell(&format!("{backend:?} SIGTERM"), &database);
}

#[rstest]
fn w36_a_request_whose_body_is_under_way_when_the_stop_comes_is_kept_and_answered(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let mut app = App::spawn(backend);
    let body = body("card");
    let request = head("/notifications/card", body.len()) + &body;
    let (first, rest) = request.split_at(request.len() - 10);
    let public = app.service().public.unwrap();
    let mut connection = Connection::open(public);
    connection.send("GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert_eq!(connection.reply().unwrap().status, 200);
    connection.send(first);
    // Others that came later are answered: the first part has arrived.
    for _ in 0..8 {
        drop(idle_connections(public));
    }
    std::thread::scope(|scope| {
        let stopping = scope.spawn(|| app.stop_at_once());
        wait_until("nobody listens any more", || {
            TcpStream::connect(public).is_err()
        });
        assert!(!stopping.is_finished());
        connection.send(rest);
        assert_eq!(connection.reply().expect("an answer").status, 204);
        stopping.join().unwrap();
    });
    app.start();
    app.settle();
    let verdicts = app.verdicts("card");
    println!("W-36 {backend:?} a body under way at the stop: 204, {verdicts:?}");
    assert_eq!(verdicts, ["applied"]);
}

#[rstest]
fn w36_requests_that_wait_for_a_commit_when_the_stop_comes_are_answered_after_it(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let mut app = App::spawn_with(backend, |settings| {
        settings.receiver.queue = 8;
        settings.receiver.commit_batch = 2;
    });
    let held = sql(&app.database).hold("deliveries");
    let (url, public) = (app.receiver_url(), app.service().public.unwrap());
    let refused = AtomicUsize::new(0);
    let post = |number: usize| {
        let body = body(&format!("card-{number}"));
        // A connection that was not looked at yet may close without an answer.
        let answer = Client::new().try_post(&url, &body);
        let status = answer.map_or(0, |answer| answer.status);
        refused.fetch_add(usize::from(status == 503), Ordering::SeqCst);
        status
    };
    let post = &post;
    let kept = std::thread::scope(|scope| {
        let waiting: Vec<_> = (0..16)
            .map(|number| scope.spawn(move || post(number)))
            .collect();
        wait_until("the queue is full", || refused.load(Ordering::SeqCst) > 0);
        let stopping = scope.spawn(|| app.stop_at_once());
        wait_until("nobody listens any more", || {
            TcpStream::connect(public).is_err()
        });
        drop(held);
        let answers: Vec<u16> = waiting.into_iter().map(|it| it.join().unwrap()).collect();
        stopping.join().unwrap();
        answers.iter().filter(|status| **status == 204).count()
    });
    assert!(kept >= 8, "{kept} were kept");
    // Whoever was stored was told.
    let stored = sql(&app.database).count("deliveries");
    println!(
        "W-36 {backend:?} waiting for a commit at the stop: {kept} answered 204, {stored} stored"
    );
    assert_eq!(stored, kept);
}

#[rstest]
fn w36_sigterm_while_a_call_hangs_hands_its_lease_back(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let database = TestDatabase::new(backend);
    let sandbox = calls::sandbox(Clock::system(), |_| {});
    sandbox.set_fault(Operation::Checkout, Some(Fault::Hang));
    let mut serve = calls::serve(&database, &sandbox, "timeout = 30");
    let mut item = refresh("card", START, NUMBER_1, ("12", "2031"));
    item["maskedCard"]["serviceId"] = calls::SERVICE.into();
    let kept = Client::new().post(&serve.url, &plain(&[item]).to_string());
    assert_eq!(kept.status, 204);
    wait_until("the call hangs", || {
        sandbox.count(Operation::Checkout, None) > 0
    });
    let leases = |of: &str| {
        let query = format!("SELECT count(*) AS number FROM outbox WHERE state = '{of}'");
        database.number(&query)
    };
    assert_eq!(leases("running"), 1);
    let (status, time) = serve.terminate();
    assert_eq!(status.code(), Some(0));
    let (left, waiting) = (leases("running"), leases("waiting"));
    println!(
        "W-36 {backend:?} SIGTERM while a call hangs: exit after {time:.1?}, {left} leases left"
    );
    assert!(time <= Duration::from_secs(10), "{time:?}");
    assert_eq!((left, waiting), (0, 1));
}
