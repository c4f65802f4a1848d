//! When each key was last used: noted for every kind of key, written once a minute at most, and in nobody's way.

use openssl::ssl::SslVersion;
use rstest::rstest;
use serde_json::{Value, json};
use tokenkeep::api::access::AccessRole;

use crate::support::audit::store;
use crate::support::build::{CARD, KID, NUMBER_1, plain, refresh_with};
use crate::support::calls::{MINUTE, Shop};
use crate::support::certificates::{Certificate, Wish};
use crate::support::commands::tokenkeep;
use crate::support::sql::sql;
use crate::support::tls::{ASKING, SENDER, TlsFolder, post, sender};
use crate::support::{App, Backend, START, TestDatabase, wait_until};

const AT_START: &str = "2026-07-20T10:00:00.000Z";
const EXPIRY: (&str, &str) = ("12", "2031");

/// When a key was last used, as far as it is written.
fn used(database: &TestDatabase, purpose: &str, kid: &str) -> Option<i64> {
    let used = sql(database).texts(&format!(
        "SELECT CAST(used_at AS TEXT) AS text FROM key_uses WHERE purpose = '{purpose}' AND kid = '{kid}'"
    ));
    assert!(used.len() < 2, "{used:?}");
    used.first().map(|at| at.parse().unwrap())
}

fn encrypted(card: &str) -> Value {
    let jwe = crate::support::build::payment_jwe(NUMBER_1, EXPIRY);
    plain(&[refresh_with(card, START - 1_000, &jwe)])
}

/// The entry of a list whose field has this value.
fn entry<'a>(list: &'a Value, field: &str, value: &str) -> &'a Value {
    let mut entries = list.as_array().unwrap().iter();
    entries.find(|entry| entry[field] == value).unwrap()
}

#[rstest]
fn uses_are_written_when_a_minute_is_over_or_the_service_stops_and_shown(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let mut app = App::spawn(backend);
    app.new_key(AccessRole::Payments, "idle");
    let night_shift = app.new_key(AccessRole::Ops, "night-shift");
    app.deliver(&encrypted(CARD));
    assert_eq!(app.get("/v1/notifications").status, 200);
    assert_eq!(sql(&app.database).count("key_uses"), 0, "no write per use");
    // Marks are looked at every few seconds, and may be before or after the clock moves on.
    app.advance(MINUTE);
    wait_until("uses are written", || {
        used(&app.database, "payload", KID).is_some()
    });
    let within = START..=START + MINUTE;
    let first = used(&app.database, "payload", KID).unwrap();
    assert!(within.contains(&first), "{first}");
    let seals = used(&app.database, "storage", "demo-storage").unwrap();
    assert!(within.contains(&seals), "{seals}");
    assert_eq!(used(&app.database, "api", "ops"), Some(START));

    app.advance(MINUTE / 2);
    app.deliver(&encrypted("another"));
    let page = app.sign_in(&night_shift).page("/console/keys");
    let row = page.split("<tr>").find(|row| row.contains(KID)).unwrap();
    let shown = tokenkeep::telemetry::timestamp(first);
    assert!(row.contains(&format!("datetime=\"{shown}\"")), "{row}");
    assert_eq!(used(&app.database, "payload", KID), Some(first), "not yet");
    app.stop();
    let now = START + MINUTE * 3 / 2;
    assert_eq!(used(&app.database, "payload", KID), Some(now));

    let keys = tokenkeep(&app.database, &["keys", "list", "--json"]).json();
    let listed = &entry(&keys["keys"], "kid", KID)["lastUsedAt"];
    assert_eq!(listed, &json!("2026-07-20T10:01:30.000Z"));
    let never = &entry(&keys["keys"], "kid", "demo-payload-2025")["lastUsedAt"];
    assert_eq!(never, &Value::Null);
    let text = tokenkeep(&app.database, &["keys", "list"]).stdout;
    let line = text.lines().find(|line| line.contains(KID)).unwrap();
    assert!(
        line.contains("no end") && line.contains("2026-07-20T10:01:30"),
        "{line}"
    );
    let api_keys = tokenkeep(&app.database, &["api-keys", "list", "--json"]).json();
    let of = |name: &str| entry(&api_keys["apiKeys"], "name", name)["lastUsedAt"].clone();
    assert_eq!(of("ops"), json!(AT_START));
    assert_eq!((of("app"), of("idle")), (Value::Null, Value::Null));
    let text = tokenkeep(&app.database, &["api-keys", "list"]).stdout;
    assert!(text.contains(AT_START), "{text}");
}

