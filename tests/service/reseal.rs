//! `keys reseal`: from one storage key to the next, beside a running service, stopped and run again.

use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use rstest::rstest;
use serde_json::Value;
use tokenkeep::jose::StorageKeys;

use crate::support::build::{CARD, NUMBER_1, plain, refresh, status};
use crate::support::commands::{Output, with};
use crate::support::key_folder::KeyFolder;
use crate::support::sealed::{shop_with_every_secret, unreadable};
use crate::support::serve::Serve;
use crate::support::sql::sql;
use crate::support::{Backend, Client, START, SetOnDrop, TestDatabase, is_full};

const OLD: &str = "demo-storage";
const NEW: &str = "storage-2027";
const SENDERS: usize = 4;
/// Each one's time between two deliveries: a hundred a second together.
const PACE: Duration = Duration::from_millis(40);

fn reseal(database: &TestDatabase, keys: &KeyFolder) -> Output {
    let folder = keys.path().to_str().unwrap();
    let arguments = ["keys", "reseal", "--json"];
    with(database, &arguments, &[("TOKENKEEP_KEYS", folder)])
}

/// Begins resealing in a process that can be killed.
fn begin(database: &TestDatabase, keys: &KeyFolder) -> Child {
    Command::new(env!("CARGO_BIN_EXE_tokenkeep"))
        .args(["keys", "reseal", "--batch", "5"])
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

/// Waits until everything sent is decided: ten thousand cards take longer than others wait.
fn settle(database: &TestDatabase) {
    let patience = if is_full() { 300 } else { 30 };
    let deadline = Instant::now() + Duration::from_secs(patience);
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
    let outcome = std::thread::scope(|scope| {
        let _stop = SetOnDrop(&stop);
        for _ in 0..SENDERS {
            scope.spawn(traffic);
        }
        for kill in 0..kills {
            let mut child = begin(database, &keys);
            std::thread::sleep(Duration::from_millis(100 + 60 * kill));
            // Some of it is done, some is not: else the kill would show nothing.
            let is_running = child.try_wait().unwrap().is_none();
            assert!(is_running || kill > 1, "kill {kill} came too late");
            child.kill().unwrap();
            child.wait().unwrap();
        }
        again("meanwhile");
        reseal(database, &keys)
    });
    let seconds = begun.elapsed().as_secs_f32();
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
        "P-10 {backend:?}: {cards} cards, {kills} kills, {sent} notifications meanwhile in {seconds:.1} s; \
         0 of {values} values unreadable, 0 left under the old key"
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
}
