//! W-32: a panic, or a row that is damaged, costs one connection or one delivery, and the next
//! hundred are acknowledged and decided.
//!
//! From outside no panic can be caused in the code as it stands. The clock is handed in, though, so
//! here it panics in the threads that ask it.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use rstest::rstest;
use tokenkeep::sandbox::Refresh;
use tokenkeep::settings::Role;
use tokenkeep::telemetry::Clock;

use crate::support::build::{CARD, plain, status};
use crate::support::calls::{LONGEST_WAIT, Shop};
use crate::support::raw::{Connection, head};
use crate::support::sql::sql;
use crate::support::{App, Backend, START, wait_until};

/// How often the clock is still to panic in the processor where a delivery waits, and in a handler.
#[derive(Default)]
struct Panics {
    processor: AtomicUsize,
    handler: AtomicUsize,
}

/// A service whose clock panics when told to.
fn spawn(backend: Backend) -> (App, Arc<Panics>) {
    let panics = Arc::new(Panics::default());
    let mut app = App::spawn(backend);
    app.stop();
    let (its, database) = (panics.clone(), app.database.url());
    app.start_with(Clock::from_fn(move || {
        let left = match std::thread::current().name() {
            // It asks the clock also when nothing waits, which would use up panics.
            Some("processor") if its.processor.load(Ordering::SeqCst) == 0 => return START,
            Some("processor") if !has_waiting(&database) => return START,
            Some("processor") => &its.processor,
            Some(name) if name.starts_with("actix") => &its.handler,
            // Housekeeping, and whoever else looks at the clock by itself.
            _ => return START,
        };
        let one_less = left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| {
            left.checked_sub(1)
        });
        assert!(one_less.is_err(), "the test's clock panics as it was told");
        START
    }));
    (app, panics)
}

/// Sends a hundred deliveries and waits until each is decided.
fn assert_a_hundred_more_are_decided(app: &App) {
    let card = |number| format!("next-{number}");
    for number in 0..100 {
        let body = plain(&[status(&card(number), Some(START), "ACTIVE")]);
        let answer = app.notify(&body);
        assert_eq!(answer.status, 204, "{number}: {}", answer.text);
    }
    app.settle();
    for number in 0..100 {
        assert_eq!(app.verdicts(&card(number)), ["applied"], "{number}");
    }
    wait_until("it is ready", || app.get("/readyz").status == 200);
}

#[rstest]
fn w32_a_panic_in_a_handler_closes_its_connection_and_the_process_lives(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let (app, panics) = spawn(backend);
    let body = plain(&[status(CARD, Some(START), "ACTIVE")]).to_string();
    let request = format!("{}{body}", head("/notifications/card", body.len()));
    panics.handler.store(10, Ordering::SeqCst);
    for _ in 0..10 {
        let mut connection = Connection::open(app.public());
        connection.send(&request);
        let answer = connection.reply().map(|reply| reply.status);
        assert!([None, Some(500)].contains(&answer), "{answer:?}");
    }
    assert_eq!(panics.handler.load(Ordering::SeqCst), 0);
    assert_eq!(app.database.deliveries(), 0, "no 204, nothing kept");
    assert_a_hundred_more_are_decided(&app);
}

#[rstest]
fn w32_a_delivery_that_panicked_once_in_the_processor_is_decided_after_all(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let (app, panics) = spawn(backend);
    panics.processor.store(1, Ordering::SeqCst);
    app.deliver(&plain(&[status(CARD, Some(START), "ACTIVE")]));
    assert_eq!(panics.processor.load(Ordering::SeqCst), 0);
    assert_eq!(app.verdicts(CARD), ["applied"]);
    assert_a_hundred_more_are_decided(&app);
}

