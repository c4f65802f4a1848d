//! O-02, O-04, O-05: each call is made by one at a time and once, and whoever dies or stops holding some
//! loses them.

use std::collections::{HashMap, HashSet};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use rstest::rstest;
use serde_json::json;
use tokenkeep::domain::{Card, CardId, Job, JobKind, Terminal, TerminalState};
use tokenkeep::sandbox::{Operation, Refresh};
use tokenkeep::settings::Role;
use tokenkeep::store::{ClaimedJob, DatabaseUrl, Ending, JobState, Store, Tx};
use tokenkeep::telemetry::Clock;

use crate::support::calls::{HOUR, MINUTE, Shop};
use crate::support::{App, Backend, START, is_full, keys, slack, wait_until};

const WORKERS: usize = 4;

/// Two calls for each.
fn cards() -> usize {
    if is_full() { 5_000 } else { 1_000 }
}

/// Calls in a second. Where tests share a busy machine it is only to be no standstill.
fn least_rate() -> f64 {
    if is_full() { 500.0 } else { 50.0 }
}

/// What the workers have seen.
#[derive(Default)]
struct Seen {
    done: HashMap<String, usize>,
    cards_at_work: HashSet<String>,
}

fn done() -> Ending {
    Ending {
        state: JobState::Done,
        next_at: None,
        status: None,
        reason: None,
        may_have_arrived: true,
        flow_id: None,
    }
}

/// Without a dispatcher of its own.
fn not_dispatching(backend: Backend) -> App {
    App::spawn_with(backend, |settings| {
        settings.roles = vec![Role::Receive, Role::Process];
    })
}

/// Two calls for each of so many cards.
fn queue(store: &Store, cards: usize) {
    let kinds = [JobKind::GetCard, JobKind::Cryptogram { number_version: 1 }];
    let queued = store.write(|tx| {
        for number in 0..cards {
            let id = CardId::parse(&format!("card-{number}")).unwrap();
            tx.save_card(&Card::new(id.clone()), Some("shop".to_owned()), START)?;
            for kind in kinds {
                let not_before = START;
                tx.queue_job(&id, &Job { kind, not_before }, None, START)?;
            }
        }
        Ok(())
    });
    queued.unwrap();
}

/// Claims and ends calls until all are done.
fn work(store: &Store, seen: &Mutex<Seen>, total: usize) {
    while seen.lock().unwrap().done.len() < total {
        let claimed = store.write(|tx| tx.claim_jobs("shop", 16, false, START, START + MINUTE));
        for job in claimed.unwrap() {
            let is_alone = seen
                .lock()
                .unwrap()
                .cards_at_work
                .insert(job.card_id.clone());
            assert!(is_alone, "two calls of {} at once", job.card_id);
            {
                let mut seen = seen.lock().unwrap();
                *seen.done.entry(job.id.clone()).or_default() += 1;
                seen.cards_at_work.remove(&job.card_id);
            }
            assert!(
                store
                    .write(|tx| tx.finish_job(&job, &done(), START))
                    .unwrap()
            );
        }
    }
}

#[rstest]
fn o02_calls_are_each_claimed_once_by_four_workers(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let app = not_dispatching(backend);
    queue(app.store(), cards());
    // All alike, so that the two of a card come one behind the other.
    app.database.execute("UPDATE outbox SET priority = 2");
    let url = DatabaseUrl::parse(&app.database.url()).unwrap();
    let storage = tokenkeep::jose::StorageKeys::load(&keys()).unwrap();
    // On PostgreSQL half of the workers are of another process, on SQLite of the same.
    let other = match backend {
        Backend::Sqlite => app.store().clone(),
        Backend::Postgres => Store::open(&url, storage.into()).unwrap(),
    };
    let seen = Mutex::new(Seen::default());
    let begun = Instant::now();
    std::thread::scope(|threads| {
        for worker in 0..WORKERS {
            let (seen, other, store) = (&seen, &other, app.store());
            let store = if worker % 2 == 0 { store } else { other };
            threads.spawn(move || work(store, seen, 2 * cards()));
        }
    });
    let seconds = begun.elapsed().as_secs_f64();
    let done = seen.into_inner().unwrap().done;
    assert_eq!(done.len(), 2 * cards());
    assert!(done.values().all(|times| *times == 1), "claimed twice");
    let doubled = "SELECT count(*) AS number FROM outbox WHERE attempts <> 1 OR state <> 'done'";
    assert_eq!(app.database.number(doubled), 0);
    let rate = done.len() as f64 / seconds;
    assert!(rate >= least_rate(), "{rate:.0} a second");
    println!(
        "O-02 on {backend:?}: {} calls, 0 doubled, {rate:.0} a second",
        done.len()
    );
}

