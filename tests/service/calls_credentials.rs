//! Credentials where the other side knows more than we do, or does not answer.

use rstest::rstest;
use serde_json::{Value, json};
use tokenkeep::sandbox::{CardStatus, Fault, Operation, Refresh};

use crate::support::Backend;
use crate::support::calls::{HOUR, MINUTE, Shop};

const CARD: &str = "9ajNArkAR66zqYyHCn0rCA000000000000US";

fn single() -> Value {
    json!({ "use": "single" })
}

/// Digits newer than our token differ from it: what is kept may be of a number that is gone.
#[rstest]
fn a_suspected_refresh_makes_credentials_ask_checkout_although_one_is_kept(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let shop = Shop::open(backend);
    shop.card_with_cryptogram(CARD);
    shop.advance(HOUR);
    shop.sandbox
        .refresh(CARD, Refresh::NumberAndExpiry)
        .unwrap();
    // The refresh itself is lost; a later notification shows the new digits.
    let status = shop.sandbox.set_status(CARD, CardStatus::Active).unwrap();
    shop.app.deliver(&status);
    assert_eq!(shop.calls(Operation::Checkout, CARD), 1);
    shop.advance(HOUR);

    for usage in ["single", "recurring"] {
        let reply = shop.credentials(CARD, &json!({ "use": usage, "seriesNumberVersion": 2 }));
        assert_eq!(reply.status, 200, "{}", reply.body);
        assert_eq!(reply.json()["numberVersion"], 2);
        let there = shop.sandbox.card(CARD).unwrap().number;
        assert_eq!(reply.json()["paymentToken"], there.expose());
    }
    // The first answer has settled it: the second payment of the series needs no call.
    assert_eq!(shop.calls(Operation::Checkout, CARD), 2);
}

/// A card with another number at the other side than the refresh says that reaches us, and that refresh
/// so much later than now: an answer is newer than it only later still.
fn with_another_number(backend: Backend, ahead: i64) -> Shop {
    let shop = Shop::open(backend);
    shop.new_card(CARD);
    let mut first = shop.sandbox.refresh(CARD, Refresh::Nothing).unwrap();
    let time = (shop.now() + ahead).to_string();
    first["digitalCardUpdateNotifications"][0]["eventTimeStamp"] = time.into();
    shop.sandbox.refresh(CARD, Refresh::Number).unwrap();
    shop.app.deliver(&first);
    shop.settle();
    let disagrees = ("waiting".to_owned(), None, "answer-disagrees".to_owned());
    assert_eq!(shop.ending(CARD, "cryptogram"), disagrees);
    assert!(!shop.assert_pair(CARD));
    shop
}

#[rstest]
fn another_token_is_asked_for_once_more_after_a_minute_and_taken_if_it_is_newer_then(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let shop = with_another_number(backend, 0);
    shop.advance(MINUTE - 1);
    shop.settle();
    assert_eq!(shop.calls(Operation::Checkout, CARD), 1, "not before");
    shop.advance(1);
    shop.settle();
    assert_eq!(shop.calls(Operation::Checkout, CARD), 2);
    assert_eq!(shop.ending(CARD, "cryptogram").0, "done");
    assert!(shop.assert_pair(CARD));
    assert_eq!(shop.app.card(CARD).unwrap().card.number_version, 2);
    assert_eq!(shop.calls(Operation::GetCard, CARD), 0);
}

#[rstest]
fn another_token_for_the_second_time_is_parked_and_the_card_looked_up(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let shop = with_another_number(backend, 9 * MINUTE);
    shop.advance(MINUTE);
    shop.settle();
    let parked = ("parked".to_owned(), None, "answer-disagrees".to_owned());
    assert_eq!(shop.ending(CARD, "cryptogram"), parked);
    assert!(!shop.assert_pair(CARD));
    assert_eq!(shop.calls(Operation::GetCard, CARD), 0, "a minute later");
    shop.advance(MINUTE);
    shop.settle();
    assert_eq!(shop.calls(Operation::GetCard, CARD), 1);
    assert_eq!(shop.calls(Operation::Checkout, CARD), 2);
}

/// A caller does not wait for a minute.
#[rstest]
fn a_caller_who_meets_another_token_gets_nothing_and_the_card_is_looked_up(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let shop = Shop::open(backend);
    shop.card_with_cryptogram(CARD);
    shop.credentials(CARD, &single());
    // Within the clock skew after our token: the answer does not count as newer.
    let refreshed = shop.sandbox.refresh(CARD, Refresh::Number).unwrap();
    let reply = shop.credentials(CARD, &single());
    assert_eq!(
        (reply.status, reply.code().as_str()),
        (503, "no-cryptogram")
    );
    assert_eq!(shop.app.card(CARD).unwrap().card.number_version, 1);
    shop.advance(MINUTE);
    shop.settle();
    assert_eq!(shop.calls(Operation::GetCard, CARD), 1);
    assert_eq!(
        shop.calls(Operation::Checkout, CARD),
        2,
        "nobody waits for another"
    );

    shop.app.deliver(&refreshed);
    shop.settle();
    assert!(shop.assert_pair(CARD));
}

#[rstest]
fn no_answer_in_time_is_said_and_the_next_caller_asks_anew(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let shop = Shop::open(backend);
    shop.card_with_cryptogram(CARD);
    shop.credentials(CARD, &single());
    assert!(!shop.assert_pair(CARD), "handed out, and said to be");
    let fault = Fault::service_error(503);
    shop.sandbox.answer_next(Operation::Checkout, fault);

    let reply = shop.credentials(CARD, &single());
    assert_eq!(
        (reply.status, reply.code().as_str()),
        (503, "no-cryptogram")
    );
    assert_eq!(reply.header("retry-after"), Some("1"));
    let failed = shop.job(CARD, "credentials");
    assert_eq!(
        (failed.state.as_str(), failed.last_status),
        ("dead", Some(503))
    );

    let reply = shop.credentials(CARD, &single());
    assert_eq!(reply.status, 200, "{}", reply.body);
    shop.advance(HOUR);
    shop.settle();
    assert_eq!(
        shop.calls(Operation::Checkout, CARD),
        3,
        "nobody waits for the dead one"
    );
}
