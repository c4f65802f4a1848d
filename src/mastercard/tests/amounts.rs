//! Which texts are amounts.

use rstest::rstest;

use crate::mastercard::{Amount, AmountFault};

#[rstest]
#[case("0")]
#[case("12")]
#[case("12.50")]
#[case("0.01")]
#[case("1234567890123")]
#[case("123456789012.3")]
fn a_decimal_number_with_up_to_13_digits_is_an_amount(#[case] value: &str) {
    let amount = Amount::parse(value, "EUR").unwrap();
    let json: serde_json::Value = serde_json::from_str(&amount.json()).unwrap();
    assert_eq!(json["transactionCurrencyCode"], "EUR");
    assert!(amount.json().contains(&format!(":{value},")));
}

#[rstest]
#[case("")]
#[case(".")]
#[case("1.")]
#[case(".5")]
#[case("-1")]
#[case("+1")]
#[case("1e3")]
#[case("01")]
#[case("00")]
#[case("1,5")]
#[case("1.2.3")]
#[case(" 1")]
#[case("٣")]
#[case("12345678901234")]
#[case("123456789012.34")]
#[case("1}")]
fn anything_else_is_none(#[case] value: &str) {
    assert_eq!(Amount::parse(value, "EUR"), Err(AmountFault::Value));
}

#[rstest]
#[case("")]
#[case("EU")]
#[case("EURO")]
#[case("eur")]
#[case("E\"R")]
#[case("Ä1")]
fn a_currency_is_three_capital_letters(#[case] currency: &str) {
    assert_eq!(Amount::parse("1", currency), Err(AmountFault::Currency));
}