/// Of so many commands of one card each but the first waits for another.
const COMMANDS: usize = 20_000;

/// Seen to fail with questions that PostgreSQL makes joins of: each call is compared with each command, and the claim
/// runs into the statement's timeout.
#[rstest]
fn o02_thousands_of_commands_of_one_card_hold_up_no_claim(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let app = not_dispatching(backend);
    queue(app.store(), 2_500);
    let numbers = match backend {
        // What PostgreSQL knows of the table is from before.
        Backend::Postgres => {
            app.database.execute("VACUUM ANALYZE outbox");
            format!("generate_series(1, {COMMANDS}) AS s(n)")
        }
        Backend::Sqlite => format!(
            "(WITH RECURSIVE s(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s WHERE n < {COMMANDS}) SELECT n FROM s)"
        ),
    };
    app.database.execute(&format!(
        "INSERT INTO outbox (id, kind, card_id, program, state, attempts, next_at, created_at, priority, command, \
         token_id, command_order) \
         SELECT 'command-' || n, 'token_status', 'card-0', 'shop', 'waiting', 0, {START}, {START}, 1, 'SUSPEND', \
         'token-' || n, n FROM {numbers}"
    ));
    let begun = Instant::now();
    let claim = |tx: &mut Tx<'_>| tx.claim_jobs("shop", 16, false, START, START + MINUTE);
    let claimed = app.store().write(claim).unwrap();
    let time = begun.elapsed();
    // One of each card: a call of the same card may have been among the sixteen.
    assert!(claimed.len() >= 15, "{}", claimed.len());
    assert_eq!(claimed[0].id, "command-1");
    assert!(time < Duration::from_secs(1) + slack(), "{time:?}");
    println!(
        "O-02 on {backend:?}: {} of 5000 calls claimed {time:?} beside {COMMANDS} commands of one card",
        claimed.len()
    );
}

