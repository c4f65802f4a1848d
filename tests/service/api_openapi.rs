//! `/openapi.json` and `/docs`: the description is the API's own, and keeps to what is answered.

use std::collections::BTreeSet;

use insta::assert_snapshot;
use serde_json::Value;
use tokenkeep::api::access::AccessRole;

use crate::support::api::Ask;
use crate::support::build::{NUMBER_1, plain, refresh, status};
use crate::support::raw::{Reply, exchange};
use crate::support::{App, Backend, START};

const METHODS: [&str; 6] = ["GET", "PUT", "POST", "DELETE", "PATCH", "OPTIONS"];

pub fn open(app: &App, path: &str) -> Reply {
    let request = format!("GET {path} HTTP/1.1\r\nHost: test\r\n\r\n");
    exchange(app.service().api, request).unwrap()
}

pub fn document(app: &App) -> Value {
    let reply = open(app, "/openapi.json");
    assert_eq!(
        (reply.status, reply.header("content-type")),
        (200, Some("application/json"))
    );
    reply.json()
}

/// Every operation: method, path and what is said of it.
pub fn operations(document: &Value) -> Vec<(String, String, &Value)> {
    let paths = document["paths"].as_object().unwrap().iter();
    let all = paths.flat_map(|(path, item)| {
        let operations = item.as_object().unwrap().iter();
        operations.map(move |(method, it)| (method.to_uppercase(), path.clone(), it))
    });
    all.collect()
}

#[test]
fn the_description_is_as_it_was_agreed_upon() {
    let app = App::spawn(Backend::Sqlite);
    let mut document = document(&app);
    document["info"]["version"] = "VERSION".into();
    assert_snapshot!("openapi", format!("{document:#}"));
}

#[test]
fn a_method_that_is_not_described_is_not_served() {
    let app = App::spawn(Backend::Sqlite);
    let ops = app.new_key(AccessRole::Ops, "mine");
    let document = document(&app);
    for (path, item) in document["paths"].as_object().unwrap() {
        for method in METHODS {
            if item.get(method.to_lowercase()).is_some() {
                continue;
            }
            let reply = app.send(method, &path.replace("{id}", "x"), &ops, "");
            assert_eq!(reply.status, 405, "{method} {path}");
        }
    }
}

/// Requests that are refused in many ways.
const WRONG: [(&str, &str, &str, &str); 26] = [
    ("GET", "/v1/cards", "limit=0", ""),
    ("GET", "/v1/cards", "limit=x", ""),
    ("GET", "/v1/cards/{id}", "nobody", ""),
    ("GET", "/v1/cards/{id}", "a%20b", ""),
    ("GET", "/v1/cards/{id}", "ended", ""),
    ("PUT", "/v1/cards/{id}", "ended", "{}"),
    ("PUT", "/v1/cards/{id}", "new", "{"),
    ("DELETE", "/v1/cards/{id}", "nobody", ""),
    ("DELETE", "/v1/cards/{id}", "living", ""),
    ("GET", "/v1/cards/{id}/readiness", "nobody", ""),
    ("GET", "/v1/cards/{id}/readiness", "ended", ""),
    (
        "POST",
        "/v1/cards/{id}/credentials",
        "nobody",
        "{\"use\": \"single\"}",
    ),
    (
        "POST",
        "/v1/cards/{id}/credentials",
        "ended",
        "{\"use\": \"single\"}",
    ),
    (
        "POST",
        "/v1/cards/{id}/credentials",
        "living",
        "{\"use\": \"single\"}",
    ),
    (
        "POST",
        "/v1/cards/{id}/credentials",
        "suspended",
        "{\"use\": \"single\"}",
    ),
    ("POST", "/v1/cards/{id}/credentials", "living", "{}"),
    ("GET", "/v1/cards/{id}/transactions", "nobody", ""),
    ("GET", "/v1/cards/{id}/transactions", "ended", ""),
    ("GET", "/v1/cards/{id}/transactions", "living", ""),
    ("GET", "/v1/events", "after=x", ""),
    ("GET", "/v1/events/stream", "after=x", ""),
    ("GET", "/v1/notifications/{id}", "nobody", ""),
    ("POST", "/v1/notifications/{id}/replay", "nobody", "{}"),
    (
        "POST",
        "/v1/notifications/{id}/replay",
        "nobody",
        "{\"reason\": \"x\"}",
    ),
    ("GET", "/v1/outbox/{id}", "nobody", ""),
    ("POST", "/v1/outbox/{id}/retry", "nobody", ""),
];

