//! Who may ask the API for what, and whether the service says that it is well.

use std::time::{Duration, Instant};

use insta::{allow_duplicates, assert_snapshot};
use rstest::rstest;
use serde_json::{Value, json};
use tokenkeep::api::access::AccessRole;

use crate::support::build::{CARD, plain, status};
use crate::support::raw::{Reply, exchange};
use crate::support::sql::sql;
use crate::support::{App, Backend, START, slack, wait_until};

fn get(app: &App, path: &str, headers: &[String]) -> Reply {
    let mut request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n");
    for header in headers {
        request += &format!("{header}\r\n");
    }
    exchange(app.service().api, request + "\r\n").unwrap()
}

fn bearer(key: &str) -> String {
    format!("Authorization: Bearer {key}")
}

#[rstest]
fn w21_only_one_well_formed_valid_key_is_let_in(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let app = App::spawn(backend);
    let key = app.new_key(AccessRole::Ops, "mine");
    let revoked = app.new_key(AccessRole::Ops, "gone");
    assert_eq!(get(&app, "/v1/cards", &[bearer(&revoked)]).status, 200);
    let gone = app.store().write(|tx| tx.revoke_api_key("gone", START));
    assert!(gone.unwrap());

    assert_eq!(get(&app, "/v1/cards", &[bearer(&key)]).status, 200);
    let (head, tail) = key.split_at(key.len() - 1);
    let other = if tail == "A" { "B" } else { "A" };
    for headers in [
        vec![],
        vec![bearer("")],
        vec![bearer(&format!("x{}", &key[1..]))],
        vec![bearer(&format!("{head}{other}"))],
        vec![bearer(head)],
        vec![bearer(&format!("{key}A"))],
        vec![bearer(&"k".repeat(10_000))],
        vec![bearer(&revoked)],
        vec![bearer(&key), bearer(&key)],
        vec![format!("Authorization: Basic {key}")],
        vec![format!("Authorization: {key}")],
        vec![format!("X-Api-Key: {key}")],
    ] {
        let answer = get(&app, "/v1/cards", &headers);
        assert_eq!(answer.status, 401, "{headers:?}");
        assert_eq!(
            answer.header("content-type"),
            Some("application/problem+json")
        );
        assert!(!answer.body.contains(&key[3..]), "{}", answer.body);
    }
}

#[rstest]
#[case("GET", "/v1/nothing", 404, "no-such-route")]
#[case("POST", "/notifications/card", 404, "no-such-route")]
#[case("POST", "/v1/cards/x", 405, "no-such-method")]
#[case("POST", "/v1/notifications", 405, "no-such-method")]
fn what_is_not_served_is_refused_with_a_problem_document(
    #[case] method: &str,
    #[case] path: &str,
    #[case] status: u16,
    #[case] code: &str,
) {
    let app = App::spawn(Backend::Sqlite);
    let request =
        format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n");
    let answer = exchange(app.service().api, request).unwrap();
    assert_eq!(answer.status, status);
    assert_eq!(
        answer.header("content-type"),
        Some("application/problem+json")
    );
    let problem: Value = serde_json::from_str(&answer.body).unwrap();
    assert_eq!(problem["code"], code);
}

#[rstest]
fn the_health_checks_need_no_key_and_tell_the_backlog(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let app = App::spawn(backend);
    let alive = get(&app, "/livez", &[]);
    assert_eq!((alive.status, alive.body.as_str()), (200, "alive\n"));
    let ready = get(&app, "/readyz", &[]);
    assert_eq!(ready.status, 200);
    let mut told: Value = serde_json::from_str(&ready.body).unwrap();
    assert!(told["checks"].take().is_array());
    allow_duplicates! {
        assert_snapshot!(told, @r#"{"ready":true,"reasons":[],"checks":null,"warnings":[],"backlog":0,"maintenance":null,"programs":[]}"#);
    }
}

#[rstest]
fn d13_without_its_database_the_service_is_alive_but_not_ready_and_heals_by_itself(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let app = App::spawn(backend);
    sql(&app.database).take_away();
    let begun = Instant::now();
    let answer = app.notify(&plain(&[status(CARD, Some(START), "ACTIVE")]));
    assert_eq!(
        (answer.status, answer.code().as_str()),
        (503, "storage-unavailable")
    );
    assert!(
        begun.elapsed() < Duration::from_secs(4) + slack(),
        "{:?}",
        begun.elapsed()
    );
    let begun = Instant::now();
    let ready = get(&app, "/readyz", &[]);
    assert!(
        begun.elapsed() < Duration::from_secs(4) + slack(),
        "{:?}",
        begun.elapsed()
    );
    let problem: Value = serde_json::from_str(&ready.body).unwrap();
    assert_eq!((ready.status, &problem["ready"]), (503, &json!(false)));
    assert_eq!(problem["reasons"][0], "the database does not answer");
    assert_eq!(get(&app, "/livez", &[]).status, 200);
    let cards = app.get("/v1/cards");
    assert_eq!(
        (cards.status, cards.retry_after.as_deref()),
        (503, Some("1"))
    );

    sql(&app.database).bring_back();
    let begun = Instant::now();
    wait_until("it is ready again", || {
        get(&app, "/readyz", &[]).status == 200
    });
    assert!(
        begun.elapsed() < Duration::from_secs(5) + slack(),
        "{:?}",
        begun.elapsed()
    );
    app.deliver(&plain(&[status(CARD, Some(START), "ACTIVE")]));
    assert_eq!(app.verdicts(CARD), ["applied"]);
}
