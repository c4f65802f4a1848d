//! HTTP/1.1 as far as the sandbox needs it: a request that is read whole, and an answer as bytes.
//!
//! It is written on plain sockets because half of what the sandbox must be able to do is not HTTP:
//! answers that stop in the middle, that drip, that never come.

use std::collections::BTreeMap;
use std::io::{self, Read as _};
use std::net::TcpStream;
use std::time::Duration;

use actix_web::http::StatusCode;
use serde_json::Value;

use super::gate::Gate;
use crate::mastercard::oauth::percent_decode;

/// Stands in every answer, so that none is taken for Mastercard's.
const MARK: &str = "tokenkeep sandbox, not Mastercard";
const MAX_HEAD: usize = 64 * 1024;
const MAX_BODY: usize = 1024 * 1024;
/// A request that has begun must have arrived in this time.
const READING: Duration = Duration::from_secs(10);
/// Between two looks whether the sandbox is stopped.
const LOOK: Duration = Duration::from_millis(50);
const BREATH: Duration = Duration::from_millis(5);
/// An idle connection is closed after so many looks.
const IDLE_LOOKS: usize = 600;

/// A request, read whole.
#[derive(Default)]
pub(super) struct Request {
    pub(super) method: String,
    /// Path and query, as they were sent.
    pub(super) target: String,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
}

impl Request {
    /// The header's value; none where it is missing or stands twice.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        let mut found = self
            .headers
            .iter()
            .filter(|(known, _)| known.eq_ignore_ascii_case(name));
        let (_, value) = found.next()?;
        found.next().is_none().then_some(value)
    }

    /// The path's segments, decoded. None if one is badly encoded.
    pub(super) fn segments(&self) -> Option<Vec<String>> {
        let path = self.target.split('?').next()?.strip_prefix('/')?;
        path.split('/').map(percent_decode).collect()
    }

    /// The query's values by name, decoded. None if one is badly encoded or stands twice.
    pub(super) fn query(&self) -> Option<BTreeMap<String, String>> {
        let query = self.target.split_once('?').map_or("", |(_, query)| query);
        let mut values = BTreeMap::new();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let known = values.insert(percent_decode(name)?, percent_decode(value)?);
            if known.is_some() {
                return None;
            }
        }
        Some(values)
    }

    /// Bytes of the body. None if it is too long, or if its end is not told by one length.
    fn body_length(&self) -> Option<usize> {
        let times = |name: &str| {
            let named = |(known, _): &&(String, String)| known.eq_ignore_ascii_case(name);
            self.headers.iter().filter(named).count()
        };
        match (times("transfer-encoding"), times("content-length")) {
            (0, 0) => Some(0),
            (0, 1) => {
                let length = self.header("content-length")?.parse().ok()?;
                (length <= MAX_BODY).then_some(length)
            }
            _ => None,
        }
    }

    fn parse(head: &str) -> Option<Self> {
        let mut lines = head.split("\r\n");
        let mut first = lines.next()?.split(' ');
        let (method, target, version) = (first.next()?, first.next()?, first.next()?);
        let header = |line: &str| {
            let (name, value) = line.split_once(':')?;
            Some((name.to_owned(), value.trim().to_owned()))
        };
        let headers: Option<Vec<_>> = lines.map(header).collect();
        version.starts_with("HTTP/1.").then_some(Self {
            method: method.to_owned(),
            target: target.to_owned(),
            headers: headers?,
            body: Vec::new(),
        })
    }
}

/// Reads the next request but for its last byte, which stays with the kernel: a connection that is
/// closed while something is unread is reset. None at the end of the connection, and for what is no
/// request with a length.
pub(super) fn receive(stream: &mut TcpStream, gate: &Gate) -> io::Result<Option<Request>> {
    let Some(head) = peek_head(stream, gate)? else {
        return Ok(None);
    };
    let Some(mut request) = Request::parse(&head) else {
        return Ok(None);
    };
    let Some(length) = request.body_length() else {
        return Ok(None);
    };
    // The head's end of four bytes is not part of `head`.
    let mut bytes = vec![0; head.len() + 4 + length];
    stream.set_read_timeout(Some(READING))?;
    if let Some((last, most)) = bytes.split_last_mut() {
        stream.read_exact(most)?;
        stream.peek(std::slice::from_mut(last))?;
    }
    request.body = bytes.split_off(head.len() + 4);
    Ok(Some(request))
}

/// Takes the byte that [`receive`] has left.
pub(super) fn take_last_byte(stream: &mut TcpStream) -> io::Result<()> {
    stream.read_exact(&mut [0])
}

/// Waits until the other side closes; returns at once where it sends more.
pub(super) fn wait_for_close(stream: &mut TcpStream, gate: &Gate) -> io::Result<()> {
    stream.set_read_timeout(Some(LOOK))?;
    while !gate.is_stopped() {
        match stream.peek(&mut [0]) {
            Err(error) if is_timeout(&error) => {}
            other => return other.map(drop),
        }
    }
    Ok(())
}

/// The head of the next request, without the empty line that ends it. Nothing is taken.
fn peek_head(stream: &TcpStream, gate: &Gate) -> io::Result<Option<String>> {
    stream.set_read_timeout(Some(LOOK))?;
    let mut buffer = vec![0; MAX_HEAD];
    for _ in 0..IDLE_LOOKS {
        let length = match stream.peek(&mut buffer) {
            Err(error) if is_timeout(&error) => 0,
            Ok(0) => return Ok(None),
            other => other?,
        };
        let arrived = buffer.get(..length).unwrap_or_default();
        let end = arrived.windows(4).position(|bytes| bytes == b"\r\n\r\n");
        if let Some(head) = end.and_then(|end| arrived.get(..end)) {
            return Ok(String::from_utf8(head.to_vec()).ok());
        }
        // A part of a head makes every look return at once.
        let rest = if length > 0 { BREATH } else { Duration::ZERO };
        if length == MAX_HEAD || gate.is_stopped() || !gate.pause(rest) {
            break;
        }
    }
    Ok(None)
}

fn is_timeout(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut
    )
}

/// An answer before it is sent.
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) headers: Vec<(&'static str, String)>,
    pub(super) body: Vec<u8>,
}

impl Answer {
    pub(super) fn new(status: u16, media_type: &str, body: impl Into<Vec<u8>>) -> Self {
        Self {
            status,
            headers: vec![("Content-Type", media_type.to_owned())],
            body: body.into(),
        }
    }

    pub(super) fn json(status: u16, body: &Value) -> Self {
        Self::new(status, "application/json", body.to_string())
    }

    pub(super) fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// The head in that version of HTTP, perhaps with one more header, and with its empty line.
    pub(super) fn head(&self, version: &str, more: Option<(&'static str, String)>) -> String {
        let known = StatusCode::from_u16(self.status).ok();
        let reason = known.and_then(|status| status.canonical_reason());
        let mut head = format!("{version} {} {}\r\n", self.status, reason.unwrap_or(""));
        let mark = ("X-Sandbox", MARK.to_owned());
        for (name, value) in self.headers.iter().chain([&mark]).chain(&more) {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head + "\r\n"
    }
}
