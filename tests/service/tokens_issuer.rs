//! Tokens of an issuer's cards: the cases that Mastercard publishes, registration, and what the issuer
//! tells of a card contract.

use rstest::rstest;
use serde_json::json;
use tokenkeep::sandbox::Operation::{ReadTokens, SetTokenStatus};

use crate::support::Backend;
use crate::support::calls::Shop;
use crate::support::issuer::{CLIENT, CONTRACT, DEAD_CONTRACT, NUMBER, OTHER_NUMBER};

/// Each command, the status that it leads to there, and here.
const COMMANDS: [(&str, &str, &str); 3] = [
    ("SUSPEND", "Suspended", "SUSPENDED"),
    ("RESUME", "Active", "ACTIVE"),
    ("DEACTIVATE", "Deactivated", "DELETED"),
];
const FOLLOWS: &str = "the card management system changes first; the network follows later";

#[rstest]
fn the_published_token_is_suspended_resumed_and_deactivated_and_the_other_one_stays(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let shop = Shop::with_contract(backend);
    for (done, (command, there, here)) in COMMANDS.into_iter().enumerate() {
        let answer = shop.give(CONTRACT, command, Some(NUMBER));
        assert_eq!(answer["outcome"], "queued");
        assert_eq!(answer["note"], FOLLOWS);
        shop.settle();
        assert_eq!(shop.ending(CONTRACT, "token_status").0, "done", "{command}");
        assert_eq!(shop.calls(SetTokenStatus, CONTRACT), done + 1);
        assert_eq!(shop.sandbox.token_status(NUMBER).as_deref(), Some(there));
        let expected = ["2345 ACTIVE".to_owned(), format!("9876 {here}")];
        assert_eq!(shop.tokens(CONTRACT), expected);
    }
    assert_eq!(
        shop.sandbox.token_status(OTHER_NUMBER).as_deref(),
        Some("Active")
    );
    let again = shop.command(CONTRACT, "RESUME", Some(NUMBER));
    assert_eq!(
        (again.status, again.code().as_str()),
        (409, "illegal-transition")
    );
    println!("published cases on {backend:?}: 3 statuses for one token, 3 for all, 3 for none");
}

#[rstest]
fn without_a_token_number_all_tokens_are_meant_and_the_card_ends_with_them(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let shop = Shop::with_contract(backend);
    for (command, there, here) in COMMANDS {
        shop.give(CONTRACT, command, None);
        shop.settle();
        for number in [NUMBER, OTHER_NUMBER] {
            assert_eq!(shop.sandbox.token_status(number).as_deref(), Some(there));
        }
        let card = shop.app.card(CONTRACT).unwrap().card;
        assert_eq!(card.status_word(), Some(here), "{command}");
    }
    assert_eq!(shop.sandbox.count(SetTokenStatus, Some(CONTRACT)), 3);
    assert_eq!(shop.app.get(&format!("/v1/cards/{CONTRACT}")).status, 410);
    assert_eq!(shop.command(CONTRACT, "RESUME", None).status, 410);
    assert_eq!(shop.command(CONTRACT, "DEACTIVATE", None).status, 200);
    assert_eq!(shop.kept_tokens("value IS NOT NULL"), 0);
}

#[rstest]
fn a_contract_without_living_tokens_parks_each_command_and_changes_nothing(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let shop = Shop::with_tokens(backend);
    shop.register(DEAD_CONTRACT, &json!({ "program": "issuer" }));
    assert!(shop.tokens(DEAD_CONTRACT).is_empty());
    let cursor = shop.last_event();
    for (done, (command, ..)) in COMMANDS.into_iter().enumerate() {
        shop.give(DEAD_CONTRACT, command, None);
        shop.settle();
        let ending = shop.ending(DEAD_CONTRACT, "token_status");
        let expected = ("parked".to_owned(), Some(404), "not-found".to_owned());
        assert_eq!(ending, expected, "{command}");
        // What is refused is asked about: once more than at the registration.
        assert_eq!(shop.calls(ReadTokens, DEAD_CONTRACT), done + 2, "{command}");
    }
    let card = shop.app.card(DEAD_CONTRACT).unwrap().card;
    assert_eq!((card.status_word(), card.tokens.len()), (None, 0));
    assert!(card.terminal.is_none());
    assert!(shop.told(DEAD_CONTRACT, cursor).is_empty());
}

