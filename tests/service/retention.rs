//! P-01: what is past its date goes, cards on hold and the marks of ended cards stay, and nothing of what
//! went is left in the database.

use rstest::rstest;
use serde_json::{Value, json};
use tokenkeep::telemetry::Clock;

use crate::support::audit::{chain, contains, records, store};
use crate::support::build::{NUMBER_1, plain, refresh, status};
use crate::support::commands::{tokenkeep, with};
use crate::support::sql::sql;
use crate::support::{App, Backend, START, TestDatabase};

/// Makes everything but the audit and the marks of the cards as old as can be.
pub const AGED: &str = "UPDATE deliveries SET received_at = 1; UPDATE notifications SET decided_at = 1; \
    UPDATE events SET at = 1; UPDATE cards SET updated_at = 1; \
    UPDATE outbox SET ended_at = 1 WHERE ended_at IS NOT NULL";

pub fn named(mut element: Value, name: &str) -> Value {
    element["maskedCard"]["digitalCardData"]["descriptorName"] = name.into();
    element
}

pub fn rows(answer: &Value, class: &str) -> i64 {
    let classes = answer["classes"].as_array().unwrap();
    let of_class = classes.iter().find(|row| row["class"] == class);
    of_class.unwrap()["rows"].as_i64().unwrap()
}

#[rstest]
fn p01_purge_removes_what_is_past_its_date_and_leaves_holds_and_marks(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let mut app = App::spawn(backend);
    for (card, canary) in [("gone", "CANARY-GONE"), ("held", "CANARY-HELD")] {
        let refresh = refresh(card, START, NUMBER_1, ("12", "2031"));
        app.deliver(&plain(&[named(refresh, canary)]));
        let cancelled = status(card, Some(START + 1), "CANCELLED");
        app.deliver(&plain(&[named(cancelled, canary)]));
    }
    app.deliver(&plain(&[named(
        status("alive", Some(START), "ACTIVE"),
        "ALIVE",
    )]));
    app.deliver(&plain(&[refresh(
        "parked",
        START,
        "no number",
        ("12", "2031"),
    )]));
    app.stop();
    let database = &app.database;
    let hold = ["cards", "hold", "held", "--reason", "a dispute"];
    assert_eq!(tokenkeep(database, &hold).code, 0);
    sql(database).execute(AGED);
    let now = Clock::system().now();
    let old_chain = chain(database, &[1, 2, 3]).1;
    let kept_chain = chain(database, &[4, 5, now]).1;
    assert!(contains(&database.bytes(), "CANARY-GONE"));

    let rehearsed = tokenkeep(database, &["purge", "--dry-run", "--json"]);
    assert_eq!(rehearsed.code, 0, "{rehearsed:?}");
    let purged = tokenkeep(database, &["purge", "--json"]);
    assert_eq!(purged.code, 0, "{purged:?}");
    let (rehearsed, purged) = (rehearsed.json(), purged.json());
    for class in ["raw bodies", "notifications", "events", "ended cards"] {
        assert_eq!(rows(&rehearsed, class), rows(&purged, class), "{class}");
    }
    // Two of the card that is gone, one of the living one; what is held and on hold stays.
    assert_eq!(rows(&purged, "notifications"), 3);
    assert_eq!(rows(&purged, "ended cards"), 1);
    assert_eq!(rows(&purged, "audit"), 3);
    let of = |card: &str| {
        let query = format!("SELECT id AS text FROM notifications WHERE card_id = '{card}'");
        sql(database).texts(&query).len()
    };
    assert_eq!(
        (of("gone"), of("held"), of("alive"), of("parked")),
        (0, 2, 0, 1)
    );
    let bytes = database.bytes();
    assert!(!contains(&bytes, "CANARY-GONE"), "nothing of it is left");
    assert!(contains(&bytes, "CANARY-HELD"));
    assert!(contains(&bytes, "ALIVE"), "a living card is what it was");

    let writers: Vec<String> = records(&store(database))
        .into_iter()
        .map(|r| r.writer)
        .collect();
    assert!(
        !writers.contains(&old_chain),
        "a chain goes once its last record is old"
    );
    assert_eq!(
        writers
            .iter()
            .filter(|writer| **writer == kept_chain)
            .count(),
        3
    );
    assert_eq!(tokenkeep(database, &["audit", "verify"]).code, 0);
    let again = tokenkeep(database, &["purge", "--json"]).json();
    let left: i64 = again["classes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|class| class["rows"].as_i64().unwrap())
        .sum();
    assert_eq!(left, 0);

    app.start();
    let key = app.new_key(tokenkeep::api::access::AccessRole::App, "merchant");
    let put = |card: &str| {
        app.send(
            "PUT",
            &format!("/v1/cards/{card}"),
            &key,
            r#"{"program":"shop"}"#,
        )
    };
    assert_eq!(put("gone").status, 410, "its mark is never purged");
    assert_eq!(app.get("/v1/cards/alive").status, 200);
}

#[rstest]
#[case("365", 2)]
#[case("366", 0)]
#[case("0", 0)]
fn the_audit_is_kept_for_twelve_months_at_least(#[case] days: &str, #[case] code: i32) {
    let database = TestDatabase::new(Backend::Sqlite);
    let variable = ("TOKENKEEP_RETENTION__AUDIT_DAYS", days);
    let output = with(&database, &["purge", "--dry-run"], &[variable]);
    assert_eq!(output.code, code, "{output:?}");
    if code == 2 {
        assert!(
            output
                .stderr
                .contains("retention.audit_days must be 366 or more"),
            "{output:?}"
        );
    }
}

#[test]
fn what_is_kept_for_ever_is_not_looked_at() {
    let database = TestDatabase::new(Backend::Sqlite);
    let variable = ("TOKENKEEP_RETENTION__EVENTS_DAYS", "0");
    let output = with(&database, &["purge", "--dry-run", "--json"], &[variable]);
    let answer = output.json();
    let classes = answer["classes"].as_array().unwrap();
    assert_eq!(classes.len(), 7);
    assert!(
        classes
            .iter()
            .all(|class| class["class"] != json!("events"))
    );
}
