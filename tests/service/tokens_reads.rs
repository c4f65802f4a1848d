//! What is read of the tokens of an issuer's cards: how few calls find them, that they follow a replaced
//! card, and that no read undoes what is newer or revives what is gone.

use rstest::rstest;
use serde_json::json;
use tokenkeep::domain::CardId;
use tokenkeep::sandbox::Fault;
use tokenkeep::sandbox::Operation::{ReadTokens, SetTokenStatus};

use crate::support::calls::{HOUR, LONGEST_WAIT, MINUTE, Shop};
use crate::support::issuer::{CLIENT, CONSUMER, CONTRACT, NUMBER, OTHER_NUMBER};
use crate::support::{Backend, wait_until};

/// The contract of the card that replaces the published one.
const REPLACEMENT: &str = "70009";
const OTHER_CONTRACT: &str = "70002";
const OTHER_TOKEN: &str = "5598765432104444";

#[rstest]
fn one_read_of_the_contract_finds_all_tokens_that_it_lists(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let shop = Shop::with_contract(backend);
    let of_contract = format!("GET /cards/{CONTRACT}/tokens");
    assert_eq!(shop.asked_since(0), std::slice::from_ref(&of_contract));
    assert_eq!(shop.tokens(CONTRACT), ["2345 ACTIVE", "9876 ACTIVE"]);
    let token = &shop.app.card(CONTRACT).unwrap().card.tokens[0];
    assert_eq!(token.customer.as_deref(), Some(CLIENT));
    shop.sandbox.set_token_status(NUMBER, "Suspended");
    let before = shop.all_calls();
    shop.read_tokens(CONTRACT);
    assert_eq!(shop.asked_since(before), [of_contract]);
    assert_eq!(shop.tokens(CONTRACT), ["2345 ACTIVE", "9876 SUSPENDED"]);
}

#[rstest]
fn tokens_that_moved_are_found_by_one_read_of_the_client(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let shop = Shop::with_contract(backend);
    shop.sandbox.relink(CONTRACT, REPLACEMENT);
    let before = shop.all_calls();
    shop.read_tokens(CONTRACT);
    // The replacement becomes known by that, and is asked about itself.
    let expected = [
        format!("GET /cards/{CONTRACT}/tokens"),
        format!("GET /clients/{CLIENT}/tokens"),
        format!("GET /cards/{REPLACEMENT}/tokens"),
    ];
    assert_eq!(shop.asked_since(before), expected);
    assert!(shop.tokens(CONTRACT).is_empty());
    assert_eq!(shop.tokens(REPLACEMENT), ["2345 ACTIVE", "9876 ACTIVE"]);
    println!("reads on {backend:?}: 1 call for 2 tokens of a contract, 1 more where they moved");
}

#[rstest]
fn where_no_client_is_known_each_token_is_read_by_itself(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let shop = Shop::with_tokens(backend);
    let nowhere = "5598765432102222";
    let tokens = json!([{ "tokenNumber": NUMBER }, { "tokenNumber": nowhere }]);
    // Nobody there knows this contract: the token moved before anything was read of it.
    shop.register("80001", &json!({ "program": "issuer", "tokens": tokens }));
    let expected = [
        "GET /cards/80001/tokens".to_owned(),
        "GET /tokens/9876".to_owned(),
        "GET /tokens/2222".to_owned(),
        format!("GET /cards/{CONTRACT}/tokens"),
    ];
    assert_eq!(shop.asked_since(0), expected);
    assert_eq!(shop.tokens("80001"), ["2222 unknown"]);
    assert_eq!(shop.tokens(CONTRACT), ["2345 ACTIVE", "9876 ACTIVE"]);
}

