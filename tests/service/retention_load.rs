//! P-01: many rows are purged while notifications come in: nobody waits long for a batch, what is on hold
//! or young stays, and nothing of the rest is left in the database's files.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rstest::rstest;
use tokenkeep::telemetry::Clock;

use crate::retention::rows;
use crate::support::audit::{contains, records, store};
use crate::support::build::{plain, status};
use crate::support::commands::tokenkeep;
use crate::support::sql::sql;
use crate::support::{App, Backend, SetOnDrop, is_full};

/// Rows past their date: more in the full run. One in twenty is of a card on hold.
fn bulk() -> i64 {
    if is_full() { 100_000 } else { 4000 }
}

/// How long a transaction of purge may keep others waiting. Where other tests run beside this one, it
/// is only to be no stall.
fn longest_lock() -> u64 {
    if is_full() { 100 } else { 1000 }
}

/// Decided deliveries of long ago with one item each.
fn fill(app: &App, backend: Backend) {
    let bulk = bulk();
    let numbers = match backend {
        Backend::Sqlite => format!(
            "(WITH RECURSIVE s(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s WHERE n < {bulk}) \
             SELECT n FROM s)"
        ),
        Backend::Postgres => format!("generate_series(1, {bulk}) AS s(n)"),
    };
    let body = match backend {
        Backend::Sqlite => "CAST('BODY-CANARY-' || (n % 20) || '-' AS BLOB)",
        Backend::Postgres => "convert_to('BODY-CANARY-' || (n % 20) || '-', 'UTF8')",
    };
    // As every connection of the service has it: pages that are split leave nothing behind either.
    let setting = match backend {
        Backend::Sqlite => "PRAGMA secure_delete = ON;",
        Backend::Postgres => "",
    };
    sql(&app.database).execute(&format!(
        "{setting} INSERT INTO deliveries (id, received_at, source, body, state) \
         SELECT 'bulk-' || n, n, 'mastercard', {body}, 'done' FROM {numbers}; \
         INSERT INTO notifications (id, delivery_sequence, delivery_id, item_index, card_id, \
         card_order, received_at, reason, verdict, rule, flags, changes, trace, decided_at) \
         SELECT id || '.0', sequence, id, 0, 'card-' || (received_at % 20), 0, received_at, \
         CASE received_at % 20 WHEN 7 THEN 'HELD' ELSE 'ITEM-CANARY' END, \
         'applied', 'status-newer', '[]', '[]', '[]', received_at \
         FROM deliveries WHERE id LIKE 'bulk-%'"
    ));
}

/// Sends notifications until told to stop; returns how many were kept, and the longest wait for an answer.
fn send(app: &App, now: i64, stop: &AtomicBool) -> (usize, Duration) {
    let (mut kept, mut longest) = (0, Duration::ZERO);
    while !stop.load(Ordering::SeqCst) {
        let begun = Instant::now();
        let card = format!("fresh-{kept}");
        let answer = app.notify(&plain(&[status(&card, Some(now), "ACTIVE")]));
        assert_eq!(answer.status, 204, "{}", answer.text);
        longest = longest.max(begun.elapsed());
        kept += 1;
    }
    (kept, longest)
}

#[rstest]
fn p01_purge_under_load_goes_in_small_transactions_and_leaves_nothing_behind(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let mut app = App::spawn(backend);
    let now = Clock::system().now();
    app.clock.store(now, Ordering::SeqCst);
    app.deliver(&plain(&[status("card-7", Some(now), "ACTIVE")]));
    let hold = ["cards", "hold", "card-7", "--reason", "a dispute"];
    assert_eq!(tokenkeep(&app.database, &hold).code, 0);
    fill(&app, backend);
    let recorded = records(&store(&app.database));

    let stop = AtomicBool::new(false);
    let (purged, (kept, answered)) = std::thread::scope(|threads| {
        let ends = SetOnDrop(&stop);
        let sender = threads.spawn(|| send(&app, now, &stop));
        let purged = tokenkeep(&app.database, &["purge", "--json"]);
        drop(ends);
        (purged, sender.join().unwrap())
    });
    assert_eq!(purged.code, 0, "{purged:?}");
    let purged = purged.json();
    let (bulk, held) = (bulk(), bulk() / 20);
    for class in ["raw bodies", "notifications"] {
        assert_eq!(rows(&purged, class), bulk - held, "{class}");
    }
    let longest = purged["longestTransactionMs"].as_u64().unwrap();
    app.settle();
    let count = |table: &str| sql(&app.database).count(table);
    assert_eq!(
        count("deliveries"),
        held as usize + kept + 1,
        "held and young"
    );
    assert_eq!(count("notifications WHERE reason = 'HELD'"), held as usize);
    assert_eq!(count("cards"), kept + 1);

    let records = records(&store(&app.database));
    assert!(recorded.iter().all(|record| records.contains(record)));
    let batches = records
        .iter()
        .filter(|record| record.act == "purge")
        .count();
    assert_eq!(
        batches as i64,
        2 * ((bulk - held + 99) / 100),
        "each batch is recorded"
    );

    // The log can be shortened once nobody reads.
    app.stop();
    assert_eq!(tokenkeep(&app.database, &["purge"]).code, 0);
    let bytes = app.database.bytes();
    assert!(contains(&bytes, "HELD"));
    let canaries = ["ITEM-CANARY", "BODY-CANARY-8-"].map(|canary| contains(&bytes, canary));
    assert_eq!(canaries, [false; 2]);
    println!(
        "P-01 {backend:?}: {} rows gone in {batches} transactions, the longest {longest} ms; {kept} \
         notifications kept meanwhile, the longest wait {} ms; 0 canaries left",
        2 * (bulk - held),
        answered.as_millis()
    );
    assert!(longest <= longest_lock(), "{longest} ms");
}
