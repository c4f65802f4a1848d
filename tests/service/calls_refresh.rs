//! What a refresh costs in calls: exactly what the table says, and the cryptogram that comes is kept
//! beside the number it was made for.

use rstest::rstest;
use serde_json::json;
use tokenkeep::domain::CryptogramPolicy;
use tokenkeep::sandbox::{CardStatus, Operation, Refresh};

use crate::support::calls::{HOUR, MINUTE, Shop};
use crate::support::{Backend, START};

const CARD: &str = "9ajNArkAR66zqYyHCn0rCA000000000000US";

#[rstest]
#[case::number_and_expiry(Refresh::NumberAndExpiry, 1, &["card.token", "card.cryptogram", "card.details"])]
#[case::number_only(Refresh::Number, 1, &["card.token", "card.cryptogram", "card.details"])]
#[case::expiry_only(Refresh::Expiry, 0, &["card.token", "card.details"])]
#[case::nothing(Refresh::Nothing, 0, &["card.details"])]
fn each_row_of_the_refresh_table_makes_exactly_the_calls_it_says(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
    #[case] refresh: Refresh,
    #[case] checkouts: usize,
    #[case] told: &[&str],
) {
    let shop = Shop::open(backend);
    shop.card_with_cryptogram(CARD);
    let before = shop.sandbox.calls().len();
    let first = shop.cryptogram(CARD).unwrap();
    let cursor = shop.last_event();
    shop.advance(HOUR);

    let body = shop.sandbox.refresh(CARD, refresh).unwrap();
    shop.app.deliver(&body);
    shop.settle();

    let calls = shop.sandbox.calls().split_off(before);
    assert!(
        calls
            .iter()
            .all(|call| call.operation == Operation::Checkout)
    );
    assert_eq!(calls.len(), checkouts);
    assert!(shop.assert_pair(CARD));
    let kept = shop.cryptogram(CARD).unwrap();
    assert_eq!(kept.value == first.value, checkouts == 0);
    let issued = shop.sandbox.issued(CARD);
    assert!(issued.last().unwrap().cryptogram == kept.value);
    let events = shop.told(CARD, cursor);
    let mut kinds: Vec<&str> = events.iter().map(|(kind, _)| kind.as_str()).collect();
    let stored = json!({ "state": "stored", "numberVersion": 2 });
    if checkouts == 1 {
        assert_eq!(events.last(), Some(&("card.cryptogram".to_owned(), stored)));
        kinds.pop();
    }
    kinds.sort_unstable();
    let mut told = told.to_vec();
    told.sort_unstable();
    assert_eq!(kinds, told);
    println!("{refresh:?}: {checkouts} Checkout calls, as the table says");
}

#[rstest]
fn a_cryptogram_is_kept_for_a_day_or_until_its_own_end_and_not_renewed(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let mut shop = Shop::open(backend);
    shop.card_with_cryptogram(CARD);
    let kept = shop.cryptogram(CARD).unwrap();
    assert_eq!(
        kept.expires_at,
        START + 24 * HOUR,
        "sooner than its own end"
    );
    assert_eq!(kept.data_type, "CARD_APPLICATION_CRYPTOGRAM_SHORT_FORM");
    let cursor = shop.last_event();

    // A service that starts looks at once; later it looks every half minute.
    shop.app.stop();
    shop.advance(24 * HOUR);
    shop.app.start();
    crate::support::wait_until("it has run out", || shop.cryptogram(CARD).is_none());

    let state = json!({ "state": "ran_out", "numberVersion": 1 });
    assert_eq!(
        shop.told(CARD, cursor),
        [("card.cryptogram".to_owned(), state)]
    );
    shop.settle();
    assert_eq!(shop.calls(Operation::Checkout, CARD), 1);
    assert!(!shop.assert_pair(CARD));
}

#[rstest]
fn on_demand_a_refresh_calls_nobody_until_credentials_are_asked_for(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let shop = Shop::open_with(backend, &json!({}), |settings| {
        settings.policy.cryptogram = CryptogramPolicy::OnDemand;
    });
    shop.new_card(CARD);
    let body = shop.sandbox.refresh(CARD, Refresh::Nothing).unwrap();
    shop.app.deliver(&body);
    shop.settle();
    assert_eq!(shop.sandbox.calls().len(), 0);

    let reply = shop.credentials(CARD, &json!({ "use": "single" }));
    assert_eq!(reply.status, 200, "{}", reply.body);
    assert_eq!(shop.calls(Operation::Checkout, CARD), 1);
    let issued = shop.sandbox.issued(CARD);
    assert_eq!(reply.json()["cryptogram"], issued[0].cryptogram.expose());
    assert!(!shop.assert_pair(CARD), "what was handed out is not kept");
}