#[rstest]
fn marked_tokens_are_looked_for_every_six_hours_and_follow_to_the_new_card(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let mut shop = Shop::with_contract(backend);
    shop.advance(MINUTE);
    assert_eq!(shop.contract_status(CONTRACT, "41").status, 200);
    shop.settle();
    shop.sandbox.relink(CONTRACT, REPLACEMENT);
    let before = shop.all_calls();
    for (time, is_read) in [(6 * HOUR - MINUTE, false), (2 * MINUTE, true)] {
        shop.advance(time);
        shop.restart();
        let moved = || shop.app.card(REPLACEMENT).is_some();
        match is_read {
            true => wait_until("the tokens are found", moved),
            false => assert_eq!((shop.all_calls(), moved()), (before, false)),
        }
        shop.settle();
    }
    assert!(shop.tokens(CONTRACT).is_empty());
    assert_eq!(shop.tokens(REPLACEMENT), ["2345 ACTIVE", "9876 ACTIVE"]);
    assert!(shop.relinking(REPLACEMENT).is_empty());
    assert_eq!(shop.kept_tokens("relinking"), 0);
    assert_eq!(shop.kept_tokens(&format!("card_id = '{REPLACEMENT}'")), 2);
    let row = shop.app.card(REPLACEMENT).unwrap();
    assert_eq!(row.program.as_deref(), Some("issuer"));
    assert_eq!(row.card.consumer_reference.as_deref(), Some(CONSUMER));
    // Their texts are still at hand.
    shop.give(REPLACEMENT, "SUSPEND", Some(NUMBER));
    shop.settle();
    assert_eq!(shop.ending(REPLACEMENT, "token_status").0, "done");
    assert_eq!(
        shop.sandbox.token_status(NUMBER).as_deref(),
        Some("Suspended")
    );
    let old = shop.command(CONTRACT, "RESUME", Some(NUMBER));
    assert_eq!((old.status, old.code().as_str()), (404, "unknown-token"));
    // Nothing is left to look for.
    let before = shop.all_calls();
    shop.advance(7 * HOUR);
    shop.restart();
    std::thread::sleep(std::time::Duration::from_millis(700));
    shop.settle();
    assert_eq!(shop.all_calls(), before);
}

/// The read of one card finds that a token of another card of the client has moved.
#[rstest]
fn a_replaced_card_becomes_known_as_the_consumers_whose_token_moved_there(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let shop = Shop::with_contract(backend);
    shop.sandbox.add_token(OTHER_CONTRACT, CLIENT, OTHER_TOKEN);
    let registration = json!({ "program": "issuer", "consumerReference": "consumer-8" });
    shop.register(OTHER_CONTRACT, &registration);
    for (old, new) in [(OTHER_CONTRACT, REPLACEMENT), (CONTRACT, "70010")] {
        shop.sandbox.relink(old, new);
    }
    shop.read_tokens(CONTRACT);
    for (card, consumer) in [("70010", CONSUMER), (REPLACEMENT, "consumer-8")] {
        let row = shop.app.card(card).unwrap();
        assert_eq!(row.program.as_deref(), Some("issuer"), "{card}");
        let reference = row.card.consumer_reference;
        assert_eq!(reference.as_deref(), Some(consumer), "{card}");
    }
    assert_eq!(shop.tokens(REPLACEMENT), ["4444 ACTIVE"]);
    assert!(shop.tokens(OTHER_CONTRACT).is_empty());
}

#[rstest]
fn a_registration_of_the_new_card_finds_the_tokens_that_moved_there(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let shop = Shop::with_contract(backend);
    shop.sandbox.relink(CONTRACT, REPLACEMENT);
    shop.advance(MINUTE);
    let tokens = json!([{ "tokenNumber": NUMBER }]);
    shop.register(
        REPLACEMENT,
        &json!({ "program": "issuer", "tokens": tokens }),
    );
    assert_eq!(shop.tokens(REPLACEMENT), ["2345 ACTIVE", "9876 ACTIVE"]);
    assert!(shop.tokens(CONTRACT).is_empty());
}

/// An earlier attempt may have arrived; but the tokens are elsewhere, and alive.
#[rstest]
fn a_deactivation_of_a_contract_is_not_taken_for_done_once_its_tokens_have_moved(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let shop = Shop::with_contract(backend);
    shop.sandbox
        .set_fault(SetTokenStatus, Some(Fault::service_error(503)));
    shop.give(CONTRACT, "DEACTIVATE", None);
    shop.settle();
    shop.sandbox.relink(CONTRACT, REPLACEMENT);
    shop.read_tokens(CONTRACT);
    shop.sandbox.set_fault(SetTokenStatus, None);
    shop.advance(LONGEST_WAIT);
    shop.settle();
    let ending = shop.ending(CONTRACT, "token_status");
    let expected = ("parked".to_owned(), Some(404), "not-found".to_owned());
    assert_eq!(ending, expected);
    assert!(shop.app.card(CONTRACT).unwrap().card.terminal.is_none());
    assert_eq!(shop.tokens(REPLACEMENT), ["2345 ACTIVE", "9876 ACTIVE"]);
}

