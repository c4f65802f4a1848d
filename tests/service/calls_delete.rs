//! Deletions: unusable at once, made until the other side confirms, never undone by what comes late.

use rstest::rstest;
use serde_json::{Value, json};
use tokenkeep::sandbox::{CardStatus, Fault, Operation, Refresh};
use tokenkeep::store::CardFilter;

use crate::support::Backend;
use crate::support::calls::{HOUR, LONGEST_WAIT, MINUTE, Shop};
use crate::support::commands::tokenkeep;

const CARD: &str = "9ajNArkAR66zqYyHCn0rCA000000000000US";

fn with_card(backend: Backend) -> Shop {
    let shop = Shop::open(backend);
    shop.card_with_cryptogram(CARD);
    shop
}

/// Neither shown nor chargeable, and nothing sealed is left of it.
fn assert_gone(shop: &Shop, status: &str) {
    let row = shop.app.card(CARD).unwrap().card;
    assert_eq!(row.status_word(), Some(status));
    assert!(row.token.is_none() && row.cryptogram.is_none());
    assert!(shop.cryptogram(CARD).is_none());
    assert!(!shop.may_charge(CARD));
    let credentials = shop.credentials(CARD, &json!({ "use": "single" }));
    assert_eq!(credentials.status, 410, "{}", credentials.body);
    let sealed = shop.app.database.sealed_values_of(CARD);
    assert!(sealed.iter().all(|(_, count)| *count == 0), "{sealed:?}");
}

/// The cards that are deleted here and not confirmed there.
fn not_confirmed(shop: &Shop) -> Vec<String> {
    let filter = CardFilter {
        not_confirmed: true,
        with_ended: true,
        limit: 100,
        ..CardFilter::default()
    };
    let rows = shop.app.store().read(|tx| tx.list_cards(&filter)).unwrap();
    let ids = rows.iter().map(|row| row.card.id.as_str().to_owned());
    ids.collect()
}

#[rstest]
fn a_deleted_card_is_unusable_before_the_other_side_answers_and_cancelled_after(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let shop = with_card(backend);
    shop.sandbox.hold(Operation::DeleteCard);
    let cursor = shop.last_event();

    let reply = shop.delete(&format!("{CARD}?reason=OTHER&requestor=CARDHOLDER"));
    assert_eq!(reply.status, 202, "{}", reply.body);
    assert_eq!(reply.json()["status"], "DELETE_PENDING");
    assert_gone(&shop, "DELETE_PENDING");
    assert_eq!(not_confirmed(&shop), [CARD]);
    shop.wait_for_calls(Operation::DeleteCard, 1);

    shop.sandbox.release();
    shop.settle();
    assert_gone(&shop, "CANCELLED");
    assert_eq!(not_confirmed(&shop), [""; 0]);
    assert!(shop.sandbox.card(CARD).is_none());
    let call = shop.sandbox.calls().pop().unwrap();
    assert!(
        call.path_and_query
            .contains("reason=OTHER&requestor=CARDHOLDER")
    );
    let repeated = shop.delete(CARD);
    assert_eq!(repeated.status, 200);
    assert_eq!(repeated.json()["status"], "CANCELLED");
    let status: Vec<Value> = told_status(&shop, cursor);
    assert_eq!(
        status,
        [
            json!({ "from": "ACTIVE", "to": "DELETE_PENDING" }),
            json!({ "from": "DELETE_PENDING", "to": "CANCELLED" }),
        ]
    );
}

fn told_status(shop: &Shop, cursor: i64) -> Vec<Value> {
    let told = shop.told(CARD, cursor).into_iter();
    let status = told.filter(|(kind, _)| kind == "card.status");
    status.map(|(_, data)| data).collect()
}

