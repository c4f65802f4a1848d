//! The receiver when storage is slow, fails or is cut off: commits are shared, and no 204 goes out
//! without one.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use rstest::rstest;
use tokenkeep::settings::Role;

use crate::support::build::{plain, status};
use crate::support::sql::sql;
use crate::support::{Answer, App, Backend, Client, START, slack, wait_until};

fn receiving(backend: Backend, queue: usize, batch: usize) -> App {
    App::spawn_with(backend, |settings| {
        settings.receiver.queue = queue;
        settings.receiver.commit_batch = batch;
        // Nothing but deliveries is written.
        settings.roles = vec![Role::Receive];
    })
}

fn body(number: usize) -> String {
    let item = status(&format!("card-{number}"), Some(START), "ACTIVE");
    plain(&[item]).to_string()
}

fn is_queue_full(answer: &Answer) -> bool {
    answer.status == 503 && answer.code() == "queue-full"
}

/// Posts from as many connections at once and lets `meanwhile` run. Who meets a full queue comes
/// again until it is kept; `meanwhile` is told how often that happened by then. Returns how each
/// was answered in the end.
fn post_at_once(app: &App, count: usize, meanwhile: impl FnOnce(&AtomicUsize)) -> Vec<Answer> {
    let url = app.receiver_url();
    let refused = AtomicUsize::new(0);
    let post = |number: usize| {
        let client = Client::new();
        loop {
            let answer = client.post(&url, &body(number));
            if !is_queue_full(&answer) {
                return answer;
            }
            assert_eq!(answer.retry_after.as_deref(), Some("1"));
            refused.fetch_add(1, Ordering::SeqCst);
            std::thread::sleep(Duration::from_millis(10));
        }
    };
    let post = &post;
    std::thread::scope(|scope| {
        let posting: Vec<_> = (0..count)
            .map(|number| scope.spawn(move || post(number)))
            .collect();
        meanwhile(&refused);
        let answers = posting.into_iter().map(|posting| posting.join().unwrap());
        answers.collect()
    })
}

fn assert_all_kept(app: &App, answers: &[Answer]) {
    for answer in answers {
        assert_eq!(answer.status, 204, "{answer:?}");
    }
    assert_eq!(sql(&app.database).count("deliveries"), answers.len());
}

#[rstest]
fn requests_that_wait_together_share_a_commit(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let app = receiving(backend, 32, 256);
    let held = sql(&app.database).hold("deliveries");
    let before = match backend {
        Backend::Sqlite => sql(&app.database).commits_of_deliveries(),
        Backend::Postgres => 0,
    };
    let answers = post_at_once(&app, 96, |refused| {
        // Full for good: a queue that is full for a moment is emptied by who stores it.
        wait_until("the queue is full", || {
            refused.load(Ordering::SeqCst) >= 500
        });
        drop(held);
    });
    assert_all_kept(&app, &answers);
    // One for what was at hand, one for the queue, and few for who came again.
    let commits = sql(&app.database).commits_of_deliveries() - before;
    assert!(commits <= 24, "{commits} commits for 96 deliveries");
}

#[rstest]
fn a_failing_storage_means_503_never_204_and_heals_without_a_restart(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let app = receiving(backend, 1_024, 256);
    sql(&app.database).refuse_inserts("deliveries", "NEW.source = '127.0.0.1'");
    for answer in post_at_once(&app, 8, |_| {}) {
        assert_eq!(answer.status, 503);
        assert_eq!(answer.code(), "storage-unavailable");
        assert_eq!(answer.retry_after.as_deref(), Some("1"));
    }
    assert_eq!(sql(&app.database).count("deliveries"), 0);
    sql(&app.database).accept_inserts("deliveries");
    assert_all_kept(&app, &post_at_once(&app, 8, |_| {}));
}

#[rstest]
fn d16_a_storage_that_stays_locked_means_503_never_204(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let app = receiving(backend, 1_024, 256);
    let held = sql(&app.database).hold("deliveries");
    let begun = Instant::now();
    let answer = app.client.post(&app.receiver_url(), &body(0));
    assert_eq!(answer.status, 503);
    assert_eq!(answer.code(), "storage-unavailable");
    assert!(begun.elapsed() < Duration::from_secs(5) + slack());
    drop(held);
    // The refused one may be stored after all: nobody was told so.
    let url = app.receiver_url();
    assert_eq!(app.client.post(&url, &body(1)).status, 204);
}

#[test]
fn d12_cut_connections_to_the_server_lose_nothing_that_got_204() {
    let app = receiving(Backend::Postgres, 1_024, 256);
    let mut acknowledged = 0;
    for number in 0..100 {
        if number % 10 == 5 {
            sql(&app.database).execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
                 WHERE datname = current_database() AND pid <> pg_backend_pid()",
            );
        }
        let answer = app.client.post(&app.receiver_url(), &body(number));
        assert!(matches!(answer.status, 204 | 503), "{answer:?}");
        acknowledged += usize::from(answer.status == 204);
    }
    assert!(acknowledged >= 90, "{acknowledged} of 100");
    assert_eq!(sql(&app.database).count("deliveries"), acknowledged);
}
