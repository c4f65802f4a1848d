//! What the answers of the Card API mean.

use std::time::Duration;

use rstest::rstest;
use serde_json::{Value, json};

use super::support::*;
use crate::domain::{Expiry, Hold, Payment, ReportedStatus, Status};
use crate::jose::encrypt;
use crate::mastercard::{CardAnswer, DeleteReason, DeleteRequest, Requestor};
use crate::upstream::{CallFailure, FailureClass};

fn delete(answer: Vec<u8>) -> Result<(), CallFailure> {
    let other = Recorder::start(move |_| answer.clone());
    let request = DeleteRequest {
        card_id: card(),
        reason: None,
        requestor: None,
        flow_id: None,
    };
    shop(&other.address(), "").client.delete_card(&request)
}

#[rstest]
#[case("200", "{\"srcCorrelationId\":\"ff97ef9b\"}")]
#[case("201", "{\"srcCorrelationId\":\"ff97ef9b\",\"more\":1}")]
#[case("204", "")]
fn a_delete_is_done_when_the_answer_says_so_in_its_documented_form(
    #[case] status: &str,
    #[case] body: &str,
) {
    assert_eq!(delete(answer(status, body)), Ok(()));
}

#[rstest]
#[case("200", "", "not-json")]
#[case("200", "<html>Welcome</html>", "not-json")]
#[case("200", "{\"srcCorrelationId\":", "not-json")]
#[case("200", "[]", "wrong-schema")]
#[case("200", "{}", "wrong-schema")]
#[case("200", "{\"srcCorrelationId\":null}", "wrong-schema")]
#[case("202", "", "not-json")]
fn a_success_in_another_form_leaves_a_delete_to_be_repeated(
    #[case] status: &str,
    #[case] body: &str,
    #[case] reason: &str,
) {
    let failure = delete(answer(status, body)).unwrap_err();
    assert_eq!(
        (failure.class, failure.reason.as_str()),
        (FailureClass::Retry, reason)
    );
    assert!(failure.may_have_arrived);
}

#[test]
fn a_card_that_is_not_there_is_told_apart_from_an_address_that_is_not() {
    let service = "{\"status\":404,\"reason\":\"NOT_FOUND\",\"message\":\"Card not found\",\"errordetail\":null}";
    for status in ["404", "410"] {
        let failure = delete(answer(status, service)).unwrap_err();
        assert_eq!(failure.class, FailureClass::NotThere);
        assert_eq!(failure.reason, "NOT_FOUND");
        let gateway =
            "{\"Errors\":{\"Error\":[{\"ReasonCode\":\"URL_NOT_FOUND\",\"Recoverable\":false}]}}";
        let failure = delete(answer(status, gateway)).unwrap_err();
        assert_eq!(failure.class, FailureClass::Refused);
        assert_eq!(failure.reason, "URL_NOT_FOUND");
    }
}

#[test]
fn a_refusal_is_told_with_mastercards_words_and_its_wish_to_wait() {
    let body = "{\"status\":503,\"reason\":\"UNAVAILABLE\",\"message\":\"later\",\
        \"errordetail\":[{\"reason\":\"NO_RESPONSE_FROM_ISSUER\"}]}";
    let failure = delete(answer("503\nRetry-After: 7", body)).unwrap_err();
    assert_eq!(
        failure,
        CallFailure {
            class: FailureClass::Retry,
            status: Some(503),
            reason: "UNAVAILABLE/NO_RESPONSE_FROM_ISSUER".to_owned(),
            retry_after: Some(Duration::from_secs(7)),
            may_have_arrived: true,
        }
    );
}

#[test]
fn every_reason_and_requestor_is_found_by_its_word() {
    for word in ["SUSPECTED_FRAUD", "ACCOUNT_CLOSED", "OTHER", "DEFAULT"] {
        assert_eq!(DeleteReason::from_word(word).unwrap().word(), word);
    }
    for word in ["CARDHOLDER", "MERCHANT", "ISSUER", "WALLET"] {
        assert_eq!(Requestor::from_word(word).unwrap().word(), word);
    }
    assert_eq!(DeleteReason::from_word("other"), None);
    assert_eq!(Requestor::from_word(""), None);
}

