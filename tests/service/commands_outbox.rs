//! `outbox`: what was called, what the other side said, and what an operator may do about it.

use insta::{allow_duplicates, assert_snapshot};
use rstest::rstest;
use serde_json::{Value, json};
use tokenkeep::store::JobView;

use crate::support::build::{CARD, NUMBER_1, NUMBER_2, plain, refresh, status};
use crate::support::commands::{Output, tokenkeep};
use crate::support::{App, Backend, START};

/// Three cards with one call each, in these states; the ids of the calls by card.
fn app_with_calls(backend: Backend, states: [&str; 3]) -> (App, [String; 3]) {
    let app = App::spawn(backend);
    let cards = ["a", "b", "c"];
    for (card, state) in cards.iter().zip(states) {
        // A status that is not known has Mastercard asked.
        app.deliver(&plain(&[status(card, Some(START), "LOCKED")]));
        app.database.execute(&format!(
            "UPDATE outbox SET state = '{state}', attempts = 2, last_status = 403, \
             last_reason = 'FORBIDDEN' WHERE card_id = '{card}'"
        ));
    }
    let ids = cards.map(|card| app.jobs(card).remove(0).id);
    (app, ids)
}

fn ran(app: &App, args: &[&str]) -> Output {
    tokenkeep(&app.database, &[&["outbox"], args].concat())
}

fn json_of(app: &App, args: &[&str]) -> Value {
    let ran = ran(app, &[args, &["--json"]].concat());
    assert_eq!(ran.code, 0, "{ran:?}");
    ran.json()
}

fn job(app: &App, id: &str) -> JobView {
    app.store().read(|tx| tx.job(id)).unwrap().unwrap()
}

/// A printed text with ids of calls made the same in every run, as long as they are.
fn without_ids(text: &str, ids: &[String]) -> String {
    let name = |text: String, (number, id): (usize, &String)| {
        text.replace(id, &format!("{number:-<0$}", id.len()))
    };
    ids.iter().enumerate().fold(text.to_owned(), name)
}

/// The ids of a printed list of calls.
fn listed(list: &Value) -> Vec<&str> {
    let jobs = list["jobs"].as_array().unwrap();
    Vec::from_iter(jobs.iter().map(|job| job["id"].as_str().unwrap()))
}

