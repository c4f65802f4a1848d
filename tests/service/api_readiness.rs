//! `GET /v1/cards/{id}/readiness`: may this card be charged now, and with what.

use insta::{allow_duplicates, assert_snapshot};
use rstest::rstest;
use serde_json::{Value, json};
use tokenkeep::api::access::AccessRole;
use tokenkeep::domain::{CardId, Input, NotThere, Policy, decide};

use crate::support::build::{CARD, NUMBER_1, NUMBER_2, plain, refresh, refresh_with, status};
use crate::support::{App, Backend, START};

const EXPIRY: (&str, &str) = ("12", "2031");

fn path(card: &str) -> String {
    format!("/v1/cards/{card}/readiness")
}

struct Payments<'a> {
    app: &'a App,
    key: String,
}

impl<'a> Payments<'a> {
    fn of(app: &'a App) -> Self {
        let key = app.new_key(AccessRole::Payments, "payments");
        Self { app, key }
    }

    fn readiness(&self, query: &str) -> Value {
        let url = self.app.api_url(&(path(CARD) + query));
        let answer = self.app.client.get(&url, &self.key);
        assert_eq!(answer.status, 200, "{}", answer.text);
        assert!(!answer.text.contains(NUMBER_1) && !answer.text.contains(NUMBER_2));
        answer.json()
    }
}

#[rstest]
fn a_card_that_was_refreshed_is_ready_with_everything_a_payment_needs_to_know(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let app = App::spawn(backend);
    let payments = Payments::of(&app);
    app.deliver(&plain(&[refresh(CARD, START - 9_000, NUMBER_1, EXPIRY)]));
    allow_duplicates! {
        assert_snapshot!(format!("{:#}", payments.readiness("")), @r#"
        {
          "mayCharge": true,
          "reasons": [],
          "token": {
            "numberVersion": 1,
            "version": 1,
            "lastFour": "0011",
            "expirationMonth": "12",
            "expirationYear": "2031"
          },
          "cryptogram": "requested",
          "seriesRestart": null,
          "checkoutRecommended": false,
          "warnings": []
        }
        "#);
    }
    // The app may ask as well.
    let key = app.new_key(AccessRole::App, "another");
    assert_eq!(app.client.get(&app.api_url(&path(CARD)), &key).status, 200);
}

#[rstest]
fn every_reason_against_a_charge_is_named(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let app = App::spawn(backend);
    let payments = Payments::of(&app);
    let against = |reasons: &[&str]| {
        let ready = payments.readiness("");
        assert_eq!(ready["reasons"], json!(reasons));
        assert_eq!(ready["mayCharge"], reasons.is_empty());
    };
    app.put(&format!("/v1/cards/{CARD}"), &json!({}));
    against(&["status-unknown"]);
    assert_eq!(payments.readiness("")["token"], Value::Null);
    app.deliver(&plain(&[status(CARD, Some(START - 9_000), "ACTIVE")]));
    against(&[]);
    app.deliver(&plain(&[status(CARD, Some(START - 8_000), "SUSPENDED")]));
    against(&["suspended"]);
    app.deliver(&plain(&[refresh_with(CARD, START - 7_000, "not.a.jwe")]));
    against(&["refresh-unreadable"]);
    app.deliver(&plain(&[refresh(
        CARD,
        START - 6_000,
        NUMBER_1,
        ("06", "2026"),
    )]));
    against(&["token-expired"]);
    app.deliver(&plain(&[status(CARD, Some(START - 5_000), "DORMANT")]));
    against(&["status-unknown", "token-expired"]);
}

#[rstest]
fn the_cryptogram_is_requested_then_ready_until_it_runs_out_or_is_handed_out(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let app = App::spawn(backend);
    let payments = Payments::of(&app);
    let cryptogram = || payments.readiness("")["cryptogram"].clone();
    app.put(&format!("/v1/cards/{CARD}"), &json!({}));
    app.deliver(&plain(&[status(CARD, Some(START - 9_000), "ACTIVE")]));
    assert_eq!(cryptogram(), "none");
    app.deliver(&plain(&[refresh(CARD, START - 8_000, NUMBER_1, EXPIRY)]));
    assert_eq!(cryptogram(), "requested");
    app.store_cryptogram(CARD);
    assert_eq!(cryptogram(), "ready");
    // It belongs to its number, and goes with it.
    app.deliver(&plain(&[refresh(CARD, START - 7_000, NUMBER_2, EXPIRY)]));
    assert_eq!(cryptogram(), "requested");
    app.store_cryptogram(CARD);
    app.deliver(&plain(&[status(CARD, Some(START - 6_000), "SUSPENDED")]));
    assert_ne!(cryptogram(), "ready");
    app.deliver(&plain(&[status(CARD, Some(START - 5_000), "ACTIVE")]));
    app.store_cryptogram(CARD);
    app.advance(3_599_999);
    assert_eq!(cryptogram(), "ready");
    app.advance(1);
    assert_ne!(cryptogram(), "ready");
}

#[rstest]
fn a_series_restarts_if_the_number_is_another_than_it_began_with(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let app = App::spawn(backend);
    let payments = Payments::of(&app);
    let restart = |begun_with: u32| {
        let query = format!("?seriesNumberVersion={begun_with}");
        payments.readiness(&query)["seriesRestart"].clone()
    };
    app.deliver(&plain(&[refresh(CARD, START - 9_000, NUMBER_1, EXPIRY)]));
    assert_eq!(
        (restart(1), restart(0), restart(7)),
        (json!(false), json!(true), json!(true))
    );
    app.deliver(&plain(&[refresh(
        CARD,
        START - 8_000,
        NUMBER_1,
        ("01", "2033"),
    )]));
    assert_eq!(restart(1), json!(false));
    app.deliver(&plain(&[refresh(
        CARD,
        START - 7_000,
        NUMBER_2,
        ("01", "2033"),
    )]));
    assert_eq!((restart(1), restart(2)), (json!(true), json!(false)));
    for wrong in ["x", "-1", "1.0", "4294967296", ""] {
        let url = app.api_url(&format!("{}?seriesNumberVersion={wrong}", path(CARD)));
        let answer = app.client.get(&url, &payments.key);
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (400, "wrong-query"),
            "{wrong}"
        );
    }
}

