//! Deletion by the merchant: unusable at once, confirmed later, never revived.

use rstest::rstest;
use tokenkeep::domain::{CryptogramState, FreshCryptogram, TerminalState, display, may_charge};

use crate::support::answers::{ANSWERED, checkout};
use crate::support::processor::{jobs, verdict};
use crate::support::random::{self, Random, Spice};
use crate::support::{
    EXPIRY_1, EXPIRY_2, Item, NOW, NUMBER_1, NUMBER_2, NUMBER_3, Processor, Register, active,
    cancelled, reports, suspended,
};

fn deleted() -> Processor {
    let mut processor = Processor::after(&[active(100).refresh(NUMBER_1, EXPIRY_1)]);
    processor.hold_cryptogram(CryptogramState::Stored);
    processor.delete(ANSWERED);
    processor
}

/// Whatever state the card is in.
#[rstest]
#[case::active(&[active(100)])]
#[case::suspended(&[suspended(100)])]
#[case::status_unknown(&[reports("LOST", 100)])]
#[case::unreadable(&[active(100).unreadable()])]
#[case::never_heard_of(&[])]
fn deleting_makes_a_card_unusable_at_once_and_queues_one_call(#[case] items: &[Item]) {
    let mut processor = Processor::after(items);
    processor.register(&Register::under("shop"));

    let decision = processor.delete(ANSWERED);

    assert_eq!(verdict(&decision), ("applied", "delete-asked"));
    assert_eq!(jobs(&decision), ["delete_card"]);
    assert_eq!(decision.jobs[0].not_before, ANSWERED, "at once");
    let card = processor.card();
    assert_eq!(card.status_word(), Some("DELETE_PENDING"));
    assert!(!may_charge(card, NOW) && !display(card).visible);
    assert!(card.status_held.is_none() && card.refresh_held.is_none());
}

#[test]
fn token_and_cryptogram_go_with_the_request() {
    let mut processor = Processor::after(&[active(100)
        .refresh(NUMBER_1, EXPIRY_1)
        .with("panLastFour", "1111")]);
    processor.hold_cryptogram(CryptogramState::Stored);

    let decision = processor.delete(ANSWERED);

    let card = processor.card();
    assert!(card.token.is_none() && card.cryptogram.is_none());
    assert!(!card.cryptogram_is_due());
    assert_eq!(processor.state().masked["panLastFour"], "1111", "archived");
    let told = decision.changes.iter().map(|c| {
        let (from, to) = (c.from.as_str(), c.to.as_str());
        (c.field.as_str(), from, to)
    });
    assert_eq!(
        told.collect::<Vec<_>>(),
        [
            ("cryptogram", Some("stored"), None),
            ("token.number", Some("1001"), None),
            ("status", Some("ACTIVE"), Some("DELETE_PENDING")),
        ]
    );
}

#[test]
fn what_was_due_is_not_due_any_more() {
    let mut processor = Processor::after(&[active(100).refresh(NUMBER_1, EXPIRY_1)]);
    assert!(processor.card().cryptogram_is_due());
    assert!(processor.delete(ANSWERED).no_longer_due);
}

#[test]
fn a_repeated_request_is_no_change_and_queues_no_second_call() {
    let mut processor = deleted();
    let (before, decided) = (processor.state(), processor.card().inputs_decided);

    let again = processor.delete(ANSWERED + 1_000);

    assert_eq!(verdict(&again), ("no_change", "terminal"));
    assert!(again.jobs.is_empty() && again.changes.is_empty() && again.events.is_empty());
    assert_eq!(processor.state(), before);
    assert_eq!(processor.card().inputs_decided, decided);
    assert_eq!(processor.card().terminal.unwrap().at, ANSWERED);
}

#[test]
fn deleting_a_card_that_is_cancelled_asks_nobody() {
    let mut processor = Processor::after(&[cancelled(100)]);
    let decision = processor.delete(ANSWERED);
    assert_eq!(verdict(&decision), ("no_change", "terminal"));
    assert!(decision.jobs.is_empty());
    assert_eq!(processor.state().status, Some("CANCELLED"));
}

#[rstest]
#[case::long_before(1)]
#[case::after(ANSWERED + 5_000)]
fn a_cancelled_notification_confirms_the_deletion(#[case] time: i64) {
    let mut processor = deleted();

    let decision = processor.receive(&cancelled(time));

    assert_eq!(verdict(&decision), ("applied", "cancelled"));
    assert_eq!(processor.state().status, Some("CANCELLED"));
    assert!(decision.jobs.is_empty());
    assert_eq!(decision.changes.len(), 1);
    assert_eq!(decision.changes[0].from, "DELETE_PENDING");
    let again = processor.receive(&cancelled(time + 1));
    assert_eq!(verdict(&again), ("stale", "terminal"));
}

