//! `/readyz` tells each thing that was looked at, and what is wrong with it.

use rstest::rstest;
use serde_json::{Value, json};
use tokenkeep::settings::Role;

use crate::support::build::{CARD, plain, status};
use crate::support::key_folder::KeyFolder;
use crate::support::sql::sql;
use crate::support::{App, Backend, START, keys, wait_until};

/// The names of the checks, and what is wrong: name, whether it is required, why.
fn checks(app: &App) -> (Vec<String>, Vec<(String, bool, String)>) {
    let told = app.get("/readyz").json()["checks"].clone();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let all = told.as_array().unwrap();
    let names = all.iter().map(|check| text(&check["name"])).collect();
    let wrong = all.iter().filter(|check| check["ok"] == false);
    let wrong = wrong.map(|check| {
        let is_required = check["required"].as_bool().unwrap();
        (text(&check["name"]), is_required, text(&check["reason"]))
    });
    (names, wrong.collect())
}

fn ready(app: &App) -> u16 {
    app.get("/readyz").status
}

fn one_more(app: &App) {
    let kept = app.notify(&plain(&[status(CARD, Some(START), "ACTIVE")]));
    assert_eq!(kept.status, 204);
}

#[rstest]
fn what_is_well_is_told_too(#[values(Backend::Sqlite, Backend::Postgres)] backend: Backend) {
    let mut app = App::spawn(backend);
    let (names, wrong) = checks(&app);
    let expected = [
        "database",
        "receiving",
        "processing",
        "clock",
        "backlog",
        "calls",
        "payload-keys",
    ];
    assert_eq!((names, wrong), (expected.map(str::to_owned).into(), vec![]));
    app.stop();
    app.settings.roles = vec![Role::Receive];
    app.start();
    let (names, _) = checks(&app);
    assert!(!names.contains(&"processing".to_owned()), "it does none");
}

#[rstest]
fn while_nothing_can_be_decided_the_reason_is_told_and_the_process_is_not_ready(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let app = App::spawn(backend);
    sql(&app.database).execute("ALTER TABLE notifications RENAME TO away");
    one_more(&app);
    wait_until("it is not ready", || ready(&app) == 503);
    let (_, wrong) = checks(&app);
    let [(name, true, reason)] = &wrong[..] else {
        panic!("{wrong:?}");
    };
    assert!(
        name == "processing" && reason.starts_with("nothing is processed: "),
        "{wrong:?}"
    );
    assert_eq!(app.get("/readyz").json()["reasons"], json!([reason]));
    sql(&app.database).execute("ALTER TABLE away RENAME TO notifications");
    wait_until("it is ready again", || ready(&app) == 200);
    assert_eq!(checks(&app).1, []);
}

#[rstest]
fn without_its_database_the_check_of_it_fails_and_the_backlog_is_not_known(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let app = App::spawn_with(backend, |settings| settings.roles = vec![Role::Receive]);
    sql(&app.database).take_away();
    let told = app.get("/readyz");
    let lacks = "the database does not answer".to_owned();
    assert_eq!((told.status, &told.json()["backlog"]), (503, &Value::Null));
    assert_eq!(told.json()["reasons"], json!([lacks]));
    assert_eq!(checks(&app).1, [("database".to_owned(), true, lacks)]);
    sql(&app.database).bring_back();
    wait_until("it is ready again", || ready(&app) == 200);
}

#[rstest]
fn a_delivery_that_waits_for_long_and_a_missing_key_are_told_and_stop_nothing(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let folder = KeyFolder::copy();
    let payload = folder.path().join("payload");
    for file in payload.read_dir().unwrap() {
        std::fs::remove_file(file.unwrap().path()).unwrap();
    }
    let storage = "storage = \"demo-storage\"";
    std::fs::write(folder.path().join("keys.toml"), storage).unwrap();
    let mut app = folder.spawn(backend);
    app.stop();
    app.settings.roles = vec![Role::Receive];
    app.start();
    one_more(&app);
    app.advance(60_000);
    let keyless = "no payload key is loaded: nothing encrypted is opened".to_owned();
    let keyless = ("payload-keys".to_owned(), false, keyless);
    assert_eq!(checks(&app).1, std::slice::from_ref(&keyless));
    app.advance(1_000);
    let late = "a delivery has waited to be decided for 61 s".to_owned();
    let late = ("backlog".to_owned(), false, late);
    assert_eq!(checks(&app).1, [late.clone(), keyless]);
    assert_eq!(ready(&app), 200);
    // A key that is added is taken up though nothing is opened here.
    for file in keys().join("payload").read_dir().unwrap() {
        let file = file.unwrap();
        std::fs::copy(file.path(), payload.join(file.file_name())).unwrap();
    }
    wait_until("the key is loaded", || checks(&app).1 == [late.clone()]);
}
