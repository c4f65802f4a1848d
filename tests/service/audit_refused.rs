//! P-20: what cannot be recorded is not done.

use std::time::{Duration, Instant};

use rstest::rstest;
use tokenkeep::api::access::AccessRole;

use crate::keys_approval::start_error;
use crate::support::audit::Watch;
use crate::support::build::{NUMBER_1, plain, refresh, refresh_with, status};
use crate::support::commands::with;
use crate::support::key_folder::{KeyFolder, LateKey};
use crate::support::sql::sql;
use crate::support::{App, Backend, START, wait_until};

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

#[rstest]
fn p20_payload_keys_whose_load_cannot_be_recorded_are_not_used_until_it_can(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let keys = KeyFolder::copy();
    let app = keys.spawn(backend);
    let late = LateKey::new("payload-2027");
    let visitor = app.sign_in(&app.new_key(AccessRole::Ops, "operator"));
    let mut watch = Watch::begin(&app.database);
    sql(&app.database).refuse_inserts("audit", "NEW.act = 'keys.load'");
    keys.put(late.kid, &late.pem);
    let jwe = late.payment_jwe(NUMBER_1, ("12", "2031"));
    app.deliver(&plain(&[refresh_with("late", START - 1_000, &jwe)]));
    // Long enough for two looks at the folder, by what opens notifications and by what opens answers.
    let until = Instant::now() + Duration::from_millis(2_500);
    while Instant::now() < until {
        assert!(!visitor.page("/console/keys").contains(late.kid));
        app.deliver(&plain(&[refresh("old", START, NUMBER_1, ("12", "2031"))]));
        assert_eq!(app.verdicts("late"), ["quarantined(unknown-key)"]);
        assert_eq!(app.get("/readyz").status, 200, "the old keys stay in use");
    }
    let waits = "wait for a key which is not here: 1";
    assert!(visitor.page("/console/keys").contains(waits));
    let tried = watch.new_records();
    let of_keys = tried
        .iter()
        .filter(|record| record.act.starts_with("keys."));
    assert_eq!(of_keys.count(), 0, "not trusted either: {tried:#?}");

    sql(&app.database).accept_inserts("audit");
    wait_until("the key is in use", || app.verdicts("late") == ["applied"]);
    wait_until("answers are opened with it, too", || {
        visitor.page("/console/keys").contains(late.kid)
    });
    let recorded = watch.new_records();
    let loads = recorded.iter().filter(|record| record.act == "keys.load");
    let loads: Vec<&str> = loads.map(|record| &*record.details).collect();
    assert_eq!(loads.len(), 2, "{recorded:#?}");
    assert!(loads.iter().all(|details| details.contains(late.kid)));
    println!("P-20 keys.load {backend:?}: 0 new keys in use without a record, 2 of 2 with one");
}

#[rstest]
fn p20_a_service_whose_settings_or_keys_cannot_be_recorded_does_not_start(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let mut app = App::spawn(backend);
    app.stop();
    let mut watch = Watch::begin(&app.database);
    for act in ["service.start", "settings.load", "keys.load"] {
        sql(&app.database).refuse_inserts("audit", &format!("NEW.act = '{act}'"));
        assert!(start_error(&app).is_some(), "{act}");
        sql(&app.database).accept_inserts("audit");
        assert!(watch.new_records().is_empty(), "all of them or none");
    }
    app.start();
    assert_eq!(watch.new_records().len(), 3);
    println!("P-20 start {backend:?}: 3 of 3 refused without a record");
}
