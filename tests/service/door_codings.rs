//! Content codings: refused before the body is read, so that nothing is ever inflated.

use rstest::rstest;

use crate::door_headers::{JSON, PATH, body, send};
use crate::support::raw::{Connection, post};
use crate::support::serve::Serve;
use crate::support::{App, Backend, TestDatabase};

#[rstest]
fn w11_content_codings_are_answered_415_before_the_body_is_read_and_nothing_is_stored(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let app = App::spawn(backend);
    let codings = [
        "gzip",
        "GZIP",
        "x-gzip",
        "deflate",
        "br",
        "zstd",
        "gzip, gzip",
        "gzip, identity",
        "compress",
        "unknown",
        "",
    ];
    for coding in codings {
        let headers = format!("{JSON}Content-Encoding: {coding}\r\n");
        let reply = send(&app, "POST /notifications/card", &headers).unwrap();
        let found = (reply.status, reply.code());
        assert_eq!(
            found,
            (415, "unsupported-content-encoding".to_owned()),
            "{coding}"
        );
        // The answer does not wait for a body, so nothing of it can have been inflated.
        let mut silent = Connection::open(app.public());
        silent.send(format!(
            "POST {PATH} HTTP/1.1\r\nHost: test\r\n{headers}Content-Length: 10240\r\n\r\n"
        ));
        assert_eq!(silent.reply().unwrap().status, 415, "{coding}");
    }
    let kept = app.database.deliveries();
    println!(
        "W-11 {backend:?}: {} codings answered 415 before their body came, {kept} stored",
        codings.len()
    );
    assert_eq!(kept, 0);
    let identity = format!("{JSON}Content-Encoding: identity\r\n");
    let reply = send(&app, "POST /notifications/card", &identity);
    assert_eq!(reply.unwrap().status, 204);
}

/// A gzip file of a megabyte that grows to 158 megabytes: after one zero, the longest repetition again and
/// again, which takes 13 bits.
fn bomb() -> Vec<u8> {
    let mut bytes = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff];
    let zero = "00110000";
    let longest_repetition = "1100010100000";
    let bits = (1_000_000 * 8 - 200) / longest_repetition.len();
    // The last block, with the fixed codes.
    let text = format!("110{zero}{}0000000", longest_repetition.repeat(bits));
    let byte = |bits: &[u8]| (0..).zip(bits).map(|(at, bit)| (bit & 1) << at).sum::<u8>();
    bytes.extend(text.as_bytes().chunks(8).map(byte));
    // Checksum and length, which nobody comes to.
    bytes.extend([0; 8]);
    bytes
}

#[test]
fn w11_a_body_that_would_inflate_to_158_megabytes_costs_no_memory() {
    let database = TestDatabase::new(Backend::Sqlite);
    let serve = Serve::start(&database);
    let bomb = bomb();
    assert!(bomb.len() < 1 << 20);
    let full = format!("{}{}", body(), " ".repeat((1 << 20) - body().len()));
    post(serve.address(), full.as_bytes());
    let (before, mut refused) = (serve.memory("VmRSS"), 0);
    for coding in ["gzip", "deflate", "gzip, gzip", "br", "zstd"] {
        let mut connection = Connection::open(serve.address());
        let head = format!(
            "POST {PATH} HTTP/1.1\r\nHost: test\r\n{JSON}Content-Encoding: {coding}\r\n\
             Content-Length: {}\r\n\r\n",
            bomb.len()
        );
        connection.send([head.as_bytes(), &bomb].concat());
        assert_eq!(
            connection.reply().expect("an answer").status,
            415,
            "{coding}"
        );
        refused += 1;
    }
    let growth = serve.memory("VmHWM").saturating_sub(before);
    println!(
        "W-11 {refused} of 5 bodies of 158 megabytes in one refused, {growth} bytes of memory more"
    );
    assert!(growth < 16 << 20, "{growth} bytes more");
    assert_eq!(database.deliveries(), 1);
}
