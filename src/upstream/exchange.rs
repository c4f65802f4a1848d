//! One request over HTTP, and what came back. Nothing of either is logged.

use std::time::{Duration, Instant};

use ureq::http;
use ureq::{Agent, AsSendBody, Body, Error, Timeout};

use super::agent::agent;
use super::failure::retry_after;
use super::{CallFailure, FailureClass};
use crate::settings::{ConnectionLost, ConnectionSettings, OtherSide};
use crate::telemetry::Clock;

/// Bytes of an answer.
const MAX_BODY: u64 = 1 << 20;

/// The header in which Mastercard names a flow of calls that follow each other.
pub(crate) const FLOW_ID: &str = "x-src-cx-flow-id";
const CORRELATION_ID: &str = "x-mc-correlation-id";
const LONGEST_FLOW_ID: usize = 255;

/// What is asked.
pub(crate) struct Request<'a> {
    /// `GET`, `DELETE`, `POST` or `PUT`.
    pub method: &'static str,
    pub url: &'a str,
    pub headers: Vec<(&'a str, &'a str)>,
    /// The content type, and what goes over the wire.
    pub body: Option<(&'a str, &'a [u8])>,
}

/// A whole answer, whatever its status.
pub(crate) struct Answer {
    pub status: u16,
    pub body: Vec<u8>,
    pub flow_id: Option<String>,
    /// Under which the other side finds the call in its logs.
    pub correlation_id: Option<String>,
    pub retry_after: Option<Duration>,
}

/// Makes the HTTP calls of one program.
pub(crate) struct Exchange {
    agent: Agent,
    other_side: Option<OtherSide>,
    clock: Clock,
    timeout: Duration,
}

impl Exchange {
    pub(crate) fn new(settings: &ConnectionSettings, clock: Clock) -> Self {
        Self {
            agent: agent(settings),
            other_side: settings.other_side.clone(),
            clock,
            timeout: settings.timeout(),
        }
    }

    /// When an attempt that begins now must be over, all its requests together.
    pub(crate) fn deadline(&self) -> Instant {
        Instant::now() + self.timeout
    }

    /// Sends a request; returns any whole answer.
    pub(crate) fn send(
        &self,
        request: &Request<'_>,
        deadline: Instant,
    ) -> Result<Answer, CallFailure> {
        if let Some(other_side) = &self.other_side {
            return answer_of(other_side, request);
        }
        let mut head = http::Request::builder()
            .method(request.method)
            .uri(request.url);
        for (name, value) in &request.headers {
            head = head.header(*name, *value);
        }
        let sent = match request.body {
            None => self.run(head.body(()), deadline),
            Some((kind, body)) => self.run(head.header("content-type", kind).body(body), deadline),
        };
        self.read(sent)
    }

    /// Fetches a public document; returns a success's body.
    pub(crate) fn fetch(&self, url: &str, deadline: Instant) -> Result<Vec<u8>, CallFailure> {
        let request = Request {
            method: "GET",
            url,
            headers: Vec::new(),
            body: None,
        };
        let answer = self.send(&request, deadline)?;
        match answer.status {
            200 => Ok(answer.body),
            _ => Err(answer.refused(FailureClass::Retry, "http-error")),
        }
    }

    fn run(
        &self,
        request: http::Result<http::Request<impl AsSendBody>>,
        deadline: Instant,
    ) -> Result<http::Response<Body>, Error> {
        let left = deadline.saturating_duration_since(Instant::now());
        let request = self.agent.configure_request(request?);
        let timed = request.timeout_global(Some(left)).build();
        self.agent.run(timed)
    }

    fn read(&self, sent: Result<http::Response<Body>, Error>) -> Result<Answer, CallFailure> {
        let mut answer = sent.map_err(|error| failure_of(&error))?;
        let status = answer.status().as_u16();
        let header = |name: &str| answer.headers().get(name)?.to_str().ok();
        let is_plain = header("content-encoding").is_none_or(|coding| coding == "identity");
        let id = |name: &str| {
            let id = header(name).filter(|id| is_flow_id(id));
            id.map(str::to_owned)
        };
        let (flow_id, correlation_id) = (id(FLOW_ID), id(CORRELATION_ID));
        let retry_after = header("retry-after").and_then(|v| retry_after(v, self.clock.now()));
        let broken = |error: Error| CallFailure {
            status: Some(status),
            ..failure_of(&error)
        };
        let body = match is_plain {
            true => answer
                .body_mut()
                .with_config()
                .limit(MAX_BODY)
                .read_to_vec(),
            // Never unpacked: we ask for no encoding. A status speaks without its body.
            false => Ok(Vec::new()),
        };
        Ok(Answer {
            status,
            flow_id,
            correlation_id,
            body: body.map_err(broken)?,
            retry_after,
        })
    }
}

impl Answer {
    /// Whether the other side did what was asked.
    pub(crate) fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// An answer that is no success.
    pub(crate) fn refused(&self, class: FailureClass, reason: &str) -> CallFailure {
        CallFailure::refused(class, self.status, reason, self.retry_after)
    }

    /// A success that cannot be believed or understood.
    pub(crate) fn unusable(&self, reason: &str) -> CallFailure {
        CallFailure::unusable(self.status, reason)
    }
}

/// What another side in memory answers.
fn answer_of(other_side: &OtherSide, request: &Request<'_>) -> Result<Answer, CallFailure> {
    let body = request.body.map_or(&[][..], |(_, body)| body);
    let answered = other_side.answer(request.method, request.url, body);
    let (status, body) = answered.map_err(|lost| match lost {
        ConnectionLost::BeforeRequest => {
            CallFailure::unsent(FailureClass::Retry, "connection-failed")
        }
        ConnectionLost::BeforeAnswer => CallFailure::unanswered("connection-broken"),
    })?;
    Ok(Answer {
        status,
        body,
        flow_id: None,
        correlation_id: None,
        retry_after: None,
    })
}

/// The flow id is opaque; what could do harm in a header or in a log is dropped.
pub(crate) fn is_flow_id(id: &str) -> bool {
    (1..=LONGEST_FLOW_ID).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_graphic())
}

/// Why no whole answer came. Where nothing shows that the request was never sent, it may have been.
fn failure_of(error: &Error) -> CallFailure {
    let unsent = |reason| CallFailure::unsent(FailureClass::Retry, reason);
    match error {
        Error::HostNotFound => unsent("host-not-found"),
        Error::Timeout(Timeout::Resolve | Timeout::Connect) => unsent("connect-timeout"),
        Error::ConnectionFailed => unsent("connection-failed"),
        // These arise in the handshake only; later faults of the connection come as Io.
        Error::Tls(_) | Error::NativeTls(_) | Error::TlsRequired => unsent("tls"),
        Error::BadUri(_) | Error::Http(_) => unsent("bad-address"),
        Error::Timeout(_) => CallFailure::unanswered("timeout"),
        Error::Io(_) => CallFailure::unanswered("connection-broken"),
        Error::LargeResponseHeader(..) | Error::BodyExceedsLimit(_) => {
            CallFailure::unanswered("answer-too-large")
        }
        Error::Protocol(_) => CallFailure::unanswered("not-http"),
        _ => CallFailure::unanswered("call-failed"),
    }
}
