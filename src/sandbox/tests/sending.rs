//! The sender: what it sends, how often, and what it gets wrong when it is told to.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::sync::mpsc::{Receiver, channel};

use super::*;

/// A receiver that answers with these statuses in turn, then with 204; and the bodies it got.
fn receiver(statuses: &'static [u16]) -> (String, Receiver<Value>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!(
        "http://{}/notifications/card",
        listener.local_addr().unwrap()
    );
    let mut statuses = statuses.iter();
    let (bodies, received) = channel();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut bytes = Vec::new();
            let body = loop {
                let mut chunk = [0; 65536];
                let length = stream.read(&mut chunk).unwrap();
                bytes.extend_from_slice(&chunk[..length]);
                let text = String::from_utf8_lossy(&bytes);
                let body = text.split_once("\r\n\r\n").map(|(_, body)| body);
                if let Some(body) = body.and_then(|body| serde_json::from_str(body).ok()) {
                    break body;
                }
            };
            let status = statuses.next().unwrap_or(&204);
            let answer =
                format!("HTTP/1.1 {status} -\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
            stream.write_all(answer.as_bytes()).unwrap();
            if bodies.send(body).is_err() {
                return;
            }
        }
    });
    (url, received)
}

fn element(body: &Value) -> &Value {
    &body["digitalCardUpdateNotifications"][0]
}

fn next(received: &Receiver<Value>) -> Value {
    received.recv_timeout(Duration::from_secs(10)).unwrap()
}

#[test]
fn a_refresh_is_sent_with_payment_data_that_opens_to_the_new_token() {
    let merchant = Merchant::new();
    let (url, received) = receiver(&[]);
    merchant.sandbox.send_to(Some(url));
    merchant
        .sandbox
        .refresh(CARD, Refresh::NumberAndExpiry)
        .unwrap();
    let body = next(&received);
    let element = element(&body);
    assert_eq!(element["reasonCode"], "TOKEN_REFRESH");
    assert_eq!(element["maskedCard"]["srcDigitalCardId"], CARD);
    let card = merchant.card();
    assert_eq!(element["eventTimeStamp"], card.changed_at.to_string());
    let plaintext = opened(&element["paymentData"]).unwrap();
    assert_eq!(
        plaintext["paymentToken"]["paymentToken"],
        card.number.expose()
    );
    wait_until("it counts", || merchant.sandbox.sent().accepted == 1);
}

#[test]
fn a_change_of_status_is_sent_without_payment_data() {
    let merchant = Merchant::new();
    let (url, received) = receiver(&[]);
    merchant.sandbox.send_to(Some(url));
    for status in [
        CardStatus::Suspended,
        CardStatus::Active,
        CardStatus::Cancelled,
    ] {
        let told = merchant.sandbox.set_status(CARD, status).unwrap();
        let body = next(&received);
        assert_eq!(body, told);
        assert!(element(&body).get("paymentData").is_none());
        let sent = &element(&body)["maskedCard"]["digitalCardData"]["status"];
        assert_eq!(sent, status.word());
    }
}

#[test]
fn nothing_is_sent_where_there_is_no_receiver() {
    let merchant = Merchant::new();
    let told = merchant.sandbox.refresh(CARD, Refresh::Number).unwrap();
    assert!(opened(&element(&told)["paymentData"]).is_some());
    let sent = merchant.sandbox.sent();
    assert_eq!((sent.accepted, sent.given_up), (0, 0));
}

#[test]
fn what_is_not_acknowledged_is_tried_three_times_more() {
    let merchant = Merchant::new();
    let (url, received) = receiver(&[503, 500, 404, 200, 500, 500, 302, 500]);
    merchant.sandbox.send_to(Some(url));
    merchant
        .sandbox
        .set_status(CARD, CardStatus::Suspended)
        .unwrap();
    let attempts = [(); 4].map(|()| next(&received));
    assert!(attempts.iter().all(|body| *body == attempts[0]));
    merchant
        .sandbox
        .set_status(CARD, CardStatus::Active)
        .unwrap();
    let attempts = [(); 4].map(|()| next(&received));
    assert!(attempts.iter().all(|body| *body == attempts[0]));
    wait_until("one is given up", || merchant.sandbox.sent().given_up == 1);
    assert_eq!(merchant.sandbox.sent().accepted, 1);
    assert!(received.recv_timeout(Duration::from_millis(50)).is_err());
}

