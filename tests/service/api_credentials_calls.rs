//! Credentials that Mastercard is asked for while the caller waits.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use rstest::rstest;
use serde_json::json;
use tokenkeep::api::access::AccessRole;
use tokenkeep::domain::CryptogramState;
use tokenkeep::sandbox::{Fault, Operation, Refresh, Sandbox};

use crate::support::api::{card, with_sandbox};
use crate::support::build::CARD;
use crate::support::raw::Reply;
use crate::support::{App, Backend, slack, wait_until};

const SINGLE: &str = "{\"use\": \"single\"}";

fn ask(app: &App, key: &str, body: &str) -> Reply {
    app.send("POST", &format!("/v1/cards/{CARD}/credentials"), key, body)
}

/// A card of the sandbox that is registered here, with its number known.
fn registered(app: &App, sandbox: &Sandbox) {
    sandbox.create_card(card(CARD)).unwrap();
    sandbox.send_to(Some(app.receiver_url()));
    let registered = app.put(&format!("/v1/cards/{CARD}"), &json!({ "program": "shop" }));
    assert_eq!(registered.status, 201);
    sandbox.refresh(CARD, Refresh::NumberAndExpiry).unwrap();
    wait_until("the refresh is applied and its cryptogram fetched", || {
        let card = app.card(CARD).unwrap().card;
        card.cryptogram == Some(CryptogramState::Stored)
    });
}

#[rstest]
fn every_caller_gets_a_cryptogram_of_its_own_from_mastercard(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let (app, sandbox) = with_sandbox(backend);
    let key = app.new_key(AccessRole::Payments, "payments");
    registered(&app, &sandbox);
    let body = json!({
        "use": "single",
        "amount": { "transactionAmount": 12.50, "transactionCurrencyCode": "EUR" },
    });
    let mut seen = BTreeSet::new();
    for _ in 0..5 {
        let reply = ask(&app, &key, &body.to_string());
        assert_eq!(reply.status, 200, "{}", reply.body);
        let credentials = reply.json();
        let cryptogram = credentials["cryptogram"].as_str().unwrap().to_owned();
        assert!(seen.insert(cryptogram), "twice the same cryptogram");
        let number = credentials["paymentToken"].as_str().unwrap();
        assert!(sandbox.card(CARD).unwrap().number.expose() == number);
    }
    // The first was there already.
    assert_eq!(sandbox.count(Operation::Checkout, Some(CARD)), 5);
}

#[rstest]
fn if_no_cryptogram_comes_in_time_the_caller_is_told_when_to_come_again(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let (app, sandbox) = with_sandbox(backend);
    let key = app.new_key(AccessRole::Payments, "payments");
    registered(&app, &sandbox);
    assert_eq!(ask(&app, &key, SINGLE).status, 200);
    sandbox.answer_next(Operation::Checkout, Fault::Empty(500));
    let begun = Instant::now();
    let reply = ask(&app, &key, SINGLE);
    assert_eq!(
        (reply.status, reply.code().as_str()),
        (503, "no-cryptogram")
    );
    let seconds: u32 = reply.header("retry-after").unwrap().parse().unwrap();
    assert!(seconds >= 1);
    assert!(begun.elapsed() < Duration::from_secs(12) + slack());
    assert_eq!(ask(&app, &key, SINGLE).status, 200);
}
