//! S-05 and S-08: what has ended stays ended. Whatever comes later is recorded and revives nothing.

use rstest::rstest;
use tokenkeep::domain::{Change, CryptogramState, display, may_charge};

use crate::support::model::end_state;
use crate::support::processor::{jobs, verdict};
use crate::support::random::{self, Random, Spice};
use crate::support::{
    EXPIRY_1, EXPIRY_2, NOW, NUMBER_1, NUMBER_2, Processor, Register, active, cancelled, reports,
    suspended,
};

#[rstest]
#[case::long_before_everything(0)]
#[case::in_the_middle(300)]
#[case::after_everything(1_000)]
fn s05_after_cancelled_a_thousand_random_items_change_nothing_but_the_archive(#[case] time: i64) {
    let mut random = Random::seeded(5);
    let mut processor = Processor::after(&[active(100).refresh(NUMBER_1, EXPIRY_1)]);
    let mut items = vec![cancelled(time)];
    processor.receive(&items[0]);
    let ended = processor.card().terminal;
    for number in 0..1_000 {
        let item = random::item(&mut random, Spice::ALL).with("serviceId", number.to_string());
        let decision = processor.receive(&item);

        assert_eq!(verdict(&decision), ("stale", "terminal"), "{item:#?}");
        assert_eq!(jobs(&decision), [""; 0], "{item:#?}");
        let is_archive = |change: &Change| change.field.starts_with("maskedCard.");
        assert!(decision.changes.iter().all(is_archive), "{item:#?}");
        assert_eq!(processor.card().terminal, ended);
        assert!(processor.card().status.is_none());
        items.push(item);
        assert_eq!(
            processor.state(),
            end_state(&items, None, false),
            "{:#?}",
            items.last()
        );
    }
    assert_eq!(processor.state().status, Some("CANCELLED"));
}

/// 10,000 cards end at a random moment amid random items and registrations.
#[test]
fn s08_nothing_revives_a_card_that_has_ended() {
    for seed in 0..10_000 {
        let mut random = Random::seeded(seed);
        let mut processor = Processor::after(&random::items(&mut random, Spice::NONE));
        processor.checkout_answers = random.once_in(2);
        processor.receive(&cancelled(100 * seed as i64 % 700));
        for _ in 0..10 {
            if random.once_in(4) {
                processor.register(&Register::under("shop").token(NUMBER_2, EXPIRY_2));
            } else {
                processor.receive(&random::item(&mut random, Spice::ALL));
            }
            let state = processor.state();
            assert!(state.is_terminal && !state.may_charge, "seed {seed}");
            assert!(
                state.token.is_none() && !state.has_cryptogram,
                "seed {seed}"
            );
            assert!(!display(processor.card()).visible, "seed {seed}");
        }
    }
}

#[test]
fn ending_drops_number_and_cryptogram_and_whatever_was_held() {
    let mut processor = Processor::after(&[
        active(100).refresh(NUMBER_1, EXPIRY_1),
        reports("LOST", 200),
        active(150).unreadable(),
    ]);
    processor.hold_cryptogram(CryptogramState::Stored);

    let end = processor.receive(&cancelled(120));

    let card = processor.card();
    assert!(card.token.is_none() && card.cryptogram.is_none() && card.status.is_none());
    assert!(card.status_held.is_none() && card.refresh_held.is_none());
    let fields: Vec<_> = end
        .changes
        .iter()
        .map(|change| change.field.as_str())
        .collect();
    assert_eq!(fields, ["cryptogram", "token.number", "status"]);
    assert_eq!(end.changes[1].from, "1001", "never the full number");
}

/// A CANCELLED that itself brings a token, readable or not: the card ends, the token is not kept.
#[rstest]
#[case(cancelled(200).refresh(NUMBER_2, EXPIRY_2))]
#[case(cancelled(200).unreadable())]
fn a_cancelled_keeps_no_token_of_its_own(#[case] end: crate::support::Item) {
    let mut processor = Processor::after(&[active(100)]);
    let decision = processor.receive(&end);

    assert_eq!(verdict(&decision), ("applied", "cancelled"));
    assert!(processor.state().token.is_none());
    assert!(!processor.state().is_refresh_unreadable);
}

#[test]
fn the_first_thing_heard_of_a_card_may_be_its_end() {
    let mut processor = Processor::new();
    let end = processor.receive(&cancelled(100).with("panLastFour", "1111"));

    assert_eq!(verdict(&end), ("applied", "cancelled"));
    assert_eq!(processor.state().masked["panLastFour"], "1111");
}

#[test]
fn a_second_cancelled_is_stale() {
    let mut processor = Processor::after(&[cancelled(100)]);
    let again = processor.receive(&cancelled(200));

    assert_eq!(verdict(&again), ("stale", "terminal"));
}

#[test]
fn a_card_that_has_ended_takes_no_registration() {
    let mut processor = Processor::after(&[cancelled(100)]);
    let registration = Register::under("shop")
        .with("panLastFour", "1111")
        .token(NUMBER_1, EXPIRY_1);
    let decision = processor.register(&registration);

    assert_eq!(verdict(&decision), ("stale", "terminal"));
    assert!(decision.changes.is_empty() && decision.jobs.is_empty());
    let card = processor.card();
    assert_eq!(card.registered_program, None);
    assert!(card.token.is_none() && card.masked.is_empty());
    assert!(!may_charge(card, NOW));
}

#[test]
fn the_archive_of_a_card_that_has_ended_moves_by_rank() {
    let mut processor = Processor::after(&[cancelled(200).with("panLastFour", "2222")]);
    processor.receive(
        &active(100)
            .with("panLastFour", "1111")
            .with("panBin", "520474"),
    );
    assert_eq!(processor.state().masked["panLastFour"], "2222");
    assert_eq!(processor.state().masked["panBin"], "520474");

    let later = processor.receive(&suspended(300).with("panLastFour", "3333"));
    assert_eq!(verdict(&later), ("stale", "terminal"));
    assert_eq!(processor.state().masked["panLastFour"], "3333");
}
