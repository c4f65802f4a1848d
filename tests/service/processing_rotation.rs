//! A payload key gives way to the next one while notifications come.

use std::time::{Duration, Instant};

use rstest::rstest;
use serde_json::Value;
use tokenkeep::store::NotificationFilter;

use crate::support::audit::records;
use crate::support::build::{KID, NUMBER_1, payment_jwe, plain, refresh_with};
use crate::support::key_folder::{KeyFolder, LateKey};
use crate::support::{App, Backend, START, is_full};

const EXPIRY: (&str, &str) = ("12", "2031");
/// Notifications in a second, and in one body.
const RATE: usize = 200;
const BATCH: usize = 20;
/// The rotation has so many steps, each long enough for two looks at the key folder.
const STEPS: u32 = 4;

/// A minute where the full length is asked for.
fn step() -> Duration {
    match is_full() {
        true => Duration::from_secs(60) / STEPS,
        false => Duration::from_millis(2_200),
    }
}

/// Sends at the rate for the time of a step; returns how many were sent.
fn send(app: &App, sent: usize, jwe: impl Fn() -> String) -> usize {
    let begun = Instant::now();
    let mut bodies = 0;
    while begun.elapsed() < step() {
        let card = |place: usize| format!("card-{}", sent + bodies * BATCH + place);
        let element = |place| refresh_with(&card(place), START - 1_000, &jwe());
        let elements: Vec<Value> = (0..BATCH).map(element).collect();
        assert_eq!(app.notify(&plain(&elements)).status, 204);
        bodies += 1;
        let due = Duration::from_secs(1) * (bodies * BATCH) as u32 / RATE as u32;
        std::thread::sleep(due.saturating_sub(begun.elapsed()));
    }
    sent + bodies * BATCH
}

/// The verdicts of all items, each with how often it was given.
fn verdicts(app: &App) -> std::collections::BTreeMap<String, usize> {
    let all = NotificationFilter {
        limit: 100_000,
        ..NotificationFilter::default()
    };
    let items = app.store().read(|tx| tx.list_notifications(&all)).unwrap();
    let mut counts = std::collections::BTreeMap::new();
    for item in items {
        *counts.entry(item.verdict).or_default() += 1;
    }
    counts
}

#[rstest]
fn j33_a_rotation_under_load_fails_and_quarantines_nothing(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let keys = KeyFolder::copy();
    let next = LateKey::new("payload-2027");
    let app = keys.spawn(backend);
    let old_jwe = || payment_jwe(NUMBER_1, EXPIRY);
    let new_jwe = || next.payment_jwe(NUMBER_1, EXPIRY);

    // The new key is there before anybody uses it.
    keys.put(next.kid, &next.pem);
    let sent = send(&app, 0, old_jwe);
    // The sender takes the new one, while a broken file keeps the folder from being read.
    keys.put("broken", b"-----BEGIN PRIVATE KEY-----\nnot a key\n");
    let sent = send(&app, sent, new_jwe);
    // The old one retires.
    keys.remove("broken");
    let settings = format!(
        "default = \"{}\"\nretired = [\"demo-payload-2025\", \"{KID}\"]\n",
        next.kid
    );
    std::fs::write(keys.path().join("keys.toml"), settings).unwrap();
    let sent = send(&app, sent, new_jwe);
    // What was under way under the old one still opens.
    let sent = send(&app, sent, old_jwe);

    app.settle();
    let counts = verdicts(&app);
    // The broken file was told, the good ones were taken.
    let acts: Vec<String> = records(app.store()).into_iter().map(|r| r.act).collect();
    let told = |act: &str| acts.iter().filter(|found| *found == act).count();
    assert!(told("keys.refuse") >= 1, "{acts:?}");
    assert!(told("keys.load") >= 2, "{acts:?}");
    println!(
        "J-33 {backend:?}: {sent} sent in {:?}, verdicts: {counts:?}",
        step() * STEPS
    );
    assert_eq!(counts, [("applied".to_owned(), sent)].into());
}
