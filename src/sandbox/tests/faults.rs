//! Answers that travel badly, and other answers in place of the true one.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::TcpStream;

use super::*;

/// A call that needs no signature; what follows ends its head.
pub const CALL: &str = "GET /keys/mcs/payloadVerification HTTP/1.1\r\nHost: test\r\n";
pub const LAST: &str = "Connection: close\r\n\r\n";

/// Asks for the verification keys on a connection of its own.
pub fn ask(merchant: &Merchant) -> TcpStream {
    let mut stream = TcpStream::connect(merchant.sandbox.address()).unwrap();
    stream.write_all([CALL, LAST].concat().as_bytes()).unwrap();
    stream
}

/// What comes until the connection ends, for a time, and no more than so many bytes.
pub fn read(stream: &mut TcpStream, time: Duration, most: usize) -> (Vec<u8>, Option<ErrorKind>) {
    let deadline = Instant::now() + time;
    let mut bytes = Vec::new();
    while bytes.len() < most {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return (bytes, Some(ErrorKind::TimedOut));
        }
        stream.set_read_timeout(Some(left)).unwrap();
        let mut chunk = [0; 65536];
        match stream.read(&mut chunk) {
            Ok(0) => return (bytes, None),
            Ok(length) => bytes.extend_from_slice(&chunk[..length]),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                return (bytes, Some(ErrorKind::TimedOut));
            }
            Err(error) => return (bytes, Some(error.kind())),
        }
    }
    (bytes, None)
}

/// What a fault makes of the answer within two seconds, up to 2 MB of it.
fn spoilt(merchant: &Merchant, fault: Fault) -> (String, Option<ErrorKind>) {
    merchant
        .sandbox
        .answer_next(Operation::VerificationKeys, fault);
    let mut stream = ask(merchant);
    let (bytes, end) = read(&mut stream, Duration::from_secs(2), 2_000_000);
    (String::from_utf8_lossy(&bytes).into_owned(), end)
}

fn last_status(merchant: &Merchant) -> Option<u16> {
    merchant.sandbox.calls().pop().unwrap().status
}

pub const TIMED_OUT: Option<ErrorKind> = Some(ErrorKind::TimedOut);

#[test]
fn a_hanging_answer_never_comes_and_a_reset_connection_is_reset() {
    let merchant = Merchant::new();
    assert_eq!(spoilt(&merchant, Fault::Hang), (String::new(), TIMED_OUT));
    assert_eq!(last_status(&merchant), None);
    for fault in [Fault::Reset, Fault::AnswerLost] {
        let (text, end) = spoilt(&merchant, fault);
        assert_eq!((text.as_str(), end), ("", Some(ErrorKind::ConnectionReset)));
        assert_eq!(last_status(&merchant), None);
    }
}

#[test]
fn what_is_lost_on_the_way_back_is_done_and_what_is_reset_is_not() {
    let merchant = Merchant::new();
    let path = format!("/cards/{CARD}?{}", ids());
    let url = merchant.url(&path);
    let delete = |fault| {
        merchant.sandbox.answer_next(Operation::DeleteCard, fault);
        let header = merchant.authorization("DELETE", &url, "");
        assert!(merchant.send("DELETE", &url, &header, "").is_err());
    };
    delete(Fault::Reset);
    assert!(merchant.sandbox.card(CARD).is_some());
    delete(Fault::AnswerLost);
    assert!(merchant.sandbox.card(CARD).is_none());
    assert_eq!(merchant.delete_card().status, 404);
    assert_eq!(merchant.sandbox.count(Operation::DeleteCard, Some(CARD)), 3);
}

#[test]
fn slow_answers_come_a_byte_a_second() {
    let merchant = Merchant::new();
    let (text, end) = spoilt(&merchant, Fault::SlowHead);
    assert!(
        (1..=4).contains(&text.len()) && "HTTP/1.1".starts_with(&text),
        "{text}"
    );
    assert_eq!(end, TIMED_OUT);
    let (text, end) = spoilt(&merchant, Fault::SlowBody);
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    assert!(head.contains("Content-Length: ") && (1..=4).contains(&body.len()));
    assert_eq!(end, TIMED_OUT);
}

#[test]
fn a_short_body_is_shorter_than_its_length_says() {
    let merchant = Merchant::new();
    let (text, end) = spoilt(&merchant, Fault::ShortBody);
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    let length = head.split("Content-Length: ").nth(1).unwrap();
    let length: usize = length.split("\r\n").next().unwrap().parse().unwrap();
    assert_eq!((body.len(), end), (length / 2, None));
}

#[test]
fn http_1_0_ends_its_body_by_closing() {
    let merchant = Merchant::new();
    let (text, end) = spoilt(&merchant, Fault::Http10);
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.0 200 OK\r\n") && !head.contains("Content-Length"));
    assert_eq!((body, end), (super::super::keys::JWKS, None));
}

