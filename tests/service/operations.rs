//! The operator's guide about cards and what comes and goes for them: each task as it is written.

use rstest::rstest;
use serde_json::json;
use tokenkeep::jose::encrypt;
use tokenkeep::sandbox::{Fault, Operation, Refresh};
use tokenkeep::telemetry::Clock;

use crate::support::build::{NUMBER_1, plain, refresh_with, status};
use crate::support::certificates::rsa_key;
use crate::support::stage::{KID, Stage};
use crate::support::{Backend, wait_until};

/// A refresh of this card under a key that Mastercard calls by this name.
pub fn refresh_under(stage: &Stage, card: &str, kid: &str, key: &str) -> serde_json::Value {
    let payment = json!({ "paymentToken": {
        "paymentToken": NUMBER_1, "tokenExpirationMonth": "12", "tokenExpirationYear": "2031",
    }});
    let key = std::fs::read(stage.path(&format!("keys/payload/{key}.pem"))).unwrap();
    let jwe = encrypt(
        payment.to_string().as_bytes(),
        &key,
        Some(kid),
        "A128GCM",
        12,
    );
    plain(&[refresh_with(card, Clock::system().now(), &jwe.unwrap())])
}

/// Waits until the latest call of a kind is in this state.
pub fn wait_for_call(stage: &Stage, kind: &str, state: &str) {
    let query = format!("SELECT state AS text FROM outbox WHERE kind = '{kind}'");
    wait_until(state, || stage.texts(&query) == [state]);
}

#[rstest]
fn a_card_that_missed_a_refresh_is_asked_for_and_may_be_charged_again(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let mut stage = Stage::open(backend);
    stage.card("declined");
    wait_for_call(&stage, "cryptogram", "done");
    stage.sandbox.send_to(None);
    let missed = stage.sandbox.refresh("declined", Refresh::NumberAndExpiry);
    missed.unwrap();
    stage.set_variable("CARD", "declined");

    let [look, ask, see] = stage.steps("A card is declined after a refresh");
    stage.take(&look);
    stage.take(&ask);
    assert!(stage.charge("declined"));
    let shown = stage.look(&see);
    assert!(!shown.contains("warning"), "{shown}");
}

#[rstest]
fn a_refresh_under_another_name_of_a_key_and_a_status_word_of_nobodys_are_applied(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let mut stage = Stage::open(backend);
    stage.deliver(&refresh_under(&stage, "unreadable", "20270101-shop", KID));
    stage.deliver(&plain(&[status(
        "locked",
        Some(Clock::system().now()),
        "LOCKED",
    )]));
    for (name, value) in [
        ("CARD", "unreadable"),
        ("NAME", "20270101-shop"),
        ("KID", KID),
        ("ITEM", &stage.item("quarantined")),
        ("PARKED", &stage.item("parked")),
    ] {
        stage.set_variable(name, value);
    }

    let [look, alias, word, replay, see] = stage.steps("Notifications are parked or quarantined");
    stage.take(&look);
    stage.take(&alias);
    assert!(stage.may_charge("unreadable"));
    stage.take(&word);
    let verdict = "SELECT verdict AS text FROM notifications WHERE card_id = 'locked'";
    assert_eq!(stage.text(verdict), "parked");
    stage.take(&replay);
    stage.look(&see);
    assert_eq!(stage.text(verdict), "applied");
}

#[rstest]
fn calls_under_a_refused_credential_are_made_when_the_right_one_is_there(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let mut stage = Stage::set(backend);
    stage.settings("", "");
    let right = std::fs::read_to_string(stage.path("tokenkeep.toml")).unwrap();
    let old = rsa_key(2048).private_key_to_pem_pkcs8().unwrap();
    stage.put("keys/signing/old.pem", &old);
    let wrong = right.replace("signing/shop.pem", "signing/old.pem");
    stage.put("tokenkeep.toml", wrong.as_bytes());
    stage.start();
    stage.card("card");
    let status = "SELECT coalesce(last_status, 0) || '' AS text FROM outbox";
    wait_until("the credential is refused", || stage.text(status) == "401");

    let [look, mend, see] = stage.steps("Calls are dead or held back");
    stage.take(&look);
    stage.put("tokenkeep.toml", right.as_bytes());
    stage.take(&mend);
    stage.look(&see);
    assert!(stage.charge("card"));
}

#[rstest]
fn a_deletion_of_a_card_that_is_not_there_is_tried_again_and_closed_with_a_reason(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let mut stage = Stage::open(backend);
    stage.card("card");
    wait_for_call(&stage, "cryptogram", "done");
    let not_there = Some(Fault::service_error(404));
    stage.sandbox.set_fault(Operation::DeleteCard, not_there);
    stage.tokenkeep(&["cards", "delete", "card"]);
    wait_for_call(&stage, "delete_card", "parked");
    let call = "SELECT id AS text FROM outbox WHERE kind = 'delete_card'";
    stage.set_variable("CALL", &stage.text(call));

    let [look, retry, discard, see] = stage.steps("A deletion is not confirmed");
    stage.take(&look);
    stage.take(&retry);
    stage.take(&discard);
    stage.look(&see);
    let asked = stage.sandbox.count(Operation::DeleteCard, Some("card"));
    assert_eq!(asked, 2);
}

#[rstest]
fn a_merchant_that_leaves_has_no_card_and_no_access_any_more(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let mut stage = Stage::open(backend);
    let cards = ["first", "second", "third"];
    cards.iter().for_each(|card| stage.card(card));
    stage.tokenkeep(&["api-keys", "create", "--role", "app", "--name", "shop"]);
    stage.set_variable("MERCHANT", "shop");
    stage.set_variable("NAME", "shop");

    let [look, end, see] = stage.steps("Off-board a merchant");
    stage.take(&look);
    stage.take(&end);
    stage.look(&see);
    for card in cards {
        assert!(stage.sandbox.card(card).is_none(), "{card}");
        assert_eq!(
            stage.get(&format!("/v1/cards/{card}/readiness")).status,
            410
        );
    }
    let revoked = "SELECT count(*) || '' AS text FROM api_keys WHERE revoked_at IS NOT NULL";
    assert_eq!(stage.text(revoked), "1");
}

#[rstest]
fn a_persons_card_is_erased_once_it_is_deleted_there_and_a_held_one_is_not(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let mut stage = Stage::open(backend);
    stage.card("person");
    stage.card("disputed");
    stage.set_variable("CARD", "person");
    stage.set_variable("HELD", "disputed");

    let [look, hold, erase, see] = stage.steps("Erase a person's card");
    stage.take(&look);
    stage.take(&hold);
    stage.take(&erase);
    stage.look(&see);
    assert!(stage.sandbox.card("person").is_none());
    let kept = "SELECT card_id AS text FROM tokens";
    assert_eq!(stage.texts(kept), ["disputed"]);
    let refused = stage.attempt(&["cards", "erase", "disputed"]);
    assert!(refused.stderr.contains("on hold"), "{refused:?}");
    assert!(stage.may_charge("disputed"));
}
