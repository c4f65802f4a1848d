//! Connections: several requests on one, answers that are held, and the end of them all.

use std::io::Write as _;
use std::net::TcpStream;

use super::faults::{CALL, LAST, TIMED_OUT, ask, read};
use super::*;

#[test]
fn a_held_answer_is_made_but_waits_until_it_is_released() {
    let merchant = Merchant::new();
    merchant.sandbox.hold(Operation::Checkout);
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| merchant.checkout());
        wait_until("the answer is made", || {
            merchant.sandbox.issued(CARD).len() == 1
        });
        assert_eq!(merchant.sandbox.calls()[0].status, None);
        // Others are not held, and the card changes under the answer.
        assert_eq!(merchant.get_card("").status, 200);
        let before = merchant.card().number;
        merchant.sandbox.refresh(CARD, Refresh::Number).unwrap();
        merchant.sandbox.release();
        let answer = waiting.join().unwrap();
        let plaintext = opened(&merchant.payload(&answer)["encryptedPayload"]).unwrap();
        assert_eq!(plaintext["token"]["paymentToken"], before.expose());
    });
    assert_eq!(merchant.checkout().status, 200);
}

#[test]
fn a_sandbox_stops_at_once_whatever_hangs_drips_or_is_held() {
    let merchant = Merchant::new();
    let operation = Operation::VerificationKeys;
    let mut open = Vec::new();
    for fault in [Fault::Hang, Fault::SlowHead, Fault::InformationalFlood] {
        merchant.sandbox.answer_next(operation, fault);
        open.push(ask(&merchant));
    }
    merchant.sandbox.hold(operation);
    open.push(ask(&merchant));
    wait_until("all have called", || {
        merchant.sandbox.count(operation, None) == 4
    });
    let address = merchant.sandbox.address();
    let begun = Instant::now();
    merchant.sandbox.stop();
    assert!(begun.elapsed() < Duration::from_secs(2));
    assert!(TcpStream::connect(address).is_err());
}

#[test]
fn a_connection_serves_several_requests_and_ends_when_it_is_no_http() {
    let merchant = Merchant::new();
    let mut stream = TcpStream::connect(merchant.sandbox.address()).unwrap();
    // Two at once, and the head of the second in two pieces.
    let (begin, end) = CALL.split_at(30);
    for piece in [[CALL, "\r\n", begin].concat(), [end, LAST].concat()] {
        stream.write_all(piece.as_bytes()).unwrap();
        std::thread::sleep(Duration::from_millis(50));
    }
    let (bytes, end) = read(&mut stream, Duration::from_secs(5), usize::MAX);
    let text = String::from_utf8(bytes).unwrap();
    assert_eq!((text.matches("HTTP/1.1 200 OK").count(), end), (2, None));
    for request in [
        "nonsense\r\n\r\n",
        "GET / HTTP/2\r\n\r\n",
        "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n",
        "POST / HTTP/1.1\r\nContent-Length: 10000000\r\n\r\n",
        "POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        "GET / HTTP/1.1\r\nno colon\r\n\r\n",
    ] {
        let mut stream = TcpStream::connect(merchant.sandbox.address()).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let (bytes, end) = read(&mut stream, Duration::from_secs(5), usize::MAX);
        assert!(bytes.is_empty() && end != TIMED_OUT, "{request}");
    }
    assert_eq!(merchant.get_card("").status, 200);
}
