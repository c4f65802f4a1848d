//! P-20: where the clock or the key that the audit depends on is not well, nothing is done that would be
//! recorded. Notifications are received all the same.

use std::sync::atomic::Ordering;

use rstest::rstest;
use serde_json::Value;
use tokenkeep::api::access::AccessRole;
use tokenkeep::audit::Act;
use tokenkeep::store::Entry;
use tokenkeep::telemetry::Clock;

use crate::support::audit::{records, store};
use crate::support::build::{NUMBER_1, plain, refresh, status};
use crate::support::commands::with;
use crate::support::sql::sql;
use crate::support::{App, Backend, TestDatabase};

const DAY: i64 = 86_400_000;
/// The default, which the tests' own clocks are spared elsewhere.
const REFUSE_BEYOND: (&str, &str) = ("TOKENKEEP_CLOCK__REFUSE_BEYOND", "43200");

/// A service that goes by the time of the machine, and watches its clock.
fn watching(backend: Backend) -> App {
    let mut app = App::spawn(backend);
    app.stop();
    app.clock.store(Clock::system().now(), Ordering::SeqCst);
    let clock = &mut app.settings.clock;
    (clock.warn_beyond, clock.refuse_beyond) = (5, 43_200);
    app.start();
    app
}

struct Keys {
    merchant: String,
    payments: String,
    ops: String,
}

/// Acts that are recorded, each refused; returns how many that were.
fn refused(app: &App, keys: &Keys) -> usize {
    let item = app.notifications("kept")[0].id.clone();
    let replay = format!("/v1/notifications/{item}/replay");
    let recorded = sql(&app.database).count("audit");
    let acts = [
        (
            "PUT",
            "/v1/cards/new",
            &keys.merchant,
            r#"{"program":"shop"}"#,
        ),
        ("DELETE", "/v1/cards/kept?program=shop", &keys.merchant, ""),
        (
            "POST",
            "/v1/cards/kept/credentials",
            &keys.payments,
            r#"{"use":"recurring"}"#,
        ),
        ("POST", &replay, &keys.ops, r#"{"reason":"why"}"#),
        ("GET", "/v1/cards/kept", &keys.ops, ""),
        ("GET", "/v1/notifications", &keys.ops, ""),
    ];
    for (method, path, key, body) in acts {
        let reply = app.send(method, path, key, body);
        let refusal = (reply.status, reply.code());
        assert_eq!(refusal, (503, "clock-wrong".to_owned()), "{method} {path}");
        assert_eq!(reply.header("retry-after"), Some("60"));
    }
    assert_eq!(sql(&app.database).count("audit"), recorded);
    assert!(app.card("new").is_none());
    assert!(app.card("kept").unwrap().card.terminal.is_none());
    acts.len()
}

fn reasons(app: &App) -> (u16, String) {
    let ready = app.get("/readyz");
    (ready.status, ready.json()["reasons"].to_string())
}

#[rstest]
fn p20_with_a_clock_a_day_off_it_is_not_ready_and_no_act_is_done(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let mut app = watching(backend);
    let keys = Keys {
        merchant: app.new_key(AccessRole::App, "merchant"),
        payments: app.new_key(AccessRole::Payments, "payments"),
        ops: app.new_key(AccessRole::Ops, "operator"),
    };
    let now = app.clock.load(Ordering::SeqCst);
    app.deliver(&plain(&[refresh("kept", now, NUMBER_1, ("12", "2031"))]));
    assert_eq!(reasons(&app), (200, "[]".to_owned()));
    let mut count = 0;
    for (off, received) in [(DAY, "forward"), (-DAY, "back")] {
        app.advance(off);
        let (status_code, told) = reasons(&app);
        assert_eq!(status_code, 503, "{received}: {told}");
        assert!(told.contains("acts are refused: the clock"), "{told}");
        let checks = &app.get("/readyz").json()["checks"];
        let clock = checks
            .as_array()
            .unwrap()
            .iter()
            .find(|it| it["name"] == "clock");
        assert!(
            told.contains(&clock.unwrap()["reason"].to_string()),
            "{checks}"
        );
        assert!(app.get("/metrics").text.contains("tokenkeep_clock_wrong 1"));
        count += refused(&app, &keys);
        // What the merchant's systems only look at, and what Mastercard sends, goes on.
        let shown = app.send("GET", "/v1/cards/kept", &keys.merchant, "");
        assert_eq!(shown.status, 200);
        app.deliver(&plain(&[status(received, Some(now), "ACTIVE")]));
        assert!(app.card(received).is_some());
        app.advance(-off);
        assert_eq!(reasons(&app).0, 200, "it was set right");
    }
    // A start does not make a clock right that is behind what was recorded before.
    app.stop();
    app.advance(-DAY);
    app.start();
    assert_eq!(reasons(&app).0, 503);
    count += refused(&app, &keys);
    app.stop();
    app.advance(DAY);
    app.start();
    let path = "/v1/cards/kept/credentials";
    let issued = app.send("POST", path, &keys.payments, r#"{"use":"recurring"}"#);
    assert_eq!(issued.status, 200, "{}", issued.body);
    println!("P-20 clock {backend:?}: {count} acts refused, 0 done, 2 of 2 deliveries kept");
}

#[test]
fn p20_a_command_does_nothing_on_a_machine_whose_clock_is_behind_the_audit() {
    let database = TestDatabase::new(Backend::Sqlite);
    let entry = Entry {
        act: Act::Read,
        object: "a test",
        outcome: "done",
        details: Value::Null,
        at: Clock::system().now() + DAY,
    };
    store(&database).write(|tx| tx.audit(entry)).unwrap();
    let create = ["api-keys", "create", "--role", "ops", "--name", "late"];
    for command in [&create[..], &["cards", "list"], &["purge"]] {
        let output = with(&database, command, &[REFUSE_BEYOND]);
        assert_eq!(output.code, 1, "{output:?}");
        assert!(
            output.stderr.contains("behind the newest record"),
            "{output:?}"
        );
    }
    assert_eq!(sql(&database).count("api_keys"), 0);
    assert_eq!(records(&store(&database)).len(), 1);
    // Who knows that the clock is right says so.
    let wider = ("TOKENKEEP_CLOCK__REFUSE_BEYOND", "172800");
    assert_eq!(with(&database, &create, &[wider]).code, 0);
}

#[rstest]
fn p20_without_a_storage_key_nothing_starts_and_nothing_is_done(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let database = TestDatabase::new(backend);
    assert_eq!(with(&database, &["migrate"], &[]).code, 0);
    let recorded = sql(&database).count("audit");
    let empty = tempfile::tempdir().unwrap();
    let keys = [("TOKENKEEP_KEYS", empty.path().to_str().unwrap())];
    let commands: [&[&str]; 6] = [
        &[
            "serve",
            "--listen",
            "127.0.0.1:0",
            "--api-listen",
            "127.0.0.1:0",
        ],
        &["api-keys", "create", "--role", "ops", "--name", "secret"],
        &["cards", "list"],
        &["purge"],
        &["audit", "verify"],
        &["migrate"],
    ];
    for command in commands {
        let output = with(&database, command, &keys);
        assert_eq!(output.code, 2, "{command:?}: {output:?}");
        assert!(output.stderr.contains("storage"), "{output:?}");
    }
    assert_eq!(sql(&database).count("audit"), recorded);
    assert_eq!(sql(&database).count("api_keys"), 0);
    println!(
        "P-20 key missing: {} commands refused, 0 done",
        commands.len()
    );
}
