//! Events: a reader that follows sees each once and in order, whoever commits when.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rstest::rstest;
use serde_json::json;
use tokenkeep::domain::{CardId, Event, EventKind};
use tokenkeep::store::{EventRow, Store, StoreError};

use crate::support::{App, Backend, START, wait_until};

const WRITERS: usize = 4;
const EVENTS: usize = 200;
/// Of the writers, and of two slow transactions.
const TOTAL: usize = WRITERS * EVENTS + 4;
/// Transactions of the tests beside this one, in the same server, hold events up, too.
const LONG: Duration = Duration::from_secs(10);
/// How long a writer keeps its transaction open after its events have their numbers.
const OPEN_FOR: Duration = Duration::from_secs(2);

fn event(number: usize) -> Event {
    Event {
        kind: EventKind::CardDetails,
        data: json!({ "number": number }),
    }
}

/// Writes two events of a card in one transaction.
fn tell(store: &Store, card: &str, number: usize, open_for: Duration) {
    let id = CardId::parse(card).unwrap();
    let told = store.write(|tx| {
        let (one, two) = (event(2 * number), event(2 * number + 1));
        tx.tell(&[(&id, &one), (&id, &two)], START)?;
        std::thread::sleep(open_for);
        Ok(())
    });
    told.unwrap();
}

/// Follows until it has seen so many, or until nothing has come for long after `over`.
fn follow(store: &Store, total: usize, over: &AtomicBool) -> Vec<EventRow> {
    let (mut seen, mut cursor) = (Vec::new(), 0);
    let mut news_at = Instant::now();
    while seen.len() < total && !(over.load(Ordering::SeqCst) && news_at.elapsed() > LONG) {
        let page = store.read(|tx| tx.events_after(cursor, 50)).unwrap();
        match page.last() {
            Some(last) => cursor = last.sequence,
            None => std::thread::sleep(Duration::from_millis(5)),
        }
        if !page.is_empty() {
            news_at = Instant::now();
        }
        seen.extend(page);
    }
    seen
}

#[rstest]
fn a_reader_misses_no_event_of_a_writer_that_commits_two_seconds_late(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let app = App::spawn(backend);
    let store = app.store();
    let over = AtomicBool::new(false);
    let seen = std::thread::scope(|threads| {
        let reader = threads.spawn(|| follow(store, TOTAL, &over));
        let slow = threads.spawn(|| (0..2).for_each(|n| tell(store, "slow", n, OPEN_FOR)));
        let writers: Vec<_> = (0..WRITERS)
            .map(|writer| {
                let write = move |n| tell(store, &format!("card-{writer}"), n, Duration::ZERO);
                threads.spawn(move || (0..EVENTS / 2).for_each(write))
            })
            .collect();
        writers
            .into_iter()
            .for_each(|writer| writer.join().unwrap());
        slow.join().unwrap();
        over.store(true, Ordering::SeqCst);
        reader.join().unwrap()
    });

    assert!(
        seen.windows(2).all(|two| two[0].sequence < two[1].sequence),
        "in order, once"
    );
    let kept = app.database.number("SELECT count(*) AS number FROM events");
    assert_eq!(kept, i64::try_from(TOTAL).unwrap());
    let missed = kept - i64::try_from(seen.len()).unwrap();
    assert_eq!(missed, 0, "of {kept}");
    for writer in 0..WRITERS {
        let card = format!("card-{writer}");
        let of_writer = seen.iter().filter(|event| event.card_id == card);
        let numbers: Vec<_> = of_writer
            .map(|e| e.data["number"].as_u64().unwrap())
            .collect();
        assert_eq!(
            numbers,
            Vec::from_iter(0..EVENTS as u64),
            "as it wrote them"
        );
    }
    println!("events on {backend:?}: {kept} written, {missed} missed, 0 twice, in order");
}

/// So many events behind a cursor, once they can be read.
fn wait_for_events(store: &Store, cursor: i64, count: usize) -> Vec<EventRow> {
    let mut seen = Vec::new();
    wait_until("the events can be read", || {
        seen = store.read(|tx| tx.events_after(cursor, 10)).unwrap();
        seen.len() >= count
    });
    assert_eq!(seen.len(), count);
    seen
}

/// A writer that holds its transaction open makes readers wait, not lose; one that gives up leaves a
/// gap that nobody waits for.
#[rstest]
fn what_is_not_committed_is_waited_for_and_what_is_undone_is_not(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let app = App::spawn(backend);
    let store = app.store();
    let id = CardId::parse("undone").unwrap();
    let undone = store.write(|tx| {
        tx.tell(&[(&id, &event(0))], START)?;
        Err::<(), _>(StoreError::Conflict)
    });
    assert!(undone.is_err());
    tell(store, "first", 0, Duration::ZERO);
    let first = wait_for_events(store, 0, 2);
    if backend == Backend::Sqlite {
        return; // One writer at a time: nobody can be late.
    }
    let cursor = first[1].sequence;
    let begun = Instant::now();
    std::thread::scope(|threads| {
        threads.spawn(|| tell(store, "slow", 0, OPEN_FOR));
        std::thread::sleep(OPEN_FOR / 4);
        tell(store, "quick", 0, Duration::ZERO);
        let early = store.read(|tx| tx.events_after(cursor, 10)).unwrap();
        assert!(begun.elapsed() < OPEN_FOR);
        assert!(early.is_empty(), "read beyond an open transaction");
    });
    let seen = wait_for_events(store, cursor, 4);
    let cards: Vec<&str> = seen.iter().map(|event| event.card_id.as_str()).collect();
    assert_eq!(cards, ["slow", "slow", "quick", "quick"]);
}