#[rstest]
fn w32_a_panic_behind_the_processors_commit_undoes_nothing_and_the_next_hundred_are_decided(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let mut app = App::spawn(backend);
    app.stop();
    let database = app.database.url();
    let panics = Arc::new(AtomicUsize::new(0));
    let its = panics.clone();
    app.start_with(Clock::from_fn(move || {
        // What another connection sees is committed.
        let is_processor = std::thread::current().name() == Some("processor");
        if is_processor && its.load(Ordering::SeqCst) == 0 && has_notifications(&database) {
            its.fetch_add(1, Ordering::SeqCst);
            panic!("the test's clock panics as it was told");
        }
        START
    }));
    app.deliver(&plain(&[status(CARD, Some(START), "ACTIVE")]));
    wait_until("it has panicked", || panics.load(Ordering::SeqCst) == 1);
    assert_eq!(app.verdicts(CARD), ["applied"]);
    assert_a_hundred_more_are_decided(&app);
}

/// Whether an item is decided, for who has no database at hand.
fn has_notifications(url: &str) -> bool {
    let query = "SELECT count(*) AS number FROM notifications";
    crate::support::sql::number_at(url, query) > 0
}

/// Whether a delivery waits to be decided.
fn has_waiting(url: &str) -> bool {
    let query = "SELECT count(*) AS number FROM deliveries WHERE state = 'waiting'";
    crate::support::sql::number_at(url, query) > 0
}

#[rstest]
fn w32_a_call_whose_handling_always_panics_is_given_up_and_the_calls_of_other_cards_are_made(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let mut shop = Shop::open(backend);
    shop.new_card("panics");
    shop.app.stop();
    let (time, panics) = (shop.app.clock.clone(), Arc::new(AtomicUsize::new(0)));
    let (its, is_well) = (panics.clone(), Arc::new(AtomicBool::new(false)));
    let has_ended = is_well.clone();
    thread_local! {
        static ASKED: Cell<usize> = const { Cell::new(0) };
    }
    shop.app.start_with(Clock::from_fn(move || {
        let is_call = std::thread::current().name() == Some("call");
        // Each attempt has a thread of its own, which looks how the clock was set; then the attempt asks, then what
        // keeps its panic.
        if is_call && !has_ended.load(Ordering::SeqCst) && ASKED.replace(ASKED.get() + 1) == 1 {
            its.fetch_add(1, Ordering::SeqCst);
            panic!("the test's clock panics as it was told");
        }
        time.load(Ordering::SeqCst)
    }));
    let refreshed = shop.sandbox.refresh("panics", Refresh::Nothing).unwrap();
    shop.app.deliver(&refreshed);
    let ending = || shop.ending("panics", "cryptogram");
    for attempt in 1..=5 {
        wait_until("the attempt has ended", || {
            shop.job("panics", "cryptogram").attempts >= attempt
                && shop.job("panics", "cryptogram").state != "running"
        });
        assert_eq!(ending().2, "panicked");
        shop.advance(LONGEST_WAIT);
    }
    assert_eq!(ending().0, "dead");
    assert_eq!(panics.load(Ordering::SeqCst), 5, "five attempts");
    is_well.store(true, Ordering::SeqCst);
    shop.card_with_cryptogram("another");
    assert_a_hundred_more_are_decided(&shop.app);
}

#[rstest]
fn w32_a_panic_of_the_dispatcher_stops_no_calls(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let mut shop = Shop::open(backend);
    shop.app.stop();
    let (time, panics) = (shop.app.clock.clone(), Arc::new(AtomicUsize::new(0)));
    let its = panics.clone();
    shop.app.start_with(Clock::from_fn(move || {
        let is_dispatcher = std::thread::current().name() == Some("dispatcher");
        let fails = is_dispatcher && its.fetch_add(1, Ordering::SeqCst) < 3;
        assert!(!fails, "the test's clock panics as it was told");
        time.load(Ordering::SeqCst)
    }));
    wait_until("it has panicked", || panics.load(Ordering::SeqCst) > 3);
    shop.card_with_cryptogram(CARD);
    assert_a_hundred_more_are_decided(&shop.app);
}

