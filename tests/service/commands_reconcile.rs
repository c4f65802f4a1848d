//! `reconcile`: Mastercard is asked for cards that it has not told of for long.

use std::sync::atomic::Ordering;

use rstest::rstest;
use serde_json::{Value, json};
use tokenkeep::telemetry::Clock;

use crate::support::build::{plain, status};
use crate::support::commands::{Output, fed, with};
use crate::support::{App, Backend, TestDatabase};

/// A program that can be called; it is not.
pub const PROGRAM: [(&str, &str); 5] = [
    ("TOKENKEEP_PROGRAMS__SHOP__KIND", "mastercard-checkout"),
    ("TOKENKEEP_PROGRAMS__SHOP__SRC_CLIENT_ID", "client"),
    ("TOKENKEEP_PROGRAMS__SHOP__SERVICE_ID", "service"),
    ("TOKENKEEP_PROGRAMS__SHOP__CONSUMER_KEY", "consumer!key"),
    (
        "TOKENKEEP_PROGRAMS__SHOP__SIGNING_KEY",
        "signing/demo-signing.pem",
    ),
];
const DAY: i64 = 86_400_000;

fn reconcile(database: &TestDatabase, args: &[&str]) -> Output {
    with(
        database,
        &[&["reconcile", "--json"], args].concat(),
        &PROGRAM,
    )
}

fn summary(database: &TestDatabase, args: &[&str]) -> Value {
    let ran = reconcile(database, args);
    assert_eq!(ran.code, 0, "{ran:?}");
    ran.json()
}

/// An app whose clock stands this many days before now.
fn app_days_ago(backend: Backend, days: i64) -> App {
    let app = App::spawn(backend);
    set_days_ago(&app, days);
    app
}

fn set_days_ago(app: &App, days: i64) {
    app.clock
        .store(Clock::system().now() - days * DAY, Ordering::SeqCst);
}

/// A card with this status of now, of this program.
fn card(app: &App, id: &str, word: &str, program: &str) {
    let now = app.clock.load(Ordering::SeqCst);
    app.deliver(&plain(&[status(id, Some(now), word)]));
    app.put(&format!("/v1/cards/{id}"), &json!({ "program": program }));
}

/// The cards for which a Get Card waits.
fn asked(app: &App, ids: &[&str]) -> Vec<String> {
    let waits = |id: &&&str| {
        let mut jobs = app.jobs(id).into_iter();
        jobs.any(|job| job.kind == "get_card" && job.state == "waiting")
    };
    Vec::from_iter(ids.iter().filter(waits).map(|id| (*id).to_owned()))
}

#[rstest]
fn living_cards_of_callable_programs_that_were_silent_for_long_are_asked_for_once(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let app = app_days_ago(backend, 31);
    for id in ["silent-1", "silent-2", "spoken"] {
        card(&app, id, "ACTIVE", "shop");
    }
    card(&app, "elsewhere", "ACTIVE", "not-callable");
    card(&app, "ended", "CANCELLED", "shop");
    set_days_ago(&app, 29);
    card(&app, "spoken", "SUSPENDED", "shop");
    let ids = ["elsewhere", "ended", "silent-1", "silent-2", "spoken"];

    let rehearsed = summary(&app.database, &["--dry-run"]);
    assert_eq!(
        (&rehearsed["queued"], &rehearsed["dryRun"]),
        (&json!(2), &json!(true))
    );
    assert!(asked(&app, &ids).is_empty(), "a dry run queues nothing");
    let done = summary(&app.database, &[]);
    let expected = json!({ "dryRun": false, "queued": 2, "openBefore": 0, "refused": [] });
    assert_eq!(done, expected);
    assert_eq!(asked(&app, &ids), ["silent-1", "silent-2"]);
    let again = summary(&app.database, &[]);
    assert_eq!(
        (&again["queued"], &again["openBefore"]),
        (&json!(0), &json!(2))
    );
    assert_eq!(app.jobs("silent-1").len(), 1);

    let all = summary(&app.database, &["--since", "0m"]);
    assert_eq!((&all["queued"], &all["openBefore"]), (&json!(1), &json!(2)));
    assert_eq!(asked(&app, &ids), ["silent-1", "silent-2", "spoken"]);
}

#[rstest]
fn named_cards_are_asked_for_whenever_they_were_heard_of_and_the_others_refused(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let app = app_days_ago(backend, 0);
    for id in ["-one", "two", "three"] {
        card(&app, id, "ACTIVE", "shop");
    }
    card(&app, "ended", "CANCELLED", "shop");
    card(&app, "elsewhere", "ACTIVE", "not-callable");
    let now = app.clock.load(Ordering::SeqCst);
    app.deliver(&plain(&[status("stray", Some(now), "ACTIVE")]));
    let named = ["-one", "two", "ended", "elsewhere", "stray", "nobody"];
    let args = named.iter().flat_map(|id| ["--card", id]);
    let ran = reconcile(&app.database, &Vec::from_iter(args));
    assert_eq!(ran.code, 1, "{ran:?}");
    let refused = json!([
        { "cardId": "ended", "reason": "it has ended" },
        { "cardId": "elsewhere", "reason": "its program cannot be called" },
        { "cardId": "stray", "reason": "its program is not known" },
        { "cardId": "nobody", "reason": "no card of this id is known" },
    ]);
    let expected = json!({ "dryRun": false, "queued": 2, "openBefore": 0, "refused": refused });
    assert_eq!(ran.json(), expected);
    assert_eq!(
        asked(&app, &["-one", "elsewhere", "ended", "three", "two"]),
        ["-one", "two"]
    );
}

#[rstest]
fn more_cards_than_one_page_holds_are_asked_for(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let database = TestDatabase::new(backend);
    let line = |n: i32| json!({ "cardId": format!("card-{n}"), "program": "shop" }).to_string();
    let lines = Vec::from_iter((0..450).map(line)).join("\n");
    assert_eq!(fed(&database, &["cards", "import", "-"], &lines).code, 0);
    // A registration has asked for each already.
    database.execute("DELETE FROM outbox");
    let text = with(
        &database,
        &["reconcile", "--since", "0m", "--dry-run"],
        &PROGRAM,
    );
    assert_eq!(
        text.stdout,
        "450 would be queued, 0 open before, 0 refused\n"
    );
    let text = with(&database, &["reconcile", "--since", "0m"], &PROGRAM);
    assert_eq!(
        text.stdout,
        "450 queued for a running serve, 0 open before, 0 refused\n"
    );
    let waiting = "SELECT count(DISTINCT card_id) AS number FROM outbox WHERE kind = 'get_card'";
    assert_eq!(database.number(waiting), 450);
}

#[rstest]
#[case::program_that_cannot_be_called(&["--program", "elsewhere"], 2)]
#[case::program_that_can(&["--program", "shop"], 0)]
#[case::no_time(&["--since", "yesterday"], 2)]
#[case::card_and_program(&["--card", "x", "--program", "shop"], 2)]
#[case::impossible_card(&["--card", "a b"], 2)]
fn wrong_use_of_reconcile_is_told(#[case] args: &[&str], #[case] code: i32) {
    let ran = reconcile(&TestDatabase::new(Backend::Sqlite), args);
    assert_eq!(ran.code, code, "{ran:?}");
}
