//! The bank's errors: known by what they say, not by their HTTP status; and what each means.

use serde_json::{Value, json};

use super::support::*;
use crate::domain::TokenCommand;
use crate::upstream::FailureClass::{Denied, NotThere, Refused, Retry};
use crate::upstream::{CallFailure, FailureClass};

fn failure(head: &str, body: &str, more: &str) -> CallFailure {
    let (client, _bank) = answered(http(head, body), more);
    let outcome = client.update_state(&token(), TokenCommand::Deactivate);
    outcome.expect_err("an error is no success")
}

/// The class and reason, which are the same for the signed and the plain form.
#[track_caller]
fn assert_failure(
    (status, error): (&str, &Value),
    more: &str,
    (class, reason): (FailureClass, &str),
) {
    for body in [signed(error), error.to_string()] {
        let failure = failure(status, &body, more);
        let found = (failure.class, failure.reason.as_str());
        assert_eq!(found, (class, reason), "{status} {error}");
        assert_eq!(failure.status.unwrap().to_string(), status);
        assert!(failure.may_have_arrived);
    }
}

#[test]
fn an_error_is_one_whatever_its_status_and_its_code_decides_first() {
    for (status, code, class) in [
        ("200", "b_merchant_not_found", Refused),
        ("200", "b_invalid_request", Refused),
        ("200", "b_expired_token", Denied),
        ("200", "b_server_is_overloaded", Retry),
        ("400", "b_request_is_not_correct", Refused),
        ("400", "b_error_parse_json", Refused),
        ("400", "b_user_merchant_request_mismatch", Refused),
        ("401", "b_expired_token", Denied),
        ("401", "b_used_token", Denied),
        ("401", "b_new_word", Denied),
        ("403", "b_new_word", Denied),
        ("404", "b_service_unavailable", Retry),
        ("404", "b_new_word", Refused),
        ("408", "b_new_word", Retry),
        ("425", "b_new_word", Retry),
        ("429", "b_new_word", Retry),
        ("500", "b_unknown_error", Retry),
        ("502", "b_new_word", Retry),
        ("503", "b_server_is_overloaded", Retry),
        ("302", "b_new_word", Retry),
    ] {
        assert_failure((status, &error(code)), "", (class, code));
    }
}

#[test]
fn what_a_code_means_is_a_setting() {
    let more = "retry_codes = [\"b_a\"]\ndenied_codes = [\"b_b\"]\nnot_found_codes = [\"b_c\"]";
    for (code, class) in [("b_a", Retry), ("b_b", Denied), ("b_c", NotThere)] {
        assert_failure(("200", &error(code)), more, (class, code));
        assert_failure(("400", &error(code)), more, (class, code));
    }
    let code = "b_unknown_error";
    assert_failure(("200", &error(code)), more, (Refused, code));
}

#[test]
fn the_kind_of_a_message_or_its_code_makes_an_error() {
    let words = (Refused, "http-error");
    assert_failure(("200", &json!({ "msgType": "ERROR" })), "", words);
    let with_null = json!({ "msgType": "error", "msgCode": null });
    assert_failure(("200", &with_null), "", words);
    let code = json!({ "msgCode": "b_x" });
    assert_failure(("200", &code), "", (Refused, "b_x"));
    // A success that is an error at once is an error.
    let mut both = updated(true);
    both["msgCode"] = "b_x".into();
    assert_failure(("200", &both), "", (Refused, "b_x"));
}

#[test]
fn an_answer_without_a_word_means_what_its_status_does() {
    for (status, class) in [
        ("401", Denied),
        ("403", Denied),
        ("404", Refused),
        ("503", Retry),
    ] {
        let bodies = ["", "<html>secret words</html>", "{}", "[]", "secret words"];
        let bodies = bodies.map(str::to_owned);
        for body in bodies.into_iter().chain([signed(&json!({}))]) {
            let failure = failure(status, &body, "");
            assert_eq!(failure.class, class, "{status} {body}");
            assert_eq!(failure.reason, "http-error");
        }
    }
    // An unsigned success is none under any status.
    let plain = updated(true).to_string();
    assert_eq!(failure("500", &plain, "").reason, "http-error");
}

#[test]
fn a_wait_that_the_bank_asks_for_is_handed_on() {
    let failure = failure(
        "503\nretry-after: 17",
        &error("b_server_is_overloaded").to_string(),
        "",
    );
    assert_eq!(failure.retry_after.unwrap().as_secs(), 17);
}

#[test]
fn a_reason_is_a_plain_word_and_never_holds_the_token() {
    let long = "b".repeat(65);
    for code in [
        json!(TOKEN),
        json!(format!("b_{TOKEN}")),
        json!("no such token"),
        json!("a\nb"),
        json!(""),
        json!("é"),
        json!(long),
        json!(17),
        json!({ "token": TOKEN }),
    ] {
        let mut error = error("b_x");
        error["msgCode"] = code;
        error["msgText"] = format!("secret words about {TOKEN}").into();
        assert_failure(("400", &error), "", (Refused, "http-error"));
    }
}

#[test]
fn no_failure_says_anything_secret() {
    let text = format!("secret words {TOKEN}");
    let mut with_token = error("b_x");
    with_token["msgText"] = text.clone().into();
    with_token["msgAttrs"] = json!({ TOKEN: TOKEN });
    let other = json!({ "tokenUpdated": true, "token": "secret-other" });
    let echo = json!({ "tokenUpdated": TOKEN, "token": TOKEN });
    for body in [
        signed(&with_token),
        with_token.to_string(),
        signed(&other),
        signed(&echo),
        echo.to_string(),
        text.clone(),
        json!(text).to_string(),
    ] {
        for status in ["200", "400", "401", "500"] {
            let failure = failure(status, &body, "");
            let shown = format!("{failure} {failure:?}");
            assert!(!shown.contains(TOKEN), "{shown}");
            assert!(!shown.contains("secret"), "{shown}");
        }
    }
}
