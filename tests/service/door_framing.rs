//! Requests that two readers could take for different ones: refused, and their connections closed.

use std::time::Duration;

use crate::door_limits::impatient;
use crate::door_paths::handler_hits;
use crate::support::build::{CARD, plain, status};
use crate::support::raw::{Connection, exchange, head};
use crate::support::{App, Backend, START};

const PATH: &str = "/notifications/card";
const JSON: &str = "Content-Type: application/json\r\n";

fn body() -> String {
    plain(&[status(CARD, Some(START), "ACTIVE")]).to_string()
}

fn good() -> String {
    head(PATH, body().len()) + &body()
}

/// A good notification with these lines in its head, whatever they make of it.
fn with(lines: &str) -> String {
    format!(
        "POST {PATH} HTTP/1.1\r\nHost: test\r\n{JSON}{lines}\r\n{}",
        body()
    )
}

/// One whose body stands in one chunk.
fn chunked(lines: &str) -> String {
    let body = body();
    format!(
        "POST {PATH} HTTP/1.1\r\nHost: test\r\n{JSON}{lines}\r\n{:x}\r\n{body}\r\n0\r\n\r\n",
        body.len()
    )
}

/// A request whose body is exactly this.
fn in_chunks(body: &str) -> String {
    format!("POST {PATH} HTTP/1.1\r\nHost: test\r\n{JSON}Transfer-Encoding: chunked\r\n\r\n{body}")
}

/// Heads that say two things, or nothing that can be read.
fn ambiguous_heads() -> Vec<(&'static str, String)> {
    let length = body().len();
    let of_length = |value: String| with(&format!("Content-Length: {value}\r\n"));
    let of_coding = |value: &str| chunked(&format!("Transfer-Encoding: {value}\r\n"));
    let (cl, te) = (
        format!("Content-Length: {length}\r\n"),
        "Transfer-Encoding: chunked\r\n",
    );
    vec![
        ("length and coding", chunked(&format!("{cl}{te}"))),
        ("coding and length", chunked(&format!("{te}{cl}"))),
        ("one length twice", with(&format!("{cl}{cl}"))),
        (
            "two lengths",
            with(&format!("{cl}Content-Length: {}\r\n", length + 1)),
        ),
        ("+N", of_length(format!("+{length}"))),
        ("N, N", of_length(format!("{length}, {length}"))),
        ("-1", of_length("-1".to_owned())),
        ("0xN", of_length(format!("{length:#x}"))),
        ("20 digits", of_length("9".repeat(20))),
        ("xchunked", of_coding("xchunked")),
        ("chunked, identity", of_coding("chunked, identity")),
        ("gzip, chunked", of_coding("gzip, chunked")),
        ("two codings", chunked(&format!("{te}{te}"))),
        (
            "space before the colon",
            chunked("Transfer-Encoding : chunked\r\n"),
        ),
        ("VT in the coding", of_coding("\x0bchunked")),
        ("NUL in the coding", of_coding("chunked\0")),
        ("folded line", chunked("Transfer-Encoding:\r\n chunked\r\n")),
        ("no host", good().replace("Host: test\r\n", "")),
        (
            "two hosts",
            good().replace("Host: test\r\n", "Host: test\r\nHost: other\r\n"),
        ),
        (
            "HTTP/1.0 with a coding",
            chunked(te).replace("HTTP/1.1", "HTTP/1.0"),
        ),
    ]
}

/// Bodies whose chunks cannot be read.
fn broken_chunks() -> Vec<(&'static str, String)> {
    let (body, length) = (body(), body().len());
    let one = |size: String, end: &str| in_chunks(&format!("{size}\r\n{body}\r\n{end}"));
    vec![
        ("size 0xN", one(format!("{length:#x}"), "0\r\n\r\n")),
        (
            "size that overflows",
            one("10000000000000002".to_owned(), "0\r\n\r\n"),
        ),
        (
            "bare LF after the size",
            in_chunks(&format!("{length:x}\n{body}\n0\n\n")),
        ),
        ("no size", one(String::new(), "0\r\n\r\n")),
        ("no last line", one(format!("{length:x}"), "0\r\n")),
    ]
}

