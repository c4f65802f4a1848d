//! Where one of two different inputs received close together has no event time, neither order can
//! be trusted: Get Card is to settle it.

use rstest::rstest;
use tokenkeep::domain::Policy;

use crate::support::processor::{FIRST_RECEIPT, jobs};
use crate::support::{EXPIRY_1, Item, NUMBER_1, NUMBER_2, Processor, Register, active, suspended};

const HOUR: i64 = 3_600_000;
const GET_CARD: &[&str] = &["get_card"];
const NOTHING: &[&str] = &[];

/// The calls of the second of two items received this long after another.
fn calls_of_the_second(first: &Item, second: &Item, apart: i64) -> Vec<&'static str> {
    let mut processor = Processor::new();
    processor.receive_at(first, FIRST_RECEIPT);
    let decision = processor.receive_at(second, FIRST_RECEIPT + apart);
    jobs(&decision)
        .into_iter()
        .filter(|job| *job != "cryptogram")
        .collect()
}

#[rstest]
#[case::at_once(0, GET_CARD)]
#[case::at_the_end_of_the_window(HOUR, GET_CARD)]
#[case::after_the_window(HOUR + 1, NOTHING)]
fn s12_get_card_is_asked_within_the_retry_window_and_not_after_it(
    #[case] apart: i64,
    #[case] calls: &[&str],
) {
    let (active, suspended) = (active(0).untimed(), suspended(0).untimed());
    assert_eq!(calls_of_the_second(&active, &suspended, apart), calls);
    assert_eq!(calls_of_the_second(&suspended, &active, apart), calls);
}

#[rstest]
#[case::status(active(0), suspended(0))]
#[case::token(active(0).refresh(NUMBER_1, EXPIRY_1), active(0).refresh(NUMBER_2, EXPIRY_1))]
#[case::masked_field(active(0).with("panLastFour", "1111"), active(0).with("panLastFour", "2222"))]
fn s12_one_untimed_of_two_is_enough_in_any_register(#[case] one: Item, #[case] other: Item) {
    let timed = |item: &Item| Item {
        time: Some(FIRST_RECEIPT - 5_000),
        ..item.clone()
    };
    let untimed = |item: &Item| item.clone().untimed();

    assert_eq!(
        calls_of_the_second(&untimed(&one), &untimed(&other), 1_000),
        GET_CARD
    );
    assert_eq!(
        calls_of_the_second(&timed(&one), &untimed(&other), 1_000),
        GET_CARD
    );
    assert_eq!(
        calls_of_the_second(&untimed(&one), &timed(&other), 1_000),
        GET_CARD
    );
    let later = Item {
        time: Some(FIRST_RECEIPT),
        ..other
    };
    assert_eq!(
        calls_of_the_second(&timed(&one), &later, 1_000),
        NOTHING,
        "both are timed"
    );
}

#[test]
fn s12_equal_values_are_no_matter_of_doubt() {
    let first = active(0).untimed().with("panLastFour", "1111");
    let second = active(0)
        .untimed()
        .with("panLastFour", "1111")
        .remark("another");
    assert_eq!(calls_of_the_second(&first, &second, 1_000), NOTHING);
}

#[test]
fn s12_the_retry_window_is_a_setting() {
    let mut processor = Processor::following(Policy {
        retry_window: 10,
        ..Policy::default()
    });
    processor.receive_at(&active(0).untimed(), FIRST_RECEIPT);
    let outside = processor.receive_at(&suspended(0).untimed(), FIRST_RECEIPT + 11);
    let inside = processor.receive_at(&active(0).untimed(), FIRST_RECEIPT + 21);

    assert_eq!(jobs(&outside), [""; 0]);
    assert_eq!(jobs(&inside), ["get_card"]);
}

/// A registration has no time either, but it is below everything: nothing is in doubt.
#[test]
fn s12_a_registration_is_no_matter_of_doubt() {
    let mut processor = Processor::new();
    processor.register(
        &Register::under("shop")
            .token(NUMBER_1, EXPIRY_1)
            .with("panLastFour", "1111"),
    );
    let item = active(0)
        .untimed()
        .refresh(NUMBER_2, EXPIRY_1)
        .with("panLastFour", "2222");
    assert_eq!(jobs(&processor.receive(&item)), ["cryptogram"]);
}

#[test]
fn a_get_card_that_is_to_settle_something_starts_after_a_minute() {
    let mut processor = Processor::new();
    processor.receive_at(&active(0).untimed(), FIRST_RECEIPT);
    let decision = processor.receive_at(&suspended(0).untimed(), FIRST_RECEIPT + 500);

    assert_eq!(decision.jobs[0].not_before, FIRST_RECEIPT + 500 + 60_000);
}
