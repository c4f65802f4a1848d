//! Token commands in the outbox: their order, their age, what operators do with them, what is told.

use rstest::rstest;
use serde_json::{Value, json};
use tokenkeep::sandbox::Fault;
use tokenkeep::sandbox::Operation::{ReadTokens, SetTokenStatus, UpdateTokenState};
use tokenkeep::store::JobView;

use crate::support::calls::{HOUR, LONGEST_WAIT, MINUTE, Shop};
use crate::support::issuer::{BANK_CARD, CONTRACT, NUMBER, OTHER_NUMBER};
use crate::support::{Backend, wait_until};

/// The commands of a card, in the order they were given.
fn commands(shop: &Shop, card: &str) -> Vec<JobView> {
    let jobs = shop.app.jobs(card).into_iter();
    jobs.filter(|job| job.kind == "token_status").collect()
}

fn states(shop: &Shop, card: &str) -> Vec<String> {
    let jobs = commands(shop, card).into_iter();
    jobs.map(|job| job.state).collect()
}

fn there(shop: &Shop, number: &str) -> String {
    shop.sandbox.token_status(number).unwrap()
}

/// Time for the dispatcher to look at the outbox.
fn let_it_look() {
    std::thread::sleep(std::time::Duration::from_millis(700));
}

#[rstest]
fn commands_of_a_card_are_carried_out_in_their_order_also_when_the_first_has_to_wait(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let shop = Shop::with_contract(backend);
    shop.sandbox
        .set_fault(SetTokenStatus, Some(Fault::service_error(503)));
    shop.give(CONTRACT, "SUSPEND", Some(NUMBER));
    wait_until("the first fails", || {
        shop.job(CONTRACT, "token_status").attempts == 1
    });
    wait_until("it waits", || states(&shop, CONTRACT) == ["waiting"]);
    shop.give(CONTRACT, "SUSPEND", Some(OTHER_NUMBER));
    let_it_look();
    let [first, second] = commands(&shop, CONTRACT).try_into().unwrap();
    assert_eq!((first.state.as_str(), second.attempts), ("waiting", 0));
    // Not even an operator's wish lets the second overtake the first.
    assert!(shop.retry(&second));
    let_it_look();
    assert_eq!(commands(&shop, CONTRACT)[1].attempts, 0);

    shop.sandbox.set_fault(SetTokenStatus, None);
    shop.sandbox.hold(SetTokenStatus);
    let made = shop.calls(SetTokenStatus, CONTRACT);
    shop.advance(LONGEST_WAIT);
    shop.wait_for_calls(SetTokenStatus, made + 1);
    let_it_look();
    // One is under way at a time, and it is the first.
    assert_eq!(shop.calls(SetTokenStatus, CONTRACT), made + 1);
    wait_until("it is done there", || there(&shop, NUMBER) == "Suspended");
    assert_eq!(there(&shop, OTHER_NUMBER), "Active");
    assert_eq!(states(&shop, CONTRACT), ["running", "waiting"]);
    shop.sandbox.release();
    shop.settle();
    assert_eq!(states(&shop, CONTRACT), ["done", "done"]);
    assert_eq!(shop.calls(SetTokenStatus, CONTRACT), made + 2);
    assert_eq!(there(&shop, OTHER_NUMBER), "Suspended");
}

#[rstest]
fn a_newer_command_takes_the_place_of_a_waiting_one_but_never_of_a_deactivation(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let shop = Shop::with_contract(backend);
    shop.sandbox
        .set_fault(SetTokenStatus, Some(Fault::service_error(503)));
    for (command, expected) in [
        ("SUSPEND", &["waiting"][..]),
        // The suspension may have arrived: it is taken back there.
        ("RESUME", &["discarded", "waiting"]),
        ("DEACTIVATE", &["discarded", "discarded", "waiting"]),
    ] {
        // At the same moment: a minute later the one that waits could be under way again.
        let reply = shop.command(CONTRACT, command, None);
        assert_eq!(reply.status, 202, "{command}: {}", reply.body);
        wait_until(command, || {
            let last = shop.job(CONTRACT, "token_status");
            last.attempts > 0 && last.state == "waiting"
        });
        assert_eq!(states(&shop, CONTRACT), expected, "{command}");
    }
    let superseded = &commands(&shop, CONTRACT)[0];
    assert_eq!(
        superseded.last_reason.as_deref(),
        Some("superseded by a newer command")
    );
    for command in ["SUSPEND", "RESUME"] {
        let refused = shop.command(CONTRACT, command, None);
        assert_eq!(refused.code(), "illegal-transition", "{command}");
    }
    let repeated = shop.command(CONTRACT, "DEACTIVATE", None);
    assert_eq!(
        (repeated.status, repeated.json()["outcome"].as_str()),
        (200, Some("no_change"))
    );
    assert_eq!(states(&shop, CONTRACT).len(), 3);
}

#[rstest]
fn a_command_that_ran_when_a_newer_one_was_given_does_not_stand_in_its_way(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let shop = Shop::with_contract(backend);
    shop.sandbox
        .answer_next(SetTokenStatus, Fault::service_error(503));
    shop.sandbox.hold(SetTokenStatus);
    shop.give(CONTRACT, "SUSPEND", None);
    shop.wait_for_calls(SetTokenStatus, 1);
    let newer = shop.command(CONTRACT, "RESUME", None);
    assert_eq!(newer.status, 202, "{}", newer.body);
    shop.sandbox.release();
    wait_until("the newer one is done", || {
        states(&shop, CONTRACT) == ["discarded", "done"]
    });
    assert_eq!(there(&shop, NUMBER), "Active");
}