#[rstest]
fn calls_are_listed_and_shown_with_what_the_other_side_last_said(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let (app, ids) = app_with_calls(backend, ["parked", "done", "waiting"]);
    app.database
        .execute("UPDATE outbox SET last_status = NULL WHERE card_id = 'c'");
    allow_duplicates! {
        assert_snapshot!(without_ids(&ran(&app, &["list"]).stdout, &ids), @r"
        CALL                                  KIND      CARD  STATE    ATTEMPTS  NOT BEFORE                LAST RESULT
        0-----------------------------------  get_card  a     parked   2                                   403 FORBIDDEN
        1-----------------------------------  get_card  b     done     2                                   403 FORBIDDEN
        2-----------------------------------  get_card  c     waiting  2         2026-07-20T10:01:00.000Z  FORBIDDEN
        ");
        let shown = without_ids(&ran(&app, &["show", &ids[0]]).stdout, &ids);
        let delivery = app.notifications("a").remove(0).id;
        assert_snapshot!(shown.replace(&delivery, "NOTIFICATION"), @r"
        call            0-----------------------------------
        kind            get_card
        card            a
        number version  none
        notification    NOTIFICATION
        state           parked
        attempts        2
        not before      none
        last status     403
        last reason     FORBIDDEN
        created         2026-07-20T10:00:00.000Z
        ended           none
        ");
    }
    let shown = json_of(&app, &["show", &ids[0]]);
    assert_eq!(shown["cardId"], "a");
    assert_eq!(
        (&shown["lastStatus"], &shown["lastReason"]),
        (&json!(403), &json!("FORBIDDEN"))
    );
    assert_eq!(shown["createdAt"], "2026-07-20T10:00:00.000Z");
    let unknown = ran(&app, &["show", "-nobody"]);
    assert_eq!(
        (unknown.code, unknown.stdout.as_str()),
        (1, ""),
        "{unknown:?}"
    );
}

#[rstest]
fn calls_are_listed_by_state_kind_and_card_and_by_the_page(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let (app, [a, b, c]) = app_with_calls(backend, ["parked", "done", "parked"]);
    let list = |args: &[&str]| json_of(&app, &[&["list"], args].concat());
    assert_eq!(listed(&list(&[])), [&a, &b, &c]);
    assert_eq!(listed(&list(&["--state", "parked"])), [&a, &c]);
    assert_eq!(listed(&list(&["--kind", "get_card"])), [&a, &b, &c]);
    assert!(listed(&list(&["--kind", "delete_card"])).is_empty());
    assert_eq!(listed(&list(&["--card", "b"])), [&b]);
    assert!(listed(&list(&["--card", "-b"])).is_empty());
    let page = list(&["--limit", "1", "--after", &a]);
    assert_eq!((listed(&page), &page["next"]), (vec![&*b], &json!(b)));
}

#[rstest]
fn parked_dead_and_waiting_calls_are_retried_and_the_others_named(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
    #[values("parked", "dead", "waiting")] state: &str,
) {
    let (app, ids) = app_with_calls(backend, [state, "done", "running"]);
    let retried = ran(&app, &["retry", &ids[0], &ids[1], "nobody", &ids[2]]);
    assert_eq!(retried.code, 1, "{retried:?}");
    allow_duplicates! {
        assert_snapshot!(without_ids(&retried.stdout, &ids), @r"
        1 due now for a running serve, 3 refused
         CALL                                  REFUSED BECAUSE
         1-----------------------------------  it is done
         nobody                                no call of this id is known
         2-----------------------------------  it is running
        ");
        assert_snapshot!(retried.stderr, @"tokenkeep: some calls are refused");
    }
    let [first, second, third] = ids.map(|id| job(&app, &id));
    assert_eq!(first.state, "waiting");
    assert_ne!(
        first.next_at,
        START + 60_000,
        "due now, not when it was to be"
    );
    assert_eq!(
        (second.state.as_str(), third.state.as_str()),
        ("done", "running")
    );
}

#[rstest]
fn a_call_is_not_retried_beside_another_of_its_kind(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let (app, [dead, ..]) = app_with_calls(backend, ["dead", "done", "done"]);
    app.database
        .execute("UPDATE outbox SET open_key = NULL WHERE state = 'dead'");
    app.deliver(&plain(&[status("a", Some(START + 1), "LOCKED AGAIN")]));
    assert_eq!(app.jobs("a").len(), 2);
    let retried = ran(&app, &["retry", &dead]);
    assert_eq!(retried.code, 1, "{retried:?}");
    assert!(
        retried.stdout.contains("another call of its kind is open"),
        "{retried:?}"
    );
    assert_eq!(job(&app, &dead).state, "dead");
}

#[rstest]
fn all_calls_of_one_state_and_kind_are_retried(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let (app, [a, b, c]) = app_with_calls(backend, ["parked", "dead", "parked"]);
    for number in [NUMBER_1, NUMBER_2] {
        let time = START + i64::from(number == NUMBER_2);
        app.deliver(&plain(&[refresh(CARD, time, number, ("12", "2031"))]));
    }
    app.database.execute(
        "UPDATE outbox SET state = 'parked' WHERE kind = 'cryptogram' AND state = 'waiting'",
    );
    let done = |args: &[&str]| json_of(&app, &[&["retry", "--all"], args].concat())["done"].clone();
    assert_eq!(done(&["--kind", "get_card"]), json!([a, c]));
    assert_eq!(
        done(&["--kind", "get_card"]),
        json!([]),
        "none is parked any more"
    );
    assert_eq!(done(&["--state", "dead"]), json!([b]));
    assert_eq!(done(&[]).as_array().unwrap().len(), 1, "the cryptogram");
}

#[rstest]
fn discarded_calls_keep_the_reason_and_what_may_not_be_discarded_is_named(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let (app, ids) = app_with_calls(backend, ["parked", "done", "running"]);
    let args = [
        "discard",
        &ids[0],
        &ids[1],
        &ids[2],
        "--reason",
        "- card sold",
    ];
    let discarded = ran(&app, &[&args[..], &["--json"]].concat());
    assert_eq!(discarded.code, 1, "{discarded:?}");
    let [a, b, c] = &ids;
    let refused = json!([
        { "id": b, "reason": "it is done" },
        { "id": c, "reason": "it is running" },
    ]);
    assert_eq!(discarded.json(), json!({ "done": [a], "refused": refused }));
    let gone = job(&app, a);
    assert_eq!(gone.state, "discarded");
    assert_eq!(gone.last_reason.as_deref(), Some("- card sold"));
    assert!(gone.ended_at.is_some());
    let again = ran(&app, &["retry", a]);
    assert_eq!(again.code, 1, "{again:?}");
    assert!(again.stdout.contains("it is discarded"), "{again:?}");
}

#[rstest]
#[case::no_call(&["retry"])]
#[case::calls_and_all(&["retry", "x", "--all"])]
#[case::state_without_all(&["retry", "x", "--state", "dead"])]
#[case::done_cannot_be_retried(&["retry", "--all", "--state", "done"])]
#[case::unknown_state(&["list", "--state", "lost"])]
#[case::unknown_kind(&["list", "--kind", "phone_call"])]
#[case::no_reason(&["discard", "x"])]
#[case::empty_reason(&["discard", "x", "--reason", ""])]
#[case::reason_with_controls(&["discard", "x", "--reason", "a\u{1b}[2Jb"])]
fn wrong_use_of_outbox_is_told(#[case] args: &[&str]) {
    let app = App::spawn(Backend::Sqlite);
    let ran = ran(&app, args);
    assert_eq!((ran.code, ran.stdout.as_str()), (2, ""), "{ran:?}");
}
