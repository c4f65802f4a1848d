//! `DELETE /v1/cards/{id}`: unusable here at once, then deleted at Mastercard.

use rstest::rstest;
use serde_json::{Value, json};
use tokenkeep::api::access::AccessRole;
use tokenkeep::sandbox::Operation;

use crate::support::api::{card, with_sandbox};
use crate::support::build::{CARD, NUMBER_1, plain, refresh, status};
use crate::support::raw::Reply;
use crate::support::{App, Backend, START, wait_until};

fn delete(app: &App, key: &str, card: &str, query: &str) -> Reply {
    app.send("DELETE", &format!("/v1/cards/{card}{query}"), key, "")
}

fn refusal(reply: &Reply) -> (u16, String) {
    (reply.status, reply.code())
}

#[rstest]
fn a_deleted_card_is_unusable_at_once_and_a_repeat_changes_nothing(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let app = App::spawn(backend);
    let key = app.new_key(AccessRole::App, "mine");
    app.deliver(&plain(&[refresh(CARD, START, NUMBER_1, ("12", "2031"))]));
    app.store_cryptogram(CARD);
    let query = "?program=shop&reason=ACCOUNT_CLOSED&requestor=CARDHOLDER";
    let deleted = delete(&app, &key, CARD, query);
    assert_eq!(deleted.status, 202, "{}", deleted.body);
    let deleted = deleted.json();
    let job = &deleted["job"];
    let expected = json!({
        "cardId": CARD,
        "status": "DELETE_PENDING",
        "job": {
            "id": job["id"],
            "kind": "delete_card",
            "cardId": CARD,
            "state": "waiting",
            "attempts": 0,
            "nextAt": "2026-07-20T10:00:00.000Z",
            "lastStatus": null,
            "lastReason": null,
        },
    });
    assert_eq!(deleted, expected);
    assert_eq!(app.get(&format!("/v1/cards/{CARD}")).status, 410);
    assert_eq!(
        app.database.sealed_values_of(CARD).map(|(_, count)| count),
        [0; 4]
    );
    let shown = app.get(&format!("/v1/outbox/{}", job["id"].as_str().unwrap()));
    assert_eq!(&shown.json(), job);

    let ops = app.new_key(AccessRole::Ops, "another");
    let again = delete(&app, &ops, CARD, "");
    assert_eq!((again.status, again.json()), (200, expected));
    let deletions = app.jobs(CARD).into_iter();
    assert_eq!(deletions.filter(|job| job.kind == "delete_card").count(), 1);
}

#[rstest]
fn once_mastercard_has_confirmed_it_the_card_is_cancelled(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let (app, sandbox) = with_sandbox(backend);
    let key = app.new_key(AccessRole::App, "mine");
    sandbox.create_card(card(CARD)).unwrap();
    let registered = app.put(&format!("/v1/cards/{CARD}"), &json!({ "program": "shop" }));
    assert_eq!(registered.status, 201);
    let query = "?reason=OTHER&requestor=MERCHANT";
    assert_eq!(delete(&app, &key, CARD, query).status, 202);
    wait_until("it is deleted there", || sandbox.card(CARD).is_none());
    wait_until("it is confirmed here", || {
        let again = delete(&app, &key, CARD, "");
        assert_eq!(again.status, 200);
        again.json() == json!({ "cardId": CARD, "status": "CANCELLED", "job": null })
    });
    assert_eq!(sandbox.count(Operation::DeleteCard, Some(CARD)), 1);
    let calls = sandbox.calls();
    let call = calls
        .iter()
        .find(|call| call.operation == Operation::DeleteCard);
    let sent = &call.unwrap().path_and_query;
    assert!(
        sent.contains("reason=OTHER") && sent.contains("requestor=MERCHANT"),
        "{sent}"
    );
}

#[rstest]
fn a_card_is_deleted_at_a_program_that_is_known_or_given(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let (app, _sandbox) = with_sandbox(backend);
    let key = app.new_key(AccessRole::App, "mine");
    assert_eq!(
        refusal(&delete(&app, &key, "nobody", "")),
        (404, "unknown-card".to_owned())
    );
    app.deliver(&plain(&[status(CARD, None, "ACTIVE")]));
    assert_eq!(
        refusal(&delete(&app, &key, CARD, "")),
        (409, "program-unknown".to_owned())
    );
    let elsewhere = delete(&app, &key, CARD, "?program=elsewhere");
    assert_eq!(refusal(&elsewhere), (400, "wrong-query".to_owned()));
    // What is refused leaves the card as it is.
    assert_eq!(
        app.get(&format!("/v1/cards/{CARD}")).json()["status"],
        "ACTIVE"
    );
    assert_eq!(delete(&app, &key, CARD, "?program=shop").status, 202);
}

#[rstest]
#[case("reason", &["SUSPECTED_FRAUD", "ACCOUNT_CLOSED", "OTHER", "DEFAULT"])]
#[case("requestor", &["CARDHOLDER", "MERCHANT", "ISSUER", "WALLET"])]
fn a_word_that_is_none_of_mastercards_is_refused_with_those_allowed(
    #[case] name: &str,
    #[case] allowed: &[&str],
) {
    let app = App::spawn(Backend::Sqlite);
    let key = app.new_key(AccessRole::App, "mine");
    app.deliver(&plain(&[status(CARD, Some(START), "ACTIVE")]));
    for word in ["CANARY", "", &allowed[0].to_lowercase(), "%00"] {
        let reply = delete(&app, &key, CARD, &format!("?program=shop&{name}={word}"));
        assert_eq!(refusal(&reply), (400, "wrong-query".to_owned()), "{word}");
        let detail = reply.json()["detail"].as_str().unwrap().to_owned();
        assert!(
            detail.starts_with(name) && !detail.contains("CANARY"),
            "{detail}"
        );
        for allowed in allowed {
            assert!(detail.contains(allowed), "{detail}");
        }
    }
    for (number, word) in allowed.iter().enumerate() {
        let card = format!("card-{number}");
        app.deliver(&plain(&[status(&card, Some(START), "ACTIVE")]));
        let reply = delete(&app, &key, &card, &format!("?program=shop&{name}={word}"));
        assert_eq!(reply.status, 202, "{}", reply.body);
    }
    assert_ne!(app.get(&format!("/v1/cards/{CARD}")).json(), Value::Null);
}
