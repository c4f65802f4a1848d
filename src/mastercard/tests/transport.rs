//! What can go wrong between the two sides: each fault has its class, its time, and its bound.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

use openssl::asn1::Asn1Time;
use openssl::hash::MessageDigest;
use openssl::pkey::PKey;
use openssl::rsa::Rsa;
use openssl::ssl::{SslAcceptor, SslMethod};
use openssl::x509::X509;

use super::support::*;
use crate::upstream::{CallFailure, FailureClass};

/// Gets the transactions, which need no key to be understood.
fn call(address: &str) -> Result<serde_json::Value, CallFailure> {
    let shop = shop(address, "timeout = 1");
    shop.client.transactions(&card(), None)
}

fn assert_retry(outcome: Result<serde_json::Value, CallFailure>, reason: &str, arrived: bool) {
    let failure = outcome.unwrap_err();
    assert_eq!(failure.reason, reason);
    assert_eq!(failure.class, FailureClass::Retry, "{reason}");
    assert_eq!(failure.may_have_arrived, arrived, "{reason}");
}

#[test]
fn a_call_that_finds_nobody_has_not_arrived() {
    let unused = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", unused.local_addr().unwrap());
    drop(unused);
    assert_retry(call(&address), "connection-failed", false);
    assert_retry(call("http://tokenkeep.invalid"), "host-not-found", false);
}

#[test]
fn a_handshake_that_is_cut_short_has_sent_nothing() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!(
        "https://localhost:{}",
        listener.local_addr().unwrap().port()
    );
    let server = std::thread::spawn(move || drop(listener.accept()));
    let failure = call(&address).unwrap_err();
    // It ends by a reset or by an end, as it happens.
    assert_eq!(failure.class, FailureClass::Retry);
    assert!(!failure.may_have_arrived, "{failure}");
    server.join().unwrap();
}

#[test]
fn a_handshake_that_nobody_answers_is_not_waited_for_and_has_sent_nothing() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!(
        "https://localhost:{}",
        listener.local_addr().unwrap().port()
    );
    let begun = Instant::now();
    assert_retry(call(&address), "connect-timeout", false);
    assert!(begun.elapsed() < Duration::from_secs(3));
}

#[test]
fn a_certificate_that_nobody_vouches_for_ends_the_call_before_it_is_sent() {
    let key = PKey::from_rsa(Rsa::generate(2048).unwrap()).unwrap();
    let mut certificate = X509::builder().unwrap();
    certificate.set_pubkey(&key).unwrap();
    certificate
        .set_not_before(&Asn1Time::days_from_now(0).unwrap())
        .unwrap();
    certificate
        .set_not_after(&Asn1Time::days_from_now(1).unwrap())
        .unwrap();
    certificate.sign(&key, MessageDigest::sha256()).unwrap();
    let mut acceptor = SslAcceptor::mozilla_intermediate_v5(SslMethod::tls()).unwrap();
    acceptor.set_private_key(&key).unwrap();
    acceptor.set_certificate(&certificate.build()).unwrap();
    let acceptor = acceptor.build();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!(
        "https://localhost:{}",
        listener.local_addr().unwrap().port()
    );
    let server = std::thread::spawn(move || {
        let (stream, _) = listener.accept().unwrap();
        // Whatever the client says after the handshake, if it says anything.
        let mut said = Vec::new();
        if let Ok(mut stream) = acceptor.accept(stream) {
            let _ = stream.read_to_end(&mut said);
        }
        said
    });
    assert_retry(call(&address), "tls", false);
    assert!(server.join().unwrap().is_empty());
}

/// How the other side behaves once it has heard the request, and what is made of it.
fn faulty(
    reason: &str,
    serve: impl FnMut(&Heard, &mut TcpStream) -> std::io::Result<()> + Send + 'static,
) {
    let begun = Instant::now();
    let other = Recorder::serve(serve);
    assert_retry(call(&other.address()), reason, true);
    let time = begun.elapsed();
    assert!(time < Duration::from_secs(3), "{reason}: {time:?}");
}

fn wait() {
    std::thread::sleep(Duration::from_secs(2));
}

const HEAD: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n";

#[test]
fn an_answer_that_does_not_come_in_time_is_not_waited_for() {
    faulty("timeout", |_, _| {
        wait();
        Ok(())
    });
    faulty("timeout", |_, stream| slowly(stream, HEAD));
    faulty("timeout", |_, stream| {
        stream.write_all(HEAD)?;
        stream.write_all(b"content-length: 1000\r\n\r\n")?;
        slowly(stream, &[b' '; 30])
    });
    faulty("timeout", |_, stream| {
        stream.write_all(HEAD)?;
        stream.write_all(b"transfer-encoding: chunked\r\n\r\n")?;
        slowly(stream, b"1\r\n \r\n1\r\n \r\n1\r\n \r\n1\r\n \r\n")
    });
    faulty("timeout", |_, stream| {
        stream.write_all(HEAD)?;
        stream.write_all(b"\r\n{}")?;
        wait();
        Ok(())
    });
}

/// Ten bytes a second.
fn slowly(stream: &mut TcpStream, bytes: &[u8]) -> std::io::Result<()> {
    bytes.iter().try_for_each(|byte| {
        std::thread::sleep(Duration::from_millis(100));
        stream.write_all(&[*byte])
    })
}

