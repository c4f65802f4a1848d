//! Key ids are the sender's words: they find a key that is loaded, and do nothing else.

use std::fs;
use std::process::Command;

use rstest::rstest;
use serde_json::{Value, json};
use tokenkeep::jose::encrypt;

use crate::support::build::{NUMBER_1, plain, refresh_with};
use crate::support::key_folder::{KeyFolder, LateKey};
use crate::support::serve::Serve;
use crate::support::{App, Backend, START, TestDatabase, wait_until};

/// Items under a key that comes late, and those in one body.
const ITEMS: usize = 100;
const BATCH: usize = 25;

/// How many items were held for their unknown key, as `/metrics` tells it.
fn held(app: &App) -> u64 {
    let series = "tokenkeep_items_total{verdict=\"quarantined\",hold=\"unknown-key\"} ";
    let told = app
        .client
        .get(&app.api_url("/metrics"), "no-key-needed")
        .text;
    let value = told.lines().find_map(|line| line.strip_prefix(series));
    value.map_or(0, |value| value.parse().unwrap())
}

#[rstest]
fn j15_a_hundred_items_under_an_unknown_kid_are_counted_and_each_applied_once_when_the_key_comes(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let keys = KeyFolder::copy();
    let key = LateKey::new("payload-2027");
    let app = keys.spawn(backend);
    let card = |number: usize| format!("card-{number}");
    let element = |number| {
        let jwe = key.payment_jwe(&format!("548098000000{number:04}"), ("12", "2031"));
        refresh_with(&card(number), START - 1_000, &jwe)
    };
    let elements: Vec<Value> = (0..ITEMS).map(element).collect();
    app.deliver(&plain(&elements[..1]));
    wait_until("it is counted", || held(&app) >= 1);
    let after_one = held(&app);
    for batch in elements[1..].chunks(BATCH) {
        app.deliver(&plain(batch));
    }
    // Figures come after the commit.
    wait_until("every item is counted", || held(&app) >= ITEMS as u64);
    let after_all = held(&app);
    keys.put(key.kid, &key.pem);
    let applied = "SELECT count(*) AS number FROM notifications WHERE verdict = 'applied'";
    wait_until("every item is applied", || {
        app.database.number(applied) == ITEMS as i64
    });
    app.settle();
    let once = (0..ITEMS).filter(|number| {
        let stored = app.card(&card(*number)).unwrap().card;
        (stored.version, stored.number_version) == (1, 1)
            && stored
                .token
                .unwrap()
                .number
                .expose()
                .ends_with(&format!("{number:04}"))
            && app.due_cryptograms(&card(*number)) == [1]
    });
    let once = once.count();
    println!(
        "J-15 metric +{after_one} after one item, {after_all} after all; {once}/{ITEMS} applied once"
    );
    assert_eq!((after_one, after_all, once), (1, ITEMS as u64, ITEMS));
}

/// Key ids as a header spells them, each with what would be seen of it in a trace.
fn hostile() -> Vec<(String, &'static str)> {
    let mut kids: Vec<(String, &str)> = [
        ("../../etc/passwd", "../etc/passwd"),
        ("/dev/zero", "/dev/zero"),
        ("a-kid\0b", "a-kid"),
        ("' OR 1=1--", "OR 1=1"),
        ("x\r\nWARN a forged line", "forged"),
        ("\u{1b}[2Jcleared", "2Jcleared"),
        ("%2e%2e%2fkid", "%2fkid"),
    ]
    .map(|(kid, seen)| (kid.to_owned(), seen))
    .into();
    kids.push(("k".repeat(2_000), "kkkkkkkkkkkk"));
    kids
}

/// A token for this key that names another one.
fn jwe_under(key: &LateKey, kid: &str) -> String {
    let payment = json!({ "paymentToken": NUMBER_1 }).to_string();
    encrypt(payment.as_bytes(), &key.pem, Some(kid), "A128GCM", 12).unwrap()
}

#[rstest]
fn j14_a_kid_reaches_no_file_and_no_statement_and_one_line_of_the_log_escaped_and_cut(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    // Not everywhere is it installed, and not everywhere may it trace.
    let tried = Command::new("strace")
        .args(["-o", "/dev/null", "true"])
        .output();
    let is_traced = tried.is_ok_and(|tried| tried.status.success());
    let database = TestDatabase::new(backend);
    let trace = tempfile::NamedTempFile::new().unwrap();
    let serve = match is_traced {
        true => Serve::start_traced(&database, trace.path()),
        false => Serve::start(&database),
    };
    let client = crate::support::Client::new();
    let key = LateKey::new("nobody-has-it");
    let kids = hostile();
    for (number, (kid, _)) in kids.iter().enumerate() {
        let card = format!("card-{number}");
        let body = plain(&[refresh_with(&card, START, &jwe_under(&key, kid))]);
        assert_eq!(client.post(&serve.url, &body.to_string()).status, 204);
    }
    let items = "SELECT count(*) AS number FROM notifications WHERE hold = 'unknown-key'";
    wait_until("all are held", || {
        database.number(items) == kids.len() as i64
    });

    let lines = serve.logged("no loaded payload key answers");
    for (kid, _) in &kids {
        let shown: String = kid.escape_default().take(64).collect();
        let of_this = lines
            .iter()
            .filter(|line| line.contains(&format!("\"{shown}\"")));
        assert_eq!(of_this.count(), 1, "{lines:#?}");
    }
    assert_eq!(lines.len(), kids.len());
    assert!(
        serve
            .log()
            .iter()
            .all(|line| line.chars().all(|c| !c.is_control()))
    );
    if !is_traced {
        println!(
            "J-14 {} lines escaped and cut; not traced: no strace that may",
            lines.len()
        );
        return;
    }
    let trace = fs::read_to_string(trace.path()).unwrap();
    let seen = kids.iter().filter(|(_, text)| trace.contains(text));
    let seen: Vec<&str> = seen.map(|(_, text)| *text).collect();
    println!(
        "J-14 {} kids: {} in {} traced system calls on files and to the database, {} lines escaped and cut",
        kids.len(),
        seen.len(),
        trace.lines().count(),
        lines.len()
    );
    // SQLite's statements stay within the process. In those to PostgreSQL it would be seen, as the cards' ids are.
    if backend == Backend::Postgres {
        assert!(trace.contains("card-0") && trace.contains("INSERT"));
    }
    assert!(trace.contains("openat(") && seen.is_empty(), "{seen:?}");
}
