//! P-14: which key reaches which route.

use std::collections::BTreeSet;

use rstest::rstest;
use tokenkeep::api::access::AccessRole;

use crate::api_openapi::{document, open, operations};
use crate::support::raw::exchange;
use crate::support::{App, Backend};

/// Every route with the roles that reach it; without any it needs no key.
const GRANTED: [(&str, &[&str]); 23] = [
    ("GET /livez", &[]),
    ("GET /readyz", &[]),
    ("GET /metrics", &[]),
    ("GET /openapi.json", &[]),
    ("GET /docs", &[]),
    ("GET /v1/cards", &["app", "ops"]),
    ("GET /v1/cards/{id}", &["app", "ops"]),
    ("PUT /v1/cards/{id}", &["app"]),
    ("DELETE /v1/cards/{id}", &["app", "ops"]),
    ("PUT /v1/cards/{id}/token-status", &["app", "ops"]),
    ("PUT /v1/cards/{id}/contract-status", &["app", "ops"]),
    ("GET /v1/cards/{id}/transactions", &["app"]),
    ("GET /v1/cards/{id}/timeline", &["ops"]),
    ("GET /v1/cards/{id}/readiness", &["app", "payments"]),
    ("POST /v1/cards/{id}/credentials", &["payments"]),
    ("GET /v1/events", &["app"]),
    ("GET /v1/events/stream", &["app"]),
    ("GET /v1/notifications", &["ops"]),
    ("GET /v1/notifications/{id}", &["ops"]),
    ("POST /v1/notifications/{id}/replay", &["ops"]),
    ("GET /v1/outbox", &["ops"]),
    ("GET /v1/outbox/{id}", &["app", "ops"]),
    ("POST /v1/outbox/{id}/retry", &["ops"]),
];

#[rstest]
fn p14_each_role_reaches_exactly_its_routes(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let app = App::spawn(backend);
    let roles = [AccessRole::App, AccessRole::Payments, AccessRole::Ops];
    let keys = roles.map(|role| {
        (
            role.name(),
            app.new_key(role, &format!("of {}", role.name())),
        )
    });
    let document = document(&app);
    let served: BTreeSet<String> = operations(&document)
        .iter()
        .map(|(method, path, _)| format!("{method} {path}"))
        .collect();
    let granted: BTreeSet<String> = GRANTED
        .iter()
        .map(|(route, _)| (*route).to_owned())
        .collect();
    assert_eq!(served, granted, "each route that is served is in the table");

    let mut cells = 0;
    for (method, path, operation) in operations(&document) {
        let route = format!("{method} {path}");
        let (_, granted) = GRANTED.iter().find(|(name, _)| *name == route).unwrap();
        let described = operation["x-roles"].as_array().into_iter().flatten();
        let described: Vec<&str> = described.map(|role| role.as_str().unwrap()).collect();
        assert_eq!(described, *granted, "{route} is described as it is");
        // The stream does not end.
        let path = path.replace("/stream", "/stream?after=x");
        let path = path.replace("{id}", "nobody");
        if granted.is_empty() {
            assert_eq!(open(&app, &path).status, 200, "{route}");
        } else {
            let nobody = app.send(&method, &path, "no-key", "");
            let refused = (nobody.status, nobody.code());
            assert_eq!(refused, (401, "unknown-api-key".to_owned()), "{route}");
            assert_eq!(nobody.header("www-authenticate"), Some("Bearer"), "{route}");
            for (role, key) in &keys {
                let reply = app.send(&method, &path, key, "");
                let is_refused = (reply.status, &*reply.code()) == (403, "role-not-allowed");
                assert_ne!(is_refused, granted.contains(role), "{route} as {role}");
                assert!(![401, 405].contains(&reply.status), "{route} as {role}");
                assert_ne!(reply.code(), "no-such-route", "{route}");
            }
        }
        cells += keys.len() + 1;
        // The public listener has none of them, with whatever key.
        for (role, key) in &keys {
            let request = format!(
                "{method} {path} HTTP/1.1\r\nHost: test\r\nAuthorization: Bearer {key}\r\n\
                 Content-Length: 0\r\n\r\n"
            );
            let status = exchange(app.public(), request).unwrap().status;
            let expected = if path == "/livez" { 200 } else { 404 };
            assert_eq!(status, expected, "{route} in public as {role}");
            cells += 1;
        }
    }
    println!(
        "P-14 {cells} of {cells} cells of {} routes as granted",
        GRANTED.len()
    );
}
