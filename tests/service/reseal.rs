//! `keys reseal`: from one storage key to the next, beside a running service, stopped and run again.

use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use rstest::rstest;
use serde_json::Value;
use tokenkeep::jose::StorageKeys;
use tokenkeep::store::{DatabaseUrl, SEALED, Store};

use crate::support::build::{CARD, NUMBER_1, plain, refresh, status};
use crate::support::commands::{Output, with};
use crate::support::key_folder::KeyFolder;
use crate::support::sealed::{shop_with_every_secret, unreadable};
use crate::support::serve::Serve;
use crate::support::sql::sql;
use crate::support::{Backend, Client, START, SetOnDrop, TestDatabase, is_full};

pub const OLD: &str = "demo-storage";
pub const NEW: &str = "storage-2027";
const SENDERS: usize = 4;
/// Deliveries a second of all senders together.
const RATE: f64 = 100.0;
/// Each one's time between two deliveries.
const PACE: Duration = Duration::from_millis(40);

fn reseal(database: &TestDatabase, keys: &KeyFolder) -> Output {
    let folder = keys.path().to_str().unwrap();
    let arguments = ["keys", "reseal", "--json"];
    with(database, &arguments, &[("TOKENKEEP_KEYS", folder)])
}

/// Begins resealing in a process that can be killed. The fewer values there are, the smaller its steps.
fn begin(database: &TestDatabase, keys: &KeyFolder) -> Child {
    let batch = if is_full() { "5" } else { "1" };
    Command::new(env!("CARGO_BIN_EXE_tokenkeep"))
        .args(["keys", "reseal", "--batch", batch])
        .env("DATABASE_URL", database.url())
        .env("TOKENKEEP_KEYS", keys.path())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// One item of each of these cards; every fifth brings a number.
fn bodies(cards: usize) -> Vec<String> {
    let element = |card: usize| match card % 5 {
        0 => refresh(&format!("card-{card}"), START, NUMBER_1, ("12", "2031")),
        1 => status(&format!("card-{card}"), None, "ACTIVE"),
        _ => status(&format!("card-{card}"), Some(START), "ACTIVE"),
    };
    let elements: Vec<Value> = (0..cards).map(element).collect();
    let bodies = elements.chunks(50).map(|part| plain(part).to_string());
    bodies.collect()
}

/// How many rows hold something under another key than the active one.
pub fn stale(store: &Store) -> usize {
    let of = |column| store.read(|tx| tx.scan_sealed(column, "", 1_000_000));
    SEALED.iter().map(|column| of(column).unwrap().stale).sum()
}

/// Starts resealing as often as it is killed, each time when another share of the work is done and more
/// is left to do. Returns how much was left after each kill.
fn reseal_and_kill(database: &TestDatabase, keys: &KeyFolder, kills: usize) -> Vec<usize> {
    let loaded = StorageKeys::load(keys.path()).unwrap().into();
    let store = Store::open(&DatabaseUrl::parse(&database.url()).unwrap(), loaded).unwrap();
    let all = stale(&store);
    let kill = |number: usize| {
        let mut child = begin(database, keys);
        let share = all * (kills - number) / (kills + 1);
        let deadline = Instant::now() + patience();
        while stale(&store) > share {
            assert!(
                Instant::now() < deadline,
                "kill {number}: it does not go on"
            );
            std::thread::sleep(Duration::from_millis(2));
        }
        // Else the kill would show nothing.
        assert!(
            child.try_wait().unwrap().is_none(),
            "kill {number} too late"
        );
        child.kill().unwrap();
        child.wait().unwrap();
        let left = stale(&store);
        assert!(left > 0, "kill {number}: nothing was left to do");
        left
    };
    (0..kills).map(kill).collect()
}

/// How long anything may take: ten thousand cards take longer than others.
fn patience() -> Duration {
    Duration::from_secs(if is_full() { 300 } else { 120 })
}

/// Waits until everything sent is decided.
fn settle(database: &TestDatabase) {
    let deadline = Instant::now() + patience();
    while !sql(database).is_settled() {
        assert!(Instant::now() < deadline, "not in time: all is decided");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// How many items have this verdict.
fn count(database: &TestDatabase, verdict: &str) -> i64 {
    let of = format!("SELECT count(*) AS number FROM notifications WHERE verdict = '{verdict}'");
    database.number(&of)
}

#[rstest]
fn p10_a_new_storage_key_takes_over_under_traffic_and_kills(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let (cards, kills) = if is_full() { (10_000, 10) } else { (250, 4) };
    let keys = KeyFolder::whole();
    let mut shop = shop_with_every_secret(backend, &keys);
    shop.app.stop();
    let database = &shop.app.database;
    let old_serve = Serve::start_on(database, keys.path(), &[]);
    let client = Client::new();
    let bodies = bodies(cards);
    for body in &bodies {
        assert_eq!(client.post(&old_serve.url, body).status, 204);
    }
    settle(database);
    drop(old_serve);
    let known = count(database, "applied");

    keys.seal_with(NEW);
    let serve = Serve::start_on(database, keys.path(), &[]);
    let again = |which: &str| {
        let before = count(database, "duplicate");
        for body in &bodies {
            assert_eq!(client.post(&serve.url, body).status, 204, "{which}");
        }
        settle(database);
        let found = count(database, "duplicate") - before;
        assert_eq!(found as usize, cards, "duplicates found {which}");
    };
    again("before");
    let (sent, stop) = (AtomicUsize::new(0), AtomicBool::new(false));
    let traffic = || {
        let client = Client::new();
        let mut due = Instant::now();
        while !stop.load(Ordering::SeqCst) {
            let number = sent.fetch_add(1, Ordering::SeqCst);
            let body = plain(&[status(&format!("new-{number}"), Some(START), "ACTIVE")]);
            let answer = client.post(&serve.url, &body.to_string());
            assert_eq!(answer.status, 204, "{}", answer.text);
            due += PACE;
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
        }
    };
    let begun = Instant::now();
    let (left_by_kills, outcome) = std::thread::scope(|scope| {
        let _stop = SetOnDrop(&stop);
        for _ in 0..SENDERS {
            scope.spawn(traffic);
        }
        let left = reseal_and_kill(database, &keys, kills);
        again("meanwhile");
        (left, reseal(database, &keys))
    });
    let rate = sent.load(Ordering::SeqCst) as f64 / begun.elapsed().as_secs_f64();
    // The suite shares its machine, and then it is enough that they go on; alone, the senders keep their pace.
    let least = if is_full() { 0.95 } else { 0.2 };
    assert!(rate >= least * RATE, "{rate:.0} a second");
    assert_eq!(outcome.code, 0, "{outcome:?}");
    let outcome = outcome.json();
    assert_eq!(outcome["left"], 0);
    assert_eq!(outcome["activeKey"], NEW);
    assert_eq!(outcome["removableKeys"][0], OLD);
    assert!(keys.path().join(format!("storage/{OLD}.key")).exists());
    again("afterwards");
    drop(serve);

    // Without the old key nothing is missing, and what was known still is.
    keys.remove_storage(OLD);
    let (closed, values) = unreadable(database, &StorageKeys::load(keys.path()).unwrap());
    assert_eq!(closed, 0, "of {values}");
    let serve = Serve::start_on(database, keys.path(), &[]);
    let before = count(database, "duplicate");
    for body in &bodies {
        assert_eq!(client.post(&serve.url, body).status, 204);
    }
    settle(database);
    assert_eq!((count(database, "duplicate") - before) as usize, cards);
    let sent = sent.load(Ordering::SeqCst) as i64;
    assert_eq!(count(database, "applied"), known + sent);
    println!(
        "P-10 {backend:?}: {cards} cards, {kills} kills with {left_by_kills:?} left, {rate:.0} notifications \
         a second meanwhile; {closed} of {values} values unreadable, {} left under the old key",
        outcome["left"]
    );
}

#[rstest]
fn p10_what_no_key_opens_is_left_and_told(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let keys = KeyFolder::whole();
    let mut shop = shop_with_every_secret(backend, &keys);
    shop.app.stop();
    let database = &shop.app.database;
    let byte = sql(database).byte();
    sql(database).execute(&format!(
        "UPDATE tokens SET number = {byte} WHERE card_id = '{CARD}'"
    ));
    keys.seal_with(NEW);
    let output = reseal(database, &keys);
    assert_eq!(output.code, 1, "{output:?}");
    let outcome = output.json();
    assert_eq!(outcome["left"], 1);
    assert_eq!(outcome["leftByColumn"]["tokens.number"], 1);
    assert_eq!(outcome["unreadable"][0], format!("tokens.number of {CARD}"));
    assert!(outcome["removableKeys"].as_array().unwrap().is_empty());
    // What is done is not done again.
    let again = reseal(database, &keys).json();
    assert_eq!(again["resealed"], 0);
    assert_eq!(again["left"], 1);
    println!(
        "P-10 {backend:?} a damaged value: {} left, {} keys called removable",
        again["left"],
        again["removableKeys"].as_array().unwrap().len()
    );
}
