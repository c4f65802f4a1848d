//! A bank's tokens: read and found by their consumer, changed only by answers that count.

use rstest::rstest;
use serde_json::json;
use tokenkeep::sandbox::Fault;
use tokenkeep::sandbox::Operation::{GetToken, ListTokens, UpdateTokenState};

use crate::support::Backend;
use crate::support::calls::{LONGEST_WAIT, Shop};
use crate::support::issuer::{BANK_CARD as CARD, BANK_TOKEN as TOKEN};

/// The only one of `customer-2`; the others are of `customer-1`.
const ONLY_TOKEN: &str = "_T4wQm0nV2xJ8cLr5hYdGz1K";

fn registration(token: &str) -> serde_json::Value {
    json!({ "program": "bank", "token": { "paymentToken": token } })
}

fn shop_with_card(backend: Backend) -> Shop {
    let shop = Shop::with_tokens(backend);
    shop.register(CARD, &registration(TOKEN));
    assert_eq!(shop.tokens(CARD), ["pWAt ACTIVE"]);
    shop
}

/// Registers a card without its token, of a consumer that the bank knows.
fn register_for(shop: &Shop, card: &str, customer: &str) {
    let registration = json!({ "program": "bank", "consumerReference": customer });
    shop.register(card, &registration);
}

#[rstest]
fn a_token_that_begins_with_a_hyphen_is_read_suspended_resumed_and_deleted(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let shop = shop_with_card(backend);
    assert_eq!(shop.sandbox.count(GetToken, None), 1);
    assert_eq!(shop.sandbox.count(ListTokens, None), 0);
    // The card is its token: it may be named, and need not be.
    for (command, named, status) in [
        ("SUSPEND", None, "SUSPENDED"),
        ("RESUME", Some(TOKEN), "ACTIVE"),
        ("DEACTIVATE", Some(TOKEN), "DELETED"),
    ] {
        let answer = shop.give(CARD, command, named);
        assert!(answer["note"].is_null());
        shop.settle();
        assert_eq!(shop.ending(CARD, "token_status").0, "done", "{command}");
        assert_eq!(shop.sandbox.bank_token(TOKEN).as_deref(), Some(status));
        let card = shop.app.card(CARD).unwrap().card;
        assert_eq!(card.status_word(), Some(status));
    }
    assert_eq!(shop.sandbox.count(UpdateTokenState, None), 3);
    assert_eq!(shop.app.get(&format!("/v1/cards/{CARD}")).status, 410);
    assert_eq!(shop.kept_tokens("value IS NULL"), 1);
    println!("a bank's token on {backend:?}: 3 commands done, 1 read");
}

#[rstest]
fn another_token_than_the_cards_own_is_refused(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let shop = shop_with_card(backend);
    let refused = shop.command(CARD, "SUSPEND", Some(ONLY_TOKEN));
    assert_eq!(
        (refused.status, refused.code().as_str()),
        (404, "unknown-token")
    );
    assert_eq!(shop.kept_tokens("card_id IS NOT NULL"), 1);
}

#[rstest]
fn the_consumers_only_living_token_is_that_of_a_card_registered_without_one(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let shop = Shop::with_tokens(backend);
    let gone = "gone-token-000000000000A";
    shop.sandbox.add_bank_token(gone, "customer-2");
    shop.sandbox.set_bank_token(gone, "DELETED");
    register_for(&shop, CARD, "customer-2");
    assert_eq!(shop.tokens(CARD), ["Gz1K ACTIVE"]);
    assert_eq!(shop.sandbox.count(ListTokens, None), 1);
    shop.give(CARD, "SUSPEND", None);
    shop.settle();
    let there = shop.sandbox.bank_token(ONLY_TOKEN);
    assert_eq!(there.as_deref(), Some("SUSPENDED"));
}

#[rstest]
fn of_a_consumers_two_tokens_none_is_taken_until_the_card_says_which(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let shop = Shop::with_tokens(backend);
    register_for(&shop, CARD, "customer-1");
    assert!(shop.tokens(CARD).is_empty());
    assert_eq!(shop.kept_tokens("card_id IS NOT NULL"), 0);
    let unknown = shop.command(CARD, "SUSPEND", None);
    assert_eq!(
        (unknown.status, unknown.code().as_str()),
        (404, "unknown-token")
    );
    assert_eq!(shop.sandbox.count(UpdateTokenState, None), 0);
    shop.give(CARD, "SUSPEND", Some(TOKEN));
    shop.settle();
    assert_eq!(shop.tokens(CARD), ["pWAt SUSPENDED"]);
    // The other one is now the only one that no card has.
    register_for(&shop, "second-card", "customer-1");
    assert_eq!(shop.tokens("second-card"), ["ihty ACTIVE"]);
}

