//! Checkout: a signed answer with the token and a fresh cryptogram in it.

use super::*;

/// The body with a member changed, or removed where the value is null.
fn with(pointer: &str, value: Value) -> String {
    let mut body = checkout_body();
    let (object, name) = pointer.rsplit_once('/').unwrap();
    let object = body.pointer_mut(object).unwrap().as_object_mut().unwrap();
    match value {
        Value::Null => drop(object.remove(name)),
        value => drop(object.insert(name.to_owned(), value)),
    }
    body.to_string()
}

fn post(merchant: &Merchant, body: &str) -> Answer {
    merchant.call("POST", "/transaction/credentials", body)
}

#[test]
fn the_answer_is_signed_for_this_request_and_opens_to_the_cards_token() {
    let merchant = Merchant::new();
    let answer = merchant.checkout();
    let verified = merchant.verified(&answer);
    assert_eq!(verified.header["alg"], "RS256");
    assert_eq!(verified.header["iss"], "https://mastercard.com");
    assert_eq!(verified.header["iat"], "1784541600");
    let payload = merchant.payload(&answer);
    assert_eq!(payload["srcCorrelationId"], CORRELATION);
    assert_eq!(payload["maskedCard"]["srcDigitalCardId"], CARD);

    let card = merchant.card();
    let plaintext = opened(&payload["encryptedPayload"]).unwrap();
    assert_eq!(plaintext["token"]["paymentToken"], card.number.expose());
    assert_eq!(
        plaintext["token"]["tokenExpirationMonth"],
        card.expiry.month()
    );
    let dynamic = &plaintext["dynamicData"];
    assert_eq!(dynamic["dynamicDataExpiration"], "2026-07-25T10:00:00.000Z");
    let issued = merchant.sandbox.issued(CARD);
    assert_eq!(issued.len(), 1);
    assert_eq!(dynamic["dynamicDataValue"], issued[0].cryptogram.expose());
    assert!(issued[0].number == card.number);
}

#[test]
fn every_checkout_gives_another_cryptogram_and_every_refresh_another_number() {
    let merchant = Merchant::new();
    let dynamic = || {
        let plaintext = opened(&merchant.payload(&merchant.checkout())["encryptedPayload"]);
        let plaintext = plaintext.unwrap();
        let number = plaintext["token"]["paymentToken"].clone();
        (number, plaintext["dynamicData"]["dynamicDataValue"].clone())
    };
    let first = dynamic();
    let second = dynamic();
    assert_eq!(first.0, second.0);
    assert_ne!(first.1, second.1);
    merchant.sandbox.refresh(CARD, Refresh::Number).unwrap();
    assert_ne!(dynamic().0, first.0);
    assert_eq!(merchant.sandbox.issued(CARD).len(), 3);
}

#[test]
fn a_card_that_is_not_active_gets_nothing() {
    let merchant = Merchant::new();
    merchant
        .sandbox
        .set_status(CARD, CardStatus::Suspended)
        .unwrap();
    let (status, reason, detail) = merchant.checkout().refusal();
    assert_eq!(
        (status, reason.as_str(), detail.as_str()),
        (400, "INVALID_STATE", "INACTIVE_CARD")
    );
    merchant
        .sandbox
        .set_status(CARD, CardStatus::Active)
        .unwrap();
    assert_eq!(merchant.checkout().status, 200);
    merchant
        .sandbox
        .set_status(CARD, CardStatus::Cancelled)
        .unwrap();
    assert_eq!(merchant.checkout().status, 400);
    assert_eq!(merchant.sandbox.issued(CARD).len(), 1);
}

