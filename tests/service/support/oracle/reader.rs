//! Reads a database without the store's code: SQL of its own, and the storage keys where a value is needed.

use std::collections::{BTreeMap, HashMap};
use std::ops::RangeInclusive;
use std::process::Command;

use serde_json::Value;
use tokenkeep::jose::StorageKeys;
use tokenkeep::store::SEALED;

use super::rules::item::Token;
use super::rules::state::State;
use crate::support::sealed::{place, values};
use crate::support::sql::sql;
use crate::support::{TestDatabase, cluster, keys};

/// A card as its rows have it.
pub struct Kept {
    pub state: State,
    /// How often its token changed, and its number.
    pub versions: (u64, u64),
}

/// Rows of columns that hold no space, but for the last.
fn rows<const COLUMNS: usize>(database: &TestDatabase, query: &str) -> Vec<[String; COLUMNS]> {
    let split = |text: String| {
        let columns = Vec::from_iter(text.splitn(COLUMNS, ' ').map(str::to_owned));
        columns.try_into().unwrap()
    };
    sql(database).texts(query).into_iter().map(split).collect()
}

/// How often each mark is among the deliveries.
pub fn marks(database: &TestDatabase) -> HashMap<String, usize> {
    let mut marks = HashMap::new();
    let query = "SELECT coalesce(response_host, '-') AS text FROM deliveries";
    for mark in sql(database).texts(query) {
        *marks.entry(mark).or_default() += 1;
    }
    marks
}

/// The verdicts of each notification, by its card and its time.
pub fn verdicts(database: &TestDatabase) -> HashMap<(String, i64), Vec<String>> {
    let query = "SELECT card_id || ' ' || event_time || ' ' || verdict AS text FROM notifications";
    let mut verdicts: HashMap<_, Vec<String>> = HashMap::new();
    for [card, time, verdict] in rows(database, query) {
        let of = (card, time.parse().unwrap());
        verdicts.entry(of).or_default().push(verdict);
    }
    verdicts
}

/// How many calls for a cryptogram each version of a card's number had.
pub fn cryptogram_calls(database: &TestDatabase) -> HashMap<(String, u64), usize> {
    let query =
        "SELECT card_id || ' ' || number_version AS text FROM outbox WHERE kind = 'cryptogram'";
    let mut calls = HashMap::new();
    for [card, version] in rows(database, query) {
        *calls.entry((card, version.parse().unwrap())).or_default() += 1;
    }
    calls
}

/// The card of each job for a cryptogram, and from when until when it was open.
pub fn jobs(database: &TestDatabase) -> Vec<(String, RangeInclusive<i64>)> {
    let query = "SELECT card_id || ' ' || created_at || ' ' || ended_at AS text FROM outbox \
         WHERE kind = 'cryptogram'";
    let job =
        |[card, from, until]: [String; 3]| (card, from.parse().unwrap()..=until.parse().unwrap());
    rows(database, query).into_iter().map(job).collect()
}

/// The calls that are none for a cryptogram.
pub fn other_calls(database: &TestDatabase) -> Vec<String> {
    let query = "SELECT card_id || ' ' || kind AS text FROM outbox WHERE kind <> 'cryptogram'";
    sql(database).texts(query)
}

/// Every card.
pub fn cards(database: &TestDatabase) -> BTreeMap<String, Kept> {
    let tokens = tokens(database);
    let of = |query: &str| sql(database).texts(query);
    let with_cryptogram = of("SELECT card_id AS text FROM cryptograms");
    let due =
        of("SELECT card_id AS text FROM outbox WHERE kind = 'cryptogram' AND state = 'waiting'");
    let (with_cryptogram, due) = (set(with_cryptogram), set(due));
    let query = "SELECT id || ' ' || coalesce(status, '-') || ' ' || state AS text FROM cards";
    let read = |[id, status, state]: [String; 3]| {
        let registers: Value = serde_json::from_str(&state).unwrap();
        let words = ["ACTIVE", "SUSPENDED", "CANCELLED"];
        let status = words.into_iter().find(|word| *word == status);
        let masked = registers["masked"].as_object().unwrap().iter();
        let state = State {
            status,
            is_terminal: !registers["terminal"].is_null(),
            masked: masked
                .map(|(name, it)| (name.clone(), it["value"].clone()))
                .collect(),
            token: tokens.get(&id).cloned(),
            has_cryptogram: with_cryptogram.contains(&id),
            is_cryptogram_due: due.contains(&id),
            may_charge: status == Some("ACTIVE"),
            ..State::default()
        };
        let version = |name: &str| registers[name].as_u64().unwrap();
        let versions = (version("version"), version("number_version"));
        (id, Kept { state, versions })
    };
    rows(database, query).into_iter().map(read).collect()
}

fn set(texts: Vec<String>) -> std::collections::HashSet<String> {
    texts.into_iter().collect()
}

/// The token of each card that has one.
fn tokens(database: &TestDatabase) -> HashMap<String, Token> {
    let keys = StorageKeys::load(&keys()).unwrap();
    let is_number =
        |it: &&tokenkeep::store::SealedColumn| (it.table, it.column) == ("tokens", "number");
    let column = SEALED.iter().find(is_number).unwrap();
    let mut numbers = HashMap::new();
    for (bound_to, sealed) in values(database, column) {
        let opened = keys.open(&sealed, &place(column, &bound_to)).ok().unwrap();
        let (card, _version) = bound_to.split_once('/').unwrap();
        numbers.insert(card.to_owned(), String::from_utf8(opened.to_vec()).unwrap());
    }
    let query =
        "SELECT card_id || ' ' || expiration_month || '/' || expiration_year AS text FROM tokens";
    let token = |[card, expiry]: [String; 2]| {
        let token = Token::new(&numbers[&card], Some(&expiry));
        (card, token)
    };
    rows(database, query).into_iter().map(token).collect()
}

/// The database's own check finds nothing. Of PostgreSQL's it says where it is not installed.
pub fn assert_whole(database: &TestDatabase) {
    let TestDatabase::Postgres { admin, name } = database else {
        let integrity = "SELECT integrity_check AS text FROM pragma_integrity_check";
        assert_eq!(sql(database).texts(integrity), ["ok"]);
        return;
    };
    let program = cluster::programs().join("pg_amcheck");
    if !program.exists() {
        println!("skipped: pg_amcheck is not installed");
        return;
    }
    let (_, host) = admin.split_once("host=").unwrap();
    let checked = Command::new(program)
        .args(["-h", host, "-U", "tokenkeep", "-d", name])
        .args(["--install-missing", "--heapallindexed", "--no-strict-names"])
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&checked.stdout) + String::from_utf8_lossy(&checked.stderr);
    assert!(checked.status.success(), "{told}");
}