#[rstest]
fn of_two_processes_the_one_that_used_a_key_last_counts(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let database = TestDatabase::new(backend);
    let (one, other) = (store(&database), store(&database));
    for (early, late) in [(&one, &other), (&other, &one)] {
        let before = used(&database, "api", "shared").unwrap_or(START);
        early.note_api_key("shared", before + 1_000);
        late.note_api_key("shared", before + 2_000);
        late.write_key_uses().unwrap();
        early.write_key_uses().unwrap();
        assert_eq!(used(&database, "api", "shared"), Some(before + 2_000));
    }
    // Both at once, the same keys: neither fails and neither is lost.
    std::thread::scope(|scope| {
        for (store, step) in [(&one, 3), (&other, 5)] {
            scope.spawn(move || {
                for at in 1..=20 {
                    for name in ["first", "second", "third"] {
                        store.note_api_key(name, START + at * step);
                    }
                    store.write_key_uses().unwrap();
                }
            });
        }
    });
    for name in ["first", "second", "third"] {
        assert_eq!(used(&database, "api", name), Some(START + 100));
    }
}

#[rstest]
fn uses_that_cannot_be_written_hinder_nobody_and_are_written_later(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let app = App::spawn(backend);
    sql(&app.database).refuse_inserts("key_uses", "NEW.used_at > 0");
    app.deliver(&encrypted(CARD));
    assert_eq!(app.verdicts(CARD), ["applied"]);
    assert_eq!(app.get("/v1/notifications").status, 200);
    app.advance(MINUTE);
    assert!(app.store().write_key_uses().is_err());
    assert_eq!(app.get("/readyz").status, 200);
    sql(&app.database).accept_inserts("key_uses");
    app.store().write_key_uses().unwrap();
    assert_eq!(used(&app.database, "api", "ops"), Some(START));
}

#[rstest]
fn the_keys_of_a_program_are_used_by_its_calls(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let mut shop = Shop::open(backend);
    shop.app.stop();
    assert_eq!(
        used(&shop.app.database, "signing", "signing/demo-signing.pem"),
        None
    );
    shop.app.start();
    shop.card_with_cryptogram(CARD);
    shop.app.stop();
    for purpose in ["signing", "verification"] {
        let written = sql(&shop.app.database).texts(&format!(
            "SELECT program || ' ' || used_at AS text FROM key_uses WHERE purpose = '{purpose}'"
        ));
        assert_eq!(written, [format!("shop {START}")], "{purpose}");
    }
}

#[test]
fn a_sender_uses_the_listeners_certificate_and_its_own_authority_alone() {
    let (known, idle) = (
        Certificate::authority("Known"),
        Certificate::authority("Idle"),
    );
    let folder = TlsFolder::new(&[&known, &idle]);
    let mut app = folder.spawn(ASKING);
    let stranger = sender(None, SslVersion::TLS1_3);
    assert!(post(app.public(), &stranger).is_none());
    app.stop();
    assert_eq!(sql(&app.database).count("key_uses"), 0, "nobody was let in");
    app.start();
    let right = known.issue(&Wish::client(&[SENDER]));
    let right = sender(Some(&right), SslVersion::TLS1_3);
    assert_eq!(post(app.public(), &right).unwrap().status, 204);
    app.stop();
    let purposes = "SELECT purpose || ' ' || substr(kid, 1, 8) AS text FROM key_uses \
                    WHERE purpose IN ('listener', 'client-authority') ORDER BY 1";
    let written = sql(&app.database).texts(purposes);
    assert_eq!(written, ["client-authority CN=Known", "listener CN=local"]);
}

#[test]
fn a_forged_token_is_no_use_of_the_key_that_it_names() {
    let mut app = App::spawn(Backend::Sqlite);
    let mut forged = crate::support::build::payment_jwe(NUMBER_1, EXPIRY);
    let last = forged.pop().unwrap();
    forged.push(if last == 'A' { 'Q' } else { 'A' });
    app.deliver(&plain(&[refresh_with(CARD, START - 1_000, &forged)]));
    assert_eq!(app.verdicts(CARD), ["quarantined(unreadable)"]);
    app.stop();
    assert_eq!(used(&app.database, "payload", KID), None);
    assert_eq!(used(&app.database, "storage", "demo-storage"), Some(START));
}
