//! P-11: no key takes the place of another unless somebody approves it.

use std::fs;

use rstest::rstest;
use serde_json::{Value, json};
use tokenkeep::commands::Service;
use tokenkeep::store::AuditRecord;
use tokenkeep::telemetry::Clock;

use crate::audit::who;
use crate::support::audit::{Watch, records, store};
use crate::support::build::{CARD, KID, NUMBER_1, plain, refresh_with};
use crate::support::commands::{Output, with};
use crate::support::key_folder::{KeyFolder, LateKey};
use crate::support::{App, Backend, START, TestDatabase, wait_until};

/// Runs a command on this folder.
pub fn run(database: &TestDatabase, keys: &KeyFolder, arguments: &[&str]) -> Output {
    let folder = keys.path().to_str().unwrap();
    let variables = [("TOKENKEEP_KEYS", folder)];
    with(database, arguments, &variables)
}

pub fn approve(database: &TestDatabase, keys: &KeyFolder, kid: &str) -> Output {
    let arguments = ["keys", "approve", kid, "--reason", "rotated by ticket 7"];
    run(database, keys, &arguments)
}

pub fn acts<'a>(found: &'a [AuditRecord], act: &str) -> Vec<&'a AuditRecord> {
    found.iter().filter(|record| record.act == act).collect()
}

/// Why a service on this folder does not start.
pub fn start_error(app: &App) -> Option<String> {
    match Service::start(&app.settings, Clock::system()) {
        Ok(service) => {
            service.stop().unwrap();
            None
        }
        Err(error) => Some(error.to_string()),
    }
}

#[rstest]
fn p11_another_payload_key_under_a_known_kid_is_refused_at_reload_and_restart_until_it_is_approved(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let keys = KeyFolder::copy();
    let mut app = keys.spawn(backend);
    let other = LateKey::new(KID);
    let mut watch = Watch::begin(&app.database);
    keys.put(KID, &other.pem);

    // While it runs: recorded once, however often the folder is looked at.
    let mut refused = Vec::new();
    wait_until("the key folder is looked at", || {
        refused.extend(watch.new_records());
        !refused.is_empty()
    });
    let jwe = other.payment_jwe(NUMBER_1, ("12", "2031"));
    app.deliver(&plain(&[refresh_with(CARD, START - 1_000, &jwe)]));
    std::thread::sleep(std::time::Duration::from_millis(2_200));
    assert!(app.verdicts(CARD)[0].starts_with("quarantined"));
    assert_eq!(app.get("/readyz").status, 200);
    refused.extend(watch.new_records());
    assert_eq!(acts(&refused, "keys.refuse").len(), 1, "{refused:#?}");
    let record = acts(&refused, "keys.refuse")[0];
    assert_eq!(
        (&*record.actor, &*record.outcome),
        ("service", "not-approved")
    );
    let details: Value = serde_json::from_str(&record.details).unwrap();
    assert_eq!(
        (&details[0]["purpose"], &details[0]["kid"]),
        (&json!("payload"), &json!(KID))
    );

    // What is started anew is refused, and so is a command that would open with it.
    app.stop();
    let told = start_error(&app).unwrap();
    assert!(
        told.contains(&format!("tokenkeep keys approve '{KID}'")),
        "{told}"
    );
    let started = watch.new_records();
    assert_eq!(acts(&started, "keys.refuse").len(), 1, "{started:#?}");
    assert!(acts(&started, "service.start").is_empty(), "{started:#?}");
    let check = run(&app.database, &keys, &["check"]);
    assert!(
        check.code == 1 && check.stderr.contains("keys approve"),
        "{check:?}"
    );
    let check = run(&app.database, &keys, &["keys", "check"]);
    assert!(
        check.code == 1 && check.stderr.contains("keys approve"),
        "{check:?}"
    );
    let fixture = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures");
    let replay = run(&app.database, &keys, &["replay", fixture, "--dry-run"]);
    assert!(
        replay.code == 2 && replay.stderr.contains("keys approve"),
        "{replay:?}"
    );
    watch.new_records();

    let approved = approve(&app.database, &keys, KID);
    assert_eq!(approved.code, 0, "{approved:?}");
    for place in ["known", "found"] {
        let fingerprint = details[0][place].as_str().unwrap();
        assert!(approved.stdout.contains(fingerprint), "{approved:?}");
    }
    let recorded = watch.new_records();
    assert_eq!(recorded.len(), 1, "{recorded:#?}");
    let record = &recorded[0];
    assert_eq!(
        (
            &*record.actor,
            &*record.act,
            &*record.object,
            &*record.outcome
        ),
        (&*who(), "keys.approve", KID, "done")
    );
    assert!(record.details.contains("rotated by ticket 7"));
    app.start();
    wait_until("what waited for the key is opened", || {
        app.verdicts(CARD) == ["applied"]
    });
    println!("P-11 payload key: refused at reload and restart, approved, in use");
}

