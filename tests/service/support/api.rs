//! Requests to the API as they stand on the wire, and a service whose program is a sandbox.

use std::sync::atomic::Ordering;

use serde_json::{Value, json};
use tokenkeep::sandbox::{NewCard, Sandbox, SandboxSettings};
use tokenkeep::telemetry::Clock;

use super::raw::{Reply, exchange};
use super::{App, Backend, keys};

/// A request to the API.
pub struct Ask<'a> {
    pub method: &'a str,
    pub path: &'a str,
    pub key: &'a str,
    /// Whole lines, without their ends.
    pub headers: &'a [&'a str],
    pub body: &'a str,
}

impl Reply {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("not JSON: {}", self.body))
    }
}

impl App {
    /// Asks with exactly these headers and this body.
    pub fn ask(&self, ask: &Ask<'_>) -> Reply {
        let mut request = format!(
            "{} {} HTTP/1.1\r\nHost: test\r\nAuthorization: Bearer {}\r\nContent-Length: {}\r\n",
            ask.method,
            ask.path,
            ask.key,
            ask.body.len()
        );
        for header in ask.headers {
            request += &format!("{header}\r\n");
        }
        let request = format!("{request}\r\n{}", ask.body);
        exchange(self.service().api, request).expect("an answer")
    }

    /// Asks with a body, which may be empty.
    pub fn send(&self, method: &str, path: &str, key: &str, body: &str) -> Reply {
        self.ask(&Ask {
            method,
            path,
            key,
            headers: &[],
            body,
        })
    }
}

/// A service whose program `shop` is a sandbox on this machine.
pub fn with_sandbox(backend: Backend) -> (App, Sandbox) {
    let mut settings = SandboxSettings::new(keys());
    settings.cards = 0;
    let sandbox = Sandbox::start(settings.clone()).unwrap();
    let shop = json!({
        "kind": "mastercard-checkout",
        "base_url": sandbox.base_url(),
        "verification_url": sandbox.verification_url(),
        "src_client_id": "11111111-1111-4111-8111-111111111111",
        "src_dpa_id": "22222222-2222-4222-8222-222222222222",
        "service_id": settings.service_id,
        "consumer_key": "demo-consumer",
        "signing_key": "signing/demo-signing.pem",
    });
    let mut app = App::spawn_with(backend, |settings| {
        let shop = serde_json::from_value(shop).unwrap();
        settings.programs.insert("shop".to_owned(), shop);
    });
    // Requests and answers carry times that the other side checks.
    app.stop();
    app.clock.store(Clock::system().now(), Ordering::SeqCst);
    app.start_with(Clock::system());
    (app, sandbox)
}

/// A card of the sandbox.
pub fn card(id: &str) -> NewCard {
    NewCard {
        id: Some(id.to_owned()),
        ..NewCard::default()
    }
}
