//! What is read of tokens, in each form in which it may come.

use rstest::rstest;
use serde_json::{Value, json};

use super::support::*;
use crate::domain::{Expiry, TokenReading, TokenStatus};
use crate::upstream::{CallFailure, FailureClass};

fn reason<T>(outcome: Result<T, CallFailure>) -> String {
    let failure = outcome.err().unwrap();
    assert_eq!(failure.class, FailureClass::Retry);
    assert!(failure.may_have_arrived);
    failure.reason
}

fn assert_is_the_sample(reading: &TokenReading) {
    assert_eq!(reading.token.expose(), NUMBER);
    assert_eq!(reading.status, TokenStatus::Active);
    assert_eq!(reading.contract.as_deref(), Some("70001"));
    assert_eq!(reading.customer.as_deref(), Some("40000"));
    assert_eq!(reading.expiry, Expiry::parse("02", "2024"));
    assert_eq!(reading.details["walletName"], "Google Pay");
    assert_eq!(reading.details.len(), 7);
}

/// The element as an answer's body, with one change.
fn with(name: &str, value: Value) -> String {
    let mut element = element();
    element[name] = value;
    element.to_string()
}

#[test]
fn one_token_is_read_encrypted_or_plain() {
    for body in [element().to_string(), sealed(&element(), "encryptedData")] {
        assert_is_the_sample(&read(&body, "").ok().unwrap());
    }
    let other_field = sealed(&element(), "encryptedValue");
    let more = "encrypted_field = \"encryptedValue\"";
    assert_is_the_sample(&read(&other_field, more).ok().unwrap());
    assert_eq!(reason(read(&other_field, "")), "wrong-schema");
}

#[test]
fn a_list_is_read_bare_or_inside_an_object_encrypted_or_plain() {
    let both = json!([element(), element()]);
    for (list_of, more) in [
        (both.clone(), ""),
        (json!({ "tokens": both }), ""),
        (json!({ "tokens": both, "total": 2 }), ""),
        (json!({ "items": both }), "tokens_field = \"items\""),
        (both.clone(), "tokens_field = \"items\""),
    ] {
        for body in [list_of.to_string(), sealed(&list_of, "encryptedData")] {
            let read = list(&body, more).ok().unwrap();
            assert_eq!(read.len(), 2);
            read.iter().for_each(assert_is_the_sample);
        }
    }
    assert!(list("[]", "").ok().unwrap().is_empty());
}

#[rstest]
#[case::not_json("<html>", "not-json")]
#[case::empty("", "not-json")]
#[case::no_list("{}", "wrong-schema")]
#[case::another_field("{\"items\":[]}", "wrong-schema")]
#[case::not_a_list("{\"tokens\":{}}", "wrong-schema")]
#[case::not_an_element("[5]", "wrong-schema")]
#[case::no_number("[{\"tokenStatus\":\"Active\"}]", "wrong-schema")]
#[case::no_status("[{\"tokenNumber\":\"5598765432109876\"}]", "wrong-schema")]
#[case::status_of_another_type("[{\"tokenNumber\":\"1\",\"tokenStatus\":1}]", "wrong-schema")]
#[case::number_with_a_space(
    "[{\"tokenNumber\":\"1 2\",\"tokenStatus\":\"Active\"}]",
    "wrong-schema"
)]
#[case::twice("{\"tokens\":[],\"tokens\":[]}", "not-json")]
#[case::sealed_nonsense("{\"encryptedData\":\"a.b.c.d.e\"}", "undecryptable")]
fn a_list_that_cannot_be_understood_is_refused_whole(#[case] body: &str, #[case] word: &str) {
    assert_eq!(reason(list(body, "")), word);
}

#[test]
fn one_element_out_of_order_spoils_the_list() {
    let body = json!([element(), { "tokenNumber": "1" }]).to_string();
    assert_eq!(reason(list(&body, "")), "wrong-schema");
}

#[test]
fn what_is_encrypted_to_somebody_else_stays_closed() {
    let to_others = include_bytes!("../../../../keys/encryption/sandbox.pem");
    let token = crate::jose::encrypt(b"[]", to_others, Some("other"), "A256GCM", 12).unwrap();
    let body = json!({ "encryptedData": token }).to_string();
    assert_eq!(reason(list(&body, "")), "unknown-key");
}

#[test]
fn an_answer_about_another_token_is_not_believed() {
    let other = with("tokenNumber", json!("5598765432109877"));
    assert_eq!(reason(read(&other, "")), "other-token");
    assert!(read(&with("tokenNumber", json!(5598765432109876_u64)), "").is_ok());
}

#[rstest]
#[case("Active", TokenStatus::Active)]
#[case("ACTIVE", TokenStatus::Active)]
#[case("suspended", TokenStatus::Suspended)]
#[case("Deactivated", TokenStatus::Deleted)]
#[case("Paused", TokenStatus::Suspended)]
#[case("paused", TokenStatus::Other("paused".to_owned()))]
#[case("Inactive", TokenStatus::Other("Inactive".to_owned()))]
#[case("a\u{1b}[2Jb ä", TokenStatus::Other("a[2Jb ".to_owned()))]
#[case("4111111111111111", TokenStatus::Other("OTHER".to_owned()))]
#[case(&"x".repeat(100), TokenStatus::Other("x".repeat(64)))]
fn a_status_is_known_by_its_word_or_kept_as_it_came(
    #[case] word: &str,
    #[case] status: TokenStatus,
) {
    let more = "status_words = { Paused = \"SUSPENDED\" }";
    let reading = read(&with("tokenStatus", json!(word)), more).ok().unwrap();
    assert_eq!(reading.status, status);
}

#[rstest]
#[case(json!("70001"), Some("70001"))]
#[case(json!("007"), Some("007"))]
#[case(json!(u64::MAX), Some("18446744073709551615"))]
#[case(json!(1.5), None)]
#[case(json!(1e30), None)]
#[case(Value::Null, None)]
#[case(json!({}), None)]
fn ids_are_numbers_or_text_and_lose_nothing(#[case] id: Value, #[case] text: Option<&str>) {
    let contract = read(&with("cardContractId", id.clone()), "")
        .ok()
        .unwrap()
        .contract;
    assert_eq!(contract.as_deref(), text);
    let customer = read(&with("clientId", id), "").ok().unwrap().customer;
    assert_eq!(customer.as_deref(), text);
}

#[rstest]
#[case(json!("3112"), Some(("12", "2031")))]
#[case(json!(3112), Some(("12", "2031")))]
#[case(json!("3113"), None)]
#[case(json!("2031-12"), None)]
#[case(json!("ä12"), None)]
#[case(json!(""), None)]
fn an_expiry_is_year_and_month(#[case] written: Value, #[case] expiry: Option<(&str, &str)>) {
    let reading = read(&with("tokenExpiryDate", written), "").ok().unwrap();
    assert_eq!(
        reading.expiry,
        expiry.and_then(|(month, year)| Expiry::parse(month, year))
    );
}

#[test]
fn no_detail_holds_a_full_number() {
    for (name, value) in [
        ("cardContractNumber", json!("4111111111111111")),
        ("note", json!(format!("token {NUMBER}"))),
        ("nested", json!({ "number": NUMBER })),
        (NUMBER, json!("x")),
    ] {
        let details = read(&with(name, value), "").ok().unwrap().details;
        let all = json!(details).to_string();
        assert!(
            !all.contains("4111111111111111") && !all.contains(NUMBER),
            "{name}: {all}"
        );
        assert!(details.contains_key("walletName"));
    }
}
