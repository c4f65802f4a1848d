//! What an answer that is no success means, and what a failure never says.

use rstest::rstest;
use serde_json::{Value, json};

use super::support::*;
use crate::domain::TokenCommand;
use crate::mastercard::tests::support::{Recorder, answer, keyring};
use crate::upstream::FailureClass::{Denied, NotThere, Refused, Retry};
use crate::upstream::{CallFailure, FailureClass};

/// A refusal in the gateway's form.
fn error(code: &str, hint: &Value) -> Value {
    json!({ "Errors": { "Error": [{
        "Source": "Digital", "ReasonCode": code, "Recoverable": hint, "Details": null,
        "Description": format!("token {NUMBER} was refused"),
    }] } })
}

/// What a command and a read each make of an answer.
fn failures(head: &str, body: &str, more: &str) -> [CallFailure; 2] {
    let (head, body) = (head.to_owned(), body.to_owned());
    let other = Recorder::start(move |_| answer(&head, &body));
    let issuer = issuer(&other, more);
    let command = TokenCommand::Deactivate;
    let commanded = issuer.set_token_status(&contract(), Some(&number()), command, keyring());
    let read = issuer.token(&number(), keyring());
    [commanded.err().unwrap(), read.err().unwrap()]
}

#[rstest]
#[case("400", Refused, Retry, Refused)]
#[case("401", Denied, Retry, Denied)]
#[case("403", Denied, Retry, Denied)]
#[case("404", NotThere, Retry, Refused)]
#[case("405", Refused, Retry, Refused)]
#[case("410", NotThere, Retry, Refused)]
#[case("415", Refused, Retry, Refused)]
#[case("429", Retry, Retry, Retry)]
#[case("500", Retry, Retry, Refused)]
#[case("503", Retry, Retry, Refused)]
#[case("302", Retry, Retry, Refused)]
fn each_status_has_its_class(
    #[case] status: &str,
    #[case] without_hint: FailureClass,
    #[case] recoverable: FailureClass,
    #[case] not_recoverable: FailureClass,
) {
    for (hint, class) in [
        (Value::Null, without_hint),
        (json!(true), recoverable),
        (json!("false"), not_recoverable),
    ] {
        for failure in failures(status, &error("SOME_CODE", &hint).to_string(), "") {
            assert_eq!(
                (failure.class, failure.reason.as_str()),
                (class, "SOME_CODE")
            );
            assert_eq!(failure.status.unwrap().to_string(), status);
        }
    }
    for failure in failures(status, "", "") {
        assert_eq!(
            (failure.class, failure.reason.as_str()),
            (without_hint, "http-error")
        );
    }
}

#[rstest]
#[case("400", "TOKEN_NOT_FOUND", NotThere)]
#[case("409", "token.not.found", NotThere)]
#[case("422", "90001", NotThere)]
#[case("400", "OTHER_CODE", Refused)]
#[case("500", "TOKEN_NOT_FOUND", Refused)]
fn a_token_that_is_not_there_is_known_by_its_code_at_any_refusal(
    #[case] status: &str,
    #[case] code: &str,
    #[case] class: FailureClass,
) {
    let more = "not_found_codes = [\"TOKEN_NOT_FOUND\", \"token.not.found\", \"90001\"]";
    for failure in failures(status, &error(code, &json!(false)).to_string(), more) {
        assert_eq!(failure.class, class);
    }
}

#[test]
fn the_statuses_of_a_token_that_is_not_there_can_be_set() {
    let more = "not_found_statuses = [400]";
    for (status, class) in [("400", NotThere), ("404", Refused)] {
        for failure in failures(status, "{}", more) {
            assert_eq!(failure.class, class);
        }
    }
}

#[test]
fn an_encrypted_error_is_opened_and_of_one_that_does_not_open_the_status_speaks() {
    let body = sealed(&error("TOKEN_NOT_FOUND", &json!(false)), "encryptedData");
    let more = "not_found_codes = [\"TOKEN_NOT_FOUND\"]";
    for failure in failures("400", &body, more) {
        let said = (failure.class, failure.reason.as_str());
        assert_eq!(said, (NotThere, "TOKEN_NOT_FOUND"));
    }
    for failure in failures("400", "{\"encryptedData\":\"x\"}", more) {
        let said = (failure.class, failure.reason.as_str());
        assert_eq!(said, (Refused, "http-error"));
    }
}

#[rstest]
#[case("200", "{}")]
#[case("200", "")]
#[case("202", "")]
fn a_command_is_done_by_204_and_nothing_else(#[case] status: &str, #[case] body: &str) {
    let [commanded, _] = failures(status, body, "");
    assert_eq!(commanded.reason, "unexpected-success");
    assert_eq!(commanded.class, Retry);
    assert!(commanded.may_have_arrived);
}

#[test]
fn a_wait_that_is_asked_for_is_passed_on() {
    for failure in failures("503\nretry-after: 7", "", "") {
        assert_eq!(failure.retry_after.unwrap().as_secs(), 7);
    }
}

#[test]
fn no_failure_names_the_token() {
    let bodies = [
        error(NUMBER, &json!(false)),
        json!({ "reason": NUMBER, "message": NUMBER, "errordetail": [{ "reason": NUMBER }] }),
        json!({ "tokenNumber": NUMBER }),
    ];
    for body in bodies {
        for status in ["200", "400", "404", "500"] {
            for failure in failures(status, &body.to_string(), "") {
                let told = format!("{failure} {failure:?}");
                assert!(!told.contains(NUMBER), "{told}");
            }
        }
    }
    let unheard = made(
        &key_folder(),
        &settings("http://tokenkeep.invalid", "timeout = 1"),
    );
    let failure = unheard.unwrap().token(&number(), keyring()).err().unwrap();
    assert!(!format!("{failure:?}").contains(NUMBER));
    assert!(!failure.may_have_arrived);
}