fn masked_card(status: &Value) -> Value {
    json!({
        "srcDigitalCardId": CARD, "panLastFour": "0747",
        "digitalCardData": { "status": status, "artUri": "https://assets.example/art.png" },
    })
}

fn get_card(more: &str, body: Value) -> Result<CardAnswer, CallFailure> {
    let other = Recorder::start(move |_| answer("200\nx-src-cx-flow-id: flow1", &body.to_string()));
    shop(&other.address(), more)
        .client
        .get_card(&card(), keyring())
}

#[test]
fn get_card_gives_status_and_masked_card() {
    for (word, status) in [
        (json!("ACTIVE"), ReportedStatus::Known(Status::Active)),
        (json!("SUSPENDED"), ReportedStatus::Known(Status::Suspended)),
        (json!("CANCELLED"), ReportedStatus::Cancelled),
        (
            json!("LOCKED"),
            ReportedStatus::Unknown("LOCKED".to_owned()),
        ),
        (Value::Null, ReportedStatus::Unknown(String::new())),
    ] {
        let body = json!({ "srcCorrelationId": "x", "maskedCard": masked_card(&word) });
        let answer = get_card("", body).ok().unwrap();
        assert_eq!(answer.status, status);
        assert_eq!(answer.masked["panLastFour"], "0747");
        assert_eq!(
            answer.masked["digitalCardData.artUri"],
            "https://assets.example/art.png"
        );
        assert!(matches!(answer.payment, Payment::Absent));
        assert_eq!(answer.flow_id.unwrap(), "flow1");
    }
}

fn token(kid: Option<&str>, plaintext: &Value) -> Value {
    let key = std::fs::read(repository("keys/payload/demo-payload-2026.pem")).unwrap();
    let text = plaintext.to_string();
    encrypt(text.as_bytes(), &key, kid, "A256GCM", 12)
        .unwrap()
        .into()
}

#[test]
fn get_card_opens_the_token_that_came_with_it() {
    let inner = json!({
        "paymentToken": "5480983162311596", "tokenExpirationMonth": "12", "tokenExpirationYear": "2031",
    });
    for plaintext in [json!({ "paymentToken": inner }), inner.clone()] {
        let body = json!({
            "maskedCard": masked_card(&json!("ACTIVE")),
            "encryptedPaymentData": token(None, &plaintext),
            "keyFingerprintId": "20260101000000-demo-payload-encryption",
        });
        let answer = get_card("get_card_token = true", body).ok().unwrap();
        let Payment::Opened(data) = answer.payment else {
            panic!("the token is not opened");
        };
        assert_eq!(data.number.expose(), "5480983162311596");
        assert_eq!(data.expiry, Expiry::parse("12", "2031"));
    }
}

#[test]
fn a_token_that_cannot_be_read_leaves_the_rest_of_get_card_standing() {
    let table = [
        (token(Some("foreign"), &json!({})), Hold::UNKNOWN_KEY),
        (
            token(None, &json!({ "paymentToken": "x" })),
            Hold::UNREADABLE,
        ),
        (json!("a.b.c"), Hold::UNREADABLE),
    ];
    for (token, hold) in table {
        let body = json!({
            "maskedCard": masked_card(&json!("SUSPENDED")), "encryptedPaymentData": token,
        });
        let answer = get_card("get_card_token = true", body).ok().unwrap();
        assert_eq!(answer.status, ReportedStatus::Known(Status::Suspended));
        assert!(matches!(answer.payment, Payment::Unreadable(found) if found == hold));
    }
}

#[rstest]
#[case(json!({ "maskedCard": { "srcDigitalCardId": "another" } }), "other-card")]
#[case(json!({ "maskedCard": {} }), "wrong-schema")]
#[case(json!({}), "wrong-schema")]
#[case(json!([]), "wrong-schema")]
fn an_answer_about_another_card_is_not_believed(#[case] body: Value, #[case] reason: &str) {
    let failure = get_card("", body).err().unwrap();
    assert_eq!(
        (failure.class, failure.reason.as_str()),
        (FailureClass::Retry, reason)
    );
}