#[rstest]
fn an_obsolete_token_is_not_usable_and_not_the_merchants_to_change(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let shop = shop_with_card(backend);
    shop.sandbox.set_bank_token(TOKEN, "OBSOLETE");
    shop.read_tokens(CARD);
    assert_eq!(shop.tokens(CARD), ["pWAt OBSOLETE"]);
    assert!(!shop.may_charge(CARD));
    for command in ["SUSPEND", "RESUME", "DEACTIVATE"] {
        let refused = shop.command(CARD, command, None);
        let said = (refused.status, refused.code());
        assert_eq!(said, (409, "illegal-transition".to_owned()), "{command}");
        assert!(refused.body.contains("OBSOLETE"), "{}", refused.body);
    }
    assert_eq!(shop.sandbox.count(UpdateTokenState, None), 0);
}

#[rstest]
#[case::not_updated(Fault::NotUpdated, "token-not-updated")]
#[case::a_signed_error(Fault::ErrorWithin200("b_merchant_not_found"), "b_merchant_not_found")]
#[case::a_plain_error(Fault::PlainError("b_merchant_not_found"), "b_merchant_not_found")]
#[case::no_such_token(Fault::ErrorWithin200("b_token_not_found"), "not-found")]
fn what_the_bank_refuses_within_a_200_is_parked_and_changes_nothing(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
    #[case] fault: Fault,
    #[case] reason: &str,
) {
    let shop = shop_with_card(backend);
    shop.sandbox.set_fault(UpdateTokenState, Some(fault));
    let cursor = shop.last_event();
    for command in ["SUSPEND", "DEACTIVATE"] {
        shop.give(CARD, command, None);
        shop.settle();
        let expected = ("parked".to_owned(), Some(200), reason.to_owned());
        assert_eq!(shop.ending(CARD, "token_status"), expected, "{command}");
        assert_eq!(shop.tokens(CARD), ["pWAt ACTIVE"]);
    }
    assert!(shop.told(CARD, cursor).is_empty());
    assert_eq!(shop.sandbox.count(UpdateTokenState, None), 2);
    // The bank is asked after each refusal, and at the registration.
    assert_eq!(shop.sandbox.count(GetToken, None), 3);
}

#[rstest]
#[case::unsigned(Fault::Unsigned, "not-signed")]
#[case::wrongly_signed(Fault::WrongSignature, "jws-wrong-signature")]
#[case::of_another_token(Fault::OtherCard, "other-token")]
fn an_answer_that_does_not_count_is_no_answer_and_the_call_is_made_again(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
    #[case] fault: Fault,
    #[case] reason: &str,
) {
    let shop = shop_with_card(backend);
    shop.sandbox.set_fault(GetToken, Some(fault.clone()));
    shop.sandbox.answer_next(UpdateTokenState, fault);
    shop.give(CARD, "SUSPEND", None);
    shop.settle();
    let expected = ("waiting".to_owned(), Some(200), reason.to_owned());
    assert_eq!(shop.ending(CARD, "token_status"), expected);
    assert_eq!(shop.tokens(CARD), ["pWAt ACTIVE"]);
    shop.read_tokens(CARD);
    let read = shop.ending(CARD, "read_tokens");
    assert_eq!((read.0.as_str(), read.2.as_str()), ("waiting", reason));
    assert_eq!(shop.tokens(CARD), ["pWAt ACTIVE"]);
    shop.sandbox.set_fault(GetToken, None);
    shop.advance(LONGEST_WAIT);
    shop.settle();
    // It was done by the first attempt: the bank refuses the second, and is asked.
    assert_eq!(shop.ending(CARD, "token_status").0, "done");
    assert_eq!(shop.tokens(CARD), ["pWAt SUSPENDED"]);
}

#[rstest]
fn a_token_that_is_deleted_there_ends_the_card_at_the_next_read(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let shop = shop_with_card(backend);
    shop.sandbox.set_bank_token(TOKEN, "DELETED");
    shop.read_tokens(CARD);
    let card = shop.app.card(CARD).unwrap().card;
    assert_eq!(card.status_word(), Some("DELETED"));
    assert_eq!(shop.app.get(&format!("/v1/cards/{CARD}")).status, 410);
    assert_eq!(shop.send_app("PUT", CARD, &registration(TOKEN)).status, 410);
    assert_eq!(shop.kept_tokens("value IS NOT NULL"), 0);
    let calls = shop.all_calls();
    shop.sandbox.set_bank_token(TOKEN, "ACTIVE");
    shop.read_tokens(CARD);
    assert_eq!(shop.all_calls(), calls, "what has ended is not read");
    assert_eq!(
        shop.app.card(CARD).unwrap().card.status_word(),
        Some("DELETED")
    );
}