#[test]
fn an_answer_larger_than_an_answer_can_be_is_left() {
    faulty("answer-too-large", |_, stream| {
        stream.write_all(HEAD)?;
        stream.write_all(b"content-length: 104857600\r\n\r\n")?;
        (0..1600).try_for_each(|_| stream.write_all(&[b' '; 1 << 16]))
    });
    faulty("answer-too-large", |_, stream| {
        stream.write_all(HEAD)?;
        stream.write_all(b"transfer-encoding: chunked\r\n\r\n")?;
        let chunk = [b"10000\r\n".as_slice(), &[b' '; 1 << 16], b"\r\n"].concat();
        (0..1600).try_for_each(|_| stream.write_all(&chunk))
    });
    faulty("answer-too-large", |_, stream| {
        stream.write_all(HEAD)?;
        let line = [b"x-filler: ".as_slice(), &[b'x'; 1000], b"\r\n"].concat();
        (0..1000).try_for_each(|_| stream.write_all(&line))
    });
    faulty("answer-too-large", |_, stream| {
        stream.write_all(b"HTTP/1.1 200 OK\r\nx-filler: ")?;
        (0..16).try_for_each(|_| stream.write_all(&[b'x'; 1 << 16]))
    });
}

#[test]
fn an_answer_of_the_largest_size_is_read() {
    let padding = " ".repeat((1 << 20) - 19);
    let body = format!("{{\"transactions\":[]}}{padding}");
    assert_eq!(body.len(), 1 << 20);
    let fits = Recorder::start(move |_| ok(&body[..body.len() - 1]));
    assert!(call(&fits.address()).is_ok());
}

#[test]
fn a_connection_that_breaks_leaves_it_open_whether_the_call_arrived() {
    faulty("connection-broken", |_, _| Ok(()));
    faulty("connection-broken", |_, stream| {
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-le")
    });
    faulty("connection-broken", |_, stream| {
        stream.write_all(HEAD)?;
        stream.write_all(b"content-length: 1000\r\n\r\n{\"transactions\":[]}")
    });
    faulty("connection-broken", |_, stream| {
        stream.write_all(HEAD)?;
        stream.write_all(b"transfer-encoding: chunked\r\n\r\n13\r\n{\"transactions\":[]}\r\n")
    });
}

#[test]
fn what_is_not_http_is_not_understood() {
    faulty("not-http", |_, stream| {
        stream.write_all(b"220 mail.example ESMTP\r\n\r\n")
    });
    faulty("not-http", |_, stream| {
        stream.write_all(b"HTTP/1.1 9999 X\r\n\r\n")
    });
}

#[test]
fn preliminary_answers_without_end_are_left_in_time() {
    for status in ["100 Continue", "103 Early Hints"] {
        let begun = Instant::now();
        let line = format!("HTTP/1.1 {status}\r\n\r\n");
        let other = Recorder::serve(move |_, stream| {
            (0..1_000_000).try_for_each(|_| stream.write_all(line.as_bytes()))
        });
        let failure = call(&other.address()).unwrap_err();
        // Which bound is met first depends on who is faster.
        assert!(
            ["answer-too-large", "timeout"].contains(&failure.reason.as_str()),
            "{failure}"
        );
        assert_eq!(failure.class, FailureClass::Retry);
        assert!(begun.elapsed() < Duration::from_secs(3));
    }
}

#[test]
fn an_encoded_answer_is_never_unpacked() {
    // Whatever the packed bytes are: these would be an answer by themselves.
    let packed = "{\"transactions\":[]}";
    let other = Recorder::start(|_| answer("200\ncontent-encoding: gzip", packed));
    assert_retry(call(&other.address()), "not-json", true);
    // A refusal is one whatever its body is packed in.
    let other = Recorder::start(|_| answer("403\ncontent-encoding: gzip", "x"));
    assert_eq!(
        call(&other.address()).unwrap_err().class,
        FailureClass::Denied
    );
}

#[test]
fn a_redirect_is_not_followed() {
    for status in ["301", "302", "303", "307", "308"] {
        let elsewhere = Recorder::start(|_| ok("{\"transactions\":[]}"));
        let head = format!("{status}\nlocation: {}/x", elsewhere.address());
        let other = Recorder::start(move |_| answer(&head, ""));
        let failure = call(&other.address()).unwrap_err();
        assert_eq!(failure.class, FailureClass::Retry, "{status}");
        assert_eq!(failure.status.unwrap().to_string(), status);
        assert!(elsewhere.heard().is_empty());
    }
}

#[test]
fn an_answer_in_http_1_0_is_one() {
    let other = Recorder::start(|_| b"HTTP/1.0 200 OK\r\n\r\n{\"transactions\":[]}".to_vec());
    assert!(call(&other.address()).is_ok());
}

#[test]
fn a_connection_is_used_again_only_while_it_is_open() {
    let body = "{\"transactions\":[]}";
    let kept = format!(
        "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    // Says that it stays, and goes: the next call must not fail for that.
    let other = Recorder::start(move |_| kept.clone().into_bytes());
    let shop = shop(&other.address(), "");
    for _ in 0..5 {
        assert!(shop.client.transactions(&card(), None).is_ok());
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(other.heard().len(), 5);
}
