//! O-13 and the rate: calls of one card go one after the other, and none go faster than they may.

use std::time::Duration;

use rstest::rstest;
use serde_json::json;
use tokenkeep::api::access::AccessRole;
use tokenkeep::domain::{CardId, Job, JobKind};
use tokenkeep::sandbox::{NewCard, Operation, Refresh};
use tokenkeep::telemetry::Clock;

use crate::support::calls::{SERVICE, Shop, program, sandbox};
use crate::support::{App, Backend, wait_until};

/// O-13: another call of the same card waits, calls of other cards do not.
#[rstest]
fn o13_while_a_call_of_a_card_runs_no_other_of_it_is_made(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let shop = Shop::open(backend);
    shop.card_with_cryptogram("other");
    shop.new_card("card");
    shop.sandbox.hold(Operation::Checkout);
    shop.app
        .deliver(&shop.sandbox.refresh("card", Refresh::Nothing).unwrap());
    shop.wait_for_calls(Operation::Checkout, 2);
    for card in ["card", "other"] {
        let id = CardId::parse(card).unwrap();
        let (kind, not_before) = (JobKind::GetCard, shop.now());
        let job = Job { kind, not_before };
        let queued = shop
            .app
            .store()
            .write(|tx| tx.queue_job(&id, &job, None, not_before));
        queued.unwrap();
    }
    wait_until("the other card is asked for", || {
        shop.calls(Operation::GetCard, "other") == 1
    });
    std::thread::sleep(Duration::from_secs(1));
    assert_eq!(shop.calls(Operation::GetCard, "card"), 0);
    shop.sandbox.release();
    shop.settle();
    assert_eq!(shop.calls(Operation::GetCard, "card"), 1);
}

/// Of the queue and of callers together.
#[rstest]
fn calls_never_begin_faster_than_the_rate(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    const RATE: usize = 5;
    const CALLS: usize = 20;
    let other_side = sandbox(Clock::system(), |_| {});
    let shop = program(&other_side.base_url(), SERVICE, &json!({ "rate": RATE }));
    let mut app = App::spawn_with(backend, |settings| {
        settings.programs.insert("shop".to_owned(), shop);
    });
    app.stop();
    app.start_with(Clock::system());
    let refresh = |number: usize| {
        let id = Some(format!("card-{number}"));
        let card = other_side.create_card(NewCard {
            id,
            ..Default::default()
        });
        other_side
            .refresh(&card.unwrap().id, Refresh::Nothing)
            .unwrap()
    };
    let bodies: Vec<_> = (0..CALLS).map(refresh).collect();
    app.deliver(&Shop::together(&bodies));
    let key = app.new_key(AccessRole::Payments, "paying");
    let reply = app.send(
        "POST",
        "/v1/cards/card-19/credentials",
        &key,
        r#"{"use":"single"}"#,
    );
    assert!(reply.status == 200 || reply.status == 503, "{}", reply.body);
    wait_until("all calls are made", || other_side.calls().len() >= CALLS);

    let times: Vec<i64> = other_side.calls().iter().map(|call| call.at).collect();
    let shortest = times
        .windows(RATE + 1)
        .map(|six| six[RATE] - six[0])
        .min()
        .unwrap();
    // What the way to the other side takes may differ a little.
    assert!(shortest >= 900, "{} calls in {shortest} ms", RATE + 1);
    println!(
        "rate on {backend:?}: {} calls, {} of them in {shortest} ms at least",
        times.len(),
        RATE + 1
    );
}
