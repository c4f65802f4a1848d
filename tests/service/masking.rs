//! P-04: whatever the API tells of a card of whatever state, it is masked.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use rstest::rstest;
use tokenkeep::api::access::AccessRole;

use crate::api_openapi::{document, operations};
use crate::support::Backend;
use crate::support::calls::Shop;
use crate::support::every_status::{CARDS, Masking, shop};

/// The longest wait for an answer to begin.
const PATIENCE: Duration = Duration::from_secs(15);
/// The longest pause within one that ends by itself.
const PAUSE: Duration = Duration::from_millis(1_500);

/// Every byte that is answered until the other side closes, or for a while where it goes on.
fn answered(shop: &Shop, method: &str, path: &str, key: &str, body: &str) -> String {
    let mut stream = TcpStream::connect(shop.app.service().api).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let length = body.len();
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\
         Authorization: Bearer {key}\r\nContent-Length: {length}\r\n\r\n{body}"
    );
    stream.write_all(request.as_bytes()).unwrap();
    let (mut told, mut chunk) = (Vec::new(), [0; 4096]);
    while let Ok(length @ 1..) = stream.read(&mut chunk) {
        told.extend_from_slice(&chunk[..length]);
        stream.set_read_timeout(Some(PAUSE)).unwrap();
    }
    String::from_utf8(told).unwrap()
}

/// What a route is sent; a new one that takes a body has to be thought of here.
fn body(method: &str, path: &str) -> &'static str {
    match (method, path) {
        ("GET" | "DELETE", _) | ("POST", "/v1/outbox/{id}/retry") => "",
        ("PUT", "/v1/cards/{id}") => r#"{"consumerReference":"consumer"}"#,
        ("PUT", "/v1/cards/{id}/token-status") => r#"{"tokenStatus":"SUSPEND"}"#,
        ("PUT", "/v1/cards/{id}/contract-status") => r#"{"contractStatus":"05"}"#,
        ("POST", "/v1/cards/{id}/credentials") => r#"{"use":"single"}"#,
        ("POST", "/v1/notifications/{id}/replay") => r#"{"reason":"why"}"#,
        other => panic!("what is {other:?} sent?"),
    }
}

/// Where a route leads for one card.
fn paths(shop: &Shop, path: &str, card: &str) -> Vec<String> {
    let ids: Vec<String> = match path {
        _ if !path.contains("{id}") => return vec![path.to_owned()],
        _ if path.starts_with("/v1/cards/") => vec![card.to_owned()],
        _ if path.starts_with("/v1/notifications/") => {
            let items = shop.app.notifications(card).into_iter();
            items.map(|item| item.id).collect()
        }
        _ if path.starts_with("/v1/outbox/") => {
            shop.app.jobs(card).into_iter().map(|job| job.id).collect()
        }
        other => panic!("what is the id of {other}?"),
    };
    ids.iter().map(|id| path.replace("{id}", id)).collect()
}

#[rstest]
fn p04_no_route_tells_more_of_a_card_than_its_state_lets_be_seen(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let shop = shop(backend);
    let masking = Masking::new();
    let roles = [AccessRole::App, AccessRole::Payments, AccessRole::Ops];
    let keys = roles.map(|role| shop.app.new_key(role, &format!("masks-{}", role.name())));
    let document = document(&shop.app);
    let mut routes = operations(&document);
    // What only reads goes first: afterwards fewer cards show anything.
    let order = ["GET", "POST", "PUT", "DELETE"];
    routes.sort_by_key(|(method, ..)| order.iter().position(|known| known == method));
    let (mut cells, mut issued) = (0, 0);
    for (method, path, _) in &routes {
        let sent = body(method, path);
        let cards = if path.contains("{id}") {
            &CARDS[..]
        } else {
            &CARDS[..1]
        };
        for card in cards {
            for path in paths(&shop, path, card.id) {
                for key in &keys {
                    let told = answered(&shop, method, &path, key, sent);
                    assert!(told.starts_with("HTTP/1.1 "), "{method} {path}: no answer");
                    // The one answer that is there to give a number out.
                    if path.ends_with("/credentials") && told.starts_with("HTTP/1.1 200") {
                        assert_eq!(card.id, "active");
                        issued += 1;
                    } else {
                        masking.check(&format!("{method} {path}"), &told);
                    }
                    cells += 1;
                }
            }
        }
    }
    assert_eq!(issued, 1, "credentials of the one card that may be charged");
    let routes = routes.len();
    println!(
        "P-04 {backend:?}, API: {routes} routes, 7 states, 3 roles: {cells} cells, 0 longer runs"
    );
}