#[rstest]
fn p11_an_approved_payload_key_is_taken_by_a_running_service_and_the_old_one_then_refused(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let keys = KeyFolder::copy();
    let app = keys.spawn(backend);
    let original = fs::read(keys.path().join(format!("payload/{KID}.pem"))).unwrap();
    let other = LateKey::new(KID);
    let jwe = other.payment_jwe(NUMBER_1, ("12", "2031"));
    app.deliver(&plain(&[refresh_with(CARD, START - 1_000, &jwe)]));
    assert!(app.verdicts(CARD)[0].starts_with("quarantined"));
    let mut watch = Watch::begin(&app.database);
    let mut seen = Vec::new();
    let mut wait_for = |watch: &mut Watch, act: &str| {
        wait_until(act, || {
            seen.extend(watch.new_records());
            !acts(&seen, act).is_empty()
        });
        std::mem::take(&mut seen)
    };
    keys.put(KID, &other.pem);
    wait_for(&mut watch, "keys.refuse");
    assert_eq!(approve(&app.database, &keys, KID).code, 0);
    // The folder is as it was when it was refused: what changed is the approval.
    wait_for(&mut watch, "keys.load");
    wait_until("the token is opened", || app.verdicts(CARD) == ["applied"]);
    keys.put(KID, &original);
    wait_for(&mut watch, "keys.refuse");
    let again = approve(&app.database, &keys, KID);
    assert_eq!(again.code, 0, "{again:?}");
    println!("P-11 a running service took the approved key without a restart");
}

#[rstest]
fn p11_a_key_that_comes_back_needs_no_approval_and_a_new_name_is_recorded_once(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let keys = KeyFolder::copy();
    let mut app = keys.spawn(backend);
    let first = records(&store(&app.database));
    let trusted = acts(&first, "keys.trust");
    assert_eq!(trusted.len(), 1, "{first:#?}");
    assert!(trusted[0].details.contains(KID) && trusted[0].details.contains("demo-storage"));
    let original = fs::read(keys.path().join(format!("payload/{KID}.pem"))).unwrap();
    app.stop();
    keys.put(KID, &LateKey::new(KID).pem);
    assert!(start_error(&app).is_some());
    keys.put(KID, &original);
    let late = LateKey::new("payload-2027");
    keys.put(late.kid, &late.pem);
    let mut watch = Watch::begin(&app.database);
    app.start();
    let new = watch.new_records();
    let trusted = acts(&new, "keys.trust");
    assert_eq!(trusted.len(), 1, "{new:#?}");
    assert!(trusted[0].details.contains(late.kid) && !trusted[0].details.contains(KID));
    // Another name of a key is a name as well.
    app.stop();
    let moved = fs::read_to_string(keys.path().join("keys.toml")).unwrap();
    let moved = moved.replace(
        "-demo-payload-encryption\" = \"demo-payload-2026\"",
        "-demo-payload-encryption\" = \"demo-payload-2025\"",
    );
    fs::write(keys.path().join("keys.toml"), moved).unwrap();
    let told = start_error(&app).unwrap();
    assert!(
        told.contains("20260101000000-demo-payload-encryption"),
        "{told}"
    );
}

#[rstest]
fn p11_approve_says_what_it_does_not_approve(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let keys = KeyFolder::copy();
    let app = keys.spawn(backend);
    let mut watch = Watch::begin(&app.database);
    let refused = |output: Output, text: &str| {
        assert_eq!(output.code, 1, "{output:?}");
        assert!(output.stderr.contains(text), "{output:?}");
    };
    refused(
        approve(&app.database, &keys, "nobody"),
        "no key of this name",
    );
    refused(approve(&app.database, &keys, KID), "nothing to approve");
    let late = LateKey::new("payload-2027");
    keys.put(late.kid, &late.pem);
    wait_until("the new key is recorded", || {
        !acts(&watch.new_records(), "keys.load").is_empty()
    });
    keys.put(late.kid, &LateKey::new(late.kid).pem);
    let other_print = [
        "keys",
        "approve",
        late.kid,
        "--reason",
        "x",
        "--fingerprint",
        "00",
    ];
    refused(
        run(&app.database, &keys, &other_print),
        "another fingerprint",
    );
    let unreasoned = run(&app.database, &keys, &["keys", "approve", late.kid]);
    assert_eq!(unreasoned.code, 2, "{unreasoned:?}");
    let outcomes: Vec<String> = acts(&records(&store(&app.database)), "keys.approve")
        .iter()
        .map(|record| record.outcome.clone())
        .collect();
    assert_eq!(outcomes.len(), 3, "{outcomes:?}");
    for outcome in ["unknown-key", "no_change", "other-fingerprint"] {
        assert!(
            outcomes.iter().any(|found| found == outcome),
            "{outcomes:?}"
        );
    }
}
