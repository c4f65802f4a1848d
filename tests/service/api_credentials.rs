//! `POST /v1/cards/{id}/credentials`: what one payment needs, handed out once.

use rstest::rstest;
use serde_json::{Value, json};
use tokenkeep::api::access::AccessRole;

use crate::support::api::Ask;
use crate::support::build::{CARD, NUMBER_1, NUMBER_2, plain, refresh, refresh_with, status};
use crate::support::raw::Reply;
use crate::support::{App, Backend, START};

/// What [`App::store_cryptogram`] stores.
const STORED: &str = "a demonstration cryptogram";
const EXPIRY: (&str, &str) = ("12", "2031");
const SINGLE: &str = "{\"use\": \"single\"}";

struct Payments<'a> {
    app: &'a App,
    key: String,
}

impl<'a> Payments<'a> {
    fn of(app: &'a App) -> Self {
        let key = app.new_key(AccessRole::Payments, "payments");
        Self { app, key }
    }

    fn ask_for(&self, card: &str, body: &str) -> Reply {
        let path = format!("/v1/cards/{card}/credentials");
        self.app.send("POST", &path, &self.key, body)
    }

    fn ask(&self, body: &str) -> Reply {
        self.ask_for(CARD, body)
    }

    /// What is handed out for this body.
    fn get(&self, body: &Value) -> Value {
        let reply = self.ask(&body.to_string());
        assert_eq!(reply.status, 200, "{}", reply.body);
        reply.json()
    }

    /// Asks under an idempotency key.
    fn once(&self, idempotency: &str, body: &str) -> Reply {
        self.app.ask(&Ask {
            method: "POST",
            path: &format!("/v1/cards/{CARD}/credentials"),
            key: &self.key,
            headers: &[&format!("Idempotency-Key: {idempotency}")],
            body,
        })
    }
}

fn refusal(reply: &Reply) -> (u16, String) {
    (reply.status, reply.code())
}

/// A card with number and stored cryptogram, of no program.
fn refreshed(app: &App) {
    app.deliver(&plain(&[refresh(CARD, START - 9_000, NUMBER_1, EXPIRY)]));
    app.store_cryptogram(CARD);
}

#[rstest]
fn the_stored_cryptogram_is_handed_out_once_and_the_answer_is_cached_nowhere(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let app = App::spawn(backend);
    let payments = Payments::of(&app);
    refreshed(&app);
    let reply = payments.ask(SINGLE);
    assert_eq!(reply.status, 200, "{}", reply.body);
    assert_eq!(reply.header("cache-control"), Some("no-store"));
    assert_eq!(reply.header("content-type"), Some("application/json"));
    assert_eq!(
        reply.json(),
        json!({
            "paymentToken": NUMBER_1,
            "tokenExpirationMonth": "12",
            "tokenExpirationYear": "2031",
            "cryptogram": STORED,
            "dynamicDataType": "CARD_APPLICATION_CRYPTOGRAM_SHORT_FORM",
            "sli": 246,
            "numberVersion": 1,
            "seriesRestart": null,
        })
    );
    // There is no second one, and nobody to ask for it.
    let second = payments.ask(SINGLE);
    assert_eq!(refusal(&second), (409, "program-unknown".to_owned()));
    assert_eq!(second.header("cache-control"), Some("no-store"));
}

#[rstest]
fn of_a_hundred_who_ask_at_once_exactly_one_gets_the_cryptogram(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let app = App::spawn(backend);
    let payments = Payments::of(&app);
    refreshed(&app);
    let replies: Vec<Reply> = std::thread::scope(|scope| {
        let asking: Vec<_> = (0..100)
            .map(|_| scope.spawn(|| payments.ask(SINGLE)))
            .collect();
        asking.into_iter().map(|it| it.join().unwrap()).collect()
    });
    let issued = replies.iter().filter(|reply| reply.status == 200);
    assert_eq!(issued.count(), 1);
    for reply in replies.iter().filter(|reply| reply.status != 200) {
        assert!([409, 503].contains(&reply.status), "{}", reply.body);
        assert!(!reply.body.contains(NUMBER_1) && !reply.body.contains(STORED));
    }
}

#[rstest]
fn a_series_gets_247_and_a_cryptogram_only_when_it_begins_or_begins_anew(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let app = App::spawn(backend);
    let payments = Payments::of(&app);
    refreshed(&app);
    let later = json!({ "use": "recurring", "seriesNumberVersion": 1 });
    for _ in 0..2 {
        let further = payments.get(&later);
        assert_eq!(
            (&further["sli"], &further["seriesRestart"]),
            (&json!(247), &json!(false))
        );
        assert_eq!(further.get("cryptogram"), None);
        assert_eq!(further["paymentToken"], NUMBER_1);
    }
    let untold = payments.get(&json!({ "use": "recurring" }));
    assert_eq!(
        (untold.get("cryptogram"), &untold["seriesRestart"]),
        (None, &Value::Null)
    );
    let first = payments.get(&json!({ "use": "recurring-first" }));
    assert_eq!(
        (&first["sli"], &first["cryptogram"]),
        (&json!(247), &json!(STORED))
    );

    app.deliver(&plain(&[refresh(CARD, START - 8_000, NUMBER_2, EXPIRY)]));
    app.store_cryptogram(CARD);
    let restarted = payments.get(&later);
    assert_eq!(restarted["seriesRestart"], true);
    assert_eq!(
        (&restarted["sli"], &restarted["cryptogram"]),
        (&json!(247), &json!(STORED))
    );
    assert_eq!(
        (&restarted["paymentToken"], &restarted["numberVersion"]),
        (&json!(NUMBER_2), &json!(2))
    );
}

