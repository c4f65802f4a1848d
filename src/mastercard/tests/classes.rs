//! What follows from each status and hint.

use rstest::rstest;

use crate::mastercard::ErrorBody;
use crate::upstream::FailureClass::{Denied, NotThere, Refused, Retry};
use crate::upstream::{CallFailure, FailureClass};

fn failure(status: u16, recoverable: Option<bool>) -> CallFailure {
    let error = ErrorBody {
        recoverable,
        ..ErrorBody::default()
    };
    error.refusal_about_a_card(status, None)
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
        let failure = ErrorBody::default().refusal(status, None);
        assert_eq!(failure.class, Refused);
    }
}
