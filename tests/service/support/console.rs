//! Somebody at the console, as a browser would send it, without one.

use super::raw::{Reply, exchange};
use super::{App, leaks};
use crate::canaries::{NUMBERS, TEXTS};

/// The headers that every answer of the console has.
const HEADERS: [(&str, &str); 4] = [
    (
        "content-security-policy",
        "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; \
         form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
    ),
    ("x-content-type-options", "nosniff"),
    ("referrer-policy", "no-referrer"),
    ("cache-control", "no-store"),
];

/// What a browser says of a form that a page of the same site has sent.
pub const OWN: &str = "Sec-Fetch-Site: same-origin\r\n";

/// Somebody who is signed in.
pub struct Visitor<'a> {
    app: &'a App,
    /// The header that carries the session.
    pub cookie: String,
    /// What the pages' forms carry.
    pub form_token: String,
}

impl App {
    /// Asks the console, with more header lines; checks what every answer has and what none has.
    pub fn console(&self, method: &str, path: &str, headers: &str, body: &str) -> Reply {
        let length = body.len();
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: console\r\n{headers}\
             Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {length}\r\n\r\n{body}"
        );
        let reply = exchange(self.service().api, request).expect("an answer");
        leaks::keep("pages", reply.body.as_bytes());
        for (name, value) in HEADERS {
            assert_eq!(reply.header(name), Some(value), "{method} {path}");
        }
        for secret in NUMBERS.iter().chain(&TEXTS) {
            assert!(
                !reply.body.contains(secret),
                "{method} {path}: {}",
                reply.body
            );
        }
        reply
    }

    /// Sends the form of the sign-in.
    pub fn try_to_sign_in(&self, key: &str) -> Reply {
        self.console("POST", "/console/sign-in", OWN, &form(&[("key", key)]))
    }

    /// Somebody who has signed in with this key.
    pub fn sign_in(&self, key: &str) -> Visitor<'_> {
        let signed_in = self.try_to_sign_in(key);
        assert_eq!(signed_in.status, 303, "{}", signed_in.body);
        let cookie = signed_in.header("set-cookie").unwrap();
        let cookie = format!("Cookie: {}\r\n", cookie.split(';').next().unwrap());
        let page = self.console("GET", "/console", &cookie, "").body;
        let (_, token) = page.split_once("name=\"form_token\" value=\"").unwrap();
        Visitor {
            app: self,
            cookie,
            form_token: token.split('"').next().unwrap().to_owned(),
        }
    }
}

impl Visitor<'_> {
    /// Opens a page.
    pub fn open(&self, path: &str) -> Reply {
        self.app.console("GET", path, &self.cookie, "")
    }

    /// Opens a page that must be there; returns it.
    pub fn page(&self, path: &str) -> String {
        let reply = self.open(path);
        assert_eq!(reply.status, 200, "{path}: {}", reply.body);
        reply.body
    }

    /// Sends a form of a page.
    pub fn send(&self, path: &str, fields: &[(&str, &str)]) -> Reply {
        let fields = [&[("form_token", &*self.form_token)], fields].concat();
        let headers = format!("{}{OWN}", self.cookie);
        self.app.console("POST", path, &headers, &form(&fields))
    }
}

/// Fields as a form sends them.
pub fn form(fields: &[(&str, &str)]) -> String {
    let byte = |byte: u8| match byte.is_ascii_alphanumeric() {
        true => char::from(byte).to_string(),
        false => format!("%{byte:02X}"),
    };
    let pair = |(name, value): &(&str, &str)| {
        format!("{name}={}", value.bytes().map(byte).collect::<String>())
    };
    Vec::from_iter(fields.iter().map(pair)).join("&")
}
