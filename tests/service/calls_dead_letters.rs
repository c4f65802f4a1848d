//! O-12: what operators do with calls that nobody makes any more: look, try in their mind, let them be made,
//! give them up. While calls of other cards go on.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rstest::rstest;
use serde_json::{Value, json};
use tokenkeep::api::access::AccessRole;
use tokenkeep::sandbox::{Fault, Operation, Refresh, Sandbox};

use crate::support::api::{card, with_sandbox};
use crate::support::audit::Watch;
use crate::support::calls::{Shop, assert_pair};
use crate::support::commands::{Output, tokenkeep};
use crate::support::sql::sql;
use crate::support::{App, Backend, SetOnDrop, wait_until};

const CARDS: usize = 8;
const KIND: &str = "cryptogram";

fn names() -> Vec<String> {
    (0..CARDS).map(|number| format!("card-{number}")).collect()
}

fn outbox(app: &App, args: &[&str]) -> Output {
    tokenkeep(&app.database, &[&["outbox"], args].concat())
}

fn call(app: &App, card: &str) -> (String, String) {
    let job = app.jobs(card).remove(0);
    (job.id, job.state)
}

/// Cards whose Checkout calls the other side has refused.
fn park(app: &App, sandbox: &Sandbox) {
    let told = |id: &String| {
        sandbox.create_card(card(id)).unwrap();
        sandbox.refresh(id, Refresh::Nothing).unwrap()
    };
    let bodies: Vec<Value> = names().iter().map(told).collect();
    let fault = Fault::service_error(409);
    sandbox.set_fault(Operation::Checkout, Some(fault));
    app.deliver(&Shop::together(&bodies));
    wait_until("all are parked", || {
        names().iter().all(|card| call(app, card).1 == "parked")
    });
    sandbox.set_fault(Operation::Checkout, None);
}

/// Every row of the tables that a call or what follows from it could change.
fn rows(app: &App) -> Vec<String> {
    let of_table = |table: &str, columns: &str| {
        let query = format!("SELECT {columns} AS text FROM {table} ORDER BY 1");
        sql(&app.database).texts(&query)
    };
    let job = "id || state || attempts || ':' || next_at || ':' || priority || ':' || created_at";
    [
        of_table("outbox", job),
        of_table("cards", "id || state"),
        of_table("cryptograms", "card_id || ':' || stored_at"),
        of_table("audit", "writer || ':' || place"),
        of_table("events", "'' || sequence"),
    ]
    .concat()
}

/// Other cards are refreshed until told to stop; returns how many.
fn traffic(app: &App, sandbox: &Sandbox, stop: &AtomicBool) -> usize {
    let mut count = 0;
    while !stop.load(Ordering::SeqCst) {
        let id = format!("other-{count}");
        sandbox.create_card(card(&id)).unwrap();
        let body = sandbox.refresh(&id, Refresh::Nothing).unwrap();
        assert_eq!(app.notify(&body).status, 204);
        count += 1;
        std::thread::sleep(Duration::from_millis(10));
    }
    count
}

/// Lists and shows what is parked: nothing of a number is in it.
fn inspect(app: &App, sandbox: &Sandbox) {
    let listed = outbox(app, &["list", "--state", "parked", "--json"]);
    assert_eq!(listed.json()["jobs"].as_array().unwrap().len(), CARDS);
    let shown = names().into_iter().map(|card| {
        let shown = outbox(app, &["show", &call(app, &card).0, "--json"]);
        assert_eq!(shown.json()["lastStatus"], 409);
        (card, shown.stdout)
    });
    for (card, shown) in shown {
        let number = sandbox.card(&card).unwrap().number;
        assert!(!shown.contains(number.expose()), "{card}");
        assert!(!listed.stdout.contains(number.expose()), "{card}");
    }
}

/// What the acts on calls were recorded as since: act, object, outcome.
fn recorded(watch: &mut Watch) -> Vec<(String, String, String)> {
    let new = watch.new_records().into_iter();
    let mut of_calls = Vec::from_iter(
        new.filter(|record| record.act.starts_with("call."))
            .map(|record| (record.act, record.object, record.outcome)),
    );
    of_calls.sort();
    of_calls
}

