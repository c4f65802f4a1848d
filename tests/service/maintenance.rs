//! Maintenance: what comes is kept and waits, what is asked for here is done, and the backlog drains at
//! the chosen rate.

use std::time::{Duration, Instant};

use rstest::rstest;
use serde_json::json;
use tokenkeep::api::access::AccessRole;
use tokenkeep::commands::Service;
use tokenkeep::sandbox::Operation::DeleteCard;
use tokenkeep::store::{Allowance, Store};

use crate::support::audit::Watch;
use crate::support::build::{plain, status};
use crate::support::calls::{Shop, clock_of};
use crate::support::commands::{Output, tokenkeep};
use crate::support::sql::keep;
use crate::support::{App, Backend, START, wait_until};

fn maintenance(app: &App, arguments: &[&str]) -> Output {
    let output = tokenkeep(&app.database, &[&["maintenance"], arguments].concat());
    assert_eq!(output.code, 0, "{output:?}");
    output
}

fn waiting(app: &App) -> i64 {
    app.store().read(|tx| tx.count_waiting()).unwrap()
}

#[rstest]
fn while_it_is_on_everything_is_accepted_and_nothing_that_waits_is_done(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let mut shop = Shop::open(backend);
    for card in ["sold", "late", "paid"] {
        shop.card_with_cryptogram(card);
    }
    let mut watch = Watch::begin(&shop.app.database);
    maintenance(&shop.app, &["on", "--reason", "the disk is moved"]);
    assert_eq!(watch.new_records()[0].act, "maintenance.on");
    let suspended = |card: &str| plain(&[status(card, Some(START + 1), "SUSPENDED")]);
    keep(&shop.app, &suspended("late"));
    keep(&shop.app, &suspended("new"));
    // A deletion takes effect here at once; its call waits.
    assert_eq!(shop.delete("sold").status, 202);
    let sold = shop.app.card("sold").unwrap().card;
    assert_eq!(sold.status_word(), Some("DELETE_PENDING"));
    // What a caller waits for is done, with what is known.
    let credentials = shop.credentials("paid", &json!({ "use": "single" }));
    assert_eq!(credentials.status, 200);
    let registered = shop
        .app
        .put("/v1/cards/registered", &json!({ "program": "shop" }));
    assert_eq!(registered.status, 201);

    // Longer than the pause between two looks; also of a process that is started now.
    shop.app.stop();
    shop.app.start();
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_millis(1_200) {
        assert_eq!(waiting(&shop.app), 2);
        assert_eq!(shop.calls(DeleteCard, "sold"), 0);
        std::thread::sleep(Duration::from_millis(50));
    }
    assert!(shop.app.card("new").is_none() && shop.may_charge("late"));
    let ready = shop.app.get("/readyz");
    assert_eq!(ready.status, 200);
    assert_eq!(ready.json()["maintenance"]["reason"], "the disk is moved");
    assert_eq!(ready.json()["backlog"], 2);
    assert_eq!(shop.metric("tokenkeep_maintenance"), 1);
    let visitor = (shop.app).sign_in(&shop.app.new_key(AccessRole::Ops, "night-shift"));
    let needs_a_human = "nothing that waits is done: the disk is moved";
    let page = visitor.page("/console");
    assert!(page.contains(needs_a_human), "{page}");
    let told = maintenance(&shop.app, &["status", "--json"]).json();
    assert_eq!(
        (&told["backlog"], &told["openCalls"]),
        (&2.into(), &2.into())
    );
    assert_eq!(told["maintenance"]["on"], true);
    let check = tokenkeep(&shop.app.database, &["check"]);
    assert!(check.stdout.contains("maintenance: on since"), "{check:?}");

    maintenance(&shop.app, &["off"]);
    shop.settle();
    assert_eq!(shop.calls(DeleteCard, "sold"), 1);
    assert!(!shop.may_charge("late") && shop.app.card("new").is_some());
    assert_eq!(shop.metric("tokenkeep_maintenance"), 0);
    assert!(!visitor.page("/console").contains(needs_a_human));
    assert_eq!(shop.app.get("/readyz").json()["maintenance"], json!(null));
    shop.app.assert_rebuilt();
}