#[rstest]
fn a_card_that_may_not_be_charged_gives_nothing_and_says_why(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let app = App::spawn(backend);
    let payments = Payments::of(&app);
    assert_eq!(
        refusal(&payments.ask(SINGLE)),
        (404, "unknown-card".to_owned())
    );
    let against = |reasons: &[&str]| {
        let reply = payments.ask("{\"use\": \"recurring\"}");
        assert_eq!(refusal(&reply), (409, "not-chargeable".to_owned()));
        assert_eq!(
            reply.header("content-type"),
            Some("application/problem+json")
        );
        let problem = reply.json();
        assert_eq!(
            (&problem["reasons"], &problem["status"]),
            (&json!(reasons), &json!(409))
        );
        assert!(!reply.body.contains(NUMBER_1), "{}", reply.body);
    };
    refreshed(&app);
    app.deliver(&plain(&[status(CARD, Some(START - 8_000), "SUSPENDED")]));
    against(&["suspended"]);
    app.deliver(&plain(&[status(CARD, Some(START - 7_000), "DORMANT")]));
    against(&["status-unknown"]);
    app.deliver(&plain(&[refresh_with(CARD, START - 6_000, "not.a.jwe")]));
    against(&["refresh-unreadable"]);
    app.deliver(&plain(&[refresh(
        CARD,
        START - 5_000,
        NUMBER_2,
        ("06", "2026"),
    )]));
    against(&["token-expired"]);
    app.deliver(&plain(&[status(CARD, Some(START - 4_000), "CANCELLED")]));
    assert_eq!(refusal(&payments.ask(SINGLE)), (410, "terminal".to_owned()));
    assert_eq!(
        refusal(&payments.ask_for("a%20b", SINGLE)),
        (400, "wrong-card-id".to_owned())
    );
}

#[rstest]
#[case::no_body("")]
#[case::no_object("\"5480980000000099\"")]
#[case::no_use("{}")]
#[case::another_use("{\"use\": \"5480980000000099\"}")]
#[case::use_in_capitals("{\"use\": \"SINGLE\"}")]
#[case::use_no_text("{\"use\": 5480980000000099}")]
#[case::further_field("{\"use\": \"single\", \"5480980000000099\": 1}")]
#[case::twice("{\"use\": \"single\", \"use\": \"5480980000000099\"}")]
#[case::version_text("{\"use\": \"single\", \"seriesNumberVersion\": \"5480980000000099\"}")]
#[case::version_large("{\"use\": \"single\", \"seriesNumberVersion\": 5480980000000099}")]
#[case::version_negative("{\"use\": \"single\", \"seriesNumberVersion\": -1}")]
#[case::version_fraction("{\"use\": \"single\", \"seriesNumberVersion\": 1.0}")]
#[case::amount_no_object("{\"use\": \"single\", \"amount\": 5480980000000099}")]
#[case::amount_empty("{\"use\": \"single\", \"amount\": {}}")]
#[case::amount_no_currency("{\"use\": \"single\", \"amount\": {\"transactionAmount\": 1}}")]
#[case::amount_exponent(
    "{\"use\": \"single\", \"amount\": {\"transactionAmount\": 1e2, \"transactionCurrencyCode\": \"EUR\"}}"
)]
#[case::amount_negative(
    "{\"use\": \"single\", \"amount\": {\"transactionAmount\": -1, \"transactionCurrencyCode\": \"EUR\"}}"
)]
#[case::amount_too_long(
    "{\"use\": \"single\", \"amount\": {\"transactionAmount\": 5480980000000099, \"transactionCurrencyCode\": \"EUR\"}}"
)]
#[case::amount_null(
    "{\"use\": \"single\", \"amount\": {\"transactionAmount\": null, \"transactionCurrencyCode\": \"EUR\"}}"
)]
#[case::currency_small(
    "{\"use\": \"single\", \"amount\": {\"transactionAmount\": \"1\", \"transactionCurrencyCode\": \"eur\"}}"
)]
#[case::amount_further_field(
    "{\"use\": \"single\", \"amount\": {\"transactionAmount\": 1, \"transactionCurrencyCode\": \"EUR\", \"5480980000000099\": 1}}"
)]
fn a_wrong_request_is_refused_without_an_echo_and_takes_nothing(#[case] body: &str) {
    let app = App::spawn(Backend::Sqlite);
    let payments = Payments::of(&app);
    refreshed(&app);
    let reply = payments.ask(body);
    assert_eq!(
        refusal(&reply),
        (400, "wrong-credentials-request".to_owned()),
        "{body}"
    );
    assert!(!reply.body.contains("5480"), "{}", reply.body);
    assert_eq!(payments.ask(SINGLE).json()["cryptogram"], STORED);
}

#[rstest]
fn under_an_idempotency_key_credentials_are_issued_once_and_stored_nowhere(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let app = App::spawn(backend);
    let payments = Payments::of(&app);
    refreshed(&app);
    let reply = payments.once("order-1", SINGLE);
    assert_eq!(reply.json()["cryptogram"], STORED);
    let again = payments.once("order-1", SINGLE);
    assert_eq!(refusal(&again), (409, "already-issued".to_owned()));
    assert!(!again.body.contains(NUMBER_1), "{}", again.body);
    let other = payments.once("order-1", "{\"use\": \"recurring\"}");
    assert_eq!(refusal(&other), (422, "idempotency-key-reused".to_owned()));
    let malformed = payments.once("order 1", SINGLE);
    assert_eq!(
        refusal(&malformed),
        (400, "wrong-idempotency-key".to_owned())
    );
    let kept = app.database.bytes();
    for secret in [NUMBER_1, STORED] {
        let is_there = kept
            .windows(secret.len())
            .any(|part| part == secret.as_bytes());
        assert!(!is_there, "a secret is in the database");
    }
}
