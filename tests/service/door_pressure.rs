//! Storage that does not answer: what cannot wait is refused at once, and no 204 comes before its
//! commit.

use std::time::{Duration, Instant};

use rstest::rstest;

use crate::support::build::{plain, status};
use crate::support::raw::{Reply, post};
use crate::support::sql::sql;
use crate::support::{App, Backend, START, is_full, slack};

const QUEUE: usize = 4;
const SENDERS: usize = 12;

/// An answer, with its card, and when it was asked for and came.
pub struct Answered {
    pub card: String,
    pub reply: Reply,
    pub asked: Instant,
    pub came: Instant,
}

impl Answered {
    pub fn took(&self) -> Duration {
        self.came - self.asked
    }
}

/// Sends a notification of a card.
pub fn send(app: &App, card: String) -> Answered {
    let body = plain(&[status(&card, Some(START), "ACTIVE")]).to_string();
    let asked = Instant::now();
    let reply = post(app.public(), body.as_bytes());
    Answered {
        card,
        reply,
        asked,
        came: Instant::now(),
    }
}

/// Sends from all senders at once, and frees the storage once `until` has passed.
fn send_while_blocked(app: &App, until: Duration) -> (Vec<Answered>, Instant) {
    let held = sql(&app.database).hold("deliveries");
    let begun = Instant::now();
    std::thread::scope(|scope| {
        let senders: Vec<_> = (0..SENDERS)
            .map(|sender| scope.spawn(move || send(app, format!("blocked-{sender}"))))
            .collect();
        std::thread::sleep(until.saturating_sub(begun.elapsed()));
        let freed = Instant::now();
        drop(held);
        let answers = senders.into_iter().map(|sender| sender.join().unwrap());
        (answers.collect(), freed)
    })
}

/// One delivery is being written and four wait; each commit holds one.
fn spawn(backend: Backend) -> App {
    App::spawn_with(backend, |settings| {
        settings.receiver.queue = QUEUE;
        settings.receiver.commit_batch = 1;
        settings.receiver.retry_after = 7;
    })
}

/// Takes out what was refused because the queue was full, and judges it.
fn without_surplus(answers: Vec<Answered>) -> Vec<Answered> {
    let (surplus, waited): (Vec<_>, Vec<_>) = answers
        .into_iter()
        .partition(|answered| answered.reply.code() == "queue-full");
    for answered in &surplus {
        assert_eq!(answered.reply.status, 503);
        assert_eq!(answered.reply.header("retry-after"), Some("7"));
        let kind = answered.reply.header("content-type");
        assert_eq!(kind, Some("application/problem+json"));
    }
    // At once; one or the other may have had to wait for a core, but none until storage was free.
    let mut times: Vec<Duration> = surplus.iter().map(Answered::took).collect();
    times.sort();
    let (half, slowest) = (times[times.len() / 2], times[times.len() - 1]);
    assert!(half < Duration::from_millis(200), "{half:?}");
    let most = Duration::from_millis(if is_full() { 200 } else { 900 });
    assert!(slowest < most, "{slowest:?}");
    // The first may still be on its way into the hands of the writer when the others come.
    assert!(
        (QUEUE..=QUEUE + 1).contains(&waited.len()),
        "{}",
        waited.len()
    );
    waited
}

/// Everything that got 204 is stored once, and applied.
fn assert_kept<'a>(app: &App, answers: impl IntoIterator<Item = &'a Answered>) {
    app.settle();
    for answered in answers {
        let verdicts = app.verdicts(&answered.card);
        match answered.reply.status {
            204 => assert_eq!(verdicts, ["applied"], "{}", answered.card),
            // It may have been stored after its sender was told to come again.
            _ => assert!(verdicts.len() <= 1, "{}", answered.card),
        }
    }
}

#[rstest]
fn w34_while_storage_is_blocked_the_surplus_is_refused_at_once_and_the_others_in_time(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let app = spawn(backend);
    let (answers, freed) = send_while_blocked(&app, Duration::from_secs(4));
    let waited = without_surplus(answers);
    for answered in &waited {
        let took = answered.took();
        assert!(took < Duration::from_millis(3_500) + slack(), "{took:?}");
        let found = (answered.reply.status, answered.reply.code());
        assert_eq!(found, (503, "storage-unavailable".to_owned()));
        assert_eq!(answered.reply.header("retry-after"), Some("7"));
    }
    let mut after = Vec::new();
    while after
        .iter()
        .filter(|a: &&Answered| a.reply.status == 204)
        .count()
        < 10
    {
        after.push(send(&app, format!("after-{}", after.len())));
        assert!(
            freed.elapsed() < Duration::from_secs(5) + slack(),
            "no 204 in time"
        );
    }
    let [slowest, normal] = [&waited, &after].map(|them| them.iter().map(Answered::took).max());
    println!(
        "W-34 {backend:?} blocked: {} refused at once, {} after {:.1?} at most, {} acknowledged; then {} sent, \
         the slowest {:.1?}",
        SENDERS - waited.len(),
        waited.len(),
        slowest.unwrap_or_default(),
        waited.iter().filter(|it| it.reply.status == 204).count(),
        after.len(),
        normal.unwrap_or_default()
    );
    assert_kept(&app, waited.iter().chain(&after));
}

#[rstest]
fn w34_nothing_is_acknowledged_before_its_commit_and_what_waited_is_acknowledged_after_it(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let app = spawn(backend);
    let (answers, freed) = send_while_blocked(&app, Duration::from_millis(1_000));
    let waited = without_surplus(answers);
    for answered in &waited {
        assert_eq!(answered.reply.status, 204, "{}", answered.reply.body);
        assert!(answered.came >= freed, "acknowledged before the commit");
        assert!(answered.came - freed < Duration::from_secs(1) + slack());
    }
    assert_kept(&app, &waited);
    let stored = app.database.deliveries();
    println!(
        "W-34 {backend:?} freed after a second: {} acknowledged, {} of them before; {stored} stored",
        waited.len(),
        waited.iter().filter(|it| it.came < freed).count()
    );
    assert_eq!(
        stored,
        waited.len() as i64,
        "the refused ones are not stored"
    );
}
