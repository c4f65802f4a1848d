//! One signed request over HTTP, and what came back. Nothing of either is logged.

use std::time::{Duration, Instant};

use ureq::{Agent, Body, Error, RequestBuilder, Timeout};

use super::agent::agent;
use super::failure::retry_after;
use super::oauth::{Signer, nonce, percent_encode};
use super::{CallFailure, ErrorBody, FailureClass};
use crate::settings::ProgramSettings;
use crate::telemetry::Clock;

/// Bytes of an answer.
const MAX_BODY: u64 = 1 << 20;

const FLOW_ID: &str = "x-src-cx-flow-id";
const LONGEST_FLOW_ID: usize = 255;

/// What is asked.
pub(super) struct Request<'a> {
    pub(super) method: Method,
    pub(super) url: String,
    /// From an earlier answer, so that Mastercard keeps calls that follow each other at one site.
    pub(super) flow_id: Option<&'a str>,
}

/// The method, with the body of the one that has one.
pub(super) enum Method {
    Get,
    Delete,
    Post(String),
}

/// A whole answer, whatever its status.
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) flow_id: Option<String>,
    pub(super) body: Vec<u8>,
    retry_after: Option<Duration>,
}

/// Makes the calls of one program.
pub(super) struct Caller {
    agent: Agent,
    signer: Signer,
    clock: Clock,
    timeout: Duration,
}

impl Caller {
    pub(super) fn new(settings: &ProgramSettings, signer: Signer, clock: Clock) -> Self {
        Self {
            agent: agent(settings),
            signer,
            clock,
            timeout: settings.timeout(),
        }
    }

    /// When an attempt that begins now must be over, all its requests together.
    pub(super) fn deadline(&self) -> Instant {
        Instant::now() + self.timeout
    }

    /// Signs and sends; returns any whole answer.
    pub(super) fn call(
        &self,
        request: &Request<'_>,
        deadline: Instant,
    ) -> Result<Answer, CallFailure> {
        let authorization = self.sign(request)?;
        let url = &request.url;
        let flow_id = request.flow_id.filter(|id| is_flow_id(id));
        let sent = match &request.method {
            Method::Get => {
                let get = headed(self.agent.get(url), &authorization, flow_id);
                timed(get, deadline).call()
            }
            Method::Delete => {
                let delete = headed(self.agent.delete(url), &authorization, flow_id);
                timed(delete, deadline).call()
            }
            Method::Post(body) => {
                let post = headed(self.agent.post(url), &authorization, flow_id)
                    .header("content-type", "application/json");
                timed(post, deadline).send(body)
            }
        };
        self.read(sent)
    }

    /// Fetches a public document, unsigned; returns a success's body.
    pub(super) fn fetch(&self, url: &str, deadline: Instant) -> Result<Vec<u8>, CallFailure> {
        let answer = self.read(timed(self.agent.get(url), deadline).call())?;
        match answer.status {
            200 => Ok(answer.body),
            _ => Err(answer.failure()),
        }
    }

    fn sign(&self, request: &Request<'_>) -> Result<String, CallFailure> {
        let (method, body) = match &request.method {
            Method::Get => ("GET", ""),
            Method::Delete => ("DELETE", ""),
            Method::Post(body) => ("POST", body.as_str()),
        };
        let timestamp = self.clock.now() / 1000;
        nonce()
            .map_err(Into::into)
            .and_then(|nonce| {
                let body = body.as_bytes();
                self.signer
                    .authorization(method, &request.url, body, &nonce, timestamp)
            })
            .map_err(|_| CallFailure::unsent(FailureClass::Retry, "not-signed"))
    }

    fn read(&self, sent: Result<ureq::http::Response<Body>, Error>) -> Result<Answer, CallFailure> {
        let mut answer = sent.map_err(|error| failure_of(&error))?;
        let status = answer.status().as_u16();
        let header = |name: &str| answer.headers().get(name)?.to_str().ok();
        let is_plain = header("content-encoding").is_none_or(|coding| coding == "identity");
        let flow_id = header(FLOW_ID).filter(|id| is_flow_id(id));
        let flow_id = flow_id.map(str::to_owned);
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
            body: body.map_err(broken)?,
            retry_after,
        })
    }
}

impl Answer {
    /// Whether the other side did what was asked.
    pub(super) fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// What an answer that is no success means.
    pub(super) fn failure(&self) -> CallFailure {
        CallFailure::refused(self.status, &self.error(), self.retry_after)
    }

    /// The error that the body names.
    pub(super) fn error(&self) -> ErrorBody {
        ErrorBody::parse(&self.body)
    }

    /// A success that cannot be believed or understood.
    pub(super) fn unusable(&self, reason: &str) -> CallFailure {
        CallFailure::unusable(self.status, reason)
    }
}

fn headed<B>(
    request: RequestBuilder<B>,
    authorization: &str,
    flow_id: Option<&str>,
) -> RequestBuilder<B> {
    let request = request.header("authorization", authorization);
    match flow_id {
        Some(id) => request.header(FLOW_ID, id),
        None => request,
    }
}

fn timed<B>(request: RequestBuilder<B>, deadline: Instant) -> RequestBuilder<B> {
    let left = deadline.saturating_duration_since(Instant::now());
    request.config().timeout_global(Some(left)).build()
}

/// The flow id is opaque; what could do harm in a header or in a log is dropped.
fn is_flow_id(id: &str) -> bool {
    (1..=LONGEST_FLOW_ID).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_graphic())
}

/// An address with a query; every name is ours, every value is encoded.
pub(super) fn address(base: &str, query: &[(&str, &str)]) -> String {
    let pairs: Vec<_> = query
        .iter()
        .map(|(name, value)| format!("{name}={}", percent_encode(value)))
        .collect();
    format!("{base}?{}", pairs.join("&"))
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
