//! `/v1/outbox`, and the replay of notifications: what operators see and do.

use rstest::rstest;
use serde_json::{Value, json};
use tokenkeep::api::access::AccessRole;

use crate::support::api::Ask;
use crate::support::build::{CARD, NUMBER_1, plain, refresh, status};
use crate::support::key_folder::{KeyFolder, LateKey};
use crate::support::sql::sql;
use crate::support::{App, Backend, START};

fn refresh_cards(app: &App, count: i64) {
    let items: Vec<Value> = (0..count)
        .map(|n| {
            refresh(
                &format!("card-{n}"),
                START - 9_000,
                NUMBER_1,
                ("12", "2031"),
            )
        })
        .collect();
    app.deliver(&plain(&items));
}

fn jobs(app: &App, query: &str) -> Value {
    let answer = app.get(&format!("/v1/outbox{query}"));
    assert_eq!(answer.status, 200, "{}", answer.text);
    answer.json()
}

fn count(app: &App, query: &str) -> usize {
    jobs(app, query)["jobs"].as_array().unwrap().len()
}

#[rstest]
fn calls_are_listed_by_state_kind_and_card_in_pages(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let app = App::spawn(backend);
    refresh_cards(&app, 5);
    app.deliver(&plain(&[status("card-3", Some(START - 8_000), "DORMANT")]));
    let whole = jobs(&app, "");
    let all = whole["jobs"].as_array().unwrap();
    assert_eq!((all.len(), &whole["next"]), (6, &Value::Null));
    let first = &all[0];
    assert_eq!(
        first,
        &json!({
            "id": first["id"],
            "kind": "cryptogram",
            "cardId": "card-0",
            "state": "waiting",
            "attempts": 0,
            "nextAt": "2026-07-20T10:00:00.000Z",
            "lastStatus": null,
            "lastReason": null,
        })
    );
    for limit in 1..=7 {
        let mut paged = Vec::new();
        let mut after = String::new();
        loop {
            let page = jobs(&app, &format!("?limit={limit}&after={after}"));
            paged.extend(page["jobs"].as_array().unwrap().clone());
            match page["next"].as_str() {
                Some(next) => after = next.to_owned(),
                None => break,
            }
        }
        assert_eq!(&paged, all, "limit {limit}");
    }
    assert_eq!(count(&app, "?kind=get_card"), 1);
    assert_eq!(count(&app, "?card=card-3&kind=get_card&state=waiting"), 1);
    // A status that is not known withdraws the cryptogram.
    assert_eq!(count(&app, "?card=card-3&state=discarded"), 1);
    assert_eq!(count(&app, "?state=done"), 0);
    assert_eq!(app.get("/v1/outbox?limit=0").code(), "wrong-limit");
    assert_eq!(app.get("/v1/outbox?state=%00").code(), "wrong-query");
}

#[rstest]
fn a_call_that_was_given_up_is_made_again_and_one_that_is_over_is_not(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let app = App::spawn(backend);
    let ops = app.new_key(AccessRole::Ops, "operator");
    refresh_cards(&app, 1);
    let id = app.jobs("card-0")[0].id.clone();
    let retry = |id: &str| app.send("POST", &format!("/v1/outbox/{id}/retry"), &ops, "");
    for state in ["dead", "parked", "waiting"] {
        let ended = format!("UPDATE outbox SET state = '{state}', next_at = {START} + 900000");
        sql(&app.database).execute(&ended);
        app.advance(1_000);
        let retried = retry(&id);
        assert_eq!(retried.status, 200, "{}", retried.body);
        let now =
            tokenkeep::telemetry::timestamp(app.clock.load(std::sync::atomic::Ordering::SeqCst));
        assert_eq!(retried.json()["state"], "waiting");
        assert_eq!(retried.json()["nextAt"], now);
    }
    for state in ["running", "done", "discarded"] {
        sql(&app.database).execute(&format!("UPDATE outbox SET state = '{state}'"));
        let refused = retry(&id);
        assert_eq!(
            (refused.status, refused.code().as_str()),
            (409, "not-retryable"),
            "{state}"
        );
        let shown = app.get(&format!("/v1/outbox/{id}")).json();
        assert_eq!(
            (&shown["state"], &shown["nextAt"]),
            (&json!(state), &Value::Null)
        );
    }
    let unknown = retry("nobody");
    assert_eq!(
        (unknown.status, unknown.code().as_str()),
        (404, "unknown-job")
    );
    assert_eq!(app.get("/v1/outbox/nobody").code(), "unknown-job");
}

