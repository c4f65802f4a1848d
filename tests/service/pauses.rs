//! D-22: a process stands still while its calls are answered, longer than its leases. Another makes the calls; what the
//! first brings when it goes on is dropped.

use std::time::Duration;

use rstest::rstest;
use tokenkeep::domain::CardId;
use tokenkeep::sandbox::Operation;
use tokenkeep::settings::Settings;

use crate::calls_takeover::Stage;
use crate::support::audit::store;
use crate::support::calls::MINUTE;
use crate::support::rebuilt::assert_rebuilt;
use crate::support::serve::Serve;
use crate::support::sql::sql;
use crate::support::{Backend, Client, is_full, wait_until};

/// When the first process goes on.
#[derive(Debug, Clone, Copy)]
enum GoesOn {
    /// The other one waits for its answer.
    Meanwhile,
    /// The other one has the cryptogram.
    Afterwards,
}

/// How many completions of this process came too late.
fn fenced_off(serve: &Serve) -> usize {
    let url = format!("http://{}/metrics", serve.api);
    let told = Client::new().get(&url, "no-key-needed").text;
    let name = "tokenkeep_calls_total{kind=\"cryptogram\",outcome=\"fenced_off\"} ";
    let count = told.lines().find_map(|line| line.strip_prefix(name));
    count.map_or(0, |count| count.parse().unwrap())
}

/// Everything that a completion could change.
fn rows(stage: &Stage) -> Vec<String> {
    let queries = [
        "SELECT id || ' ' || state || ' ' || attempts || ' ' || fence AS text FROM outbox ORDER BY id",
        "SELECT card_id || ' ' || stored_at AS text FROM cryptograms ORDER BY card_id",
        "SELECT id || ' ' || state AS text FROM cards ORDER BY id",
        "SELECT id AS text FROM answers ORDER BY id",
        "SELECT CAST(sequence AS TEXT) AS text FROM events ORDER BY sequence",
    ];
    let rows = |query| sql(&stage.database).texts(query);
    queries.into_iter().flat_map(rows).collect()
}

/// Waits until this many completions came too late; they have changed nothing.
fn assert_dropped(stage: &Stage, first: &Serve, count: usize) {
    let before = rows(stage);
    first.resume();
    wait_until("its completions are fenced off", || {
        fenced_off(first) == count
    });
    assert!(
        rows(stage) == before,
        "what came too late has changed something"
    );
}

fn wait_until_done(stage: &Stage) {
    let open = "SELECT count(*) AS number FROM outbox WHERE state <> 'done'";
    wait_until("all calls are done", || stage.database.number(open) == 0);
}

/// Each card was called for twice, and what is kept is what the second call brought.
fn assert_seconds_are_kept(stage: &Stage, cards: usize) {
    let store = store(&stage.database);
    for card in (0..cards).map(|card| format!("card-{card}")) {
        assert_eq!(
            stage.sandbox.count(Operation::Checkout, Some(&card)),
            2,
            "{card}"
        );
        let id = CardId::parse(&card).unwrap();
        let kept = store
            .rehearse(|tx| tx.take_cryptogram(&id))
            .unwrap()
            .unwrap();
        let issued = stage.sandbox.issued(&card);
        assert!(
            kept.value == issued[1].cryptogram,
            "{card}: not that of the second call"
        );
        let jobs = store.read(|tx| tx.jobs_of_card(&id)).unwrap();
        assert_eq!((jobs.len(), jobs[0].attempts), (1, 2), "{card}: {jobs:?}");
    }
    assert_rebuilt(&store, Settings::defaults().unwrap().policy());
}

/// Lets everything be answered that was asked.
fn answer(stage: &Stage) {
    stage.sandbox.release();
    let is_answered = || {
        stage
            .sandbox
            .calls()
            .iter()
            .all(|call| call.status.is_some())
    };
    wait_until("all calls are answered", is_answered);
}

/// The process stands still with one call under way, for a second that counts as a minute of its lease.
fn pause(stage: &Stage, first: &Serve, card: usize, goes_on: GoesOn) {
    stage.let_call(first, card..card + 1);
    let came = stage.came();
    first.pause();
    answer(stage);
    stage.pass_of_leases(MINUTE + 1_000);
    if let GoesOn::Meanwhile = goes_on {
        stage.sandbox.hold(Operation::Checkout);
    }
    let second = stage.second();
    wait_until("it is taken over", || stage.came() == came + 1);
    if let GoesOn::Meanwhile = goes_on {
        assert_dropped(stage, first, card + 1);
        stage.sandbox.release();
        wait_until_done(stage);
    } else {
        wait_until_done(stage);
        assert_dropped(stage, first, card + 1);
    }
    second.stop().unwrap();
}

// Seen to fail where neither `holds_claim` nor `finish_job` asks for the fence.
#[rstest]
fn d22_a_process_that_stood_still_longer_than_its_lease_changes_nothing_when_it_goes_on(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let pauses = if is_full() { 50 } else { 10 };
    let stage = Stage::new(backend);
    let first = stage.process();
    for card in 0..pauses {
        let goes_on = [GoesOn::Meanwhile, GoesOn::Afterwards][card % 2];
        pause(&stage, &first, card, goes_on);
    }
    assert_seconds_are_kept(&stage, pauses);
    println!("D-22 {backend:?}: {pauses} of {pauses} late completions fenced off, 0 doubled");
}

/// The same in real time, with fifty calls at once.
#[rstest]
fn d22_fifty_calls_of_a_process_that_stood_still_for_90_seconds_are_fenced_off(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    if !is_full() {
        println!("skipped: it takes 90 seconds");
        return;
    }
    let stage = Stage::new(backend);
    let first = stage.process();
    stage.let_call(&first, 0..50);
    first.pause();
    answer(&stage);
    let second = stage.process();
    std::thread::sleep(Duration::from_secs(90));
    wait_until_done(&stage);
    assert_dropped(&stage, &first, 50);
    assert_seconds_are_kept(&stage, 50);
    drop(second);
    println!(
        "D-22 {backend:?}: after 90 s of real time 50 of 50 late completions fenced off, 0 doubled"
    );
}
