//! Duplicates: however often and however encrypted something comes, it has one effect.

use rstest::rstest;
use serde_json::Value;

use crate::support::build::{CARD, NUMBER_1, encrypted, payment_jwe, plain, refresh, status};
use crate::support::{App, Backend, START};

/// Sends bodies over `connections` connections at once; every one must be acknowledged.
fn storm(app: &App, bodies: &[Value], connections: usize) {
    let url = app.receiver_url();
    let share = bodies.len().div_ceil(connections);
    std::thread::scope(|scope| {
        for chunk in bodies.chunks(share) {
            let url = &url;
            scope.spawn(move || {
                let client = crate::support::Client::new();
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
}

#[rstest]
fn w20_one_content_encrypted_100_times_anew_has_one_effect(
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
    let bodies: Vec<Value> = (0..50)
        .map(as_payment_data)
        .chain((0..50).map(as_whole_body))
        .collect();
    storm(&app, &bodies, 8);
    let verdicts = app.verdicts(CARD);
    assert_eq!(count(&verdicts, "applied"), 1);
    assert_eq!(count(&verdicts, "duplicate"), 99);
    assert_eq!(app.due_cryptograms(CARD), [1]);
    assert_eq!(app.card(CARD).unwrap().card.version, 1);
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
