//! Programs that fall silent: what they tell of is counted hour by hour, and judged by what is usual.

use std::sync::atomic::Ordering;

use rstest::rstest;
use serde_json::json;
use tokenkeep::store::{SilentProgram, SilentPrograms};

use crate::missed::{DAY, app};
use crate::support::build::{plain, status};
use crate::support::calls::{HOUR, MINUTE};
use crate::support::sql::sql;
use crate::support::{App, Backend, START, TestDatabase, wait_until};

const START_HOUR: i64 = START / HOUR;

fn now(app: &App) -> i64 {
    app.clock.load(Ordering::SeqCst)
}

fn keep(app: &App, hour: i64) {
    let items = app.store().read(|tx| tx.items_of_hour(hour)).unwrap();
    app.store().write(|tx| tx.keep_hour(hour, &items)).unwrap();
}

/// Counts the hours that are over; returns how many there were.
fn count(app: &App) -> usize {
    let mut counted = 0;
    while let Some(hour) = app.store().read(|tx| tx.uncounted_hour(now(app))).unwrap() {
        keep(app, hour);
        counted += 1;
    }
    counted
}

/// What was counted of an hour, as `program items`.
fn counted(app: &App, hour: i64) -> Vec<String> {
    sql(&app.database).texts(&format!(
        "SELECT program || ' ' || items AS text FROM traffic WHERE hour = {hour} ORDER BY program"
    ))
}

fn silent(app: &App) -> SilentPrograms {
    let rules = app.settings.missed_rules();
    app.store()
        .read(|tx| tx.silent_programs(&rules, now(app)))
        .unwrap()
}

/// What a program tells of each hour, up to the hour that ends at `end`, for so many days. The service may
/// have counted one of them.
pub fn fill(database: &TestDatabase, program: &str, end: i64, days: i64, items: i64) {
    let row = |hour: i64| format!("({hour}, '{program}', {items})");
    let rows = Vec::from_iter((end - days * 24..end).map(row)).join(", ");
    database.execute(&format!(
        "INSERT INTO traffic (hour, program, items) VALUES {rows} ON CONFLICT DO NOTHING"
    ));
}

#[rstest]
fn each_hour_that_is_over_is_counted_once_by_the_program_of_the_cards(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let app = app(backend);
    for card in ["one", "two"] {
        let answer = app.put(&format!("/v1/cards/{card}"), &json!({ "program": "shop" }));
        assert_eq!(answer.status, 201, "{}", answer.text);
    }
    let item = |card, time| status(card, Some(time), "ACTIVE");
    let stray = [item("stray", START), item("one", START), item("two", START)];
    app.deliver(&plain(&stray));
    app.advance(HOUR);
    app.deliver(&plain(&[item("one", START + HOUR)]));
    // The hour is over, and what was decided in it may still be on its way.
    app.advance(4 * MINUTE);
    let hours = count(&app);
    assert!(hours <= 1, "{hours}");
    assert_eq!(counted(&app, START_HOUR + 1), [""; 0]);
    app.advance(HOUR + MINUTE);
    count(&app);
    assert_eq!(counted(&app, START_HOUR), [" 1", "shop 2"]);
    assert_eq!(counted(&app, START_HOUR + 1), [" 0", "shop 1"]);
    // Another process that counts the same changes nothing, nor does what comes later.
    keep(&app, START_HOUR);
    assert_eq!(counted(&app, START_HOUR), [" 1", "shop 2"]);
    app.advance(50 * DAY);
    assert_eq!(count(&app), 35 * 24);
    assert_eq!(
        counted(&app, START_HOUR),
        [""; 0],
        "what is old is forgotten"
    );
}

#[rstest]
fn a_program_that_tells_of_far_less_than_usual_is_silent_and_one_without_history_is_not(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let mut app = app(backend);
    count(&app);
    let end = START_HOUR;
    // The last day is missing of the one, nothing of the others that would be.
    fill(&app.database, "shop", end - 24, 14, 2);
    fill(&app.database, "bank", end, 15, 2);
    fill(&app.database, "gone-from-the-settings", end - 24, 14, 2);
    let SilentPrograms::Judged(found) = silent(&app) else {
        panic!("it is not judged");
    };
    let told = |it: &SilentProgram| (it.program.clone(), it.silence.usual, it.silence.since);
    let expected = vec![("shop".to_owned(), 48, (end - 24) * HOUR)];
    assert_eq!(Vec::from_iter(found.iter().map(told)), expected);
    sql(&app.database).execute("DELETE FROM traffic WHERE program = 'shop'");
    fill(&app.database, "shop", end - 24, 7, 2);
    assert_eq!(
        silent(&app),
        SilentPrograms::Judged(Vec::new()),
        "nothing is usual after a week"
    );
    // Whoever does not count cannot judge.
    app.advance(4 * HOUR);
    assert_eq!(silent(&app), SilentPrograms::NotCounted);
    app.settings.missed.silent_hours = 0;
    assert_eq!(silent(&app), SilentPrograms::NotAsked);
}

#[rstest]
fn the_metrics_tell_of_each_kind_and_of_silence_and_no_scrape_looks_for_them(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let mut app = app(backend);
    let registered = app.put("/v1/cards/three", &json!({ "program": "shop" }));
    assert_eq!(registered.status, 201, "{}", registered.text);
    app.deliver(&plain(&[
        status("three", Some(START), "SUSPENDED"),
        status("one", Some(START), "SUSPENDED"),
        status("two", Some(START), "SUSPENDED"),
    ]));
    let gauge = |app: &App, series: &str| -> Option<i64> {
        let text = app.get("/metrics").text;
        let of = |line: &str| line.strip_prefix(series)?.trim().parse().ok();
        text.lines().find_map(of)
    };
    let suspended = r#"tokenkeep_missed_cards{program="none",kind="suspended-long"}"#;
    let of_shop = r#"tokenkeep_missed_cards{program="shop",kind="suspended-long"}"#;
    wait_until("it has been looked", || gauge(&app, suspended).is_some());
    assert_eq!(gauge(&app, suspended), Some(0));
    app.advance(30 * DAY);
    assert_eq!(gauge(&app, suspended), Some(0), "until the next look");
    app.stop();
    let end = now(&app) / HOUR;
    sql(&app.database).execute("DELETE FROM traffic");
    fill(&app.database, "", end, 1, 0);
    fill(&app.database, "shop", end - 24, 14, 2);
    app.start();
    wait_until("it has been looked", || gauge(&app, suspended).is_some());
    assert_eq!(gauge(&app, suspended), Some(2));
    assert_eq!(gauge(&app, of_shop), Some(1));
    let zero = r#"tokenkeep_missed_cards{program="bank",kind="token-expires"}"#;
    assert_eq!(gauge(&app, zero), Some(0));
    wait_until("all are judged", || {
        gauge(&app, "tokenkeep_unjudged_cards") == Some(0)
    });
    let of = |program| format!(r#"tokenkeep_program_silent{{program="{program}"}}"#);
    wait_until("silence is judged", || gauge(&app, &of("shop")).is_some());
    assert_eq!(gauge(&app, &of("shop")), Some(1));
    assert_eq!(gauge(&app, &of("bank")), Some(0));
}
