//! How inputs are made: JSON in the names of the wire, and known texts with changes in them.

use proptest::prelude::*;
use proptest::sample::{Index, select};
use serde_json::{Map, Value, json};

/// So many cases, and no file for those that failed: one that matters becomes a test of its own.
pub fn cases(count: u32) -> ProptestConfig {
    ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::with_cases(count)
    }
}

/// A number whose check digit fits, which nobody has.
pub const NUMBER: &str = "5480983162311596";

/// Every name that is looked for somewhere.
const NAMES: [&str; 44] = [
    "digitalCardUpdateNotifications",
    "encryptedDigitalCardUpdateNotifications",
    "maskedCard",
    "reasonCode",
    "paymentData",
    "keyFingerprintId",
    "eventTimeStamp",
    "eventTimestamp",
    "eventId",
    "srcDigitalCardId",
    "digitalCardData",
    "status",
    "panLastFour",
    "tokenLastFour",
    "serviceId",
    "maskedBillingAddress",
    "isCoBranded",
    "token",
    "paymentToken",
    "tokenExpirationMonth",
    "tokenExpirationYear",
    "dynamicData",
    "dynamicDataValue",
    "dynamicDataType",
    "dynamicDataExpiration",
    "checkoutResponseJWS",
    "encryptedPaymentData",
    "encryptedData",
    "transactions",
    "Errors",
    "Error",
    "ReasonCode",
    "Recoverable",
    "value",
    "reason",
    "errordetail",
    "details",
    "msgCode",
    "msgType",
    "result",
    "tokenUpdated",
    "tokenNumber",
    "tokenStatus",
    "tokenExpiryDate",
];

/// Values that mean something somewhere, and numbers in the forms in which they are written.
fn value() -> impl Strategy<Value = Value> {
    let known = vec![
        json!("9ajNArkAR66zqYyHCn0rCA000000000000US"),
        json!("ACTIVE"),
        json!("SUSPENDED"),
        json!("TOKEN_REFRESH"),
        json!("INVALID_VALUE"),
        json!("1784541600000"),
        json!(1_784_541_600_000_i64),
        json!("2026-07-20T10:00:00Z"),
        json!("12"),
        json!("2031"),
        json!(12),
        json!(2031),
        json!(NUMBER),
        json!(5_480_983_162_311_596_i64),
        json!("5480 9831 6231 1596"),
        json!("5480-9831-6231-1596"),
        json!("5480_9831_6231_1596"),
        json!(format!("TOKEN_{NUMBER}_GONE")),
        json!(format!("token {NUMBER} was refused")),
        json!("-s9UCfCNN0YMk4ZOyZX8pWAt"),
        json!("customer-17"),
        json!("ERROR"),
        json!("AAABBBCCCDDDEEEFFF0001112223=="),
        json!("CARD_APPLICATION_CRYPTOGRAM_SHORT_FORM"),
    ];
    prop_oneof![
        6 => select(known),
        1 => any::<String>().prop_map(Value::from),
        1 => any::<i64>().prop_map(Value::from),
        1 => any::<f64>().prop_map(|number| json!(number)),
        1 => any::<bool>().prop_map(Value::from),
        1 => Just(Value::Null),
    ]
}

fn name() -> impl Strategy<Value = String> {
    prop_oneof![
        12 => select(&NAMES[..]).prop_map(str::to_owned),
        1 => any::<String>(),
    ]
}

/// Any JSON, mostly of names and values that are known.
pub fn json_value() -> impl Strategy<Value = Value> {
    value().prop_recursive(5, 48, 6, |inner| {
        prop_oneof![
            1 => prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            4 => prop::collection::btree_map(name(), inner, 0..6)
                .prop_map(|fields| Value::Object(Map::from_iter(fields))),
        ]
    })
}

/// A change of a text: some bytes go, others stand in their place.
fn change() -> impl Strategy<Value = (Index, usize, Vec<u8>)> {
    let short = prop::collection::vec(any::<u8>(), 0..4);
    let telling = select(vec![
        &b"."[..],
        b"=",
        b"\"",
        b"{",
        b"}",
        b"[",
        b"null",
        b"0",
        b"\\u0000",
        b"\n",
    ]);
    let inserted = prop_oneof![short, telling.prop_map(<[u8]>::to_vec)];
    (any::<Index>(), 0..4_usize, inserted)
}

/// One of these texts with some changes.
pub fn changed(texts: Vec<Vec<u8>>) -> impl Strategy<Value = Vec<u8>> {
    let changes = prop::collection::vec(change(), 0..4);
    (select(texts), changes).prop_map(|(mut text, changes)| {
        for (place, length, inserted) in changes {
            let start = place.index(text.len() + 1);
            let end = (start + length).min(text.len());
            text.splice(start..end, inserted);
        }
        text
    })
}

/// Bytes, JSON, and changed texts of these.
pub fn input(texts: Vec<Vec<u8>>) -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        1 => prop::collection::vec(any::<u8>(), 0..300),
        4 => json_value().prop_map(|value| value.to_string().into_bytes()),
        4 => changed(texts),
    ]
}