/// What is sent when a card is refreshed forty times under these faults.
fn forty(faults: &[SendingFault], seed: u64) -> Vec<Value> {
    let merchant = Merchant::with(|settings| {
        settings.sending_faults = faults.to_vec();
        settings.seed = Some(seed);
    });
    let (url, received) = receiver(&[]);
    merchant.sandbox.send_to(Some(url));
    for _ in 0..40 {
        merchant
            .sandbox
            .refresh(CARD, Refresh::NumberAndExpiry)
            .unwrap();
    }
    let mut bodies: Vec<Value> = Vec::new();
    loop {
        // What is repeated follows at once, so a short silence after all forty is the end.
        let patience = match by_event(&bodies).len() {
            40 => Duration::from_millis(300),
            _ => Duration::from_secs(10),
        };
        let Ok(body) = received.recv_timeout(patience) else {
            return bodies;
        };
        bodies.push(element(&body).clone());
    }
}

fn times(bodies: &[Value]) -> Vec<i64> {
    let time = |body: &Value| body["eventTimeStamp"].as_str().unwrap().parse().unwrap();
    bodies.iter().map(time).collect()
}

/// How many different bodies each event came in, and how many times.
fn by_event(bodies: &[Value]) -> Vec<(usize, usize)> {
    let mut events: BTreeMap<i64, Vec<String>> = BTreeMap::new();
    for (time, body) in times(bodies).into_iter().zip(bodies) {
        events.entry(time).or_default().push(body.to_string());
    }
    let counted = events.into_values().map(|mut texts| {
        let times = texts.len();
        texts.sort();
        texts.dedup();
        (texts.len(), times)
    });
    counted.collect()
}

#[test]
fn without_faults_everything_comes_once_and_in_order() {
    let bodies = forty(&[], 1);
    assert!(times(&bodies).is_sorted());
    assert_eq!(by_event(&bodies), [(1, 1); 40]);
}

#[test]
fn duplicates_are_the_same_bytes_and_reencryptions_others() {
    let events = by_event(&forty(&[SendingFault::Duplicates], 1));
    assert_eq!(events.len(), 40);
    assert!(events.contains(&(1, 2)) && events.contains(&(1, 1)));
    assert!(events.iter().all(|(different, _)| *different == 1));

    let bodies = forty(&[SendingFault::Reencryption], 1);
    let events = by_event(&bodies);
    assert!(events.contains(&(2, 2)) && events.contains(&(1, 1)));
    assert!(
        bodies
            .iter()
            .all(|body| opened(&body["paymentData"]).is_some())
    );
}

#[test]
fn reordering_loses_nothing() {
    let bodies = forty(&[SendingFault::Reordering], 1);
    assert!(!times(&bodies).is_sorted());
    assert_eq!(by_event(&bodies), [(1, 1); 40]);
}

#[test]
fn under_a_wrong_kid_some_do_not_open() {
    let bodies = forty(&[SendingFault::WrongKid], 1);
    let opened = bodies
        .iter()
        .filter(|body| opened(&body["paymentData"]).is_some());
    assert!((1..40).contains(&opened.count()));
}

#[test]
fn the_same_seed_makes_the_same_choices() {
    let faults = [SendingFault::Duplicates, SendingFault::WrongKid];
    let shape = |seed| {
        let bodies = forty(&faults, seed);
        let last_four = |body: &Value| body["maskedCard"]["tokenLastFour"].clone();
        let opens = |body: &Value| opened(&body["paymentData"]).is_some();
        let seen = bodies.iter().map(|body| (last_four(body), opens(body)));
        seen.collect::<Vec<_>>()
    };
    assert_eq!(shape(11), shape(11));
    assert_ne!(shape(11), shape(12));
}

#[test]
fn at_a_rate_cards_change_by_themselves() {
    let (url, received) = receiver(&[]);
    let merchant = Merchant::with(|settings| {
        settings.cards = 5;
        settings.rate = Some(200);
        settings.send_to = Some(url);
    });
    let bodies: Vec<Value> = (0..100).map(|_| next(&received)).collect();
    let of = |pointer: &str| {
        let mut values: Vec<String> = bodies
            .iter()
            .map(|body| element(body).pointer(pointer).unwrap().to_string())
            .collect();
        values.sort();
        values.dedup();
        values
    };
    assert!(of("/maskedCard/srcDigitalCardId").len() >= 4);
    assert_eq!(of("/reasonCode").len(), 2);
    assert!(of("/maskedCard/digitalCardData/status").len() >= 2);
    let begun = Instant::now();
    merchant.sandbox.stop();
    assert!(begun.elapsed() < Duration::from_secs(5));
}