#[rstest]
fn a_deactivation_is_tried_for_a_week_and_longer_and_a_read_is_given_up_after_two_days(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let shop = Shop::with_both(backend);
    let down = || Some(Fault::service_error(503));
    shop.sandbox.set_fault(SetTokenStatus, down());
    shop.sandbox.set_fault(UpdateTokenState, down());
    shop.sandbox.set_fault(ReadTokens, down());
    shop.ask_for_tokens(CONTRACT);
    for card in [CONTRACT, BANK_CARD] {
        shop.give(card, "DEACTIVATE", None);
    }
    for day in 1..=7 {
        shop.settle();
        let attempts = commands(&shop, BANK_CARD)[0].attempts;
        shop.advance(24 * HOUR);
        wait_until("it is tried again", || {
            commands(&shop, BANK_CARD)[0].attempts > attempts
        });
        shop.settle();
        for card in [CONTRACT, BANK_CARD] {
            assert_eq!(states(&shop, card), ["waiting"], "{card} on day {day}");
        }
        let read = shop.job(CONTRACT, "read_tokens").state;
        let expected = if day < 2 { "waiting" } else { "dead" };
        assert_eq!(read, expected, "day {day}");
    }
    shop.sandbox.set_fault(SetTokenStatus, None);
    shop.sandbox.set_fault(UpdateTokenState, None);
    shop.advance(LONGEST_WAIT);
    shop.settle();
    for card in [CONTRACT, BANK_CARD] {
        let row = shop.app.card(card).unwrap().card;
        assert_eq!(row.status_word(), Some("DELETED"), "{card}");
    }
    let attempts = commands(&shop, BANK_CARD)[0].attempts;
    println!("a deactivation on {backend:?}: done after 7 days and {attempts} attempts");
}

#[rstest]
fn an_operator_retries_or_discards_a_parked_command(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let shop = Shop::with_contract(backend);
    let refuse = |number| {
        shop.sandbox
            .answer_next(SetTokenStatus, Fault::service_error(400));
        shop.give(CONTRACT, "SUSPEND", Some(number));
        shop.settle();
        let job = shop.job(CONTRACT, "token_status");
        assert_eq!(job.state, "parked");
        job
    };
    let (first, second) = (refuse(NUMBER), refuse(OTHER_NUMBER));
    assert!(shop.retry(&first));
    shop.settle();
    let discarded = shop.app.store().write(|tx| {
        let now = shop.now();
        tx.discard_job(&second.id, "not wanted any more", now)
    });
    assert!(discarded.unwrap());
    assert_eq!(states(&shop, CONTRACT), ["done", "discarded"]);
    assert_eq!(shop.tokens(CONTRACT), ["2345 ACTIVE", "9876 SUSPENDED"]);
    assert!(!shop.retry(&second), "what is over stays over");
}

#[rstest]
fn a_parked_command_is_done_once_the_tokens_are_found_as_it_wants_them(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let shop = Shop::with_contract(backend);
    shop.sandbox
        .answer_next(SetTokenStatus, Fault::service_error(400));
    shop.give(CONTRACT, "SUSPEND", Some(NUMBER));
    shop.settle();
    assert_eq!(states(&shop, CONTRACT), ["parked"]);
    shop.sandbox.set_token_status(NUMBER, "Suspended");
    shop.read_tokens(CONTRACT);
    let job = shop.job(CONTRACT, "token_status");
    let said = (job.state.as_str(), job.last_reason.as_deref());
    assert_eq!(said, ("done", Some("found done there")));
}

#[rstest]
fn each_change_of_tokens_and_status_is_told_once(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let shop = Shop::with_both(backend);
    let tell = |card: &str, command, token| {
        let cursor = shop.last_event();
        shop.give(card, command, token);
        shop.settle();
        shop.read_tokens(card);
        shop.told(card, cursor)
    };
    let kinds =
        |told: &[(String, Value)]| Vec::from_iter(told.iter().map(|(kind, _)| kind.clone()));
    let one = tell(CONTRACT, "SUSPEND", Some(NUMBER));
    assert_eq!(
        kinds(&one),
        ["card.tokens"],
        "the other one is still usable"
    );
    assert_eq!(one[0].1["tokens"].as_array().unwrap().len(), 1);
    assert_eq!(one[0].1["tokens"][0]["status"], "SUSPENDED");
    let all = tell(CONTRACT, "SUSPEND", None);
    assert_eq!(kinds(&all), ["card.status", "card.tokens"]);
    assert_eq!(all[0].1, json!({ "from": "ACTIVE", "to": "SUSPENDED" }));
    for (card, command) in [
        (CONTRACT, "DEACTIVATE"),
        (BANK_CARD, "SUSPEND"),
        (BANK_CARD, "RESUME"),
        (BANK_CARD, "DEACTIVATE"),
    ] {
        let told = tell(card, command, None);
        let what = format!("{card} {command}");
        assert_eq!(kinds(&told), ["card.status", "card.tokens"], "{what}");
    }
}

#[rstest]
fn a_repeated_request_gets_the_same_answer_and_queues_one_call(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let shop = Shop::with_contract(backend);
    shop.advance(MINUTE);
    let first = shop.command_once(CONTRACT, "SUSPEND", "key-1");
    assert_eq!(first.status, 202, "{}", first.body);
    shop.settle();
    let second = shop.command_once(CONTRACT, "SUSPEND", "key-1");
    assert_eq!((second.status, &second.body), (202, &first.body));
    let other = shop.command_once(CONTRACT, "RESUME", "key-1");
    assert_eq!(other.code(), "idempotency-key-reused");
    shop.settle();
    assert_eq!(states(&shop, CONTRACT), ["done"]);
    assert_eq!(shop.calls(SetTokenStatus, CONTRACT), 1);
}
