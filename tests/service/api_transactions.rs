//! `GET /v1/cards/{id}/transactions`: what Mastercard lists of a card, passed on.

use rstest::rstest;
use serde_json::{Value, json};
use tokenkeep::api::access::AccessRole;
use tokenkeep::sandbox::{ErrorShape, Fault, Operation};
use tokenkeep::telemetry::{Clock, timestamp};

use crate::support::api::{card, with_sandbox};
use crate::support::build::{CARD, plain, status};
use crate::support::{App, Backend};

fn ask(app: &App, key: &str, card: &str, query: &str) -> (u16, Value) {
    let url = app.api_url(&format!("/v1/cards/{card}/transactions{query}"));
    let answer = app.client.get(&url, key);
    (answer.status, answer.json())
}

fn refusal(answer: &(u16, Value)) -> (u16, &str) {
    (answer.0, answer.1["code"].as_str().unwrap())
}

#[rstest]
fn the_transactions_of_a_card_are_those_that_mastercard_lists(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let (app, sandbox) = with_sandbox(backend);
    let key = app.new_key(AccessRole::App, "mine");
    sandbox.create_card(card(CARD)).unwrap();
    app.put(&format!("/v1/cards/{CARD}"), &json!({ "program": "shop" }));
    let (status, listed) = ask(&app, &key, CARD, "");
    assert_eq!(status, 200, "{listed}");
    let fields: Vec<&String> = listed.as_object().unwrap().keys().collect();
    assert_eq!(fields, ["transactions"]);
    assert!(!listed["transactions"].as_array().unwrap().is_empty());
    let yesterday = timestamp(Clock::system().now() - 86_400_000);
    let from = format!("?from={}", yesterday.replace('Z', "%2B00:00"));
    let (status, none) = ask(&app, &key, CARD, &from);
    assert_eq!((status, none), (200, json!({ "transactions": [] })));
    assert_eq!(sandbox.count(Operation::Transactions, Some(CARD)), 2);
}

#[rstest]
fn what_cannot_be_asked_for_is_refused_before_anybody_is_asked(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let (app, sandbox) = with_sandbox(backend);
    let key = app.new_key(AccessRole::App, "mine");
    let refused = |card: &str, query: &str, status: u16, code: &str| {
        let answer = ask(&app, &key, card, query);
        assert_eq!(refusal(&answer), (status, code), "{card}{query}");
    };
    refused("nobody", "", 404, "unknown-card");
    refused("a%20b", "", 400, "wrong-card-id");
    app.deliver(&plain(&[status(CARD, None, "ACTIVE")]));
    refused(CARD, "", 409, "program-unknown");
    for from in ["yesterday", "", "2026-07-20", "1784541600000"] {
        refused(CARD, &format!("?from={from}"), 400, "wrong-query");
    }
    app.deliver(&plain(&[status(CARD, None, "CANCELLED")]));
    refused(CARD, "", 410, "terminal");
    assert_eq!(sandbox.calls().len(), 0);
}

#[test]
fn a_failure_of_the_other_side_is_told_apart_from_its_refusal() {
    let (app, sandbox) = with_sandbox(Backend::Sqlite);
    let key = app.new_key(AccessRole::App, "mine");
    sandbox.create_card(card(CARD)).unwrap();
    app.put(&format!("/v1/cards/{CARD}"), &json!({ "program": "shop" }));
    let fault = |status, retry_after: Option<&str>| Fault::Error {
        status,
        shape: ErrorShape::Service { detail: None },
        retry_after: retry_after.map(str::to_owned),
    };
    let spoilt = |fault, status, code| {
        sandbox.answer_next(Operation::Transactions, fault);
        let answer = ask(&app, &key, CARD, "");
        assert_eq!(refusal(&answer), (status, code));
    };
    spoilt(fault(400, None), 502, "upstream-refused");
    spoilt(fault(503, Some("7")), 503, "upstream-unavailable");
    spoilt(Fault::Html, 503, "upstream-unavailable");
    spoilt(Fault::Reset, 503, "upstream-unavailable");
    assert_eq!(ask(&app, &key, CARD, "").0, 200);
}
