//! Duplicates: however often and however encrypted something comes, it has one effect.

use rstest::rstest;
use serde_json::Value;

use crate::support::build::{CARD, NUMBER_1, encrypted, payment_jwe, plain, refresh, status};
use crate::support::serve::Serve;
use crate::support::{App, Backend, Client, START, TestDatabase, wait_until};

/// Sends bodies over `connections` connections at once; every one must be acknowledged.
fn storm(app: &App, bodies: &[Value], connections: usize) {
    let url = app.receiver_url();
    let share = bodies.len().div_ceil(connections);
    std::thread::scope(|scope| {
        for chunk in bodies.chunks(share) {
            let url = &url;
            scope.spawn(move || {
                let client = Client::new();
                for body in chunk {
                    assert_eq!(client.post(url, &body.to_string()).status, 204);
                }
            });
        }
    });
    app.settle();
}

fn count(verdicts: &[String], verdict: &str) -> usize {
    verdicts.iter().filter(|given| *given == verdict).count()
}

#[rstest]
fn w19_one_notification_sent_1000_times_over_64_connections_has_one_effect(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let app = App::spawn(backend);
    let body = plain(&[refresh(CARD, START - 1_000, NUMBER_1, ("12", "2031"))]);
    storm(&app, &vec![body; 1_000], 64);
    let verdicts = app.verdicts(CARD);
    assert_eq!(verdicts.len(), 1_000);
    assert_eq!(count(&verdicts, "applied"), 1);
    assert_eq!(count(&verdicts, "duplicate"), 999);
    assert_eq!(app.jobs(CARD).len(), 1);
    let card = app.card(CARD).unwrap().card;
    assert_eq!((card.version, card.number_version), (1, 1));
    let metrics = app.get("/metrics").text;
    let counted = "tokenkeep_items_total{verdict=\"duplicate\",hold=\"none\"} 999";
    assert!(metrics.lines().any(|line| line == counted));
    println!(
        "W-19 {backend:?}: 1000 acknowledged over 64 connections, 1 effect, 999 counted duplicates"
    );
}

#[test]
fn w19_one_notification_sent_1000_times_to_two_receivers_has_one_effect() {
    let database = TestDatabase::new(Backend::Postgres);
    let receivers = [Serve::start(&database), Serve::start(&database)];
    let body = plain(&[refresh(CARD, START - 1_000, NUMBER_1, ("12", "2031"))]).to_string();
    std::thread::scope(|scope| {
        for sender in 0..64 {
            let (url, body) = (&receivers[sender % 2].url, &body);
            // 1000 over all of them.
            let share = 15 + usize::from(sender < 40);
            scope.spawn(move || {
                let client = Client::new();
                for _ in 0..share {
                    assert_eq!(client.post(url, body).status, 204);
                }
            });
        }
    });
    let count = |condition: &str| {
        database.number(&format!(
            "SELECT count(*) AS number FROM notifications WHERE {condition}"
        ))
    };
    wait_until("everything is decided", || count("1 = 1") == 1_000);
    assert_eq!(count("verdict = 'applied'"), 1);
    assert_eq!(count("verdict = 'duplicate'"), 999);
    assert_eq!(database.number("SELECT count(*) AS number FROM outbox"), 1);
    println!("W-19 two receivers: 1000 acknowledged, 1 effect, 999 duplicates, 1 call");
}

#[rstest]
fn w20_one_content_encrypted_100_times_anew_in_either_form_has_one_effect(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let app = App::spawn(backend);
    let element = refresh(CARD, START - 1_000, NUMBER_1, ("12", "2031"));
    let as_payment_data = |_| {
        let mut element = element.clone();
        element["paymentData"] = payment_jwe(NUMBER_1, ("12", "2031")).into();
        plain(&[element])
    };
    let as_whole_body = |_| encrypted(&Value::Array(vec![element.clone()]));
    let bodies: Vec<Value> = (0..100)
        .map(as_payment_data)
        .chain((0..100).map(as_whole_body))
        .collect();
    storm(&app, &bodies, 8);
    let verdicts = app.verdicts(CARD);
    assert_eq!(count(&verdicts, "applied"), 1);
    assert_eq!(count(&verdicts, "duplicate"), 199);
    assert_eq!(app.due_cryptograms(CARD), [1]);
    assert_eq!(app.card(CARD).unwrap().card.version, 1);
    println!("W-20 {backend:?}: 200 encryptions of one content, 1 effect, 1 call");
}

#[rstest]
fn suspended_active_suspended_of_equal_content_ends_suspended_with_growing_times(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let app = App::spawn(backend);
    for (age, word) in [
        (3_000, "SUSPENDED"),
        (2_000, "ACTIVE"),
        (1_000, "SUSPENDED"),
    ] {
        app.deliver(&plain(&[status(CARD, Some(START - age), word)]));
    }
    assert_eq!(app.verdicts(CARD), ["applied"; 3]);
    assert_eq!(
        app.card(CARD).unwrap().card.status_word(),
        Some("SUSPENDED")
    );
}

#[rstest]
fn s12_suspended_active_suspended_of_equal_content_ends_suspended_without_times(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let app = App::spawn(backend);
    for word in ["SUSPENDED", "ACTIVE", "SUSPENDED", "SUSPENDED"] {
        app.deliver(&plain(&[status(CARD, None, word)]));
    }
    assert_eq!(
        app.verdicts(CARD),
        ["applied", "applied", "applied", "duplicate"]
    );
    assert_eq!(
        app.card(CARD).unwrap().card.status_word(),
        Some("SUSPENDED")
    );
    // Neither order can be trusted, so Mastercard is to be asked, once.
    let asked: Vec<_> = app.jobs(CARD).into_iter().map(|job| job.kind).collect();
    assert_eq!(asked, ["get_card"]);
}

#[rstest]
fn s15_the_same_items_in_one_batch_as_singles_or_encrypted_end_in_the_same_state(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let app = App::spawn(backend);
    let items = |card: &str| {
        vec![
            refresh(card, START - 2_000, NUMBER_1, ("12", "2031")),
            status(card, Some(START - 1_000), "SUSPENDED"),
            status(card, Some(START - 3_000), "ACTIVE"),
        ]
    };
    app.deliver(&plain(&items("batch")));
    for item in items("single") {
        app.deliver(&plain(&[item]));
    }
    app.deliver(&encrypted(&Value::Array(items("encrypted"))));
    app.deliver(&encrypted(&plain(&items("wrapped"))));
    let end = |card: &str| {
        let card = app.card(card).unwrap().card;
        let token = card.token.as_ref().unwrap();
        let number = token.number.expose().to_owned();
        (
            card.status_word(),
            number,
            token.expiry,
            card.cryptogram_is_due(),
        )
    };
    let expected = end("batch");
    assert_eq!(expected.0, Some("SUSPENDED"));
    for card in ["single", "encrypted", "wrapped"] {
        assert_eq!(end(card), expected, "{card}");
    }
}
