//! P-20: what cannot be recorded is not done.

use rstest::rstest;
use tokenkeep::api::access::AccessRole;

use crate::support::build::{NUMBER_1, plain, refresh, status};
use crate::support::commands::with;
use crate::support::sql::sql;
use crate::support::{App, Backend, START};

#[rstest]
fn p20_an_act_that_cannot_be_recorded_is_refused_and_not_done(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let app = App::spawn(backend);
    app.deliver(&plain(&[refresh("kept", START, NUMBER_1, ("12", "2031"))]));
    app.store_cryptogram("kept");
    let item = app.notifications("kept")[0].id.clone();
    let merchant = app.new_key(AccessRole::App, "merchant");
    let payments = app.new_key(AccessRole::Payments, "payments");
    let ops = app.new_key(AccessRole::Ops, "operator");
    sql(&app.database).refuse_inserts("audit", "NEW.place > 0");
    let replay = format!("/v1/notifications/{item}/replay");
    let refused = [
        ("PUT", "/v1/cards/new", &merchant, r#"{"program":"shop"}"#),
        ("DELETE", "/v1/cards/kept?program=shop", &merchant, ""),
        (
            "POST",
            "/v1/cards/kept/credentials",
            &payments,
            r#"{"use":"single"}"#,
        ),
        ("POST", &replay, &ops, r#"{"reason":"why"}"#),
        ("GET", "/v1/cards/kept", &ops, ""),
    ];
    for (method, path, key, body) in refused {
        let reply = app.send(method, path, key, body);
        assert_eq!(reply.status, 503, "{method} {path}: {}", reply.body);
        assert!(!reply.body.contains("0011"), "nothing of a card is told");
    }
    assert!(app.card("new").is_none());
    assert!(app.card("kept").unwrap().card.terminal.is_none());
    assert!(app.jobs("kept").iter().all(|job| job.kind != "delete_card"));
    assert_eq!(sql(&app.database).count("replays"), 0);
    let create = ["api-keys", "create", "--role", "ops", "--name", "secret"];
    assert_eq!(with(&app.database, &create, &[]).code, 1);
    // Notifications are no act of anybody here: they are kept all the same.
    app.deliver(&plain(&[status("kept", Some(START + 1), "SUSPENDED")]));
    sql(&app.database).accept_inserts("audit");
    app.deliver(&plain(&[status("kept", Some(START + 2), "ACTIVE")]));
    let path = "/v1/cards/kept/credentials";
    let issued = app.send("POST", path, &payments, r#"{"use":"recurring"}"#);
    assert_eq!(issued.status, 200, "{}", issued.body);
    println!("P-20 {} acts refused, 0 done", refused.len() + 1);
}