#[test]
fn every_refusal_is_described_with_its_status_and_code() {
    let app = App::spawn(Backend::Sqlite);
    let document = document(&app);
    app.deliver(&plain(&[
        refresh("living", START - 9_000, NUMBER_1, ("12", "2031")),
        status("ended", Some(START), "CANCELLED"),
        status("suspended", Some(START), "SUSPENDED"),
    ]));
    let roles = [AccessRole::App, AccessRole::Payments, AccessRole::Ops];
    let keys = roles.map(|role| app.new_key(role, &format!("a key for {}", role.name())));
    let mut seen = BTreeSet::new();
    for (method, path, place, body) in WRONG {
        let operation = &document["paths"][path][method.to_lowercase()];
        let asked = match path.contains("{id}") {
            true => path.replace("{id}", place),
            false => format!("{path}?{place}"),
        };
        for key in &keys {
            for headers in [&[][..], &["Idempotency-Key: a b"]] {
                let reply = app.ask(&Ask {
                    method,
                    path: &asked,
                    key,
                    headers,
                    body,
                });
                assert!(reply.status >= 400, "{method} {asked} {}", reply.body);
                let described = &operation["responses"][reply.status.to_string()]["x-codes"];
                let codes = described.as_array().into_iter().flatten();
                let code = reply.code();
                let is_described = codes.clone().any(|known| *known == *code);
                assert!(is_described, "{method} {path}: {} {code}", reply.status);
                seen.insert(code);
            }
        }
    }
    let large = "x".repeat(65_537);
    let reply = app.send("PUT", "/v1/cards/new", &keys[0], &large);
    let described = &document["paths"]["/v1/cards/{id}"]["put"]["responses"];
    let code = &described[reply.status.to_string()]["x-codes"][0];
    assert_eq!((reply.status, code.as_str()), (413, Some(&*reply.code())));
    let seen = Vec::from_iter(seen).join("\n");
    assert_snapshot!(seen, @r"
    not-chargeable
    program-unknown
    role-not-allowed
    terminal
    unknown-card
    unknown-job
    unknown-notification
    wrong-card-id
    wrong-credentials-request
    wrong-idempotency-key
    wrong-limit
    wrong-query
    wrong-registration
    wrong-replay
    ");
}

#[test]
fn the_page_to_read_shows_every_route_runs_no_script_and_loads_nothing() {
    let app = App::spawn(Backend::Sqlite);
    let page = open(&app, "/docs");
    assert_eq!(
        (page.status, page.header("content-type")),
        (200, Some("text/html; charset=utf-8"))
    );
    let policy = page.header("content-security-policy").unwrap();
    assert!(
        policy.starts_with("default-src 'none'; style-src 'sha256-"),
        "{policy}"
    );
    assert!(
        !policy.contains("unsafe") && !policy.contains("http"),
        "{policy}"
    );
    for loads in ["<script", "<link", "<img", "src=", "@import", "url(", "//"] {
        assert!(!page.body.contains(loads), "{loads}");
    }
    // Only to itself and to the description.
    for link in page.body.split("href=\"").skip(1) {
        assert!(
            link.starts_with('#') || link.starts_with("/openapi.json\""),
            "{link:.40}"
        );
    }
    let document = document(&app);
    for (method, path, operation) in operations(&document) {
        let head = format!("<b>{method}</b> <code>{path}</code>");
        assert!(page.body.contains(&head), "{head}");
        for response in operation["responses"].as_object().unwrap().values() {
            for code in response["x-codes"].as_array().into_iter().flatten() {
                let code = format!("<code>{}</code>", code.as_str().unwrap());
                assert!(page.body.contains(&code), "{code}");
            }
        }
    }
    for name in document["components"]["schemas"]
        .as_object()
        .unwrap()
        .keys()
    {
        assert!(
            page.body.contains(&format!("<section id=\"{name}\">")),
            "{name}"
        );
    }
}