#[test]
fn a_huge_header_has_a_megabyte() {
    let merchant = Merchant::new();
    let (text, _) = spoilt(&merchant, Fault::HugeHeader);
    assert!(text.split_once("\r\n\r\n").unwrap().0.len() > 1024 * 1024);
}

#[test]
fn floods_have_no_end() {
    let merchant = Merchant::new();
    let (text, _) = spoilt(&merchant, Fault::InformationalFlood);
    let hundred = "HTTP/1.1 100 Continue\r\n\r\n";
    assert!(text.len() >= 2_000_000 && text.starts_with(&hundred.repeat(1000)));
    let (text, _) = spoilt(&merchant, Fault::EndlessChunks);
    assert!(text.len() >= 2_000_000 && text.contains("Transfer-Encoding: chunked\r\n"));
    assert!(text.contains("\r\n\r\n10000\r\n"));
}

#[test]
fn a_huge_body_has_a_hundred_megabytes() {
    let merchant = Merchant::new();
    let fault = Fault::HugeBody;
    merchant
        .sandbox
        .answer_next(Operation::VerificationKeys, fault);
    let mut stream = ask(&merchant);
    let (bytes, end) = read(&mut stream, Duration::from_secs(20), usize::MAX);
    assert_eq!(end, TIMED_OUT.filter(|_| false));
    assert!(bytes.len() > 100 * 1024 * 1024);
}

#[test]
fn a_gzip_bomb_says_that_it_is_gzip() {
    let merchant = Merchant::new();
    let (text, _) = spoilt(&merchant, Fault::GzipBomb);
    let (head, _) = text.split_once("\r\n\r\n").unwrap();
    assert!(head.contains("Content-Encoding: gzip"), "{head}");
    assert!(head.contains("Content-Length: 973700"), "{head}");
}

#[test]
fn other_answers_have_the_status_and_shape_that_was_asked_for() {
    let merchant = Merchant::new();
    let answered = |fault: Fault| {
        merchant.sandbox.answer_next(Operation::DeleteCard, fault);
        merchant.delete_card()
    };
    let html = answered(Fault::Html);
    assert!(html.status == 200 && html.text.starts_with("<!DOCTYPE html>"));
    for status in [200, 201, 202, 204] {
        let empty = answered(Fault::Empty(status));
        assert_eq!((empty.status, empty.text.as_str()), (status, ""));
    }
    assert!(json::parse(answered(Fault::BadJson).text.as_bytes()).is_err());
    assert!(answered(Fault::WrongSchema).json()["checkoutResponseJWS"].is_object());
    for status in [400, 401, 403, 404, 409, 410, 422, 429, 500, 502, 503, 504] {
        let service = answered(Fault::service_error(status));
        assert_eq!(service.refusal().0, status);
        let gateway = answered(Fault::gateway_error(status, true));
        assert_eq!(gateway.json()["Errors"]["Error"][0]["Recoverable"], true);
        assert_eq!(gateway.status, status);
    }
    let detailed = answered(Fault::Error {
        status: 403,
        shape: ErrorShape::Service {
            detail: Some("INVALID_VALUE"),
        },
        retry_after: None,
    });
    assert_eq!(detailed.refusal().2, "INVALID_VALUE");
    assert!(merchant.sandbox.card(CARD).is_some());
}

#[test]
fn a_redirect_and_a_retry_after_are_in_the_head() {
    let merchant = Merchant::new();
    for status in [301, 302, 307, 308] {
        let location = "http://127.0.0.1:1/elsewhere".to_owned();
        let (text, _) = spoilt(&merchant, Fault::Redirect { status, location });
        assert!(text.starts_with(&format!("HTTP/1.1 {status} ")), "{text}");
        assert!(text.contains("\r\nLocation: http://127.0.0.1:1/elsewhere\r\n"));
    }
    for value in ["120", "1000000000", "-1", "Wed, 21 Oct 2026 07:28:00 GMT"] {
        let fault = Fault::Error {
            status: 429,
            shape: ErrorShape::Gateway { recoverable: true },
            retry_after: Some(value.to_owned()),
        };
        let (text, _) = spoilt(&merchant, fault);
        assert!(
            text.contains(&format!("\r\nRetry-After: {value}\r\n")),
            "{text}"
        );
    }
}

#[test]
fn a_standing_fault_lasts_until_it_is_taken_away_and_a_planned_one_goes_first() {
    let merchant = Merchant::new();
    let operation = Operation::GetCard;
    merchant
        .sandbox
        .set_fault(operation, Some(Fault::service_error(503)));
    merchant
        .sandbox
        .answer_next(operation, Fault::service_error(500));
    let statuses = [(); 3].map(|()| merchant.get_card("").status);
    assert_eq!(statuses, [500, 503, 503]);
    assert_eq!(merchant.checkout().status, 200);
    merchant.sandbox.set_fault(operation, None);
    assert_eq!(merchant.get_card("").status, 200);
}