/// A suspended card is not asked for; when it is active again it is, once.
#[rstest]
fn a_suspension_destroys_the_cryptogram_and_its_end_asks_for_another(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let shop = Shop::open(backend);
    shop.card_with_cryptogram(CARD);
    shop.advance(MINUTE);
    let body = shop.sandbox.set_status(CARD, CardStatus::Suspended);
    shop.app.deliver(&body.unwrap());
    shop.settle();
    assert!(!shop.assert_pair(CARD));
    let refreshed = shop.sandbox.refresh(CARD, Refresh::Number).unwrap();
    shop.app.deliver(&refreshed);
    shop.settle();
    assert_eq!(shop.calls(Operation::Checkout, CARD), 1);

    shop.advance(MINUTE);
    let body = shop.sandbox.set_status(CARD, CardStatus::Active);
    shop.app.deliver(&body.unwrap());
    shop.settle();
    assert!(shop.assert_pair(CARD));
    assert_eq!(shop.calls(Operation::Checkout, CARD), 2);
}

/// The other side answers with a token of which no notification has told.
#[rstest]
fn a_missed_refresh_is_taken_from_the_checkout_answer(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let shop = Shop::open(backend);
    shop.card_with_cryptogram(CARD);
    shop.advance(HOUR);
    let missed = shop
        .sandbox
        .refresh(CARD, Refresh::NumberAndExpiry)
        .unwrap();
    shop.advance(HOUR);
    let cursor = shop.last_event();
    // The kept one goes first; the next caller makes a call.
    let use_once = json!({ "use": "single" });
    assert_eq!(shop.credentials(CARD, &use_once).json()["numberVersion"], 1);
    let reply = shop.credentials(CARD, &use_once).json();

    let card = shop.sandbox.card(CARD).unwrap();
    assert_eq!(reply["paymentToken"], card.number.expose());
    assert_eq!(reply["numberVersion"], 2);
    let held = shop.app.card(CARD).unwrap().card;
    assert!(held.token.unwrap().number == card.number);
    let told = shop.told(CARD, cursor);
    let kinds: Vec<&str> = told.iter().map(|(kind, _)| kind.as_str()).collect();
    assert_eq!(kinds, ["card.cryptogram", "card.token", "card.cryptogram"]);
    assert_eq!(
        told[2].1,
        json!({ "state": "handed_out", "numberVersion": 2 })
    );

    shop.app.deliver(&missed);
    shop.settle();
    assert_eq!(shop.app.verdicts(CARD).pop().unwrap(), "applied", "art");
    assert_eq!(
        shop.calls(Operation::Checkout, CARD),
        2,
        "nothing is asked again"
    );
}

/// Nothing says that a registered card may be used: Get Card is asked, after a minute.
#[rstest]
fn a_registered_card_is_looked_up_once_and_is_chargeable_then(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let shop = Shop::open(backend);
    shop.new_card(CARD);
    let registration = json!({ "program": "shop", "consumerReference": "consumer-1" });
    let answer = shop.app.put(&format!("/v1/cards/{CARD}"), &registration);
    assert_eq!(answer.status, 201);
    shop.settle();
    assert_eq!(shop.sandbox.calls().len(), 0, "not at once");
    assert!(!shop.may_charge(CARD));

    shop.advance(MINUTE);
    shop.settle();
    assert_eq!(shop.calls(Operation::GetCard, CARD), 1);
    assert_eq!(shop.sandbox.calls().len(), 1);
    assert!(shop.may_charge(CARD));
    assert_eq!(shop.ending(CARD, "get_card").0, "done");
    assert_eq!(
        shop.app.card(CARD).unwrap().card.status_word(),
        Some("ACTIVE")
    );
}

/// With the token, where Mastercard allows it; its refusal of the token alone is not the end.
#[rstest]
#[case::allowed(true, true)]
#[case::not_allowed(false, false)]
fn get_card_brings_the_token_where_it_may(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
    #[case] gives_tokens: bool,
    #[case] has_token: bool,
) {
    let shop = Shop::open_with(backend, &json!({ "get_card_token": true }), |_| {});
    if !gives_tokens {
        let refusal = tokenkeep::sandbox::Fault::Error {
            status: 403,
            shape: tokenkeep::sandbox::ErrorShape::Service {
                detail: Some("INVALID_VALUE"),
            },
            retry_after: None,
        };
        shop.sandbox.answer_next(Operation::GetCard, refusal);
    }
    shop.new_card(CARD);
    let answer = shop
        .app
        .put(&format!("/v1/cards/{CARD}"), &json!({ "program": "shop" }));
    assert_eq!(answer.status, 201);
    shop.advance(MINUTE);
    shop.settle();

    let card = shop.app.card(CARD).unwrap().card;
    assert_eq!(card.token.is_some(), has_token);
    assert_eq!(card.status_word(), Some("ACTIVE"));
    let lookups = shop.calls(Operation::GetCard, CARD);
    assert_eq!(lookups, if gives_tokens { 1 } else { 2 });
    assert_eq!(
        shop.assert_pair(CARD),
        has_token,
        "a token makes a cryptogram due"
    );
}
