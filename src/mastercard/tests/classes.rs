//! What follows from each status, hint and header.

use std::time::Duration;

use rstest::rstest;

use super::support::NOW;
use crate::mastercard::FailureClass::{Denied, NotThere, Refused, Retry};
use crate::mastercard::failure::retry_after;
use crate::mastercard::{CallFailure, ErrorBody, FailureClass};

fn failure(status: u16, recoverable: Option<bool>) -> CallFailure {
    let error = ErrorBody {
        recoverable,
        ..ErrorBody::default()
    };
    CallFailure::refused(status, &error, None).about_a_card(&error)
}

/// Status; the class without a hint of the gateway, with `Recoverable: true`, and with `false`.
#[rstest]
#[case(100, Retry, Retry, Refused)]
#[case(301, Retry, Retry, Refused)]
#[case(302, Retry, Retry, Refused)]
#[case(307, Retry, Retry, Refused)]
#[case(308, Retry, Retry, Refused)]
#[case(400, Refused, Retry, Refused)]
#[case(401, Denied, Retry, Denied)]
#[case(402, Refused, Retry, Refused)]
#[case(403, Denied, Retry, Denied)]
#[case(404, NotThere, Retry, Refused)]
#[case(405, Refused, Retry, Refused)]
#[case(408, Retry, Retry, Retry)]
#[case(409, Refused, Retry, Refused)]
#[case(410, NotThere, Retry, Refused)]
#[case(413, Refused, Retry, Refused)]
#[case(415, Refused, Retry, Refused)]
#[case(422, Refused, Retry, Refused)]
#[case(425, Retry, Retry, Retry)]
#[case(429, Retry, Retry, Retry)]
#[case(499, Refused, Retry, Refused)]
#[case(500, Retry, Retry, Refused)]
#[case(501, Retry, Retry, Refused)]
#[case(502, Retry, Retry, Refused)]
#[case(503, Retry, Retry, Refused)]
#[case(504, Retry, Retry, Refused)]
#[case(599, Retry, Retry, Refused)]
fn each_status_has_its_class(
    #[case] status: u16,
    #[case] without_hint: FailureClass,
    #[case] recoverable: FailureClass,
    #[case] not_recoverable: FailureClass,
) {
    assert_eq!(failure(status, None).class, without_hint);
    assert_eq!(failure(status, Some(true)).class, recoverable);
    assert_eq!(failure(status, Some(false)).class, not_recoverable);
    let failure = failure(status, None);
    assert_eq!(failure.status, Some(status));
    assert!(failure.may_have_arrived);
}

#[test]
fn not_finding_a_card_is_an_answer_only_to_a_call_about_a_card() {
    for status in [404, 410] {
        let failure = CallFailure::refused(status, &ErrorBody::default(), None);
        assert_eq!(failure.class, Refused);
    }
}

#[rstest]
#[case("1", Some(1))]
#[case(" 120 ", Some(120))]
#[case("3600", Some(3600))]
#[case("3601", Some(3600))]
#[case("1000000000", Some(3600))]
#[case("99999999999999999999999999", Some(3600))]
#[case("0", None)]
#[case("-5", None)]
#[case("+5", None)]
#[case("1.5", None)]
#[case("", None)]
#[case("soon", None)]
#[case("Mon, 20 Jul 2026 10:02:00 GMT", Some(120))]
#[case("Mon, 20 Jul 2026 09:59:59 GMT", None)]
#[case("Mon, 20 Jul 2026 10:00:00 GMT", None)]
#[case("Wed, 01 Jan 2053 00:00:00 GMT", Some(3600))]
#[case("Mon, 20 Jul 2026 25:00:00 GMT", None)]
fn retry_after_is_seconds_or_a_date_and_an_hour_at_most(
    #[case] value: &str,
    #[case] seconds: Option<u64>,
) {
    assert_eq!(retry_after(value, NOW), seconds.map(Duration::from_secs));
}