#[rstest]
fn w32_a_panic_at_the_stop_loses_nothing_and_the_next_start_goes_on(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let mut app = App::spawn(backend);
    app.stop();
    let (stopping, panics) = (
        std::thread::current().id(),
        Arc::new(AtomicBool::new(false)),
    );
    let its = panics.clone();
    app.start_with(Clock::from_fn(move || {
        let fails = its.load(Ordering::SeqCst) && std::thread::current().id() == stopping;
        assert!(!fails, "the test's clock panics as it was told");
        START
    }));
    for number in 0..10 {
        let card = format!("before-{number}");
        let answer = app.notify(&plain(&[status(&card, Some(START), "ACTIVE")]));
        assert_eq!(answer.status, 204);
    }
    panics.store(true, Ordering::SeqCst);
    assert!(catch_unwind(AssertUnwindSafe(|| app.stop_at_once())).is_err());
    app.start();
    app.settle();
    for number in 0..10 {
        assert_eq!(app.verdicts(&format!("before-{number}")), ["applied"]);
    }
    assert_a_hundred_more_are_decided(&app);
}

#[rstest]
fn w32_a_delivery_that_panics_every_time_ends_quarantined_and_the_others_go_on(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let (app, panics) = spawn(backend);
    // In the batch, and in three attempts alone.
    panics.processor.store(4, Ordering::SeqCst);
    app.deliver(&plain(&[status(CARD, Some(START), "ACTIVE")]));
    assert_eq!(panics.processor.load(Ordering::SeqCst), 0);
    assert_eq!(sql_verdicts(&app), ["quarantined(processing-failed)"]);
    assert!(app.card(CARD).is_none());
    assert_a_hundred_more_are_decided(&app);
}

fn sql_verdicts(app: &App) -> Vec<String> {
    sql(&app.database).texts(
        "SELECT verdict || coalesce('(' || hold || ')', '') AS text FROM notifications \
         ORDER BY delivery_sequence, item_index",
    )
}

#[rstest]
fn w32_a_damaged_card_holds_its_own_items_and_the_next_hundred_of_others_are_decided(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let app = App::spawn(backend);
    app.deliver(&plain(&[status(CARD, Some(START - 2_000), "ACTIVE")]));
    sql(&app.database).execute("UPDATE cards SET state = '{\"status\":7'");
    // Beside another card in one delivery, too.
    app.deliver(&plain(&[
        status("beside", Some(START - 1_000), "ACTIVE"),
        status(CARD, Some(START - 1_000), "SUSPENDED"),
    ]));
    assert_eq!(app.verdicts("beside"), ["applied"]);
    assert_eq!(app.verdicts(CARD)[1..], ["quarantined(processing-failed)"]);
    assert_a_hundred_more_are_decided(&app);
}

#[rstest]
fn w32_a_delivery_that_cannot_be_opened_or_written_is_quarantined_and_the_next_hundred_decided(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let mut app = App::spawn_with(backend, |settings| settings.roles = vec![Role::Receive]);
    let cards = ["damaged", "refused", "good"];
    for card in cards {
        let answer = app.notify(&plain(&[status(card, Some(START), "ACTIVE")]));
        assert_eq!(answer.status, 204);
    }
    let database = sql(&app.database);
    database.execute(&format!(
        "UPDATE deliveries SET body = {} WHERE sequence = 1",
        database.byte()
    ));
    database.refuse_inserts("cards", "NEW.id = 'refused'");
    app.stop();
    app.settings.roles = vec![Role::Receive, Role::Process];
    app.start();
    app.settle();
    let failed = "quarantined(processing-failed)";
    assert_eq!(sql_verdicts(&app), [failed, failed, "applied"]);
    assert_eq!(app.verdicts("good"), ["applied"]);
    assert_a_hundred_more_are_decided(&app);
}
