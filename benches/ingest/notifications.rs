//! What is sent: statuses, made as they are needed, and refreshes, encrypted beforehand.

use std::io::Write;

use serde_json::{Value, json};
use tokenkeep::jose::encrypt;

use crate::load::Requests;
use crate::server;

const KID: &str = "demo-payload-2026";
/// The path of notifications.
pub const PATH: &str = "/notifications/card";
/// 1784541600000 and on: each notification has an event time of its own.
const FIRST_EVENT: u64 = 1_784_541_600_000;

/// A status of the card of this number: the text of one, in which only card and event time change.
pub fn status(number: usize, cards: usize) -> String {
    let event = FIRST_EVENT + number as u64;
    let card = number % cards;
    format!(
        "{{\"digitalCardUpdateNotifications\":[{{\"eventTimeStamp\":\"{event}\",\"maskedCard\":{{\
         \"srcDigitalCardId\":\"bench-card-{card:08}\",\"panBin\":\"512034\",\"panLastFour\":\"0747\",\
         \"panExpirationMonth\":\"12\",\"panExpirationYear\":\"2029\",\
         \"paymentCardDescriptor\":\"mastercard\",\"dateOfCardCreated\":\"2024-10-03T14:29:30.685Z\",\
         \"digitalCardData\":{{\"status\":\"{}\",\"descriptorName\":\"Test Bank\",\
         \"artUri\":\"https://assets.example/card-art/blue.png\"}}}}}}]}}",
        // Every other one of a card changes something.
        if (number / cards).is_multiple_of(2) {
            "ACTIVE"
        } else {
            "SUSPENDED"
        }
    )
}

/// Posts bodies.
pub fn post(body: &str, request: &mut Vec<u8>) {
    let length = body.len();
    write!(
        request,
        "POST {PATH} HTTP/1.1\r\nhost: bench\r\ncontent-type: application/json\r\n\
         content-length: {length}\r\n\r\n{body}"
    )
    .expect("a buffer takes all");
}

/// Posts these bodies by turns.
pub fn posted(write: &(dyn Fn(usize, &mut Vec<u8>) + Sync)) -> Requests<'_> {
    Requests {
        write,
        status: "204",
    }
}

/// Refreshes of so many cards, each with a number of its own.
pub fn refreshes(count: usize) -> Vec<String> {
    let key = std::fs::read(server::keys().join(format!("payload/{KID}.pem"))).expect("a demo key");
    let body = |number: usize| {
        let payment = json!({ "paymentToken": {
            "paymentToken": format!("548098{number:010}"),
            "tokenExpirationMonth": "12",
            "tokenExpirationYear": "2031",
        }});
        let token = encrypt(
            payment.to_string().as_bytes(),
            &key,
            Some(KID),
            "A128GCM",
            12,
        );
        let mut body: Value = serde_json::from_str(&status(number, count)).expect("a body");
        let element = &mut body["digitalCardUpdateNotifications"][0];
        element["reasonCode"] = "TOKEN_REFRESH".into();
        element["paymentData"] = token.expect("a JWE").into();
        body.to_string()
    };
    (0..count).map(body).collect()
}
