//! Which fields of a `maskedCard` are kept, and in what form. A full number never is.

use rstest::rstest;
use serde_json::{Value, json};
use tokenkeep::domain::masked_fields;

/// A well-known test number, with the check digit of a real one.
const PAN: &str = "5555555555554444";

fn field(masked_card: &Value, name: &str) -> Option<Value> {
    masked_fields(masked_card).remove(name)
}

#[rstest]
#[case(json!("1234"))]
#[case(json!(1234))]
fn numbers_are_kept_as_text(#[case] value: Value) {
    let masked_card = json!({"panLastFour": value, "panExpirationYear": value});
    assert_eq!(field(&masked_card, "panLastFour"), Some(json!("1234")));
    assert_eq!(
        field(&masked_card, "panExpirationYear"),
        Some(json!("1234"))
    );
}

#[rstest]
#[case(json!(true), "true")]
#[case(json!("true"), "true")]
#[case(json!(false), "false")]
#[case(json!("false"), "false")]
fn is_co_branded_is_the_same_in_both_published_forms(#[case] value: Value, #[case] text: &str) {
    let masked_card = json!({"digitalCardData": {"isCoBranded": value}});
    assert_eq!(
        field(&masked_card, "digitalCardData.isCoBranded"),
        Some(json!(text))
    );
}

#[rstest]
#[case(json!(1), "01")]
#[case(json!("1"), "01")]
#[case(json!("12"), "12")]
fn a_month_has_two_digits(#[case] value: Value, #[case] text: &str) {
    let masked_card = json!({"panExpirationMonth": value});
    assert_eq!(field(&masked_card, "panExpirationMonth"), Some(json!(text)));
}

#[rstest]
#[case::null(json!({"panLastFour": null}))]
#[case::unknown_field(json!({"somethingNew": "1111"}))]
#[case::status_is_a_register_of_its_own(json!({"digitalCardData": {"status": "ACTIVE"}}))]
#[case::wrong_type(json!({"panLastFour": {"a": 1}, "digitalCardData": "x"}))]
#[case::the_id_is_no_field(json!({"srcDigitalCardId": "card-1"}))]
#[case::not_an_object(json!([1, 2]))]
fn what_says_nothing_is_left_out(#[case] masked_card: Value) {
    assert!(masked_fields(&masked_card).is_empty());
}

#[test]
fn structured_fields_are_kept_as_they_come() {
    let address = json!({"city": "Ulm", "zip": 89073});
    let masked_card = json!({
        "maskedBillingAddress": address,
        "digitalCardData": {"pendingEvents": ["PENDING_AVS"]},
    });
    assert_eq!(field(&masked_card, "maskedBillingAddress"), Some(address));
    let events = field(&masked_card, "digitalCardData.pendingEvents");
    assert_eq!(events, Some(json!(["PENDING_AVS"])));
}

#[rstest]
#[case("panLastFour", "4444")]
#[case("tokenLastFour", "4444")]
#[case("panBin", "55555555")]
#[case("tokenBinRange", "55555555")]
fn a_full_number_where_a_part_of_it_belongs_is_cut(#[case] name: &str, #[case] kept: &str) {
    assert_eq!(field(&json!({name: PAN}), name), Some(json!(kept)));
    let number: u64 = PAN.parse().unwrap();
    assert_eq!(field(&json!({name: number}), name), Some(json!(kept)));
}

#[rstest]
#[case::alone("5555555555554444")]
#[case::in_words("card no. 5555555555554444!")]
#[case::in_groups("5555 5555 5555 4444")]
#[case::in_groups_with_hyphens("5555-5555-5555-4444")]
#[case::before_its_expiry("5555555555554444 12/27")]
#[case::after_another_number("no. 2 5555555555554444")]
#[case::before_another_long_number("5555555555554444 20271231")]
#[case::of_fifteen_digits("378282246310005")]
fn a_full_number_in_a_descriptive_field_is_never_kept(#[case] text: &str) {
    let masked_card = json!({
        "paymentCardDescriptor": text,
        "digitalCardFeatures": [{"content": text}],
        "digitalCardData": {"descriptorName": text, "artUri": text},
    });
    let kept = masked_fields(&masked_card);
    assert!(kept.is_empty(), "{kept:?}");
}

#[test]
fn a_full_number_that_came_as_a_number_is_never_kept() {
    let number: u64 = PAN.parse().unwrap();
    let masked_card = json!({"paymentCardDescriptor": number, "dcf": {"x": [number]}});
    assert!(masked_fields(&masked_card).is_empty());
}

#[test]
fn references_and_dates_are_kept_though_they_have_many_digits() {
    let masked_card = json!({
        "srcPaymentCardId": "a-5555555555554444",
        "paymentAccountReference": "5001BO8B9NXVVIXCT0HAJU98I512Z",
        "dateOfCardCreated": "2026-11-22T07:35:36.123Z",
        "digitalCardData": {"longDescription": "1234567890123456 points"},
    });
    assert_eq!(masked_fields(&masked_card).len(), 4);
}

#[test]
fn a_reference_that_is_nothing_but_a_full_number_is_not_kept() {
    assert!(masked_fields(&json!({"srcPaymentCardId": PAN})).is_empty());
}
