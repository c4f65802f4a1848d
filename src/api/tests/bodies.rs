//! What is read of request bodies.

use std::collections::BTreeSet;

use rstest::rstest;
use serde_json::json;

use crate::api::body::{self, BodyFault};
use crate::api::openapi::DOCUMENT;
use crate::dispatcher::Usage;
use crate::mastercard::{Amount, AmountFault};

fn amount(value: &str) -> Result<Option<Amount>, BodyFault> {
    let body = format!(
        "{{\"use\": \"single\", \"amount\": {{ \
         \"transactionAmount\": {value}, \"transactionCurrencyCode\": \"EUR\" }} }}"
    );
    Ok(body::credentials(body.as_bytes())?.amount)
}

/// A float would lose the zero at the end, or digits where there are many.
#[rstest]
#[case("12.50")]
#[case("0.10")]
#[case("0")]
#[case("9999999999999")]
#[case("99999999999.99")]
#[case("0.333333333333")]
fn an_amount_is_read_to_the_digit_as_text_and_as_a_number(#[case] value: &str) {
    let expected = Amount::parse(value, "EUR").ok();
    assert_eq!(amount(value).unwrap(), expected);
    assert_eq!(amount(&format!("\"{value}\"")).unwrap(), expected);
}

#[rstest]
#[case("1.")]
#[case(".5")]
#[case("+1")]
#[case("01")]
#[case("1,5")]
#[case("1e1")]
#[case("NaN")]
#[case("")]
fn what_is_no_decimal_number_is_no_amount(#[case] value: &str) {
    let refused = amount(&format!("\"{value}\""));
    assert_eq!(refused.unwrap_err(), BodyFault::Amount(AmountFault::Value));
    assert!(amount(value).is_err());
}

#[test]
fn what_is_not_given_is_none() {
    let wanted = body::credentials(b"{\"use\": \"recurring\", \"amount\": null}").unwrap();
    assert_eq!(wanted.usage, Usage::Recurring);
    assert_eq!((wanted.amount, wanted.series_number_version), (None, None));
}

/// The description of a body is a type of its own: it names what is read, and only that.
#[rstest]
#[case("CredentialsRequest", &["use", "amount", "seriesNumberVersion"])]
#[case("Amount", &["transactionAmount", "transactionCurrencyCode"])]
#[case("Registration", &["program", "consumerReference", "maskedCard", "token", "tokens"])]
#[case("RegisteredToken", &["paymentToken", "tokenExpirationMonth", "tokenExpirationYear"])]
#[case("RegisteredTokenOfCard", &["tokenNumber"])]
#[case("Replay", &["reason"])]
#[case("TokenCommand", &["tokenStatus", "tokenNumber"])]
#[case("ContractStatus", &["contractStatus"])]
fn a_body_is_described_with_the_fields_that_are_read(#[case] name: &str, #[case] read: &[&str]) {
    let document = json!(*DOCUMENT);
    let described = document["components"]["schemas"][name]["properties"].clone();
    let described: BTreeSet<String> = described.as_object().unwrap().keys().cloned().collect();
    let read: BTreeSet<String> = read.iter().map(|&name| name.to_owned()).collect();
    assert_eq!(described, read);
}
