//! The public listener's verdict on bodies: what is no notification is answered 400 and not kept.

use std::time::{Duration, Instant};

use rstest::rstest;
use serde_json::{Value, json};

use crate::support::build::{CARD, plain, status};
use crate::support::raw::{Connection, Reply, post};
use crate::support::{App, Backend, START};
use crate::wire::{latest, shown, verdict};

/// A number, by its check digit, that no answer may hold; where it stands in for a word, it is not kept either.
pub const CANARY: &str = "9988776655443325";
pub const LIST: &str = "digitalCardUpdateNotifications";
const ENCRYPTED: &str = "encryptedDigitalCardUpdateNotifications";

/// Asserts that an answer is a problem document with this status and code, and nothing else.
pub fn assert_problem(reply: &Reply, status: u16, code: &str, case: &str) {
    let case = case.get(..60.min(case.len())).unwrap_or("(cut)");
    assert_eq!((reply.status, &*reply.code()), (status, code), "{case}");
    let kind = reply.header("content-type");
    assert_eq!(kind, Some("application/problem+json"), "{case}");
    let document: Value = serde_json::from_str(&reply.body).unwrap();
    let mut names: Vec<&String> = document.as_object().unwrap().keys().collect();
    names.sort();
    assert_eq!(
        names,
        ["code", "detail", "status", "title", "type"],
        "{case}"
    );
    assert!(!format!("{reply:?}").contains(CANARY), "{case}");
}

#[test]
fn what_is_not_json_not_an_object_or_has_neither_field_is_answered_400_and_not_kept() {
    let app = App::spawn(Backend::Sqlite);
    let bodies = [
        "".to_owned(),
        " ".to_owned(),
        CANARY.to_owned(),
        "nonsense".to_owned(),
        "{".to_owned(),
        "[]".to_owned(),
        "null".to_owned(),
        format!("\"{CANARY}\""),
        format!("[{{\"{LIST}\":[]}}]"),
        format!("{{\"{LIST}\":[]"),
        format!("{{\"{LIST}\":[]}}{{\"{LIST}\":[]}}"),
        format!("{{\"{LIST}\":[]}} {CANARY}"),
        format!("{{\"{LIST}\":[],}}"),
        format!("{{'{LIST}':[]}}"),
        format!("{{\"{LIST}\":[{CANARY}]]}}"),
        format!("{{\"{LIST}\":[NaN]}}"),
        format!("{{\"{LIST}\":[1e400]}}"),
        format!("{{\"{LIST}\":[0{CANARY}]}}"),
        format!("{{\"{LIST}\":\"a\nb\"}}"),
        "{}".to_owned(),
        format!("{{\"{CANARY}\":\"{CANARY}\"}}"),
        format!("{{\"{}\":[]}}", LIST.to_lowercase()),
        format!("{{\"{LIST} \":[]}}"),
        format!("{{\"{LIST}\":null}}"),
        format!("{{\"{LIST}\":null,\"{ENCRYPTED}\":null}}"),
    ];
    for body in &bodies {
        let reply = post(app.public(), body.as_bytes());
        assert_problem(&reply, 400, "not-a-notification", body);
    }
    assert_eq!(app.database.deliveries(), 0);
    let honest = plain(&[status(CARD, Some(START), "ACTIVE")]);
    app.deliver(&honest);
    assert_eq!(app.database.deliveries(), 1);
}

#[test]
fn w12_nesting_is_refused_in_20_ms_however_deep_it_goes() {
    let app = App::spawn(Backend::Sqlite);
    let in_list = |depth| format!("{{\"{LIST}\":{}{}}}", "[".repeat(depth), "]".repeat(depth));
    let bodies = [
        in_list(128),
        in_list(100_000),
        "[".repeat(100_000),
        "{\"a\":".repeat(100_000),
        format!("{{\"{LIST}\":[{}", "{\"a\":[".repeat(100_000)),
        "[".repeat(1 << 20),
        format!("{{\"{LIST}\":{}", "[".repeat(1_000_000)),
    ];
    let mut slowest = Duration::ZERO;
    for body in &bodies {
        // The fastest of fifty at most: the machine is shared with other tests.
        let mut times = (0..50).map(|_| {
            let mut connection = Connection::open(app.public());
            let begun = Instant::now();
            let head = crate::support::raw::head("/notifications/card", body.len());
            connection.send(format!("{head}{body}"));
            let reply = connection.reply().expect("an answer");
            assert_problem(&reply, 400, "not-a-notification", body);
            assert!(reply.body.contains("nested too deeply"), "{}", reply.body);
            begun.elapsed()
        });
        let case = format!("{} of {}", &body[..10], body.len());
        let quick = times.find(|time| *time < Duration::from_millis(20));
        slowest = slowest.max(quick.unwrap_or_else(|| panic!("50 times slower: {case}")));
    }
    println!(
        "W-12 {} nested bodies answered 400, the slowest in {slowest:.1?}",
        bodies.len()
    );
    // 64 levels are read: the object, and 63 within it.
    assert_eq!(post(app.public(), in_list(63).as_bytes()).status, 204);
    assert_eq!(post(app.public(), in_list(64).as_bytes()).status, 400);
    assert_eq!(app.database.deliveries(), 1);
}

