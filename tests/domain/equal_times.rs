//! S-14: equal event times with different values. The values decide, so both orders end the same.

use rstest::rstest;
use serde_json::json;
use tokenkeep::domain::Flag;

use crate::support::item::Token;
use crate::support::processor::{jobs, verdict};
use crate::support::{EXPIRY_1, EXPIRY_2, Item, NUMBER_1, NUMBER_2, Processor, active};

/// The state after both, which must be that of both orders; the later one is flagged.
fn after_both(one: &Item, other: &Item) -> Processor {
    let after = |first: &Item, second: &Item| {
        let mut processor = Processor::after(std::slice::from_ref(first));
        let decision = processor.receive(second);
        assert!(decision.flags.contains(&Flag::EqualTime), "{second:#?}");
        // Get Card settles status and token; a masked field is not worth a call.
        let settles = second.refresh.is_some() || first.status != second.status;
        assert_eq!(
            jobs(&decision).contains(&"get_card"),
            settles,
            "{second:#?}"
        );
        processor
    };
    let (forth, back) = (after(one, other), after(other, one));
    assert_eq!(forth.state(), back.state());
    forth
}

#[rstest]
#[case("1111", "2222", "2222")]
#[case("9", "10", "9")]
#[case("Blue", "blue", "blue")]
#[case("Gold", "Gold card", "Gold card")]
fn s14_the_greater_text_of_a_masked_field_wins(
    #[case] one: &str,
    #[case] other: &str,
    #[case] winner: &str,
) {
    let field = "digitalCardData.descriptorName";
    let processor = after_both(
        &active(100).with(field, one),
        &active(100).with(field, other),
    );
    assert_eq!(processor.state().masked[field], winner);
}

#[test]
fn s14_structured_masked_fields_have_one_winner_too() {
    let field = "maskedBillingAddress";
    let (one, other) = (json!({"city": "Ulm"}), json!({"city": "Bonn", "zip": "5"}));
    after_both(
        &active(100).with(field, one),
        &active(100).with(field, other),
    );
}

/// Each field for itself: what only one of the two says is kept.
#[test]
fn s14_items_of_one_time_are_merged_field_by_field() {
    let one = active(100)
        .with("panLastFour", "1111")
        .with("panBin", "520474");
    let other = active(100)
        .with("panLastFour", "2222")
        .with("countryCode", "DE");
    let masked = after_both(&one, &other).state().masked;

    assert_eq!(masked["panLastFour"], "2222");
    assert_eq!(masked["panBin"], "520474");
    assert_eq!(masked["countryCode"], "DE");
}

#[rstest]
#[case::number((NUMBER_1, EXPIRY_2), (NUMBER_2, EXPIRY_1), (NUMBER_2, EXPIRY_1))]
#[case::expiry((NUMBER_1, EXPIRY_1), (NUMBER_1, EXPIRY_2), (NUMBER_1, EXPIRY_2))]
#[case::year_before_month((NUMBER_1, "12/2029"), (NUMBER_1, "01/2030"), (NUMBER_1, "01/2030"))]
#[case::longer_number(("999999999999", EXPIRY_1), (NUMBER_1, EXPIRY_1), (NUMBER_1, EXPIRY_1))]
fn s14_the_greater_number_then_the_greater_expiry_wins(
    #[case] one: (&str, &str),
    #[case] other: (&str, &str),
    #[case] winner: (&str, &str),
) {
    let refresh = |(number, expiry): (&str, &str)| active(100).refresh(number, expiry);
    let processor = after_both(&refresh(one), &refresh(other));

    let token = Token::new(winner.0, Some(winner.1));
    assert_eq!(processor.state().token, Some(token));
}

#[test]
fn s14_what_loses_an_equal_time_is_stale_and_what_wins_is_applied() {
    let (lesser, greater) = (
        active(100).refresh(NUMBER_1, EXPIRY_1),
        active(100).refresh(NUMBER_2, EXPIRY_1),
    );
    let mut processor = Processor::after(std::slice::from_ref(&greater));
    assert_eq!(
        verdict(&processor.receive(&lesser)),
        ("stale", "token-older")
    );

    let mut processor = Processor::after(std::slice::from_ref(&lesser));
    assert_eq!(
        verdict(&processor.receive(&greater)),
        ("applied", "number-changed")
    );
}

#[test]
fn equal_values_of_equal_time_are_not_flagged() {
    let mut processor = Processor::after(&[active(100).with("panLastFour", "1111")]);
    let other = active(100)
        .with("panLastFour", "1111")
        .remark("another reason");
    let decision = processor.receive(&other);

    assert_eq!(verdict(&decision), ("no_change", "same-values"));
    assert!(decision.flags.is_empty() && decision.jobs.is_empty());
}