#[test]
fn get_card_that_answers_cancelled_confirms_the_deletion_as_well() {
    let mut processor = deleted();
    let decision = processor.get_card(&cancelled(500));
    assert_eq!(verdict(&decision), ("applied", "cancelled"));
    assert_eq!(processor.state().status, Some("CANCELLED"));
}

#[test]
fn a_confirmed_deletion_is_stored_as_cancelled_once() {
    let mut processor = deleted();

    let confirmed = processor.confirm_deletion(ANSWERED + 1_000);

    assert_eq!(verdict(&confirmed), ("applied", "delete-confirmed"));
    let terminal = processor.card().terminal.unwrap();
    assert_eq!(terminal.state, TerminalState::Cancelled);
    assert_eq!(terminal.at, ANSWERED + 1_000);
    let again = processor.confirm_deletion(ANSWERED + 2_000);
    assert_eq!(verdict(&again), ("no_change", "delete-confirmed"));
    assert!(again.changes.is_empty() && again.events.is_empty());
    assert_eq!(processor.card().terminal.unwrap(), terminal);
}

/// The deletion may be confirmed twice, by the answer and by a notification, in either order.
#[rstest]
#[case::the_notification_first(true)]
#[case::the_answer_first(false)]
fn answer_and_notification_confirm_in_either_order(#[case] notification_first: bool) {
    let mut processor = deleted();
    if notification_first {
        processor.receive(&cancelled(700));
        processor.confirm_deletion(ANSWERED + 1_000);
    } else {
        processor.confirm_deletion(ANSWERED + 1_000);
        processor.receive(&cancelled(700));
    }
    assert_eq!(processor.state().status, Some("CANCELLED"));
    assert!(processor.state().token.is_none());
}

#[test]
fn the_answer_of_a_call_under_way_brings_nothing_back() {
    let mut processor = deleted();
    let state = processor.state();

    let checkout = processor.checkout(&checkout(900, NUMBER_1, EXPIRY_1).asked_for(1));
    assert_eq!(checkout.fresh_cryptogram, FreshCryptogram::Destroyed);
    let refresh = active(ANSWERED + 9_000).refresh(NUMBER_2, EXPIRY_2);
    let card = processor.get_card(&refresh);
    let late = processor.receive(&refresh);

    for decision in [checkout, card, late] {
        assert_eq!(decision.verdict.name(), "stale");
        assert!(decision.jobs.is_empty() && decision.changes.is_empty());
    }
    assert_eq!(processor.state(), state);
}

/// One of everything that can come for a card.
fn anything(random: &mut Random, processor: &mut Processor) -> Vec<&'static str> {
    let at = ANSWERED + 1_000 * random.below(9) as i64;
    let decision = match random.below(8) {
        0 => processor.register(&Register::under("shop").token(NUMBER_2, EXPIRY_2)),
        1 => processor.get_card(&random::item(random, Spice::ALL)),
        2 => {
            let number = random.one_of(&[NUMBER_1, NUMBER_2, NUMBER_3]);
            processor.checkout(&checkout(at, number, EXPIRY_2))
        }
        3 => processor.not_there(at),
        4 => processor.delete(at),
        5 if random.once_in(3) => processor.confirm_deletion(at),
        _ => processor.receive(&random::item(random, Spice::ALL)),
    };
    jobs(&decision)
}

/// S-08: 10,000 cards are deleted at a random moment; then anything comes.
#[test]
fn s08_nothing_revives_a_deleted_card_in_10_000_random_histories() {
    let mut inputs = 0;
    for seed in 0..10_000 {
        let mut random = Random::seeded(seed);
        let mut processor = Processor::after(&random::items(&mut random, Spice::NONE));
        processor.delete(ANSWERED);
        let mut is_cancelled = false;
        for _ in 0..12 {
            assert_eq!(
                anything(&mut random, &mut processor),
                [""; 0],
                "seed {seed}"
            );
            inputs += 1;
            let (state, card) = (processor.state(), processor.card());
            assert!(state.is_terminal && !state.may_charge, "seed {seed}");
            assert!(
                state.token.is_none() && !state.has_cryptogram,
                "seed {seed}"
            );
            assert!(
                !display(card).visible && !card.cryptogram_is_due(),
                "seed {seed}"
            );
            // From DELETE_PENDING there is one way on, and none back.
            let is_now = state.status == Some("CANCELLED");
            assert!(
                is_now || state.status == Some("DELETE_PENDING"),
                "seed {seed}"
            );
            assert!(is_now || !is_cancelled, "seed {seed}");
            is_cancelled = is_now;
        }
    }
    println!("S-08: 10000 deleted cards, {inputs} inputs after it, 0 revived");
}
