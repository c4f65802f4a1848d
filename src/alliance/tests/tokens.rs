//! Reading tokens: what is kept of each, and that they are the ones asked about.

use serde_json::{Value, json};

use super::support::*;
use crate::domain::{TokenReading, TokenStatus};
use crate::upstream::{CallFailure, FailureClass};

fn bank(entries: &[Value], more: &str) -> (crate::alliance::Client, Bank) {
    let body = signed(&json!({ "result": entries }));
    answered(http("200", &body), more)
}

fn get(entries: &[Value]) -> Result<TokenReading, CallFailure> {
    let (client, _bank) = bank(entries, "");
    client.get_token(&token())
}

fn list(entries: &[Value]) -> Result<Vec<TokenReading>, CallFailure> {
    let (client, _bank) = bank(entries, "");
    client.list_tokens(CUSTOMER)
}

fn with(name: &str, value: Value) -> Value {
    let mut entry = listed(TOKEN);
    entry[name] = value;
    entry
}

#[track_caller]
fn assert_retry<T>(outcome: Result<T, CallFailure>, reason: &str) {
    let failure = outcome.err().unwrap();
    assert_eq!(failure.reason, reason);
    assert_eq!(failure.class, FailureClass::Retry, "{reason}");
    assert!(failure.may_have_arrived, "{reason}");
}

#[test]
fn a_token_is_read_with_its_status_its_customer_and_its_details() {
    let reading = get(&[listed(TOKEN)]).unwrap();
    assert!(reading.token == token());
    assert_eq!(reading.token.expose(), TOKEN);
    assert_eq!(reading.status, TokenStatus::Active);
    assert_eq!(reading.customer.as_deref(), Some(CUSTOMER));
    assert_eq!(reading.contract, None);
    assert_eq!(reading.expiry, None);
    let details = json!(reading.details);
    let expected = json!({ "maskedPan": "528529••••••0255", "merchantId": "merchant-1" });
    assert_eq!(details, expected);
}

#[test]
fn what_the_bank_leaves_out_is_left_out() {
    let reading = get(&[json!({ "token": TOKEN, "status": "OBSOLETE", "new": 1 })]).unwrap();
    assert_eq!(reading.status, TokenStatus::Obsolete);
    assert_eq!(reading.customer, None);
    assert!(reading.details.is_empty());
    let reading = get(&[with("customerId", json!(1234567890123456789_u64))]).unwrap();
    assert_eq!(reading.customer.as_deref(), Some("1234567890123456789"));
}

#[test]
fn a_full_number_is_kept_nowhere() {
    let number = "5480983162311596";
    for value in [json!(number), json!(5480983162311596_u64), json!([number])] {
        let reading = get(&[with("maskedPan", value)]).unwrap();
        assert!(!json!(reading.details).to_string().contains(number));
    }
    assert_retry(get(&[with("status", json!(number))]), "wrong-schema");
}

#[test]
fn a_status_that_is_none_of_the_banks_is_kept_in_its_own_word_or_as_set() {
    for (word, status) in [
        ("ACTIVE", TokenStatus::Active),
        ("SUSPENDED", TokenStatus::Suspended),
        ("OBSOLETE", TokenStatus::Obsolete),
        ("DELETED", TokenStatus::Deleted),
        ("BLOCKED", TokenStatus::Other("BLOCKED".to_owned())),
        ("Active", TokenStatus::Other("Active".to_owned())),
    ] {
        assert_eq!(get(&[with("status", json!(word))]).unwrap().status, status);
    }
    let long = "<A>\n".repeat(200);
    let reading = get(&[with("status", json!(long))]).unwrap();
    assert_eq!(reading.status, TokenStatus::Other("A".repeat(64)));
    let set = "status_words = { BLOCKED = \"SUSPENDED\" }";
    let (client, _bank) = bank(&[with("status", json!("BLOCKED"))], set);
    let reading = client.get_token(&token()).unwrap();
    assert_eq!(reading.status, TokenStatus::Suspended);
}

#[test]
fn an_answer_about_one_token_must_hold_that_token_and_no_other() {
    for entries in [
        vec![listed("other")],
        vec![listed(TOKEN), listed("other")],
        vec![listed("other"), listed(TOKEN)],
        vec![listed(TOKEN), listed(TOKEN)],
    ] {
        assert_retry(get(&entries), "other-token");
    }
    let failure = get(&[]).err().unwrap();
    assert_eq!(failure.class, FailureClass::NotThere);
    assert_eq!(failure.reason, "not-found");
    assert_eq!(failure.status, Some(200));
}

#[test]
fn a_list_holds_the_tokens_of_the_customer_asked_about_and_of_nobody_else() {
    let tokens = list(&[listed(TOKEN), listed("other")]).unwrap();
    let tokens: Vec<&str> = tokens.iter().map(|read| read.token.expose()).collect();
    assert_eq!(tokens, [TOKEN, "other"]);
    assert!(list(&[]).unwrap().is_empty());
    for customer in [json!("customer-1"), json!(null), json!(17), json!("")] {
        let entries = [listed("other"), with("customerId", customer)];
        assert_retry(list(&entries), "other-customer");
    }
}

#[test]
fn an_entry_that_is_misshapen_spoils_the_whole_answer() {
    for entry in [
        json!({}),
        json!("x"),
        json!(null),
        with("token", json!(null)),
        with("token", json!("")),
        with("token", json!(7)),
        with("token", json!("x".repeat(256))),
        with("status", json!(null)),
        with("status", json!(1)),
    ] {
        assert_retry(get(std::slice::from_ref(&entry)), "wrong-schema");
        assert_retry(list(&[listed(TOKEN), entry]), "wrong-schema");
    }
    for result in [json!(null), json!({}), listed(TOKEN)] {
        let body = signed(&json!({ "result": result }));
        let (client, _bank) = answered(http("200", &body), "");
        assert_retry(client.get_token(&token()), "wrong-schema");
    }
}
