//! Calls go where the settings say and nowhere else, whatever an answer, a notification, an id or the
//! environment names.

use std::net::TcpListener;

use rstest::rstest;
use serde_json::Value;
use tokenkeep::sandbox::{Fault, Operation, Refresh};
use tokenkeep::telemetry::Clock;

use crate::support::build::{CARD, NUMBER_1, plain, refresh, status};
use crate::support::calls::{SERVICE, Shop, sandbox, serve_with};
use crate::support::raw::{exchange, head};
use crate::support::{Backend, START, TestDatabase, wait_until};

#[test]
fn w26_no_redirect_no_proxy_and_no_header_of_a_sender_leads_a_call_elsewhere() {
    let database = TestDatabase::new(Backend::Sqlite);
    let canary = TcpListener::bind("127.0.0.1:0").unwrap();
    canary.set_nonblocking(true).unwrap();
    let elsewhere = format!("http://{}", canary.local_addr().unwrap());
    let proxies = [
        "HTTPS_PROXY",
        "HTTP_PROXY",
        "ALL_PROXY",
        "https_proxy",
        "http_proxy",
        "all_proxy",
    ]
    .map(|name| (name, elsewhere.as_str()));
    let sandbox = sandbox(Clock::system(), |_| {});
    let redirects = [301, 302, 303, 307, 308];
    for status in redirects {
        let location = format!("{elsewhere}/x");
        sandbox.answer_next(Operation::Checkout, Fault::Redirect { status, location });
    }
    let serve = serve_with(&database, &sandbox, "", &proxies);
    for number in 0..redirects.len() {
        let mut item = refresh(&format!("card-{number}"), START, NUMBER_1, ("12", "2031"));
        item["maskedCard"]["serviceId"] = SERVICE.into();
        let body = plain(&[item]).to_string();
        let header = format!("X-Src-Response-Host: {elsewhere}\r\nHost: test\r\n");
        let head = head("/notifications/card", body.len()).replace("Host: test\r\n", &header);
        assert_eq!(exchange(serve.address(), head + &body).unwrap().status, 204);
    }
    wait_until("every redirect is answered", || {
        let calls = sandbox.calls().into_iter();
        let redirected = calls.filter(|call| call.status.is_some_and(|s| (300..400).contains(&s)));
        redirected.count() == redirects.len()
    });
    // Long enough for whoever would follow.
    std::thread::sleep(std::time::Duration::from_millis(500));
    assert!(canary.accept().is_err(), "the canary was called");
    println!(
        "W-26 {} redirects, 6 proxies and a response host: 0 connections to the canary",
        redirects.len()
    );
}

/// Ids that a path could take for something else.
const ODD: [&str; 8] = [
    "../x",
    "a?b",
    "a#b",
    "a%2fb",
    "a/../../b",
    "a;b=c",
    "a\\b",
    "..%2f..",
];

#[rstest]
fn w27_an_id_of_any_form_is_exactly_one_segment_of_what_the_other_side_is_asked_for(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let shop = Shop::open(backend);
    let encoded = |id: &str| tokenkeep::mastercard::oauth::percent_encode(id);
    for id in ODD {
        shop.new_card(id);
        shop.app
            .deliver(&shop.sandbox.refresh(id, Refresh::Nothing).unwrap());
        shop.settle();
        // The sandbox checks the signature over what was sent, as Mastercard does.
        assert!(shop.cryptogram(id).is_some(), "{id}");
        assert_eq!(shop.delete(&encoded(id)).status, 202, "{id}");
        shop.settle();
        assert_eq!(shop.calls(Operation::DeleteCard, id), 1, "{id}");
        assert_eq!(shop.ending(id, "delete_card").0, "done", "{id}");
        let seen = shop
            .app
            .get(&format!("/v1/notifications?card={}", encoded(id)));
        assert_eq!(seen.status, 200, "{id}");
    }
    let calls = shop.sandbox.calls();
    let of_cards = calls
        .iter()
        .filter(|call| call.path_and_query.contains("/cards"));
    for call in of_cards {
        let (path, _) = call.path_and_query.split_once('?').unwrap();
        let (_, segment) = path.rsplit_once("/cards/").unwrap();
        assert!(
            !segment.contains('/') && call.status == Some(200),
            "{call:?}"
        );
    }
    println!(
        "W-27 {backend:?}: {} odd ids, each one segment with a valid signature",
        ODD.len()
    );
}

#[rstest]
fn w27_what_is_no_id_is_kept_and_quarantined_and_refused_by_the_api(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let shop = Shop::open(backend);
    let long = "a".repeat(300);
    let wrong = ["a\r\nX-Injected: 1", "a b", "", &long, "\u{e4}"];
    for (number, id) in wrong.into_iter().enumerate() {
        shop.app
            .deliver(&plain(&[status(id, Some(START), "ACTIVE")]));
        let rows = "SELECT count(*) AS number FROM notifications WHERE verdict = 'quarantined'";
        assert_eq!(shop.app.database.number(rows), number as i64 + 1, "{id:?}");
        let path = tokenkeep::mastercard::oauth::percent_encode(id);
        let reply = shop.delete(&path);
        let expected = if id.is_empty() { 404 } else { 400 };
        assert_eq!(reply.status, expected, "{id:?}");
        assert!(!reply.head.contains("X-Injected"), "{id:?}");
    }
    // These two are ids, but no segment can hold them: the calls are never made.
    for id in [".", ".."] {
        shop.app
            .deliver(&plain(&[of_service(status(id, Some(START), "DORMANT"))]));
        shop.advance(120_000);
        shop.settle();
        assert!(!shop.app.jobs(id).is_empty(), "{id}");
    }
    shop.app
        .deliver(&plain(&[status(CARD, Some(START), "ACTIVE")]));
    assert_eq!(shop.sandbox.calls(), []);
}

fn of_service(mut item: Value) -> Value {
    item["maskedCard"]["serviceId"] = SERVICE.into();
    item
}
