//! Payment data of one card in a notification of another: nothing in a JWE binds it to a card.

use rstest::rstest;
use serde_json::Value;
use tokenkeep::domain::{Flag, MismatchPolicy};

use crate::support::build::{payment_jwe, plain, refresh_with};
use crate::support::{App, Backend, START};

const CARDS: usize = 100;
/// Elements in one body.
const BATCH: usize = 25;

fn card(number: usize) -> String {
    format!("card-{number}")
}

/// The number of a card; its last four digits are those that its masked card shows.
fn number(card: usize) -> String {
    format!("548098000000{card:04}")
}

/// A refresh whose masked card is of `shown` and whose payment data is of `encrypted`.
fn refresh(shown: usize, encrypted: usize, age: i64) -> Value {
    let jwe = payment_jwe(&number(encrypted), ("12", "2031"));
    let mut element = refresh_with(&card(shown), START - age, &jwe);
    element["maskedCard"]["tokenLastFour"] = format!("{shown:04}").into();
    element
}

fn deliver(app: &App, elements: &[Value]) {
    for batch in elements.chunks(BATCH) {
        app.deliver(&plain(batch));
    }
}

/// Each card gets its own number, then the next card's.
fn swapped(backend: Backend, policy: MismatchPolicy) -> App {
    let app = App::spawn_with(backend, |settings| {
        settings.policy.payment_data_mismatch = policy;
    });
    let own: Vec<Value> = (0..CARDS).map(|card| refresh(card, card, 2_000)).collect();
    deliver(&app, &own);
    for shown in 0..CARDS {
        assert_eq!(app.verdicts(&card(shown)), ["applied"]);
    }
    let others = (0..CARDS).map(|card| refresh(card, (card + 1) % CARDS, 1_000));
    deliver(&app, &others.collect::<Vec<_>>());
    app
}

/// How many cards have the verdict, the flag, and this many changes of the token with this number.
fn as_expected(app: &App, verdict: &str, version: u32, shift: usize) -> usize {
    let is_so = |place: &usize| {
        let items = app.notifications(&card(*place));
        let stored = app.card(&card(*place)).unwrap().card;
        let token = stored.token.unwrap();
        items.last().unwrap().flags.contains(&Flag::DigitsDisagree)
            && app.verdicts(&card(*place)) == ["applied", verdict]
            && (stored.version, stored.number_version) == (version, version)
            && token.number.expose() == number((place + shift) % CARDS)
    };
    (0..CARDS).filter(is_so).count()
}

#[rstest]
fn j28_swapped_payment_data_is_applied_and_flagged(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let app = swapped(backend, MismatchPolicy::Apply);
    let flagged = as_expected(&app, "applied", 2, 1);
    println!("J-28 apply: {flagged}/{CARDS} applied and flagged");
    assert_eq!(flagged, CARDS);
}

#[rstest]
fn j28_swapped_payment_data_is_quarantined_by_setting_and_writes_no_token(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let app = swapped(backend, MismatchPolicy::Quarantine);
    let held = as_expected(&app, "quarantined(digits-disagree)", 1, 0);
    println!("J-28 quarantine: {held}/{CARDS} quarantined, no token written");
    assert_eq!(held, CARDS);
}
