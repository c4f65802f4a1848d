//! Answers of the other sides.

use proptest::prelude::*;
use serde_json::json;

use crate::checks::upstream;
use crate::generated::{NUMBER, cases, input};

/// Answers as they should be, and errors that name a number.
fn shapes() -> Vec<Vec<u8>> {
    let card = "9ajNArkAR66zqYyHCn0rCA000000000000US";
    let masked = json!({ "srcDigitalCardId": card, "digitalCardData": { "status": "ACTIVE" } });
    let flat = json!({
        "paymentToken": NUMBER, "tokenExpirationMonth": "12", "tokenExpirationYear": "2031",
    });
    let of_issuer = json!({
        "tokenNumber": "5598765432109876", "tokenStatus": "Active", "cardContractId": 70001,
        "tokenExpiryDate": "2402", "walletName": NUMBER,
    });
    let of_bank = json!({
        "token": "-s9UCfCNN0YMk4ZOyZX8pWAt", "status": "ACTIVE", "customerId": "customer-17",
        "maskedPan": NUMBER,
    });
    let shapes = [
        json!({ "maskedCard": masked, "encryptedPaymentData": "a.b.c.d.e" }),
        json!({ "transactions": [{ "id": 1, "number": NUMBER }] }),
        json!({ "srcCorrelationId": "x" }),
        json!({ "checkoutResponseJWS": "a.b.c" }),
        json!({ "token": flat, "dynamicData": {
            "dynamicDataValue": "AAABBBCCCDDDEEEFFF0001112223==",
            "dynamicDataType": "CARD_APPLICATION_CRYPTOGRAM_SHORT_FORM",
            "dynamicDataExpiration": "2026-07-25T13:44:45.385Z",
        } }),
        flat,
        of_issuer.clone(),
        json!([of_issuer]),
        json!({ "tokenUpdated": true, "token": "-s9UCfCNN0YMk4ZOyZX8pWAt" }),
        json!({ "result": [of_bank] }),
        json!({ "msgCode": NUMBER, "msgType": "ERROR" }),
        json!({ "msgCode": "5480-9831-6231-1596" }),
        json!({ "Errors": { "Error": [{ "ReasonCode": NUMBER, "Recoverable": "false" }] } }),
        json!({ "status": 400, "reason": "5480-9831-6231-1596", "errordetail": [{ "reason": NUMBER }] }),
    ];
    shapes.map(|shape| shape.to_string().into_bytes()).to_vec()
}

proptest! {
    #![proptest_config(cases(128))]

    #[test]
    fn no_answer_makes_a_client_panic_or_tell_a_number(
        call in any::<u8>(), status in any::<u8>(), body in input(shapes()),
    ) {
        upstream::check(&[&[call, status], body.as_slice()].concat());
    }
}

/// Each shape to each call, as a success and as a refusal.
#[test]
fn no_known_answer_makes_a_client_panic_or_tell_a_number() {
    for (call, status) in (0..10).flat_map(|call| [0, 2, 4].map(move |status| (call, status))) {
        for body in shapes() {
            upstream::check(&[&[call, status], body.as_slice()].concat());
        }
    }
}
