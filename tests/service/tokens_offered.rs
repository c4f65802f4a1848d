//! What programs whose cards have tokens of their own do not offer, and calls of a program that has
//! become one of another kind.

use rstest::rstest;
use serde_json::{Value, json};
use tokenkeep::sandbox::Fault;
use tokenkeep::sandbox::Operation::{SetTokenStatus, UpdateTokenState};
use tokenkeep::settings::ProgramSettings;

use crate::support::Backend;
use crate::support::calls::{LONGEST_WAIT, SERVICE, Shop, program};
use crate::support::issuer::{BANK_CARD, CONTRACT};

#[rstest]
fn what_such_a_program_does_not_offer_is_refused(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let shop = Shop::with_both(backend);
    let before = shop.all_calls();
    for card in [CONTRACT, BANK_CARD] {
        let sentence = "the card's program deletes no cards; deactivate its tokens (token-status)";
        let deleted = shop.delete(card);
        assert_eq!(deleted.code(), "not-offered-by-program", "{card}");
        assert_eq!(
            (deleted.status, &deleted.json()["detail"]),
            (409, &json!(sentence))
        );
        let listed = shop.send_app("GET", &format!("{card}/transactions"), &Value::Null);
        assert_eq!(listed.status, 409, "{}", listed.body);
        assert_eq!(listed.code(), "not-offered-by-program");
        let credentials = shop.credentials(card, &json!({ "use": "single" }));
        assert_eq!(credentials.status, 409, "{}", credentials.body);
    }
    let told = shop.contract_status(BANK_CARD, "05");
    assert_eq!(told.code(), "not-offered-by-program");
    shop.settle();
    assert_eq!(shop.all_calls(), before);
    println!("not offered on {backend:?}: 7 requests refused, 0 calls");
}

#[rstest]
fn a_command_of_a_program_that_has_become_another_one_is_discarded(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let mut shop = Shop::with_both(backend);
    let down = || Some(Fault::service_error(503));
    shop.sandbox.set_fault(SetTokenStatus, down());
    shop.sandbox.set_fault(UpdateTokenState, down());
    for card in [CONTRACT, BANK_CARD] {
        shop.give(card, "SUSPEND", None);
    }
    shop.settle();
    shop.app.stop();
    let checkout: ProgramSettings = program(&shop.sandbox.base_url(), SERVICE, &json!({}));
    for name in ["issuer", "bank"] {
        let programs = &mut shop.app.settings.programs;
        programs.insert(name.to_owned(), checkout.clone());
    }
    shop.app.start();
    shop.advance(LONGEST_WAIT);
    shop.settle();
    for card in [CONTRACT, BANK_CARD] {
        let (state, _, reason) = shop.ending(card, "token_status");
        let said = (state.as_str(), reason.as_str());
        assert_eq!(said, ("discarded", "not-offered-by-program"), "{card}");
    }
}
