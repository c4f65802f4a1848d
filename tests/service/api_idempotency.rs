//! `Idempotency-Key`: a repeated request gets the answer of the first one, and changes nothing.

use rstest::rstest;
use serde_json::json;
use tokenkeep::api::access::AccessRole;

use crate::support::api::Ask;
use crate::support::build::{CARD, NUMBER_1, plain, status};
use crate::support::raw::Reply;
use crate::support::sql::sql;
use crate::support::{App, Backend, START};

fn path(card: &str) -> String {
    format!("/v1/cards/{card}")
}

fn put(app: &App, key: &str, card: &str, idempotency: &str, body: &str) -> Reply {
    app.ask(&Ask {
        method: "PUT",
        path: &path(card),
        key,
        headers: &[&format!("Idempotency-Key: {idempotency}")],
        body,
    })
}

fn refused(reply: &Reply) -> (u16, String) {
    (reply.status, reply.code())
}

fn reused() -> (u16, String) {
    (422, "idempotency-key-reused".to_owned())
}

#[rstest]
fn the_same_key_and_request_get_the_same_answer_whatever_happened_since(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let app = App::spawn(backend);
    let key = app.new_key(AccessRole::App, "mine");
    let body = json!({ "program": "shop", "consumerReference": "consumer-7" }).to_string();
    let first = put(&app, &key, CARD, "order-1", &body);
    assert_eq!(first.status, 201);
    app.advance(60_000);
    app.deliver(&plain(&[status(CARD, Some(START + 50_000), "SUSPENDED")]));
    let again = put(&app, &key, CARD, "order-1", &body);
    assert_eq!((again.status, &again.body), (201, &first.body));
    assert_eq!(again.header("content-type"), Some("application/json"));
    // Another key, or none, is another request.
    let now = put(&app, &key, CARD, "order-2", &body);
    assert_eq!(
        (now.status, &now.json()["status"]),
        (200, &json!("SUSPENDED"))
    );
    assert_eq!(app.send("PUT", &path(CARD), &key, &body).status, 200);
    assert_eq!(sql(&app.database).count("registrations"), 3);
}

#[rstest]
fn the_same_key_with_another_request_is_refused_and_changes_nothing(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let app = App::spawn(backend);
    let key = app.new_key(AccessRole::App, "mine");
    assert_eq!(
        put(&app, &key, CARD, "k", "{\"program\": \"a\"}").status,
        201
    );
    let other_body = put(&app, &key, CARD, "k", "{\"program\": \"b\"}");
    assert_eq!(refused(&other_body), reused());
    assert_eq!(
        refused(&put(&app, &key, "another", "k", "{\"program\": \"a\"}")),
        reused()
    );
    let other_method = app.ask(&Ask {
        method: "DELETE",
        path: &path(CARD),
        key: &key,
        headers: &["Idempotency-Key: k"],
        body: "",
    });
    assert_eq!(refused(&other_method), reused());
    assert_eq!(app.card(CARD).unwrap().program.as_deref(), Some("a"));
    assert!(app.card("another").is_none());
}

#[rstest]
fn a_key_counts_for_the_api_key_it_came_with_only(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let app = App::spawn(backend);
    let mine = app.new_key(AccessRole::App, "mine");
    let yours = app.new_key(AccessRole::App, "yours");
    assert_eq!(put(&app, &mine, CARD, "k", "{}").status, 201);
    assert_eq!(put(&app, &yours, "another", "k", "{}").status, 201);
    assert!(app.card("another").is_some());
    assert_eq!(put(&app, &yours, CARD, "k2", "{}").status, 200);
}

#[rstest]
#[case::empty("")]
#[case::too_long(&"k".repeat(256))]
#[case::space("a b")]
#[case::not_ascii("schlüssel")]
#[case::control("a\u{1}b")]
#[case::twice("a\r\nIdempotency-Key: a")]
fn a_malformed_key_is_refused_and_nothing_is_done(#[case] idempotency: &str) {
    let app = App::spawn(Backend::Sqlite);
    let key = app.new_key(AccessRole::App, "mine");
    let reply = put(&app, &key, CARD, idempotency, "{}");
    assert_eq!(reply.status, 400, "{}", reply.body);
    assert!(app.card(CARD).is_none());
    // A control character is refused before us, without a problem document.
    assert!(reply.code() == "wrong-idempotency-key" || idempotency.contains('\u{1}'));
}

#[test]
fn the_longest_key_is_taken() {
    let app = App::spawn(Backend::Sqlite);
    let key = app.new_key(AccessRole::App, "mine");
    for status in [201, 201] {
        assert_eq!(put(&app, &key, CARD, &"~".repeat(255), "{}").status, status);
    }
}

#[rstest]
fn a_refusal_is_not_kept(#[values(Backend::Sqlite, Backend::Postgres)] backend: Backend) {
    let app = App::spawn(backend);
    let key = app.new_key(AccessRole::Ops, "mine");
    let delete = || {
        app.ask(&Ask {
            method: "DELETE",
            path: &format!("{}?program=shop", path(CARD)),
            key: &key,
            headers: &["Idempotency-Key: k"],
            body: "",
        })
    };
    assert_eq!(refused(&delete()), (404, "unknown-card".to_owned()));
    app.deliver(&plain(&[status(CARD, Some(START), "ACTIVE")]));
    let deleted = delete();
    assert_eq!(deleted.status, 202, "{}", deleted.body);
    let again = delete();
    assert_eq!((again.status, again.body), (202, deleted.body));
}

#[rstest]
fn of_many_at_once_all_get_one_answer(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let app = App::spawn(backend);
    let key = app.new_key(AccessRole::App, "mine");
    let replies: Vec<Reply> = std::thread::scope(|scope| {
        let asking: Vec<_> = (0..16)
            .map(|_| scope.spawn(|| put(&app, &key, CARD, "k", "{\"program\": \"a\"}")))
            .collect();
        asking.into_iter().map(|it| it.join().unwrap()).collect()
    });
    for reply in &replies {
        assert_eq!(reply.body, replies[0].body);
        assert_eq!(reply.status, replies[0].status);
    }
    assert_eq!(sql(&app.database).count("idempotency_keys"), 1);
}

#[rstest]
fn nothing_kept_gives_a_number_away(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let app = App::spawn(backend);
    let key = app.new_key(AccessRole::App, "mine");
    let token = json!({
        "paymentToken": NUMBER_1, "tokenExpirationMonth": "12", "tokenExpirationYear": "2031",
    });
    let body = json!({ "token": token }).to_string();
    assert_eq!(put(&app, &key, CARD, "k", &body).status, 201);
    let kept = sql(&app.database)
        .texts("SELECT id || ' ' || request || ' ' || answer AS text FROM idempotency_keys");
    assert_eq!(kept.len(), 1);
    // A digest without a key could be tried out: a number has few digits.
    let unkeyed = openssl::sha::sha256(format!("PUT{}{body}", path(CARD)).as_bytes());
    let unkeyed: String = unkeyed.iter().map(|byte| format!("{byte:02x}")).collect();
    assert!(!kept[0].contains(NUMBER_1) && !kept[0].contains(&unkeyed));
    let request = sql(&app.database).texts("SELECT request AS text FROM idempotency_keys");
    assert!(request[0].starts_with("demo-storage:"), "{}", request[0]);
}
