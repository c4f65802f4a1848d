//! O-01: what changes for a card and the call that follows from it are written together or not at all.

use rstest::rstest;
use serde_json::Value;
use tokenkeep::sandbox::{Operation, Refresh};

use crate::support::Backend;
use crate::support::calls::{MINUTE, Shop};
use crate::support::commands::tokenkeep;
use crate::support::sql::sql;

/// Tables that are written to in one transaction: the call itself, and what is told behind it.
const TABLES: [&str; 2] = ["outbox", "events"];
/// Cards for each table and each kind of change.
const CARDS: usize = 25;
/// Cards of one delivery.
const TOGETHER: usize = 5;

/// Cards whose changes fail at this table.
fn cards(change: &str, table: &str) -> Vec<String> {
    let name = |card| format!("{change}-{table}-{card}");
    (0..CARDS).map(name).collect()
}

fn all(change: &str) -> Vec<String> {
    Vec::from_iter(TABLES.iter().flat_map(|table| cards(change, table)))
}

/// What is known of a card: the version of its number, whether it has ended, and its calls by kind.
fn seen(shop: &Shop, card: &str) -> (u32, bool, Vec<String>) {
    let held = shop.app.card(card).unwrap().card;
    let jobs = shop.app.jobs(card).into_iter().map(|job| job.kind);
    (held.number_version, held.terminal.is_some(), jobs.collect())
}

fn stand_in_the_way(shop: &Shop) {
    for table in TABLES {
        let condition = format!("NEW.card_id LIKE '%-{table}-%'");
        sql(&shop.app.database).refuse_inserts(table, &condition);
    }
}

fn step_aside(shop: &Shop) {
    TABLES
        .iter()
        .for_each(|table| sql(&shop.app.database).accept_inserts(table));
}

/// Refreshes each card's number; what cannot be written is set aside.
fn refresh_all(shop: &Shop) {
    for cards in all("refresh").chunks(TOGETHER) {
        let refresh = |card: &String| shop.sandbox.refresh(card, Refresh::Number).unwrap();
        let bodies: Vec<Value> = cards.iter().map(refresh).collect();
        shop.app.deliver(&Shop::together(&bodies));
    }
}

/// Seen to fail on SQLite with a store whose writes are no transactions.
#[rstest]
fn o01_a_change_and_its_call_are_written_together_or_not_at_all(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let shop = Shop::open(backend);
    let (refreshed, deleted) = (all("refresh"), all("delete"));
    let cards = Vec::from_iter(refreshed.iter().chain(&deleted));
    let told = |card: &&String| {
        shop.new_card(card);
        shop.sandbox.refresh(card, Refresh::Nothing).unwrap()
    };
    let bodies: Vec<Value> = cards.iter().map(told).collect();
    shop.app.deliver(&Shop::together(&bodies));
    shop.settle();
    shop.advance(MINUTE);
    let before = ["cryptogram".to_owned()];

    stand_in_the_way(&shop);
    refresh_all(&shop);
    for card in &deleted {
        let reply = shop.delete(card);
        assert!(reply.status >= 500, "{card}: {}", reply.status);
    }
    for card in &cards {
        let (version, has_ended, calls) = seen(&shop, card);
        assert_eq!((version, has_ended), (1, false), "{card}: neither");
        assert_eq!(calls, before, "{card}: neither");
        assert!(shop.assert_pair(card), "{card}");
    }
    assert_eq!(shop.sandbox.count(Operation::DeleteCard, None), 0);

    step_aside(&shop);
    let again = ["notifications", "replay", "--verdict", "quarantined"];
    let replayed = tokenkeep(
        &shop.app.database,
        &[&again[..], &["--reason", "the database is well again"]].concat(),
    );
    assert_eq!(replayed.code, 0, "{replayed:?}");
    for card in &deleted {
        assert_eq!(shop.delete(card).status, 202, "{card}");
    }
    for card in &refreshed {
        let (version, has_ended, calls) = seen(&shop, card);
        assert_eq!((version, has_ended), (2, false), "{card}: both");
        assert_eq!(calls, ["cryptogram", "cryptogram"], "{card}: both");
    }
    for card in &deleted {
        let (_, has_ended, calls) = seen(&shop, card);
        assert!(has_ended, "{card}: both");
        assert_eq!(calls, ["cryptogram", "delete_card"], "{card}: both");
    }
    let count = cards.len();
    println!("O-01 on {backend:?}: {count} of {count} changes with their call or neither");
}