#[rstest]
fn a_replay_is_recorded_with_its_reason_and_the_name_of_the_key(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let folder = KeyFolder::copy();
    let app = folder.spawn(backend);
    let ops = app.new_key(AccessRole::Ops, "operator");
    let late = LateKey::new("late-2026");
    let payment = json!({ "paymentToken": {
        "paymentToken": NUMBER_1, "tokenExpirationMonth": "12", "tokenExpirationYear": "2031",
    }});
    let item = crate::support::build::refresh_with(CARD, START - 9_000, &late.jwe(&payment));
    app.deliver(&plain(&[item]));
    assert_eq!(app.verdicts(CARD), ["quarantined(unknown-key)"]);
    let id = app.notifications(CARD)[0].id.clone();
    let replay = |idempotency: &str, body: &str| {
        app.ask(&Ask {
            method: "POST",
            path: &format!("/v1/notifications/{id}/replay"),
            key: &ops,
            headers: &[&format!("Idempotency-Key: {idempotency}")],
            body,
        })
    };
    let body = json!({ "reason": "the key is here now" }).to_string();
    let still = replay("a", &body);
    assert_eq!(
        (still.status, &still.json()["verdict"]),
        (200, &json!("quarantined"))
    );
    assert_eq!(still.json()["verdictReason"], "unknown-key");
    // A repeat is no second replay.
    assert_eq!(replay("a", &body).body, still.body);
    let recorded = app.store().read(|tx| tx.replays_of(&id)).unwrap();
    let recorded: Vec<_> = recorded
        .iter()
        .map(|replay| {
            (
                replay.operator.as_str(),
                replay.reason.as_str(),
                &*replay.verdict,
            )
        })
        .collect();
    assert_eq!(
        recorded,
        [("operator", "the key is here now", "quarantined")]
    );
}

#[rstest]
#[case::no_body("")]
#[case::no_object("[]")]
#[case::no_reason("{}")]
#[case::null("{\"reason\": null}")]
#[case::empty("{\"reason\": \"\"}")]
#[case::no_text("{\"reason\": 5480980000000099}")]
#[case::control_character("{\"reason\": \"5480980000000099\\u0000\"}")]
#[case::further_field("{\"reason\": \"x\", \"5480980000000099\": 1}")]
#[case::twice("{\"reason\": \"x\", \"reason\": \"5480980000000099\"}")]
fn a_replay_without_a_proper_reason_is_refused_without_an_echo(#[case] body: &str) {
    let app = App::spawn(Backend::Sqlite);
    let ops = app.new_key(AccessRole::Ops, "operator");
    app.deliver(&plain(&[status(CARD, Some(START), "ACTIVE")]));
    let id = app.notifications(CARD)[0].id.clone();
    let refused = app.send(
        "POST",
        &format!("/v1/notifications/{id}/replay"),
        &ops,
        body,
    );
    assert_eq!(
        (refused.status, refused.code().as_str()),
        (400, "wrong-replay"),
        "{body}"
    );
    assert!(!refused.body.contains("5480"), "{}", refused.body);
    assert!(
        app.store()
            .read(|tx| tx.replays_of(&id))
            .unwrap()
            .is_empty()
    );
    let good = "{\"reason\": \"to see\"}";
    let unknown = app.send("POST", "/v1/notifications/nobody.0/replay", &ops, good);
    assert_eq!(
        (unknown.status, unknown.code().as_str()),
        (404, "unknown-notification")
    );
}