#[rstest]
fn a_command_for_one_token_follows_it_to_its_new_card(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let shop = Shop::with_contract(backend);
    shop.sandbox
        .set_fault(SetTokenStatus, Some(Fault::service_error(503)));
    let given = shop.give(CONTRACT, "DEACTIVATE", Some(NUMBER));
    shop.settle();
    shop.sandbox.relink(CONTRACT, REPLACEMENT);
    shop.read_tokens(CONTRACT);
    shop.sandbox.set_fault(SetTokenStatus, None);
    shop.advance(LONGEST_WAIT);
    shop.settle();
    let job = shop.job(REPLACEMENT, "token_status");
    assert_eq!(
        (given["job"]["id"].as_str(), &*job.state),
        (Some(&*job.id), "done")
    );
    assert_eq!(shop.tokens(REPLACEMENT), ["2345 ACTIVE", "9876 DELETED"]);
    assert_eq!(
        shop.sandbox.token_status(NUMBER).as_deref(),
        Some("Deactivated")
    );
}

#[rstest]
fn no_read_revives_a_deactivated_token(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let shop = Shop::with_contract(backend);
    shop.give(CONTRACT, "DEACTIVATE", Some(NUMBER));
    shop.settle();
    let sealed = || shop.kept_tokens("value IS NOT NULL");
    assert_eq!(sealed(), 1);
    shop.sandbox.set_token_status(NUMBER, "Active");
    shop.advance(HOUR);
    shop.read_tokens(CONTRACT);
    assert_eq!(shop.tokens(CONTRACT), ["2345 ACTIVE", "9876 DELETED"]);
    shop.sandbox.relink(CONTRACT, REPLACEMENT);
    shop.read_tokens(CONTRACT);
    assert_eq!(shop.tokens(CONTRACT), ["9876 DELETED"]);
    assert_eq!(shop.tokens(REPLACEMENT), ["2345 ACTIVE"]);
    assert_eq!(sealed(), 1);
}

/// The read was answered before the command; it is taken in after it.
#[rstest]
fn a_late_read_of_the_client_does_not_undo_a_command_given_meanwhile(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let shop = Shop::with_tokens_and(backend, &json!({ "rate": 1 }));
    shop.sandbox.add_token(OTHER_CONTRACT, CLIENT, OTHER_TOKEN);
    for contract in [CONTRACT, OTHER_CONTRACT] {
        shop.register(contract, &json!({ "program": "issuer" }));
        shop.advance(MINUTE);
    }
    // The other card's tokens moved: all tokens of the client are read, also those of this card.
    shop.sandbox.relink(OTHER_CONTRACT, REPLACEMENT);
    let before = shop.all_calls();
    shop.ask_for_tokens(OTHER_CONTRACT);
    wait_until("the contract is read", || {
        let calls = shop.sandbox.calls();
        calls.get(before).is_some_and(|call| call.status.is_some())
    });
    // The read of the client begins a second later.
    shop.sandbox.hold(ReadTokens);
    wait_until("the client is read", || shop.all_calls() == before + 2);
    shop.give(CONTRACT, "SUSPEND", Some(NUMBER));
    wait_until("the command is carried out", || {
        shop.ending(CONTRACT, "token_status").0 == "done"
    });
    shop.sandbox.release();
    shop.settle();
    let asked = shop.asked_since(before);
    assert_eq!(asked[1], format!("GET /clients/{CLIENT}/tokens"));
    assert_eq!(shop.tokens(CONTRACT), ["2345 ACTIVE", "9876 SUSPENDED"]);
    assert_eq!(shop.tokens(REPLACEMENT), ["4444 ACTIVE"]);
}

/// The read is of the card itself: the command waits for it, and is the last word.
#[rstest]
fn a_command_given_while_its_card_is_read_comes_after_the_read(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let shop = Shop::with_contract(backend);
    shop.sandbox.set_token_status(OTHER_NUMBER, "Suspended");
    shop.sandbox.hold(ReadTokens);
    let before = shop.all_calls();
    shop.ask_for_tokens(CONTRACT);
    wait_until("the card is read", || shop.all_calls() == before + 1);
    shop.give(CONTRACT, "SUSPEND", Some(NUMBER));
    std::thread::sleep(std::time::Duration::from_millis(700));
    assert_eq!(shop.all_calls(), before + 1, "one call of a card at a time");
    let id = CardId::parse(CONTRACT).unwrap();
    assert!(
        (shop.app.store())
            .read(|tx| tx.any_running_job(&id))
            .unwrap()
    );
    shop.sandbox.release();
    shop.settle();
    assert_eq!(shop.tokens(CONTRACT), ["2345 SUSPENDED", "9876 SUSPENDED"]);
    assert_eq!(
        shop.sandbox.token_status(NUMBER).as_deref(),
        Some("Suspended")
    );
}
