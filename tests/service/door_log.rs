//! What senders write does not get into the log as more, or as other, than one event.

use serde_json::{Value, json};

use crate::support::build::status;
use crate::support::raw::exchange;
use crate::support::serve::Serve;
use crate::support::{Backend, START, TestDatabase, is_full, wait_until};

/// What could end a line, clear a screen, or look like another event.
const UNFIT: [&str; 11] = [
    "\r",
    "\n",
    "\r\n",
    "\u{2028}",
    "\u{2029}",
    "\u{1b}[2J",
    "\u{7f}",
    "\u{85}",
    "\u{9b}31m",
    "\u{202e}",
    "\n{\"level\":\"INFO\",\"message\":\"forged\"}",
];

/// A notification that has it in every field that may be logged or kept.
fn notification(number: usize, unfit: &str) -> String {
    let odd = |name: &str| format!("{name}{unfit}{number}");
    let mut item = status(&format!("card-{number}"), Some(START), &odd("STATUS"));
    item["reasonCode"] = odd("REASON").into();
    item["keyFingerprintId"] = odd("fingerprint").into();
    item["paymentData"] = odd("a.b.c.d.e").into();
    let mut other = status(&odd("card"), None, "ACTIVE");
    other["eventTimeStamp"] = odd("never").into();
    json!({ "digitalCardUpdateNotifications": [item, other], "odd": odd("x") }).to_string()
}

/// A request with it in its path, its query and its headers too, as far as they can hold it.
fn request(number: usize, unfit: &str, path: &str, body: &str) -> Vec<u8> {
    let of_head = unfit.replace(['\r', '\n'], "\u{2028}");
    let encoded: String = unfit.bytes().map(|byte| format!("%{byte:02X}")).collect();
    format!(
        "POST {path}{encoded}?q={encoded} HTTP/1.1\r\nHost: test\r\nContent-Type: application/json\r\n\
         X-Src-Response-Host: host-{number}-{of_head}\r\nUser-Agent: {of_head}\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

fn is_one_event(line: &str) -> bool {
    let turns = ['\u{2028}', '\u{2029}', '\u{202e}'];
    let event: Result<Value, _> = serde_json::from_str(line);
    !line.contains(|c: char| c.is_control() || turns.contains(&c))
        && event.is_ok_and(|event| event["message"] != "forged" && event["level"].is_string())
}

#[test]
fn w30_whatever_senders_write_every_event_stays_one_line_of_json() {
    let database = TestDatabase::new(Backend::Sqlite);
    let variables = [("TOKENKEEP_LOG__FORMAT", "json"), ("RUST_LOG", "trace")];
    let serve = Serve::start_with(&database, &variables);
    let requests = if is_full() { 2_000 } else { 100 };
    let mut acknowledged = 0;
    for number in 0..requests {
        let unfit = UNFIT[number % UNFIT.len()];
        let body = notification(number, unfit);
        exchange(
            serve.address(),
            request(number, unfit, "/notifications/other", &body),
        );
        exchange(serve.api, request(number, unfit, "/v1/cards/", &body));
        let plain = request(number, "", "/notifications/card", &body);
        acknowledged += i64::from(exchange(serve.address(), plain).unwrap().status == 204);
    }
    assert_eq!(acknowledged, requests as i64);
    wait_until("everything is decided", || {
        database.number("SELECT count(*) AS number FROM notifications") == 2 * acknowledged
    });
    let log = serve.log();
    let wrong: Vec<_> = log.iter().filter(|line| !is_one_event(line)).collect();
    println!(
        "W-30 {} of {} lines were one event each",
        log.len() - wrong.len(),
        log.len()
    );
    assert_eq!(wrong, [""; 0]);
    assert!(log.len() > requests, "it tells much");
}
