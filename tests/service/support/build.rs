//! Builds notifications as Mastercard would send them.

use serde_json::{Value, json};
use tokenkeep::jose::encrypt;

pub const CARD: &str = "9ajNArkAR66zqYyHCn0rCA000000000000US";
pub const KID: &str = "demo-payload-2026";

/// Token numbers; none passes the check digit, none is anybody's.
pub const NUMBER_1: &str = "5480980000000011";
pub const NUMBER_2: &str = "5480980000000022";

/// A status notification. Without a time it is untimed.
pub fn status(card: &str, time: Option<i64>, status: &str) -> Value {
    let mut element = json!({
        "reasonCode": "STATUS_UPDATE",
        "maskedCard": {
            "srcDigitalCardId": card,
            "panLastFour": "0747",
            "digitalCardData": { "status": status, "descriptorName": "Test Bank" },
        },
    });
    if let Some(time) = time {
        element["eventTimeStamp"] = time.to_string().into();
    }
    element
}

/// A TOKEN_REFRESH with its payment data encrypted for the demonstration key.
pub fn refresh(card: &str, time: i64, number: &str, (month, year): (&str, &str)) -> Value {
    refresh_with(card, time, &payment_jwe(number, (month, year)))
}

/// A TOKEN_REFRESH with this `paymentData`.
pub fn refresh_with(card: &str, time: i64, payment_data: &str) -> Value {
    let mut element = status(card, Some(time), "ACTIVE");
    element["reasonCode"] = "TOKEN_REFRESH".into();
    element["paymentData"] = payment_data.into();
    element
}

pub fn payment_jwe(number: &str, (month, year): (&str, &str)) -> String {
    let plaintext = json!({ "paymentToken": {
        "paymentToken": number,
        "tokenExpirationMonth": month,
        "tokenExpirationYear": year,
    }});
    jwe(&plaintext)
}

/// Encrypts for the demonstration key, each time anew.
pub fn jwe(plaintext: &Value) -> String {
    let key = std::fs::read(super::keys().join("payload").join(format!("{KID}.pem"))).unwrap();
    encrypt(
        plaintext.to_string().as_bytes(),
        &key,
        Some(KID),
        "A128GCM",
        12,
    )
    .unwrap()
}

/// A plain body.
pub fn plain(elements: &[Value]) -> Value {
    json!({ "digitalCardUpdateNotifications": elements })
}

/// A fully encrypted body.
pub fn encrypted(list: &Value) -> Value {
    json!({ "encryptedDigitalCardUpdateNotifications": jwe(list) })
}
