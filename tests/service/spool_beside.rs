//! A spool beside other things: other processes, other files, the keys that seal it.

use std::fs;

use tokenkeep::commands::{Service, StartError};
use tokenkeep::settings::Role;
use tokenkeep::telemetry::Clock;

use crate::spool::{Spooling, card, cards};
use crate::support::build::{plain, status};
use crate::support::commands::with;
use crate::support::key_folder::KeyFolder;
use crate::support::sql::sql;
use crate::support::{START, leaks, wait_until};

#[test]
fn a_spool_has_one_process() {
    let it = Spooling::spawn();
    let mut settings = it.app.settings.clone();
    settings.roles = vec![Role::Receive];
    let second = Service::start(&settings, Clock::system()).map(drop);
    let Err(StartError::Spool(error)) = second else {
        panic!("a second process has the spool");
    };
    assert!(
        error.to_string().contains("another process works with it"),
        "{error}"
    );
    // Nor is anything taken for a spool that is something else.
    let folder = tempfile::tempdir().unwrap();
    settings.receiver.spool = folder.path().join("other.db");
    fs::write(
        &settings.receiver.spool,
        "not a database, but text of some length",
    )
    .unwrap();
    let other = Service::start(&settings, Clock::system()).map(drop);
    assert!(matches!(other, Err(StartError::Spool(_))));
}

#[test]
fn two_receivers_with_a_spool_each_bring_the_same_notifications_to_one_effect() {
    let it = Spooling::spawn();
    let folder = leaks::database_folder();
    let mut settings = it.app.settings.clone();
    settings.roles = vec![Role::Receive];
    settings.receiver.spool = folder.path().join("other.db");
    let other = Service::start(&settings, Clock::from_fn(|| START)).unwrap();
    let url = format!("http://{}/notifications/card", other.public.unwrap());
    // The first ones are in the table when they come again by a spool.
    for number in 0..3 {
        assert_eq!(it.send(number).0, 204);
    }
    it.app.settle();
    sql(&it.app.database).take_away();
    for number in 0..6 {
        let body = plain(&[status(&card(number), Some(START), "ACTIVE")]).to_string();
        assert_eq!(it.app.client.post(&url, &body).status, 204);
        assert_eq!(it.send(number).0, 204);
    }
    sql(&it.app.database).bring_back();
    wait_until("both spools are empty", || {
        it.app.database.deliveries() == 15
    });
    it.wait_until_moved();
    for number in 0..6 {
        let mut verdicts = it.app.verdicts(&card(number));
        verdicts.sort();
        let duplicates = if number < 3 { 2 } else { 1 };
        assert_eq!(verdicts.len(), 1 + duplicates);
        assert_eq!(verdicts[0], "applied");
        assert!(verdicts[1..].iter().all(|verdict| verdict == "duplicate"));
    }
    other.stop().unwrap();
}

#[test]
fn what_waits_in_the_spool_is_told_by_check_and_sealed_under_the_active_key_when_it_is_moved() {
    let keys = KeyFolder::copy();
    let mut it = Spooling::spawn_with(|settings| settings.keys = keys.path().to_owned());
    sql(&it.app.database).take_away();
    for number in 0..3 {
        assert_eq!(it.send(number).0, 204);
    }
    it.app.stop_at_once();
    sql(&it.app.database).bring_back();
    keys.seal_with("storage-2027");
    let (folder, file) = (keys.path().to_str().unwrap().to_owned(), it.file());
    let variables = [
        ("TOKENKEEP_KEYS", folder.as_str()),
        ("TOKENKEEP_RECEIVER__SPOOL", file.to_str().unwrap()),
    ];
    let check = with(&it.app.database, &["check"], &variables);
    let line = format!(
        "spool: {} can be used, deliveries that wait in it: 3",
        file.display()
    );
    assert!(
        check.stdout.contains(&line),
        "{}{}",
        check.stdout,
        check.stderr
    );
    let elsewhere = [("TOKENKEEP_RECEIVER__SPOOL", "/nowhere/spool.db")];
    let check = with(&it.app.database, &["check"], &elsewhere);
    let told = "spool: /nowhere/spool.db: the database cannot be reached: /nowhere is no folder";
    assert_eq!(check.code, 1);
    assert!(check.stderr.contains(told), "{}", check.stderr);

    let reseal = with(&it.app.database, &["keys", "reseal", "--json"], &variables);
    assert_eq!(reseal.code, 1);
    let outcome = reseal.json();
    assert_eq!(outcome["leftByColumn"]["receiver.spool"], 3);
    assert_eq!(outcome["removableKeys"], serde_json::json!([]));

    it.app.start();
    it.wait_until_moved();
    assert_eq!(it.arrived(), cards(0..3));
    let reseal = with(&it.app.database, &["keys", "reseal", "--json"], &variables);
    let outcome = reseal.json();
    assert_eq!((reseal.code, &outcome["left"]), (0, &serde_json::json!(0)));
    assert_eq!(
        outcome["removableKeys"],
        serde_json::json!(["demo-storage"])
    );
    // What was moved was under the new key already.
    let bodies = "SELECT encode(substr(body, 3, 12), 'escape') AS text FROM deliveries";
    for key in sql(&it.app.database).texts(bodies) {
        assert_eq!(key, "storage-2027");
    }
}
