//! The status register: the greater rank wins; SUSPENDED wins a tie; CANCELLED ends the card.

use rstest::rstest;
use tokenkeep::domain::{CryptogramState, may_charge};

use crate::support::item::Token;
use crate::support::processor::{cryptogram_job, jobs, verdict};
use crate::support::{
    EXPIRY_1, EXPIRY_2, NOW, NUMBER_1, NUMBER_2, Processor, active, cancelled, reports, suspended,
};

#[test]
fn s04_a_later_active_wins_over_suspended_in_both_orders() {
    let in_order = Processor::after(&[suspended(100), active(200)]);
    let late = Processor::after(&[active(200), suspended(100)]);

    assert_eq!(in_order.state().status, Some("ACTIVE"));
    assert_eq!(late.state(), in_order.state());
}

#[test]
fn s04_at_equal_times_suspended_wins_in_both_orders_and_get_card_is_asked() {
    for items in [[suspended(100), active(100)], [active(100), suspended(100)]] {
        let mut processor = Processor::after(&items[..1]);
        let second = processor.receive(&items[1]);

        assert_eq!(processor.state().status, Some("SUSPENDED"));
        assert_eq!(jobs(&second), ["get_card"]);
    }
}

#[test]
fn a_late_older_status_is_stale_and_asks_nobody() {
    let mut processor = Processor::after(&[active(200)]);
    let late = processor.receive(&suspended(100));

    assert_eq!(verdict(&late), ("stale", "status-older"));
    assert!(late.changes.is_empty() && late.jobs.is_empty());
}

/// The rank moves with an equal value: what lies between the two is stale afterwards.
#[test]
fn an_equal_status_of_greater_rank_changes_nothing_but_outranks_what_is_older() {
    let mut processor = Processor::after(&[active(100)]);
    let again = processor.receive(&active(300));
    let between = processor.receive(&suspended(200));

    assert_eq!(verdict(&again), ("no_change", "same-values"));
    assert_eq!(verdict(&between), ("stale", "status-older"));
    assert_eq!(processor.state().status, Some("ACTIVE"));
}

#[rstest]
#[case("active")]
#[case("Suspended")]
#[case("CANCELED")]
#[case("DELETED")]
#[case("")]
fn a_word_that_is_none_of_the_three_is_unknown(#[case] word: &str) {
    let processor = Processor::after(&[reports(word, 100)]);

    assert_eq!(processor.state().status, None);
    assert!(!processor.state().is_terminal);
}

#[test]
fn s06_an_older_cancelled_that_comes_late_still_ends_the_card() {
    let mut processor = Processor::after(&[active(100)]);
    let end = processor.receive(&cancelled(50));

    assert_eq!(verdict(&end), ("applied", "cancelled"));
    assert!(end.jobs.is_empty());
    assert_eq!(processor.state().status, Some("CANCELLED"));
}

#[rstest]
fn s07_a_refresh_while_suspended_is_stored_whatever_status_it_says(
    #[values("SUSPENDED", "ACTIVE")] word: &str,
) {
    let mut processor = Processor::after(&[active(50).refresh(NUMBER_1, EXPIRY_1), suspended(100)]);
    let refresh = processor.receive(&reports(word, 150).refresh(NUMBER_2, EXPIRY_2));

    let state = processor.state();
    assert_eq!(state.token, Some(Token::new(NUMBER_2, Some(EXPIRY_2))));
    assert_eq!(state.status, Some(word));
    let asked = (word == "ACTIVE").then_some(2);
    assert_eq!(cryptogram_job(&refresh), asked, "only while it is usable");
}

/// The refresh is older than the suspension it comes after: the token moves, the status does not.
#[test]
fn s07_a_refresh_that_says_active_does_not_lift_a_later_suspension() {
    let mut processor = Processor::after(&[suspended(200)]);
    let refresh = processor.receive(&active(150).refresh(NUMBER_1, EXPIRY_1));

    assert_eq!(verdict(&refresh), ("applied", "first-token"));
    assert_eq!(processor.state().status, Some("SUSPENDED"));
    assert_eq!(cryptogram_job(&refresh), None);
    assert!(!may_charge(processor.card(), NOW));
}

#[test]
fn s07_the_cryptogram_of_a_refresh_while_suspended_is_asked_for_once_the_card_is_active() {
    let mut processor = Processor::after(&[
        active(50).refresh(NUMBER_1, EXPIRY_1),
        suspended(100),
        suspended(150).refresh(NUMBER_2, EXPIRY_2),
    ]);
    let resumed = processor.receive(&active(200));

    assert_eq!(cryptogram_job(&resumed), Some(2));
}

#[test]
fn suspension_destroys_a_stored_cryptogram_and_a_fresh_one_is_asked_for_when_active_again() {
    let mut processor = Processor::after(&[active(100).refresh(NUMBER_1, EXPIRY_1)]);
    processor.hold_cryptogram(CryptogramState::Stored);

    let suspension = processor.receive(&suspended(200));
    assert!(!processor.state().has_cryptogram);
    assert!(
        suspension
            .changes
            .iter()
            .any(|change| change.field == "cryptogram")
    );
    assert!(suspension.jobs.is_empty());

    let resumed = processor.receive(&active(300));
    assert_eq!(cryptogram_job(&resumed), Some(1));
}

/// Only one destroyed by suspension, or never stored, does not count.
#[rstest]
fn a_cryptogram_that_was_handed_out_or_ran_out_is_not_asked_for_again_after_a_suspension(
    #[values(CryptogramState::HandedOut, CryptogramState::RanOut)] state: CryptogramState,
) {
    let mut processor = Processor::after(&[active(100).refresh(NUMBER_1, EXPIRY_1)]);
    processor.hold_cryptogram(state);

    let suspension = processor.receive(&suspended(200));
    let resumed = processor.receive(&active(300));

    assert!(
        !suspension
            .changes
            .iter()
            .any(|change| change.field == "cryptogram")
    );
    assert_eq!(cryptogram_job(&resumed), None);
}

/// The unknown status hides the register; it does not protect the cryptogram of a suspended card.
#[test]
fn suspension_destroys_the_cryptogram_also_while_a_later_unknown_status_holds_the_register() {
    let mut processor = Processor::after(&[active(100).refresh(NUMBER_1, EXPIRY_1)]);
    processor.hold_cryptogram(CryptogramState::Stored);
    processor.receive(&reports("LOST", 300));

    processor.receive(&suspended(200));

    assert!(!processor.state().has_cryptogram);
}