#[test]
fn what_is_missing_or_malformed_is_refused_with_its_name() {
    let merchant = Merchant::new();
    let options = "/dpaTransactionOptions";
    let amount = format!("{options}/transactionAmount");
    for (pointer, value, detail, source) in [
        ("/srcClientId", Value::Null, "CANNOT_BE_NULL", "srcClientId"),
        ("/srcClientId", 7.into(), "INVALID_FORMAT", "srcClientId"),
        ("/serviceId", Value::Null, "CANNOT_BE_NULL", "serviceId"),
        (
            "/srcDigitalCardId",
            Value::Null,
            "CANNOT_BE_NULL",
            "srcDigitalCardId",
        ),
        (
            "/srcDigitalCardId",
            "unknown".into(),
            "CARD_NOT_FOUND",
            "srcDigitalCardId",
        ),
        (
            "/srcCorrelationId",
            "x".into(),
            "INVALID_FORMAT",
            "srcCorrelationId",
        ),
        (
            "/payloadTypeIndicatorCheckout",
            "ALL".into(),
            "INVALID_VALUE",
            "payloadTypeIndicatorCheckout",
        ),
        (
            &format!("{amount}/transactionAmount"),
            Value::Null,
            "INVALID_VALUE",
            "transactionAmount",
        ),
        (
            &format!("{amount}/transactionAmount"),
            (-1).into(),
            "INVALID_VALUE",
            "transactionAmount",
        ),
        (
            &format!("{amount}/transactionCurrencyCode"),
            Value::Null,
            "INVALID_VALUE",
            "transactionCurrencyCode",
        ),
        (
            &format!("{options}/paymentOptions"),
            serde_json::json!([{ "dynamicDataType": "NONE" }]),
            "NOT_SUPPORTED",
            "dynamicDataType",
        ),
    ] {
        let answer = post(&merchant, &with(pointer, value));
        assert_eq!(answer.refusal().0, 400, "{pointer}: {}", answer.text);
        assert_eq!(answer.refusal().2, detail, "{pointer}");
        let error = answer.json();
        assert_eq!(error["errordetail"][0]["source"], source);
        assert_eq!(error["errordetail"][0]["sourceType"], "BODY");
    }
    for body in ["", "{", "[]", r#"{"srcClientId":"a","srcClientId":"a"}"#] {
        assert_eq!(post(&merchant, body).status, 400, "{body}");
    }
    let other = post(&merchant, &with("/serviceId", "other".into()));
    assert_eq!(other.refusal().0, 403);
    assert!(merchant.sandbox.issued(CARD).is_empty());
}

#[test]
fn a_summary_holds_no_credentials_and_a_security_code_has_three_digits() {
    let merchant = Merchant::new();
    let summary = post(
        &merchant,
        &with("/payloadTypeIndicatorCheckout", "SUMMARY".into()),
    );
    assert!(merchant.payload(&summary).get("encryptedPayload").is_none());
    let code = serde_json::json!([{ "dynamicDataType": "DYNAMIC_CARD_SECURITY_CODE" }]);
    let answer = post(
        &merchant,
        &with("/dpaTransactionOptions/paymentOptions", code),
    );
    let plaintext = opened(&merchant.payload(&answer)["encryptedPayload"]).unwrap();
    let code = plaintext["dynamicData"]["dynamicDataValue"]
        .as_str()
        .unwrap();
    assert!(code.len() == 3 && code.bytes().all(|byte| byte.is_ascii_digit()));
}

#[test]
fn calls_are_logged_with_card_and_status() {
    let merchant = Merchant::new();
    merchant.checkout();
    merchant.delete_card();
    merchant.delete_card();
    let calls = merchant.sandbox.calls();
    let seen = calls.iter().map(|call| (call.operation, call.status));
    let expected = [
        (Operation::Checkout, Some(200)),
        (Operation::DeleteCard, Some(200)),
        (Operation::DeleteCard, Some(404)),
    ];
    assert_eq!(seen.collect::<Vec<_>>(), expected);
    assert!(calls.iter().all(|call| call.at == NOW));
    assert!(
        calls
            .iter()
            .all(|call| call.card_id.as_deref() == Some(CARD))
    );
    assert!(
        calls[1]
            .path_and_query
            .contains("serviceId=SECURE_COF_MERCHANT%23START")
    );
    assert_eq!(merchant.sandbox.count(Operation::DeleteCard, Some(CARD)), 2);
    assert_eq!(
        merchant.sandbox.count(Operation::DeleteCard, Some("other")),
        0
    );
    assert_eq!(merchant.sandbox.count(Operation::Checkout, None), 1);
}