#[test]
fn w01_framing_that_can_be_read_in_two_ways_is_answered_4xx_and_the_connection_closed() {
    let app = impatient();
    let refuse = |case: &str, request: &str| {
        let mut connection = Connection::open(app.public());
        connection.send(request);
        let reply = connection
            .reply()
            .unwrap_or_else(|| panic!("{case}: no answer"));
        assert!((400..500).contains(&reply.status), "{case}: {reply:?}");
        assert!(connection.closes_within(Duration::from_secs(2)), "{case}");
        assert_eq!(app.database.deliveries(), 0, "{case}");
    };
    let heads = ambiguous_heads();
    for (case, request) in &heads {
        refuse(case, request);
        assert_eq!(handler_hits(&app), 0, "{case}");
    }
    let bodies = broken_chunks();
    bodies
        .iter()
        .for_each(|(case, request)| refuse(case, request));
    let count = heads.len() + bodies.len();
    println!("W-01 {count} of {count} answered 4xx and closed, none kept");
    assert_eq!(exchange(app.public(), good()).unwrap().status, 204);
}

/// What may be read leniently, what a strict reader sees of it together with the good request behind
/// it, and whether it must be refused.
fn lenient_parts() -> Vec<(&'static str, String, usize, bool)> {
    let (body, length) = (body(), body().len());
    let bare = good().replacen("\r\n\r\n", "\n\n", 1);
    let bare = bare.replacen("\r\n", "\n", 4);
    let extended = |size: usize| {
        let extension = "e".repeat(size);
        in_chunks(&format!("{length:x};{extension}\r\n{body}\r\n0\r\n\r\n"))
    };
    let trailers = in_chunks(&format!("{length:x}\r\n{body}\r\n0\r\nX-Late: 1\r\n\r\n"));
    vec![
        ("bare LF in the head", bare, 2, false),
        ("extension of 1 KB", extended(1 << 10), 2, false),
        ("extension of 1 MB", extended(1 << 20), 2, true),
        ("trailers", trailers, 2, false),
    ]
}

#[test]
fn w02_lenient_parts_are_refused_or_read_as_a_strict_reader_does_and_never_as_more_requests() {
    let app = impatient();
    for (case, request, seen, is_refused) in lenient_parts() {
        let before = app.database.deliveries();
        let mut connection = Connection::open(app.public());
        connection.send(request + &good());
        let mut statuses = Vec::new();
        while statuses.len() <= seen
            && let Some(reply) = connection.reply_within(Duration::from_secs(3))
        {
            statuses.push(reply.status);
        }
        let kept = usize::try_from(app.database.deliveries() - before).unwrap();
        println!("W-02 {case}: answered {statuses:?}, {kept} kept");
        assert!(kept <= seen && statuses.len() <= seen, "{case}");
        let acknowledged = statuses.iter().filter(|status| **status == 204).count();
        assert_eq!(kept, acknowledged, "{case}");
        if is_refused || kept < seen {
            assert_eq!(kept, 0, "{case}");
            assert!(
                statuses.iter().all(|status| (400..500).contains(status)),
                "{case}"
            );
        }
    }
}

#[test]
fn w39_http_2_is_not_spoken_and_an_upgrade_to_it_is_ignored() {
    let app = App::spawn(Backend::Sqlite);
    let preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
    for address in [app.public(), app.service().api] {
        let mut connection = Connection::open(address);
        connection.send(preface);
        let reply = connection.reply_within(Duration::from_secs(6));
        assert_eq!(reply.map(|reply| reply.status), Some(400));
        assert!(connection.closes_within(Duration::from_secs(2)));
    }
    let upgrade =
        "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n";
    let request = good().replacen("Host: test\r\n", &format!("Host: test\r\n{upgrade}"), 1);
    let reply = exchange(app.public(), request).expect("an answer");
    assert_eq!(reply.status, 204);
    assert!(reply.head.starts_with("HTTP/1.1 ") && reply.header("upgrade").is_none());
    println!("W-39 preface 400 on both listeners, upgrade ignored");
}