/// What becomes of a body: `refused`, or the verdict on its last item.
fn fate(app: &App, body: &[u8]) -> String {
    let before = app.database.deliveries();
    let reply = post(app.public(), body);
    app.settle();
    let kept = app.database.deliveries() - before;
    match (reply.status, kept) {
        (400, 0) => "refused".to_owned(),
        (204, 1) => verdict(&latest(app)),
        other => panic!("{other:?}"),
    }
}

#[rstest]
fn w15_bytes_that_are_not_utf8_and_lone_surrogates_are_refused_on_both_databases(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let app = App::spawn(backend);
    let text = plain(&[status("MARK", Some(START), "ACTIVE")]).to_string();
    let with = |mark: &[u8]| {
        let (before, after) = text.split_once("MARK").unwrap();
        [before.as_bytes(), mark, after.as_bytes()].concat()
    };
    let marks = [
        &b"\xff"[..],
        b"\x80",
        b"\xc0\xaf",
        b"\xe0\x80\xaf",
        b"\xed\xa0\x80",
        b"\xf4\x90\x80\x80",
        b"\xf0\x9f\x98",
        b"\\ud800",
        b"\\udc00\\ud800",
        b"\\u12",
        b"\x00",
        b"\x1f",
    ];
    for mark in marks {
        assert_eq!(fate(&app, &with(mark)), "refused", "{mark:x?}");
    }
    let wide = |encode: fn(u16) -> [u8; 2]| text.encode_utf16().flat_map(encode).collect();
    let whole: [Vec<u8>; 4] = [
        [b"\xef\xbb\xbf", text.as_bytes()].concat(),
        wide(u16::to_le_bytes),
        wide(u16::to_be_bytes),
        [b"\xff\xfe".to_vec(), wide(u16::to_le_bytes)].concat(),
    ];
    for body in &whole {
        assert_eq!(fate(&app, body), "refused", "{:x?}", &body[..8]);
    }
    println!(
        "W-15 {backend:?}: {} bodies that are no text refused, {} kept",
        marks.len() + whole.len(),
        app.database.deliveries()
    );
    assert_eq!(fate(&app, text.as_bytes()), "applied");
}

#[rstest]
fn w15_u0000_and_odd_text_are_kept_with_the_same_verdict_on_both_databases(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let app = App::spawn(backend);
    let odd = [
        "\0",
        "\u{2028}\u{2029}",
        "\u{202e}gpj",
        "\u{7f}\u{85}",
        "\u{10ffff}",
        "😀e\u{301}",
    ];
    for (place, text) in odd.iter().enumerate() {
        let card = format!("odd-{place}");
        let element = || status(&card, Some(START - 1_000), "ACTIVE");
        let send = |element: Value| fate(&app, plain(&[element]).to_string().as_bytes());
        let mut described = element();
        described["reasonCode"] = format!("A{text}B").into();
        described[&format!("unknown{text}")] = json!({ *text: text });
        described["maskedCard"]["digitalCardData"]["descriptorName"] = format!("A{text}B").into();
        described["maskedCard"]["dcf"] = json!({ *text: [text] });
        assert_eq!(send(described), "applied", "{text:?}");
        assert_eq!(
            shown(&app, &card)["maskedCard"]["dcf"],
            json!({ *text: [text] })
        );
        let list = app.get(&format!("/v1/notifications?card={card}"));
        assert_eq!(list.status, 200, "{text:?}");

        let mut state = element();
        state["maskedCard"]["digitalCardData"]["status"] = format!("ACTIVE{text}").into();
        state["eventTimeStamp"] = (START - 500).to_string().into();
        assert_eq!(send(state), "parked(status-unknown)", "{text:?}");
        let named = send(status(&format!("id{text}"), Some(START), "ACTIVE"));
        assert_eq!(named, "quarantined(no-card-id)", "{text:?}");
        let mut timed = element();
        timed["eventTimeStamp"] = format!("{START}{text}").into();
        // A time that cannot be read: the item counts as the newest, and says nothing new.
        assert_eq!(send(timed), "applied", "{text:?}");
    }
    let mut long = status("long", Some(START), "ACTIVE");
    long["maskedCard"]["digitalCardData"]["descriptorName"] = "x".repeat(1_000_000).into();
    assert_eq!(fate(&app, plain(&[long]).to_string().as_bytes()), "applied");
    println!(
        "W-15 {backend:?}: {} odd texts in 4 places each and 1 of a megabyte: {} deliveries kept and decided",
        odd.len(),
        app.database.deliveries()
    );
}
