//! The forms of an error, as Mastercard documents them and as its samples have them.

use rstest::rstest;
use serde_json::{Value, json};

use crate::mastercard::ErrorBody;

fn parsed(body: &Value) -> ErrorBody {
    ErrorBody::parse(body.to_string().as_bytes())
}

fn expected(status: Option<u16>, reason: &str, detail: Option<&str>) -> ErrorBody {
    ErrorBody {
        status,
        reason: Some(reason.to_owned()),
        detail: detail.map(str::to_owned),
        recoverable: None,
    }
}

fn service(details_name: &str, details: &Value) -> Value {
    json!({
        "status": 403, "reason": "PERMISSION_DENIED", "message": "Access is denied.",
        details_name: details,
    })
}

#[test]
fn the_services_error_gives_its_reason_and_the_first_details() {
    let detail = json!({
        "reason": "INVALID_VALUE", "message": "x", "source": "srcDpaId", "sourceType": "BODY",
    });
    let both = expected(Some(403), "PERMISSION_DENIED", Some("INVALID_VALUE"));
    let alone = expected(Some(403), "PERMISSION_DENIED", None);
    let list = json!([detail, { "reason": "EXPIRED" }]);
    for name in ["errordetail", "details"] {
        assert_eq!(parsed(&service(name, &list)), both);
        assert_eq!(parsed(&service(name, &detail)), both);
        for none in [
            Value::Null,
            json!([]),
            json!({}),
            json!("x"),
            json!([{ "reason": null }]),
        ] {
            assert_eq!(parsed(&service(name, &none)), alone, "{none}");
        }
    }
    let mut null_beside = service("details", &list);
    null_beside["errordetail"] = Value::Null;
    assert_eq!(parsed(&null_beside), both);
    assert_eq!(parsed(&json!({ "value": service("details", &list) })), both);
    assert_eq!(both.words(), "PERMISSION_DENIED/INVALID_VALUE");
    assert_eq!(alone.words(), "PERMISSION_DENIED");
}

#[test]
fn the_older_form_has_its_word_in_status_and_its_number_in_code() {
    let older = json!({
        "code": 404, "status": "NOT_FOUND", "message": "x", "details": [{ "reason": "CARD_NOT_FOUND" }],
    });
    assert_eq!(
        parsed(&older),
        expected(Some(404), "NOT_FOUND", Some("CARD_NOT_FOUND"))
    );
}

#[rstest]
#[case(json!(true), Some(true))]
#[case(json!(false), Some(false))]
#[case(json!("true"), Some(true))]
#[case(json!("False"), Some(false))]
#[case(json!("perhaps"), None)]
#[case(json!(1), None)]
#[case(Value::Null, None)]
fn the_gateways_error_gives_its_hint(#[case] hint: Value, #[case] recoverable: Option<bool>) {
    let error = json!({
        "Source": "Gateway", "ReasonCode": "LIMIT_EXCEEDED", "Description": "x",
        "Recoverable": hint, "Details": null,
    });
    let read = ErrorBody {
        reason: Some("LIMIT_EXCEEDED".to_owned()),
        recoverable,
        ..ErrorBody::default()
    };
    for errors in [
        json!([error]),
        error.clone(),
        json!([error, { "ReasonCode": "B" }]),
    ] {
        assert_eq!(parsed(&json!({ "Errors": { "Error": errors } })), read);
    }
    let wrapped = json!({ "value": { "Errors": { "Error": [error] } } });
    assert_eq!(parsed(&wrapped), read);
}

#[rstest]
#[case("")]
#[case("<html>502</html>")]
#[case("[]")]
#[case("\"UNAVAILABLE\"")]
#[case("{}")]
#[case("{\"reason\":5}")]
#[case("{\"reason\":\"A\",\"reason\":\"B\"}")]
#[case("{\"Errors\":{\"Error\":[]}}")]
fn what_is_neither_form_gives_no_word(#[case] body: &str) {
    let read = ErrorBody::parse(body.as_bytes());
    assert_eq!(read, ErrorBody::default());
    assert_eq!(read.words(), "http-error");
}

#[test]
fn only_words_are_kept_whatever_the_answer_says() {
    let long = "A".repeat(65);
    for text in [
        "5480983162311596 was refused",
        "5480983162311596",
        "TOKEN_548098316231",
        "invalid_value",
        "A B",
        "",
        "A\u{1b}[2J",
        "ÄÖ",
        &long,
    ] {
        let read = parsed(&json!({ "reason": text, "errordetail": [{ "reason": text }] }));
        assert_eq!(read.words(), "OTHER/OTHER");
        let gateway = json!({ "Errors": { "Error": [{ "ReasonCode": text }] } });
        assert_eq!(parsed(&gateway).words(), "OTHER");
    }
    for word in [
        "INVALID_RECENT-IDV_TOKEN_AUTH_DATA",
        "INVALID_DATA_FOR_VER_TYPE-22",
        &long[1..],
    ] {
        assert_eq!(parsed(&json!({ "reason": word })).words(), word);
    }
}