/// S-08: a day and three more without the other side; meanwhile everything comes that could revive it.
#[rstest]
fn s08_a_deletion_is_confirmed_after_the_other_side_was_away_for_days(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let shop = with_card(backend);
    shop.advance(MINUTE);
    let status = |status| shop.sandbox.set_status(CARD, status).unwrap();
    let late = [
        status(CardStatus::Suspended),
        status(CardStatus::Active),
        shop.sandbox
            .refresh(CARD, Refresh::NumberAndExpiry)
            .unwrap(),
    ];
    let fault = Fault::service_error(503);
    shop.sandbox.set_fault(Operation::DeleteCard, Some(fault));
    assert_eq!(shop.delete(CARD).status, 202);
    shop.settle();
    // Sixteen looks at a day, then one after three days more.
    for step in 0..17 {
        shop.advance(if step < 16 { 24 * HOUR / 16 } else { 72 * HOUR });
        if let Some(body) = late.get(step / 2) {
            shop.app.deliver(body);
        }
        shop.settle();
        let (state, status, _) = shop.ending(CARD, "delete_card");
        assert_eq!((state.as_str(), status), ("waiting", Some(503)));
        assert!(!shop.may_charge(CARD));
    }
    assert_gone(&shop, "DELETE_PENDING");
    assert!(shop.calls(Operation::DeleteCard, CARD) >= 17);

    shop.sandbox.set_fault(Operation::DeleteCard, None);
    shop.advance(LONGEST_WAIT);
    shop.settle();
    assert_gone(&shop, "CANCELLED");
    assert_eq!(shop.ending(CARD, "delete_card").0, "done");
    shop.app.deliver(&Shop::together(&late));
    assert_gone(&shop, "CANCELLED");
    let attempts = shop.calls(Operation::DeleteCard, CARD);
    println!("S-08 on {backend:?}: confirmed after 4 days and {attempts} attempts, 0 revived");
}

#[rstest]
fn a_card_not_found_after_an_answer_was_lost_is_deleted(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let shop = with_card(backend);
    shop.sandbox
        .answer_next(Operation::DeleteCard, Fault::AnswerLost);
    shop.delete(CARD);
    shop.settle();
    assert_eq!(shop.ending(CARD, "delete_card").0, "waiting");
    assert_gone(&shop, "DELETE_PENDING");

    shop.advance(LONGEST_WAIT);
    shop.settle();
    assert_eq!(shop.ending(CARD, "delete_card").0, "done");
    assert_gone(&shop, "CANCELLED");
    assert_eq!(shop.sandbox.calls().pop().unwrap().status, Some(404));
}

/// The issuer has cancelled the card, and nobody told us: the other side knows it no more.
fn parked_not_found(backend: Backend) -> (Shop, Value) {
    let shop = with_card(backend);
    shop.advance(MINUTE);
    let cancelled = shop
        .sandbox
        .set_status(CARD, CardStatus::Cancelled)
        .unwrap();
    shop.delete(CARD);
    shop.settle();
    (shop, cancelled)
}

#[rstest]
fn a_card_not_found_at_the_first_attempt_is_parked_listed_and_settled_by_a_cancelled(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let (shop, cancelled) = parked_not_found(backend);
    let not_found = ("parked".to_owned(), Some(404), "not-found".to_owned());
    assert_eq!(shop.ending(CARD, "delete_card"), not_found);
    assert_gone(&shop, "DELETE_PENDING");
    assert_eq!(not_confirmed(&shop), [CARD]);
    let parked = shop.app.get("/v1/outbox?state=parked").json();
    assert_eq!(parked["jobs"][0]["cardId"], CARD);
    assert_eq!(parked["jobs"][0]["lastReason"], "not-found");

    shop.app.deliver(&cancelled);
    assert_eq!(shop.ending(CARD, "delete_card").0, "done");
    assert_gone(&shop, "CANCELLED");
    assert_eq!(not_confirmed(&shop), [""; 0]);
}

