//! Decrypted data against masked digits, and the refresh that seems to have passed us by.

use rstest::rstest;
use tokenkeep::domain::{Flag, MismatchPolicy, Policy, shown_masked_card};

use crate::support::item::Token;
use crate::support::processor::{jobs, verdict};
use crate::support::{EXPIRY_1, EXPIRY_2, Item, NUMBER_1, NUMBER_2, Processor, Register, active};

/// A refresh whose masked fields say something else.
fn disagreeing() -> Item {
    active(200)
        .with("tokenLastFour", "9999")
        .refresh(NUMBER_2, EXPIRY_2)
}

#[test]
fn decrypted_data_wins_over_masked_digits_and_the_item_is_flagged() {
    let mut processor = Processor::after(&[active(100).refresh(NUMBER_1, EXPIRY_1)]);
    let decision = processor.receive(&disagreeing());

    assert_eq!(verdict(&decision), ("applied", "number-and-expiry-changed"));
    assert_eq!(decision.flags, [Flag::DigitsDisagree]);
    let state = processor.state();
    assert_eq!(state.token, Some(Token::new(NUMBER_2, Some(EXPIRY_2))));
    assert_eq!(state.masked["tokenLastFour"], "9999", "kept as received");
    assert_eq!(shown_masked_card(processor.card())["tokenLastFour"], "2002");
    assert!(
        !state.is_refresh_suspected,
        "not of greater rank than the token"
    );
}

#[test]
fn a_disagreeing_refresh_is_held_back_by_setting() {
    let mut processor = Processor::following(Policy {
        payment_data_mismatch: MismatchPolicy::Quarantine,
        ..Policy::default()
    });
    processor.receive(&active(100).refresh(NUMBER_1, EXPIRY_1));
    let decision = processor.receive(&disagreeing().with("panLastFour", "2222"));

    assert_eq!(verdict(&decision), ("quarantined", "refresh-unreadable"));
    assert_eq!(decision.verdict.hold().unwrap().0, "digits-disagree");
    assert!(decision.flags.contains(&Flag::DigitsDisagree));
    let state = processor.state();
    assert_eq!(state.token, Some(Token::new(NUMBER_1, Some(EXPIRY_1))));
    assert_eq!(state.masked["panLastFour"], "2222");
    assert!(state.is_refresh_unreadable && !state.may_charge);
}

#[rstest]
#[case::last_four("tokenLastFour", "9999", true)]
#[case::the_same_last_four("tokenLastFour", "2002", false)]
#[case::month("tokenExpirationMonth", "08", true)]
#[case::month_without_its_zero("tokenExpirationMonth", "7", false)]
#[case::year("tokenExpirationYear", "2032", true)]
#[case::the_same_year("tokenExpirationYear", "2031", false)]
#[case::year_of_two_digits("tokenExpirationYear", "31", false)]
fn digits_are_compared_padded(#[case] field: &str, #[case] value: &str, #[case] differs: bool) {
    let item = active(200).with(field, value).refresh(NUMBER_2, EXPIRY_2);
    let decision = Processor::new().receive(&item);
    assert_eq!(
        decision.flags.contains(&Flag::DigitsDisagree),
        differs,
        "in one item"
    );

    let mut processor = Processor::after(&[active(100).refresh(NUMBER_2, EXPIRY_2)]);
    let decision = processor.receive(&active(200).with(field, value));
    assert_eq!(
        processor.state().is_refresh_suspected,
        differs,
        "in a later one"
    );
    assert_eq!(decision.flags.contains(&Flag::RefreshSuspected), differs);
    assert_eq!(jobs(&decision).contains(&"get_card"), differs);
}

/// Leading zeros of a last four that came as a number.
#[test]
fn a_last_four_without_its_leading_zeros_is_the_same() {
    let mut processor = Processor::after(&[active(100).refresh("5204740000000042", EXPIRY_1)]);
    processor.receive(&active(200).with("tokenLastFour", "42"));
    assert!(!processor.state().is_refresh_suspected);
}

#[test]
fn a_suspected_refresh_is_a_warning_only_and_asks_get_card_once() {
    let mut processor = Processor::after(&[active(100).refresh(NUMBER_1, EXPIRY_1)]);
    let first = processor.receive(&active(200).with("tokenLastFour", "2002"));
    let second = processor.receive(&active(300).with("tokenLastFour", "2002"));

    assert_eq!(jobs(&first), ["get_card"]);
    assert_eq!(jobs(&second), [""; 0], "it was suspected already");
    let state = processor.state();
    assert!(state.is_refresh_suspected && state.may_charge);
}

#[test]
fn suspicion_ends_with_the_refresh_that_had_passed_by() {
    let mut processor = Processor::after(&[
        active(100).refresh(NUMBER_1, EXPIRY_1),
        active(200).with("tokenLastFour", "2002"),
    ]);
    processor.receive(&active(150).refresh(NUMBER_2, EXPIRY_2));
    assert!(!processor.state().is_refresh_suspected);
}

#[test]
fn older_masked_digits_suspect_nothing() {
    let mut processor = Processor::after(&[active(200).refresh(NUMBER_2, EXPIRY_2)]);
    let late = processor.receive(&active(100).with("tokenLastFour", "1001"));

    assert!(!processor.state().is_refresh_suspected);
    assert!(late.jobs.is_empty());
}

/// In both orders: the suspicion is derived, and whatever makes it true asks Get Card.
#[test]
fn a_registered_token_that_differs_from_newer_digits_is_suspected_and_asks_get_card() {
    let registration = Register::under("shop").token(NUMBER_1, EXPIRY_1);
    let digits = active(100).with("tokenLastFour", "2002");

    let mut before = Processor::new();
    before.register(&registration);
    let notified = before.receive(&digits);
    let mut after = Processor::new();
    after.receive(&digits);
    let registered = after.register(&registration);

    assert!(before.state().is_refresh_suspected && after.state().is_refresh_suspected);
    assert_eq!(jobs(&notified), ["get_card"]);
    assert_eq!(jobs(&registered), ["get_card"]);
}