const MAY_NOT: &str = "{\"status\":403,\"reason\":\"PERMISSION_DENIED\",\"errordetail\":[{\"reason\":\"INVALID_VALUE\"}]}";

#[test]
fn a_program_that_may_not_read_tokens_gets_the_rest_of_get_card() {
    let other = Recorder::start(|request| match request.query("tokenRequested") {
        Some(_) => answer("403", MAY_NOT),
        None => ok(&json!({ "maskedCard": masked_card(&json!("ACTIVE")) }).to_string()),
    });
    let shop = shop(
        &other.address(),
        "get_card_token = true\nkey_fingerprint_id = \"f\"",
    );
    let answer = shop.client.get_card(&card(), keyring()).ok().unwrap();
    assert_eq!(answer.status, ReportedStatus::Known(Status::Active));
    let heard = other.heard();
    assert_eq!(heard.len(), 2);
    assert_eq!(heard[1].query("keyFingerprintId"), None);
}

#[rstest]
#[case("", "INVALID_VALUE", 1)]
#[case("get_card_token = true", "EXPIRED", 1)]
#[case("get_card_token = true", "INVALID_VALUE", 2)]
fn another_403_of_get_card_denies_the_credential(
    #[case] more: &str,
    #[case] detail: &str,
    #[case] requests: usize,
) {
    let body = MAY_NOT.replace("INVALID_VALUE", detail);
    let other = Recorder::start(move |_| answer("403", &body));
    let shop = shop(&other.address(), more);
    let failure = shop.client.get_card(&card(), keyring()).err().unwrap();
    assert_eq!(failure.class, FailureClass::Denied);
    assert_eq!(failure.reason, format!("PERMISSION_DENIED/{detail}"));
    assert_eq!(other.heard().len(), requests);
}

#[test]
fn get_card_of_a_card_that_is_not_there_says_so() {
    let other = Recorder::start(|_| answer("404", "{\"status\":404,\"reason\":\"NOT_FOUND\"}"));
    let shop = shop(&other.address(), "");
    let failure = shop.client.get_card(&card(), keyring()).err().unwrap();
    assert_eq!(failure.class, FailureClass::NotThere);
}

fn transactions(answer: Vec<u8>) -> Result<Value, CallFailure> {
    let other = Recorder::start(move |_| answer.clone());
    shop(&other.address(), "")
        .client
        .transactions(&card(), None)
}

#[test]
fn transactions_come_as_they_are_but_for_full_numbers() {
    let body = json!({ "transactions": [
        {
            "recordId": "r1", "transactionType": "PURCHASE", "amount": 12.5, "merchantName": "Shop",
            "merchantType": "5411", "unexpected": { "number": "5480983162311596" },
        },
        { "recordId": "r2", "transactionType": "NEW_TYPE", "amount": 1 },
    ]});
    let list = transactions(ok(&body.to_string())).unwrap();
    let mut expected = body["transactions"].clone();
    expected[0]["unexpected"]["number"] = Value::Null;
    assert_eq!(list, expected);
    let none = transactions(ok("{\"transactions\":[]}"));
    assert_eq!(none, Ok(json!([])));
}

#[rstest]
#[case("{}", "wrong-schema")]
#[case("{\"transactions\":null}", "wrong-schema")]
#[case("{\"transactions\":{}}", "wrong-schema")]
#[case("{\"transactions\":[{},1]}", "wrong-schema")]
#[case("[]", "wrong-schema")]
#[case("", "not-json")]
fn what_is_no_list_of_transactions_is_not_handed_on(#[case] body: &str, #[case] reason: &str) {
    let failure = transactions(ok(body)).unwrap_err();
    assert_eq!(
        (failure.class, failure.reason.as_str()),
        (FailureClass::Retry, reason)
    );
}

#[test]
fn transactions_of_a_card_that_is_not_there_are_refused() {
    let body = "{\"status\":404,\"reason\":\"NOT_FOUND\",\"errordetail\":[{\"reason\":null}]}";
    let failure = transactions(answer("404", body)).unwrap_err();
    assert_eq!(failure.class, FailureClass::Refused);
    assert_eq!(failure.reason, "NOT_FOUND");
}