/// Decided deliveries after each step of the clock: never more than the rate, by one process or two.
#[rstest]
#[case(10, 100, 1)]
#[case(4, 250, 1)]
#[case(200, 100, 20)]
fn a_backlog_drains_at_the_chosen_rate_and_then_at_full_speed(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
    #[case] rate: i64,
    #[case] step: i64,
    #[case] at_once: i64,
) {
    let app = App::spawn(backend);
    let second = Service::start(&app.settings, clock_of(&app.clock)).unwrap();
    maintenance(&app, &["on", "--reason", "to see"]);
    let backlog = 6 * at_once;
    for number in 0..backlog {
        keep(
            &app,
            &plain(&[status(&format!("card-{number}"), Some(START), "ACTIVE")]),
        );
    }
    let rate = format!("{rate}/s");
    maintenance(&app, &["off", "--rate", &rate]);
    for steps in 1..=6 {
        let left = backlog - steps * at_once;
        wait_until("a step is done", || waiting(&app) <= left);
        // The clock stands still: whoever looks again finds nothing to do.
        assert_eq!(waiting(&app), left, "after {steps} steps");
        app.advance(step - 1);
        assert_eq!(waiting(&app), left, "a moment too early");
        app.advance(1);
    }
    // Nothing is in force any more, and the clock stands still again.
    assert_eq!(app.get("/readyz").json()["maintenance"], json!(null));
    for number in 0..10 {
        keep(
            &app,
            &plain(&[status(&format!("late-{number}"), Some(START), "ACTIVE")]),
        );
    }
    app.settle();
    second.stop().unwrap();
    println!("maintenance {backend:?}: {backlog} deliveries drain in 6 steps at {rate}");
}

/// A stopped app whose backlog of one delivery drains at one a second, and its store.
pub fn draining(backend: Backend) -> (App, Store) {
    let mut app = App::spawn(backend);
    maintenance(&app, &["on", "--reason", "to see"]);
    keep(&app, &plain(&[status("waits", Some(START), "ACTIVE")]));
    let store = app.store().clone();
    app.stop();
    maintenance(&app, &["off", "--rate", "1"]);
    (app, store)
}

const ONE: Allowance = Allowance::AtMost {
    count: 1,
    pause: 1000,
};

#[test]
fn whoever_looks_before_a_step_is_due_waits_for_nobody() {
    let (_app, store) = draining(Backend::Postgres);
    let step = store.write(|tx| {
        assert_eq!(tx.allowance(START)?, ONE);
        tx.note_drained(START, 1000)
    });
    step.unwrap();
    let at_work = store.write(|tx| {
        assert_eq!(tx.allowance(START + 1000)?, ONE);
        let looked = store.write(|tx| tx.allowance(START + 999));
        assert_eq!(looked.unwrap(), Allowance::Nothing);
        Ok(())
    });
    at_work.unwrap();
}

#[test]
fn whoever_waits_for_a_step_while_maintenance_begins_takes_nothing() {
    let (app, store) = draining(Backend::Postgres);
    let waits = "SELECT count(*) AS number FROM pg_stat_activity \
                 WHERE datname = current_database() AND wait_event_type = 'Lock'";
    let allowed = std::thread::scope(|scope| {
        let begun = store.write(|tx| {
            tx.begin_maintenance("again", START)?;
            let looks = scope.spawn(|| store.write(|tx| tx.allowance(START)));
            wait_until("it waits", || app.database.number(waits) == 1);
            Ok(looks)
        });
        begun.unwrap().join().unwrap()
    });
    assert_eq!(allowed.unwrap(), Allowance::Nothing);
}

#[rstest]
fn what_is_asked_of_it_is_told_plainly() {
    let app = App::spawn(Backend::Sqlite);
    assert!(maintenance(&app, &["off"]).stdout.contains("it was not on"));
    let status = maintenance(&app, &["status"]).stdout;
    assert!(status.contains("off"), "{status}");
    maintenance(&app, &["on", "--reason", "one"]);
    maintenance(&app, &["on", "--reason", "two"]);
    let status = maintenance(&app, &["status"]).stdout;
    assert!(
        status.contains("two") && !status.contains("one"),
        "{status}"
    );
    // With nothing that waits there is nothing to drain.
    maintenance(&app, &["off", "--rate", "5"]);
    assert!(maintenance(&app, &["status"]).stdout.contains("off"));
    for wrong in [
        &["off", "--rate", "0"][..],
        &["off", "--rate", "fast"],
        &["on"],
    ] {
        let refused = tokenkeep(&app.database, &[&["maintenance"], wrong].concat());
        assert_eq!(refused.code, 2, "{refused:?}");
    }
}
