//! What the public listener has: the notification path and `/livez`.

use rstest::rstest;

use crate::door_headers::{JSON, send};
use crate::support::build::{CARD, plain, status};
use crate::support::raw::{exchange, head};
use crate::support::{App, Backend, START};

const PATH: &str = "/notifications/card";

/// How often the handler was reached: what it kept and what it refused.
pub fn handler_hits(app: &App) -> i64 {
    let text = app.get("/metrics").text;
    let refusals = text
        .lines()
        .filter(|line| line.starts_with("tokenkeep_refused_total{"))
        .filter_map(|line| line.rsplit_once(' ')?.1.parse::<i64>().ok());
    refusals.sum::<i64>() + app.database.deliveries()
}

#[test]
fn w09_wrong_methods_and_paths_are_answered_404_or_405_without_reaching_the_handler() {
    let app = App::spawn(Backend::Sqlite);
    let marked = format!("{JSON}X-Echo: mark-7\r\n");
    let methods = [
        "GET", "PUT", "OPTIONS", "TRACE", "PATCH", "DELETE", "post", "FOO",
    ];
    for method in methods {
        let reply = send(&app, &format!("{method} {PATH}"), &marked).unwrap();
        assert!([404, 405].contains(&reply.status), "{method}: {reply:?}");
        assert!(!format!("{reply:?}").contains("mark-7"), "{method}");
    }
    // Its answer has no body, whatever length it tells.
    let agent = ureq::Agent::config_builder().http_status_as_error(false);
    let agent = ureq::Agent::from(agent.build());
    let status = agent.head(app.receiver_url()).call().unwrap().status();
    assert!([404, 405].contains(&status.as_u16()), "HEAD: {status}");
    let paths = [
        "/",
        "//notifications/card",
        "/notifications//card",
        "/notifications/card/",
        "/notifications/card/x",
        "/notifications/card;a",
        "/notifications/card%2f",
        "/notifications%2fcard",
        "/notifications/x/../card",
        "/../notifications/card",
        "/./notifications/card",
        "/notifications/card%00",
        "/Notifications/Card",
        "/notifications/dpa",
        "http://test/notifications/card",
        "https://test/notifications/card",
        "*",
    ];
    for path in paths {
        let reply = send(&app, &format!("POST {path}"), JSON).unwrap();
        assert!([400, 404, 405].contains(&reply.status), "{path}: {reply:?}");
    }
    let lines = [
        "CONNECT test:443",
        "CONNECT /notifications/card",
        "GET /livez/",
        "POST /livez",
    ];
    for line in lines {
        let reply = send(&app, line, JSON).unwrap();
        assert!((400..500).contains(&reply.status), "{line}: {reply:?}");
    }
    let hits = handler_hits(&app);
    println!(
        "W-09 {} methods, {} paths and {} other lines: 400, 404 or 405, {hits} reached the handler",
        methods.len() + 1,
        paths.len(),
        lines.len()
    );
    assert_eq!(hits, 0);
    let reply = send(&app, "POST /notifications/card", "");
    assert_eq!(reply.unwrap().status, 415);
    assert_eq!(handler_hits(&app), 1, "the count itself works");
    let reply = send(&app, "POST /notifications/card?any=query", JSON);
    assert_eq!(reply.unwrap().status, 204);
    assert_eq!(handler_hits(&app), 2);
}

#[test]
fn w33_the_public_listener_has_the_notification_path_and_livez_and_nothing_else() {
    let app = App::spawn(Backend::Sqlite);
    app.deliver(&plain(&[status(CARD, Some(START), "ACTIVE")]));
    let key = app.new_key(tokenkeep::api::access::AccessRole::Ops, "another");
    let bearer = format!("Authorization: Bearer {key}\r\n");
    let card = format!("/v1/cards/{CARD}");
    let elsewhere = [
        "/readyz",
        "/metrics",
        "/docs",
        "/openapi.json",
        "/v1/outbox",
        "/v1/events",
        "/v1/events/stream",
        "/v1/cards",
        &card,
        "/v1/notifications",
        "/v1/notifications/x.0",
        "/index.html",
        "/../../etc/passwd",
        "/.env",
    ];
    let mut refused = 0;
    for path in elsewhere {
        for method in ["GET", "PUT", "POST"] {
            for headers in ["", &bearer] {
                let reply = send(&app, &format!("{method} {path}"), headers).unwrap();
                assert_eq!(reply.status, 404, "{method} {path}");
                refused += 1;
                assert!(!reply.body.contains(CARD), "{method} {path}");
            }
        }
    }
    let alive = send(&app, "GET /livez", "").unwrap();
    assert_eq!((alive.status, &*alive.body), (200, "alive\n"));
    let there = app.get(&card);
    assert_eq!(there.status, 200, "the API has it");
    println!(
        "W-33 on the public listener: {refused} of {} requests answered 404, with a key and without",
        elsewhere.len() * 3 * 2
    );
}

#[test]
fn w33_the_api_listens_on_this_machine_only_unless_told_and_gives_nothing_without_the_right_key() {
    use tokenkeep::api::access::AccessRole;
    let defaults = tokenkeep::settings::Settings::defaults().unwrap();
    assert!(defaults.api_listen.starts_with("127.0.0.1:"));
    let app = App::spawn(Backend::Sqlite);
    let payments = app.new_key(AccessRole::Payments, "pays");
    let mut refused = 0;
    let cookie = format!("Cookie: key={payments}");
    for path in ["/v1/notifications", "/v1/outbox", "/v1/cards", "/v1/events"] {
        let ask = |headers: &[&str]| {
            let headers: String = headers.iter().map(|line| format!("{line}\r\n")).collect();
            let request = format!("GET {path} HTTP/1.1\r\nHost: test\r\n{headers}\r\n");
            exchange(app.service().api, request).unwrap()
        };
        let nobody = ask(&[]);
        assert_eq!(nobody.status, 401, "{path}");
        assert_eq!(nobody.header("www-authenticate"), Some("Bearer"), "{path}");
        // What a browser sends by itself, wherever the request was written, is no key.
        assert_eq!(
            ask(&[&cookie, "Origin: https://evil.example"]).status,
            401,
            "{path}"
        );
        let bearer = format!("Authorization: Bearer {payments}");
        assert_eq!(ask(&[&bearer]).status, 403, "{path}");
        refused += 3;
    }
    for path in [
        "/docs/../../etc/passwd",
        "/docs/..%2f..%2fetc%2fpasswd",
        "/../../etc/passwd",
        "/docs.css",
        "/.env",
    ] {
        let request = format!("GET {path} HTTP/1.1\r\nHost: test\r\n\r\n");
        let reply = exchange(app.service().api, request).unwrap();
        assert_eq!(reply.status, 404, "{path}");
        refused += 1;
    }
    println!(
        "W-33 on the API: {refused} of 17 requests refused, of wrong callers and to odd paths"
    );
}

#[rstest]
fn the_path_and_the_status_of_success_are_settings(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let app = App::spawn_with(backend, |settings| {
        settings.receiver.path = "/hooks/mastercard".to_owned();
        settings.receiver.success_status = 200;
    });
    let reply = send(&app, "POST /hooks/mastercard", JSON).unwrap();
    assert_eq!((reply.status, &*reply.body), (200, ""));
    assert_eq!(exchange(app.public(), head(PATH, 0)).unwrap().status, 404);
    app.settle();
    assert_eq!(app.verdicts(CARD), ["applied"]);
    assert_eq!(app.database.deliveries(), 1);
}