#[rstest]
fn a_token_that_was_never_registered_is_taken_up_with_the_card_it_is_named_for(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let shop = Shop::with_contract(backend);
    let (late, nowhere) = ("5598765432101111", "5598765432102222");
    shop.sandbox.add_token(CONTRACT, CLIENT, late);
    shop.give(CONTRACT, "SUSPEND", Some(late));
    shop.give(CONTRACT, "SUSPEND", Some(nowhere));
    shop.settle();
    assert_eq!(
        shop.sandbox.token_status(late).as_deref(),
        Some("Suspended")
    );
    let expected = [
        "1111 SUSPENDED",
        "2222 unknown",
        "2345 ACTIVE",
        "9876 ACTIVE",
    ];
    assert_eq!(shop.tokens(CONTRACT), expected);
    // Nobody there knows the one that is made up: it is told, and its command waits for an operator.
    let card = shop.app.card(CONTRACT).unwrap().card;
    let missing = card
        .tokens
        .iter()
        .filter(|token| token.not_there_since.is_some());
    let missing = Vec::from_iter(missing.map(|token| token.last_four.as_str()));
    assert_eq!(missing, ["2222"]);
    assert_eq!(shop.ending(CONTRACT, "token_status").0, "parked");
}

#[rstest]
fn a_command_for_a_token_of_another_card_is_refused(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let shop = Shop::with_contract(backend);
    shop.register("70002", &json!({ "program": "issuer" }));
    let before = shop.all_calls();
    let refused = shop.command("70002", "SUSPEND", Some(NUMBER));
    assert_eq!(
        (refused.status, refused.code().as_str()),
        (404, "unknown-token")
    );
    let unknown = shop.command("70003", "SUSPEND", Some(NUMBER));
    assert_eq!(
        (unknown.status, unknown.code().as_str()),
        (404, "unknown-card")
    );
    shop.settle();
    assert_eq!(shop.all_calls(), before);
    assert!(shop.tokens("70002").is_empty());
}

#[rstest]
fn registered_tokens_are_read_at_once_and_one_of_another_card_is_not_taken(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let shop = Shop::with_tokens(backend);
    shop.sandbox.set_token_status(NUMBER, "Suspended");
    let tokens = json!([{ "tokenNumber": NUMBER }, { "tokenNumber": OTHER_NUMBER }]);
    let registration = json!({ "program": "issuer", "tokens": tokens });
    shop.register(CONTRACT, &registration);
    assert_eq!(shop.tokens(CONTRACT), ["2345 ACTIVE", "9876 SUSPENDED"]);
    let asked = format!("GET /cards/{CONTRACT}/tokens");
    assert_eq!(shop.asked_since(0), [asked]);

    shop.register("70002", &registration);
    assert!(shop.tokens("70002").is_empty());
    assert_eq!(shop.tokens(CONTRACT).len(), 2);
    assert_eq!(shop.kept_tokens(&format!("card_id = '{CONTRACT}'")), 2);
    // The program is asked whether they have moved.
    assert_eq!(shop.calls(ReadTokens, "70002"), 1);
}

#[rstest]
fn a_suspended_contract_suspends_its_active_tokens_without_a_call(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let shop = Shop::with_contract(backend);
    shop.give(CONTRACT, "DEACTIVATE", Some(OTHER_NUMBER));
    shop.settle();
    let (before, cursor) = (shop.all_calls(), shop.last_event());
    let told = shop.contract_status(CONTRACT, "05");
    assert_eq!(
        (told.status, &told.json()["outcome"]),
        (200, &json!("applied"))
    );
    shop.settle();
    assert_eq!(shop.all_calls(), before);
    assert_eq!(shop.tokens(CONTRACT), ["2345 DELETED", "9876 SUSPENDED"]);
    let kinds = shop
        .told(CONTRACT, cursor)
        .into_iter()
        .map(|(kind, _)| kind);
    assert_eq!(Vec::from_iter(kinds), ["card.status", "card.tokens"]);
    let again = shop.contract_status(CONTRACT, "05");
    assert_eq!(again.json()["outcome"], "no_change");
    assert!(shop.relinking(CONTRACT).is_empty());
}

#[rstest]
#[case::lost("41")]
#[case::stolen("43")]
fn the_tokens_of_a_lost_or_stolen_card_stay_as_they_are_and_are_marked(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
    #[case] code: &str,
) {
    let shop = Shop::with_contract(backend);
    let told = shop.contract_status(CONTRACT, code);
    assert_eq!(told.json()["tokens"][0]["relinking"], json!(true));
    shop.settle();
    assert_eq!(shop.tokens(CONTRACT), ["2345 ACTIVE", "9876 ACTIVE"]);
    assert_eq!(shop.relinking(CONTRACT).len(), 2);
    assert_eq!(shop.kept_tokens("relinking"), 2);
    let shown = shop.app.get(&format!("/v1/cards/{CONTRACT}")).json();
    assert_eq!(shown["contractStatus"], code);
}