#[rstest]
#[case::both(NUMBER_2, ("01", "2033"), false)]
#[case::number(NUMBER_2, EXPIRY, false)]
#[case::expiry(NUMBER_1, ("01", "2033"), true)]
#[case::nothing(NUMBER_1, EXPIRY, false)]
fn a_checkout_is_recommended_where_the_expiry_alone_changed(
    #[case] number: &str,
    #[case] expiry: (&str, &str),
    #[case] recommended: bool,
) {
    let app = App::spawn(Backend::Sqlite);
    let payments = Payments::of(&app);
    app.deliver(&plain(&[refresh(CARD, START - 9_000, NUMBER_1, EXPIRY)]));
    app.store_cryptogram(CARD);
    app.deliver(&plain(&[refresh(CARD, START - 8_000, number, expiry)]));
    let ready = payments.readiness("");
    assert_eq!(ready["checkoutRecommended"], recommended);
    let kept = number == NUMBER_1;
    assert_eq!(
        ready["cryptogram"],
        if kept { "ready" } else { "requested" }
    );
    // A new number asks for its own.
    let another = "5480980000000033";
    app.deliver(&plain(&[refresh(CARD, START - 7_000, another, EXPIRY)]));
    assert_eq!(payments.readiness("")["checkoutRecommended"], false);
}

#[rstest]
fn what_casts_doubt_on_the_card_is_warned_of(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let app = App::spawn(backend);
    let payments = Payments::of(&app);
    let warnings = || payments.readiness("")["warnings"].clone();
    app.deliver(&plain(&[refresh(CARD, START - 9_000, NUMBER_1, EXPIRY)]));
    assert_eq!(warnings(), json!([]));
    let mut newer = status(CARD, Some(START - 8_000), "ACTIVE");
    newer["maskedCard"]["tokenLastFour"] = "0022".into();
    app.deliver(&plain(&[newer]));
    assert_eq!(warnings(), json!(["refresh-suspected"]));
    let id = CardId::parse(CARD).unwrap();
    let written = app.store().write(|tx| {
        let not_there = NotThere {
            card_id: id.clone(),
            received_at: START,
        };
        let card = tx.card(&id)?.map(|row| row.card);
        let policy = Policy::default();
        let decision = decide(card, Input::NotThere(not_there), &policy);
        tx.write_decision(&id, &decision, &policy, None, START)
    });
    written.unwrap();
    assert_eq!(warnings(), json!(["refresh-suspected", "not-found-there"]));
    assert_eq!(payments.readiness("")["mayCharge"], true);
}

#[rstest]
fn an_unknown_card_is_404_and_one_that_has_ended_410(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let app = App::spawn(backend);
    let payments = Payments::of(&app);
    let refusal = |card: &str| {
        let answer = app.client.get(&app.api_url(&path(card)), &payments.key);
        (answer.status, answer.code())
    };
    assert_eq!(refusal("nobody"), (404, "unknown-card".to_owned()));
    assert_eq!(refusal("a%20b"), (400, "wrong-card-id".to_owned()));
    app.deliver(&plain(&[status(CARD, Some(START), "CANCELLED")]));
    assert_eq!(refusal(CARD), (410, "terminal".to_owned()));
}