/// An attempt that was answered, and refused, is none that may have deleted the card.
#[rstest]
#[case::not_found(None)]
#[case::credential_refused(Some(401))]
#[case::refused(Some(409))]
fn a_card_not_found_after_a_refusal_is_not_taken_for_deleted(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
    #[case] refusal: Option<u16>,
) {
    let shop = with_card(backend);
    shop.sandbox
        .set_status(CARD, CardStatus::Cancelled)
        .unwrap();
    if let Some(status) = refusal {
        let fault = Fault::service_error(status);
        shop.sandbox.answer_next(Operation::DeleteCard, fault);
    }
    shop.delete(CARD);
    shop.settle();
    assert!(shop.retry(&shop.job(CARD, "delete_card")));
    shop.settle();

    assert_eq!(shop.calls(Operation::DeleteCard, CARD), 2);
    let (state, status, _) = shop.ending(CARD, "delete_card");
    assert_eq!((state.as_str(), status), ("parked", Some(404)));
    assert_gone(&shop, "DELETE_PENDING");
}

#[rstest]
fn a_refused_deletion_stays_parked_until_an_operator_lets_it_be_made_again(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let shop = with_card(backend);
    let fault = Fault::service_error(409);
    shop.sandbox.answer_next(Operation::DeleteCard, fault);
    shop.delete(CARD);
    shop.settle();
    let refused = ("parked".to_owned(), Some(409), "ABORTED".to_owned());
    assert_eq!(shop.ending(CARD, "delete_card"), refused);
    shop.advance(48 * HOUR);
    shop.settle();
    assert_eq!(shop.calls(Operation::DeleteCard, CARD), 1);
    assert_gone(&shop, "DELETE_PENDING");

    assert!(shop.retry(&shop.job(CARD, "delete_card")));
    shop.settle();
    assert_gone(&shop, "CANCELLED");
}

/// What `cards list --not-confirmed` tells: the card, and how the call of its deletion stands.
fn listed(shop: &Shop) -> Vec<[String; 3]> {
    let list = ["cards", "list", "--not-confirmed", "--json"];
    let told = tokenkeep(&shop.app.database, &list).json();
    let cards = told["cards"].as_array().unwrap().iter();
    let told = |card: &Value| {
        let call = &card["deletion"];
        let said = [&card["cardId"], &call["state"], &call["lastReason"]];
        said.map(|value| value.as_str().unwrap_or_default().to_owned())
    };
    cards.map(told).collect()
}

/// Refused for good there: deleted here, still live there. Seen to fail with a refused call given up in the
/// place of parked.
#[rstest]
fn o17_a_deletion_that_is_refused_for_good_is_listed_until_it_is_resolved(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
    #[values(true, false)] resolved_by_an_operator: bool,
) {
    let shop = with_card(backend);
    let fault = Fault::service_error(422);
    shop.sandbox.set_fault(Operation::DeleteCard, Some(fault));
    assert_eq!(shop.delete(CARD).status, 202);
    assert_gone(&shop, "DELETE_PENDING");
    shop.settle();
    let reported = [CARD, "parked", "INVALID_ARGUMENT"];
    let mut looks = 0;
    for days in [0, 1, 30] {
        shop.advance(days * 24 * HOUR);
        shop.settle();
        // However often it is asked for again.
        assert_eq!(shop.delete(CARD).status, 200);
        assert_eq!(listed(&shop), [reported], "after {days} days");
        assert_gone(&shop, "DELETE_PENDING");
        assert!(shop.sandbox.card(CARD).is_some(), "still live there");
        looks += 1;
    }
    assert_eq!(shop.calls(Operation::DeleteCard, CARD), 1);
    let parked = "tokenkeep_outbox_jobs{kind=\"delete_card\",state=\"parked\"}";
    assert_eq!(shop.metric(parked), 1, "an alert follows from it");

    if resolved_by_an_operator {
        shop.sandbox.set_fault(Operation::DeleteCard, None);
        assert!(shop.retry(&shop.job(CARD, "delete_card")));
    } else {
        let cancelled = shop.sandbox.set_status(CARD, CardStatus::Cancelled);
        shop.app.deliver(&cancelled.unwrap());
    }
    shop.settle();
    assert_gone(&shop, "CANCELLED");
    assert!(listed(&shop).is_empty());
    assert_eq!(shop.metric(parked), 0);
    println!(
        "O-17 on {backend:?}: listed at {looks} of {looks} looks in 31 days, unusable at each, not once it was resolved"
    );
}
