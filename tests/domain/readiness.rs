//! Whether a card may be charged, and every reason against it.

use rstest::rstest;
use tokenkeep::domain::{Card, Reason, may_charge, reasons};

use crate::support::item::{Token, card_id, expiry};
use crate::support::{
    EXPIRY_1, Item, NOW, NUMBER_1, Processor, Register, active, cancelled, reports, suspended,
};

fn milliseconds(text: &str) -> i64 {
    chrono::DateTime::parse_from_rfc3339(text)
        .unwrap()
        .timestamp_millis()
}

#[rstest]
#[case::active(&[active(100)], &[])]
#[case::suspended(&[suspended(100)], &["suspended"])]
#[case::unknown(&[reports("LOST", 100)], &["status-unknown"])]
#[case::unreadable(&[active(100).unreadable()], &["refresh-unreadable"])]
#[case::two_reasons(&[suspended(100).unreadable()], &["suspended", "refresh-unreadable"])]
#[case::expired(&[active(100).refresh(NUMBER_1, "12/2026")], &["token-expired"])]
fn every_reason_has_its_name(#[case] items: &[Item], #[case] names: &[&str]) {
    let processor = Processor::after(items);
    let card = processor.card();
    let told: Vec<_> = reasons(card, NOW).into_iter().map(Reason::name).collect();

    assert_eq!(told, names);
    assert_eq!(may_charge(card, NOW), names.is_empty());
}

#[test]
fn a_card_of_which_nothing_is_known_may_not_be_charged() {
    let card = Card::new(card_id());
    assert_eq!(reasons(&card, NOW), [Reason::StatusUnknown]);
}

#[test]
fn a_card_that_has_ended_may_not_be_charged() {
    let processor = Processor::after(&[active(100).refresh(NUMBER_1, EXPIRY_1), cancelled(50)]);
    assert!(!may_charge(processor.card(), NOW));
}

#[rstest]
#[case::last_instant("01/2030", "2030-01-31T23:59:59.999Z", false)]
#[case::first_instant_after("01/2030", "2030-02-01T00:00:00.000Z", true)]
#[case::end_of_the_year("12/2029", "2029-12-31T23:59:59.999Z", false)]
#[case::new_year("12/2029", "2030-01-01T00:00:00.000Z", true)]
#[case::leap_day("02/2028", "2028-02-29T23:59:59.999Z", false)]
#[case::after_the_leap_day("02/2028", "2028-03-01T00:00:00.000Z", true)]
#[case::a_later_month_of_an_earlier_year("01/2030", "2029-12-31T00:00:00.000Z", false)]
fn a_token_expires_with_the_last_instant_of_its_month(
    #[case] token_expiry: &str,
    #[case] now: &str,
    #[case] is_expired: bool,
) {
    let now = milliseconds(now);
    assert_eq!(expiry(token_expiry).is_past(now), is_expired);

    let processor = Processor::after(&[active(100).refresh(NUMBER_1, token_expiry)]);
    let is_told = reasons(processor.card(), now).contains(&Reason::TokenExpired);
    assert_eq!(is_told, is_expired);
    assert_eq!(may_charge(processor.card(), now), !is_expired);
}

/// Programs whose tokens have no expiry register the number alone.
#[test]
fn a_token_registered_without_an_expiry_does_not_expire() {
    let mut processor = Processor::after(&[active(100)]);
    processor.register(&Register {
        token: Some(Token::new(NUMBER_1, None)),
        ..Register::under("shop")
    });
    assert!(may_charge(processor.card(), NOW));
}
