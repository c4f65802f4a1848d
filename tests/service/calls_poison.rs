//! O-11: a call that spoils every attempt at it is given up, and harms no other card.

use std::time::{Duration, Instant};

use rstest::rstest;
use serde_json::json;
use tokenkeep::domain::{CardId, Job, JobKind};
use tokenkeep::sandbox::{Fault, Operation, Refresh};

use crate::support::calls::{LONGEST_WAIT, MINUTE, Shop};
use crate::support::sql::sql;
use crate::support::{Backend, is_full, wait_until};

/// Cards of each kind: two kinds at a time, of the sixteen calls that may be under way.
const POISONED: usize = 5;
/// Seconds that an attempt may take.
const TIMEOUT: u64 = 3;
const DEAD: &str = "tokenkeep_outbox_jobs{kind=\"get_card\",state=\"dead\"}";

/// What the attempts get, one after the other: answers that never end, and that would fill the memory.
const ANSWERS: [Fault; 5] = [
    Fault::HugeBody,
    Fault::SlowBody,
    Fault::EndlessChunks,
    Fault::GzipBomb,
    Fault::InformationalFlood,
];

/// Refreshes of other cards during each attempt.
fn measured() -> usize {
    if is_full() { 20 } else { 4 }
}

fn names(what: &str) -> Vec<String> {
    (0..POISONED).map(|card| format!("{what}-{card}")).collect()
}

/// Cards that are known here, and a look-up of each in a minute.
fn look_up(shop: &Shop, cards: &[String]) {
    for card in cards {
        shop.card_with_cryptogram(card);
        let (id, now) = (CardId::parse(card).unwrap(), shop.now());
        let job = Job {
            kind: JobKind::GetCard,
            not_before: now + MINUTE,
        };
        let queued = shop
            .app
            .store()
            .write(|tx| tx.queue_job(&id, &job, None, now));
        queued.unwrap();
    }
}

/// Damages what the calls of these cards need.
fn damage(shop: &Shop, cards: &[String], statement: &str) {
    for card in cards {
        sql(&shop.app.database).execute(&statement.replace("{card}", card));
    }
}

/// Refreshes other cards one by one; how long each waited for its cryptogram.
fn measure(shop: &Shop, name: &str, count: usize) -> Vec<Duration> {
    let one = |number: usize| {
        let card = format!("{name}-{number}");
        shop.new_card(&card);
        let body = shop.sandbox.refresh(&card, Refresh::Nothing).unwrap();
        let begun = Instant::now();
        assert_eq!(shop.app.notify(&body).status, 204);
        let kept = format!("SELECT count(*) AS number FROM cryptograms WHERE card_id = '{card}'");
        wait_until(name, || shop.app.database.number(&kept) == 1);
        begun.elapsed()
    };
    (0..count).map(one).collect()
}

fn p99(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() * 99 / 100]
}

/// Lets the look-ups of these cards be attempted once more; meanwhile others are measured.
fn once_more(shop: &Shop, cards: &[&String], name: &str) -> Vec<Duration> {
    let attempts = |card: &String| shop.job(card, "get_card").attempts;
    let before = Vec::from_iter(cards.iter().map(|card| attempts(card)));
    shop.advance(LONGEST_WAIT);
    let times = measure(shop, name, measured());
    for (card, before) in cards.iter().zip(before) {
        wait_until(card, || {
            let job = shop.job(card, "get_card");
            job.attempts > before && job.state != "running"
        });
    }
    times
}

fn assert_ended(shop: &Shop, cards: &[String], state: &str, reason: &str) {
    for card in cards {
        let job = shop.job(card, "get_card");
        let said = (job.state.as_str(), job.attempts);
        assert_eq!(said, (state, 5), "{card}: {:?}", job.last_reason);
        assert!(reason.is_empty() || job.last_reason.as_deref() == Some(reason));
        assert_eq!(shop.calls(Operation::GetCard, card), 5, "{card}");
    }
}

/// Seen to fail with the panic let through, and with a result that cannot be written left as it was before: the
/// calls run until their leases end, and are made again without end.
#[rstest]
fn o11_poisoned_calls_are_given_up_after_five_attempts_and_harm_no_other_card(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let shop = Shop::open_with(backend, &json!({ "timeout": TIMEOUT }), |_| {});
    let (panicking, endless, damaged) = (names("panicking"), names("endless"), names("damaged"));
    measure(&shop, "first", 2);
    let healthy = p99(measure(&shop, "healthy", 2 * ANSWERS.len() * measured()));

    look_up(&shop, &panicking);
    look_up(&shop, &endless);
    // Before this time nothing was: whoever reckons with it panics, in a release as well.
    let long_ago = "UPDATE outbox SET created_at = -9223372036854775807 \
                    WHERE kind = 'get_card' AND card_id = '{card}'";
    damage(&shop, &panicking, long_ago);
    let mut beside = Vec::new();
    for (round, answer) in ANSWERS.into_iter().enumerate() {
        shop.sandbox.set_fault(Operation::GetCard, Some(answer));
        let cards = Vec::from_iter(panicking.iter().chain(&endless));
        beside.extend(once_more(&shop, &cards, &format!("beside-{round}")));
    }
    assert_ended(&shop, &panicking, "dead", "panicked");
    assert_ended(&shop, &endless, "waiting", "");

    shop.sandbox.set_fault(Operation::GetCard, None);
    look_up(&shop, &damaged);
    damage(
        &shop,
        &damaged,
        "UPDATE cards SET state = '{' WHERE id = '{card}'",
    );
    for round in 0..ANSWERS.len() {
        let cards = Vec::from_iter(&damaged);
        beside.extend(once_more(&shop, &cards, &format!("damaged-{round}")));
    }
    assert_ended(&shop, &damaged, "dead", "result-cannot-be-written");
    assert!(
        endless
            .iter()
            .all(|card| shop.job(card, "get_card").state == "done")
    );

    // Operators are told, and nothing is attempted any more.
    assert_eq!(shop.metric(DEAD), 2 * POISONED as u64);
    shop.advance(LONGEST_WAIT);
    shop.settle();
    assert_ended(&shop, &panicking, "dead", "panicked");
    let beside = p99(beside);
    // Where other tests run beside this one, it is only to be no stall: an attempt takes seconds.
    let bound = match is_full() {
        true => healthy.mul_f64(1.2) + Duration::from_millis(20),
        false => healthy + Duration::from_secs(TIMEOUT),
    };
    assert!(
        beside <= bound,
        "{beside:?} beside poisoned calls, {healthy:?} without"
    );

    // Once the row is right again an operator lets the calls be made.
    for card in &panicking {
        assert!(shop.retry(&shop.job(card, "get_card")));
    }
    shop.settle();
    assert!(
        panicking
            .iter()
            .all(|card| shop.job(card, "get_card").state == "done")
    );
    println!(
        "O-11 on {backend:?}: {} poisoned calls dead after 5 attempts, p99 of other cards {beside:?}, {healthy:?} without",
        2 * POISONED
    );
}
