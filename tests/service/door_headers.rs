//! The public listener's verdict on heads: media types and sizes.

use std::time::{Duration, Instant};

use rstest::rstest;

use crate::support::build::{CARD, plain, status};
use crate::support::raw::{Reply, exchange, post};
use crate::support::serve::Serve;
use crate::support::{App, Backend, START, TestDatabase, is_full};

pub const PATH: &str = "/notifications/card";
pub const JSON: &str = "Content-Type: application/json\r\n";

pub fn body() -> String {
    plain(&[status(CARD, Some(START), "ACTIVE")]).to_string()
}

/// Sends a good notification with this request line and these headers.
pub fn send(app: &App, line: &str, headers: &str) -> Option<Reply> {
    let body = body();
    let length = body.len();
    let request =
        format!("{line} HTTP/1.1\r\nHost: test\r\n{headers}Content-Length: {length}\r\n\r\n{body}");
    exchange(app.public(), request)
}

#[rstest]
fn w10_only_json_in_utf8_is_kept_and_every_other_media_type_is_answered_415(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let app = App::spawn(backend);
    let accepted = [
        "application/json",
        "APPLICATION/JSON",
        "application/json; charset=utf-8",
        "application/json;charset=UTF-8",
        "application/json; charset=\"utf-8\"",
        "application/json; charset=\"UTF-8\"",
        "Application/Json;Charset=Utf-8",
    ];
    for kind in accepted {
        let reply = send(
            &app,
            "POST /notifications/card",
            &format!("Content-Type: {kind}\r\n"),
        );
        assert_eq!(reply.unwrap().status, 204, "{kind}");
    }
    let refused = [
        "",
        "json",
        "text/plain",
        "text/json",
        "application/*",
        "application/foo+json",
        "application/jsonx",
        "application/problem+json",
        "application/json; charset=utf-16",
        "application/json; charset=\"utf-16\"",
        "application/json; charset=iso-8859-1",
        "application/json; charset=",
        "application/json, text/plain",
        "multipart/form-data; boundary=x",
        "application/x-www-form-urlencoded",
        "application/jose",
        "application/octet-stream",
    ];
    let mut headers: Vec<String> = refused
        .iter()
        .map(|kind| format!("Content-Type: {kind}\r\n"))
        .collect();
    headers.push(String::new());
    for headers in &headers {
        let reply = send(&app, "POST /notifications/card", headers).unwrap();
        let found = (reply.status, reply.code());
        assert_eq!(
            found,
            (415, "unsupported-media-type".to_owned()),
            "{headers}"
        );
    }
    let kept = app.database.deliveries();
    println!(
        "W-10 {backend:?}: {kept} of {} media types kept, {} answered 415, {} of those stored",
        accepted.len() + headers.len(),
        headers.len(),
        kept - accepted.len() as i64
    );
    assert_eq!(kept, accepted.len() as i64);
}

#[test]
fn w10_white_space_before_a_parameter_and_an_empty_parameter_change_nothing() {
    let app = App::spawn(Backend::Sqlite);
    // Both are allowed by RFC 9110 (5.6.6) and met in practice.
    let kinds = [
        "application/json ; charset=utf-8",
        "application/json;",
        "application/json; ",
        "application/json;charset=utf-8;",
        "application/json\t;\tcharset=utf-8",
    ];
    let is_refused = |kind: &&str| {
        let headers = format!("Content-Type: {kind}\r\n");
        send(&app, "POST /notifications/card", &headers)
            .unwrap()
            .status
            != 204
    };
    let refused: Vec<&str> = kinds.into_iter().filter(is_refused).collect();
    println!(
        "W-10 {} odd spellings of JSON: {} refused",
        kinds.len(),
        refused.len()
    );
    assert!(refused.is_empty(), "{refused:?}");
}

#[test]
fn w10_media_types_that_the_settings_name_are_kept_and_the_default_is_not() {
    let app = App::spawn_with(Backend::Sqlite, |settings| {
        settings.receiver.media_types =
            vec!["application/jose".to_owned(), "text/plain".to_owned()];
    });
    for (kind, status) in [
        ("application/jose", 204),
        ("text/plain", 204),
        ("application/json", 415),
    ] {
        let reply = send(
            &app,
            "POST /notifications/card",
            &format!("Content-Type: {kind}\r\n"),
        );
        assert_eq!(reply.unwrap().status, status, "{kind}");
    }
    let kept = app.database.deliveries();
    println!("W-10 with 2 other media types set: {kept} of 3 kept");
    assert_eq!(kept, 2);
}

#[test]
fn w08_oversized_heads_are_refused_or_cut_and_the_process_is_fine_afterwards() {
    let database = TestDatabase::new(Backend::Sqlite);
    let mut serve = Serve::start(&database);
    let good = body();
    post(serve.address(), good.as_bytes());
    let line = format!("POST {PATH} HTTP/1.1\r\nHost: test\r\n{JSON}Content-Length: 0\r\n");
    let many: String = (0..130).map(|n| format!("X-{n}: 1\r\n")).collect();
    let requests = [
        (
            "header of 200 KB",
            format!("{line}X-A: {}\r\n\r\n", "a".repeat(200_000)),
        ),
        (
            "header name of 200 KB",
            format!("{line}{}: a\r\n\r\n", "a".repeat(200_000)),
        ),
        ("130 headers", format!("{line}{many}\r\n")),
        (
            "200 KB of headers",
            format!("{line}{}\r\n", "X-A: 123456789\r\n".repeat(12_500)),
        ),
        (
            "address of 64 KB",
            format!(
                "POST {PATH}?{} HTTP/1.1\r\nHost: test\r\n\r\n",
                "a".repeat(65_536)
            ),
        ),
        (
            "path of 64 KB",
            format!(
                "POST /{} HTTP/1.1\r\nHost: test\r\n\r\n",
                "a".repeat(65_536)
            ),
        ),
        (
            "method of 200 KB",
            format!("{} {PATH} HTTP/1.1\r\n\r\n", "A".repeat(200_000)),
        ),
        (
            "endless header",
            format!("{line}X-A: {}", "a".repeat(4_000_000)),
        ),
    ];
    let (before, mut answers) = (serve.memory("VmRSS"), Vec::new());
    for (case, request) in &requests {
        let begun = Instant::now();
        let reply = exchange(serve.address(), request);
        if let Some(reply) = &reply {
            assert!((400..500).contains(&reply.status), "{case}: {reply:?}");
        }
        answers.push(reply.map_or("cut".to_owned(), |reply| reply.status.to_string()));
        let most = Duration::from_secs(if is_full() { 2 } else { 4 });
        assert!(begun.elapsed() < most, "{case}");
        assert_eq!(post(serve.address(), good.as_bytes()).status, 204, "{case}");
    }
    let growth = serve.memory("VmHWM").saturating_sub(before);
    println!(
        "W-08 {} oversized heads: {}; {growth} bytes of memory more",
        requests.len(),
        answers.join(", ")
    );
    assert!(growth < 16 << 20, "{growth} bytes more");
    assert!(serve.is_running());
    assert_eq!(database.deliveries(), 1 + requests.len() as i64);
}