/// Whoever lost a claim can neither end the call nor keep it.
#[rstest]
fn o05_an_old_fence_neither_ends_a_call_nor_extends_its_lease(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let app = not_dispatching(backend);
    queue(app.store(), 1);
    let over = START + MINUTE + 1;
    let claim_at =
        |now: i64| move |tx: &mut Tx<'_>| tx.claim_jobs("shop", 1, false, now, START + MINUTE);
    let write =
        |work: &mut dyn FnMut(&mut Tx<'_>) -> bool| app.store().write(|tx| Ok(work(tx))).unwrap();
    let first: ClaimedJob = app.store().write(claim_at(START)).unwrap().remove(0);
    assert!(!write(&mut |tx| tx.any_ended_lease(over - 1).unwrap()));
    assert!(write(&mut |tx| tx.end_leases(over - 1, START).unwrap() == 0));
    assert!(write(&mut |tx| tx.end_leases(over, START).unwrap() == 1));
    let second: ClaimedJob = app.store().write(claim_at(over)).unwrap().remove(0);
    assert_eq!((&first.id, first.fence + 1), (&second.id, second.fence));
    assert!(second.may_have_arrived && !first.may_have_arrived);

    assert!(!write(&mut |tx| tx
        .finish_job(&first, &done(), START)
        .unwrap()));
    assert!(!write(&mut |tx| tx.holds_claim(&first).unwrap()));
    let late = START + 10 * MINUTE;
    write(&mut |tx| tx.extend_leases(std::slice::from_ref(&first), late).is_ok());
    assert!(write(&mut |tx| tx
        .any_ended_lease(START + 2 * MINUTE)
        .unwrap()));
    assert!(write(&mut |tx| tx.holds_claim(&second).unwrap()));
    assert!(write(&mut |tx| tx
        .finish_job(&second, &done(), START)
        .unwrap()));
}

/// O-04: fifty calls of a process that died.
#[rstest]
fn o04_after_their_lease_and_not_before_the_calls_of_a_dead_process_are_taken_over(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let mut shop = Shop::open_with(backend, &json!({}), |settings| {
        settings.roles = vec![Role::Receive, Role::Process];
    });
    let cards: Vec<String> = (0..50).map(|card| format!("card-{card}")).collect();
    let refresh = |card: &String| {
        shop.new_card(card);
        shop.sandbox.refresh(card, Refresh::Nothing).unwrap()
    };
    let bodies: Vec<_> = cards.iter().map(refresh).collect();
    shop.app.deliver(&Shop::together(&bodies));
    let now = shop.now();
    // The last seconds of a minute's lease.
    let claimed = shop.app.store().write(|tx| {
        let until = tx.lease_time(Clock::running().now())? + 9_000;
        tx.claim_jobs("shop", 50, false, now, until)
    });
    assert_eq!(claimed.unwrap().len(), 50);

    shop.app.stop();
    shop.app.settings.roles.push(Role::Dispatch);
    shop.app.start();
    // Whatever the clock says: it was set.
    shop.advance(HOUR);
    std::thread::sleep(Duration::from_secs(6));
    assert_eq!(shop.sandbox.calls().len(), 0, "they may still be under way");
    // Set back it would never see that minute's end.
    shop.advance(-2 * HOUR);
    let begun = Instant::now();
    wait_until("all are taken over", || {
        shop.metric("tokenkeep_leases_taken_over_total") == 50
    });
    shop.settle();
    let taken = shop.metric("tokenkeep_leases_taken_over_total");
    assert_eq!((taken, shop.sandbox.calls().len()), (50, 50));
    assert!(cards.iter().all(|card| shop.assert_pair(card)));
    // A look every five seconds, and the calls themselves.
    let time = begun.elapsed();
    assert!(time < Duration::from_secs(15) + slack(), "{time:?}");
    println!(
        "O-04 on {backend:?}: 50 taken over and done {time:?} after the sixth of nine seconds"
    );
}

/// A process that is stopped hands back what it cannot end; an answer that comes then is dropped.
#[rstest]
fn o04_a_stopped_process_hands_its_calls_back_at_once(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let mut shop = Shop::open(backend);
    shop.new_card("card");
    shop.sandbox.hold(Operation::Checkout);
    shop.app
        .deliver(&shop.sandbox.refresh("card", Refresh::Nothing).unwrap());
    shop.wait_for_calls(Operation::Checkout, 1);
    let begun = Instant::now();
    shop.app.stop();
    let time = begun.elapsed();
    assert!(time < Duration::from_secs(8) + slack(), "{time:?}");

    shop.app.start();
    assert_ne!(shop.job("card", "cryptogram").state, "done");
    shop.wait_for_calls(Operation::Checkout, 2);
    shop.sandbox.release();
    shop.settle();
    assert!(shop.assert_pair("card"));
    let kept = shop.cryptogram("card").unwrap();
    assert!(shop.sandbox.issued("card")[1].cryptogram == kept.value);
    assert_eq!(shop.job("card", "cryptogram").attempts, 2);
}

/// How a claim ends without an answer.
#[derive(Debug, Clone, Copy)]
enum Lost {
    /// The attempt fails and is to be made again.
    Attempt,
    /// Whoever made it is gone.
    Lease,
}

#[rstest]
fn a_lookup_that_ran_when_its_card_ended_is_not_made_again(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
    #[values(Lost::Attempt, Lost::Lease)] lost: Lost,
) {
    let app = not_dispatching(backend);
    let kinds = [
        (JobKind::GetCard, "discarded"),
        (JobKind::Cryptogram { number_version: 1 }, "discarded"),
        // This one is what the end of the card waits for.
        (JobKind::DeleteCard, "waiting"),
    ];
    for (place, (kind, expected)) in kinds.into_iter().enumerate() {
        let mut card = Card::new(CardId::parse(&format!("card-{place}")).unwrap());
        let now = START;
        let claimed = app.store().write(|tx| {
            tx.save_card(&card, Some("shop".to_owned()), now)?;
            let not_before = now;
            tx.queue_job(&card.id, &Job { kind, not_before }, None, now)?;
            tx.claim_jobs("shop", 1, false, now, now + MINUTE)
        });
        let job = claimed.unwrap().pop().unwrap();
        card.terminal = Some(Terminal {
            state: TerminalState::DeletePending,
            at: now,
        });
        let ended = app.store().write(|tx| {
            tx.save_card(&card, Some("shop".to_owned()), now)?;
            tx.settle_jobs_of_ended(&card, now)
        });
        ended.unwrap();
        let again = Ending {
            state: JobState::Waiting,
            next_at: Some(now + MINUTE),
            ..done()
        };
        let put_back = app.store().write(|tx| match lost {
            Lost::Attempt => tx.finish_job(&job, &again, now).map(usize::from),
            Lost::Lease => tx.end_leases(now + 2 * MINUTE, now),
        });
        assert_eq!(put_back.unwrap(), 1);
        let states: Vec<String> = app
            .jobs(card.id.as_str())
            .into_iter()
            .map(|job| job.state)
            .collect();
        assert_eq!(states, [expected], "{kind:?} {lost:?}");
    }
}