fn record(act: &str, object: &str, outcome: &str) -> (String, String, String) {
    (act.to_owned(), object.to_owned(), outcome.to_owned())
}

/// Seen to fail with the dry run written (`store.write` in the place of `rehearse`).
#[rstest]
fn o12_parked_calls_are_inspected_rehearsed_retried_and_discarded_during_live_traffic(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let (app, sandbox) = with_sandbox(backend);
    let ops = app.new_key(AccessRole::Ops, "operator");
    park(&app, &sandbox);
    inspect(&app, &sandbox);
    let ids = Vec::from_iter(names().iter().map(|card| call(&app, card).0));
    let mut watch = Watch::begin(&app.database);

    // A dry run tells what would be done, and does nothing.
    let (before, calls) = (rows(&app), sandbox.calls().len());
    let all = ["retry", "--all", "--kind", KIND, "--json"];
    let dry = outbox(&app, &[&all[..], &["--dry-run"]].concat());
    assert_eq!(dry.json()["done"], json!(ids));
    std::thread::sleep(Duration::from_millis(700));
    assert!(rows(&app) == before, "a dry run has changed rows");
    assert_eq!(sandbox.calls().len(), calls, "a dry run has made calls");
    assert_eq!(recorded(&mut watch), []);

    let stop = AtomicBool::new(false);
    let others = std::thread::scope(|threads| {
        let ends = SetOnDrop(&stop);
        let sender = threads.spawn(|| traffic(&app, &sandbox, &stop));
        // One over the API, one given up, the rest by a filter.
        let path = format!("/v1/outbox/{}/retry", ids[0]);
        assert_eq!(app.send("POST", &path, &ops, "").status, 200);
        wait_until("it is done", || call(&app, "card-0").1 == "done");
        let discarded = outbox(&app, &["discard", &ids[1], "--reason", "the card is sold"]);
        assert_eq!(discarded.code, 0, "{discarded:?}");
        let retried = outbox(&app, &all);
        assert_eq!(retried.json()["done"], json!(ids[2..]), "{retried:?}");
        wait_until("all are done", || {
            names()[2..].iter().all(|card| call(&app, card).1 == "done")
        });
        drop(ends);
        sender.join().unwrap()
    });
    let done = record("call.retry", &ids[0], "done");
    let mut expected = vec![done, record("call.discard", &ids[1], "done")];
    expected.extend(ids[2..].iter().map(|id| record("call.retry", id, "done")));
    expected.sort();
    assert_eq!(recorded(&mut watch), expected);

    // Once more changes nothing, and that it was tried is recorded.
    app.settle();
    let open = "SELECT count(*) AS number FROM outbox WHERE state IN ('waiting', 'running')";
    wait_until("the others are done", || app.database.number(open) == 0);
    let calls = sandbox.calls().len();
    let mut again = vec!["retry"];
    again.extend(ids.iter().map(String::as_str));
    assert_eq!(outbox(&app, &again).code, 1);
    std::thread::sleep(Duration::from_millis(700));
    assert_eq!(
        sandbox.calls().len(),
        calls,
        "a second retry has made calls"
    );
    let refused = Vec::from_iter(
        recorded(&mut watch)
            .into_iter()
            .map(|(_, _, outcome)| outcome),
    );
    assert_eq!(refused, vec!["refused"; CARDS]);
    for card in names() {
        let is_kept = assert_pair(&app, &sandbox, &card);
        assert_eq!(is_kept, card != "card-1", "{card}");
        let attempts = sandbox.count(Operation::Checkout, Some(&card));
        assert_eq!(attempts, if is_kept { 2 } else { 1 }, "{card}");
    }
    for number in 0..others {
        assert!(assert_pair(&app, &sandbox, &format!("other-{number}")));
    }
    println!(
        "O-12 on {backend:?}: {CARDS} parked calls, {} acts recorded, dry run 0 rows and 0 calls, beside {others} refreshes of other cards",
        expected.len() + CARDS
    );
}
