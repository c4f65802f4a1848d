//! Reads a body: right media type, right size, in time.

use std::convert::Infallible;
use std::future::{Ready, poll_fn, ready};
use std::pin::pin;
use std::time::Duration;

use actix_web::body::{BodyStream, MessageBody};
use actix_web::dev::Payload;
use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderValue};
use actix_web::{FromRequest, HttpRequest, rt, web};
use tokio::sync::{Semaphore, SemaphorePermit};

use super::connection::Inflow;
use super::problem::Problem;
use crate::settings::ReceiverSettings;

/// Bodies above [`SMALL`] bytes that are in memory at once: more of them wait for their turn, so that
/// a crowd of large ones cannot fill the memory.
static LARGE_BODIES: Semaphore = Semaphore::const_new(3);
const SMALL: usize = 16 * 1024;
/// How long a refused body is held: longer than a refused sender may linger.
const HOLD_REFUSED: Duration = Duration::from_secs(2);
/// What a refused sender may still bring, so that it comes to reading the refusal.
pub const LEFTOVER: usize = 32 * 1024;
/// Bytes that a chunked body may have beside what it brings: before its first byte, and for each of
/// them. A chunk of one byte takes five more; what an extension of chunks takes is nobody's need.
const FRAMING: usize = 64 * 1024;
const FRAMING_OF_A_BYTE: usize = 8;
/// Longer values of `X-Src-Response-Host` are not kept (the published limit).
const MAX_RESPONSE_HOST: usize = 1024;

/// Refuses what the headers show to be unfit, before a byte of the body is read.
pub fn check_headers(request: &HttpRequest, settings: &ReceiverSettings) -> Result<(), Problem> {
    let mut kinds = request.headers().get_all(header::CONTENT_TYPE);
    let accepted = match (kinds.next().map(HeaderValue::to_str), kinds.next()) {
        (Some(Ok(kind)), None) => is_accepted(kind, &settings.media_types),
        _ => false,
    };
    if !accepted {
        let expected = format!(
            "the media type must be {}",
            settings.media_types.join(" or ")
        );
        let status = StatusCode::UNSUPPORTED_MEDIA_TYPE;
        return Err(Problem::new(status, "unsupported-media-type", expected).closing());
    }
    let encoding = request.headers().get(header::CONTENT_ENCODING);
    if encoding.is_some_and(|encoding| encoding != "identity") {
        let status = StatusCode::UNSUPPORTED_MEDIA_TYPE;
        let detail = "a compressed body is not accepted";
        return Err(Problem::new(status, "unsupported-content-encoding", detail).closing());
    }
    let length = request.headers().get(header::CONTENT_LENGTH);
    let length = length.and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    if length.is_some_and(|length| length > settings.max_body as u64) {
        return Err(too_large(settings.max_body));
    }
    Ok(())
}

/// Whether a media type is one of those accepted, in UTF-8. Case and white space do not count
/// (RFC 9110, 8.3.1), nor do other parameters.
fn is_accepted(kind: &str, accepted: &[String]) -> bool {
    let mut parts = kind.split(';').map(str::trim);
    let essence = parts.next().unwrap_or_default();
    let is_utf8 = |parameter: &str| match parameter.split_once('=') {
        Some((name, value)) if name.trim().eq_ignore_ascii_case("charset") => {
            value.trim().trim_matches('"').eq_ignore_ascii_case("utf-8")
        }
        _ => true,
    };
    accepted
        .iter()
        .any(|accepted| accepted.eq_ignore_ascii_case(essence))
        && parts.all(is_utf8)
}

/// A body that is not read yet, and how much of it may come.
pub struct Unread {
    payload: Payload,
    inflow: Inflow,
}

impl FromRequest for Unread {
    type Error = Infallible;
    type Future = Ready<Result<Self, Infallible>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let inflow = request.conn_data::<Inflow>().cloned();
        ready(Ok(Self {
            payload: payload.take(),
            inflow: inflow.unwrap_or_default(),
        }))
    }
}

impl From<web::Payload> for Unread {
    fn from(payload: web::Payload) -> Self {
        Self {
            payload: payload.into_inner(),
            inflow: Inflow::default(),
        }
    }
}

/// A body that was read. A large one keeps its place among the large ones until it is dropped.
pub struct Body {
    pub bytes: Vec<u8>,
    place: Option<SemaphorePermit<'static>>,
}

enum Fault {
    TooLarge,
    BrokenOff,
}

/// Reads the body within its limits. actix has no time limit for bodies: this is it.
pub async fn read(mut unread: Unread, limit: usize, deadline: Duration) -> Result<Body, Problem> {
    let refusal = match rt::time::timeout(deadline, collect(&mut unread, limit)).await {
        Ok(Ok(body)) => return Ok(body),
        Ok(Err(Fault::BrokenOff)) => {
            let detail = "the body broke off";
            Problem::new(StatusCode::BAD_REQUEST, "incomplete-body", detail).closing()
        }
        Ok(Err(Fault::TooLarge)) => too_large(limit),
        Err(_) => {
            let detail = "the body did not arrive in time";
            Problem::new(StatusCode::REQUEST_TIMEOUT, "body-timeout", detail).closing()
        }
    };
    hold(unread, LEFTOVER);
    Err(refusal)
}

/// Collects a body. One that grows large waits for a place among the large ones; meanwhile the rest
/// of it stays with its sender.
async fn collect(unread: &mut Unread, limit: usize) -> Result<Body, Fault> {
    let Unread { payload, inflow } = unread;
    let mut stream = pin!(BodyStream::new(payload));
    let mut body = Body {
        bytes: Vec::new(),
        place: None,
    };
    inflow.allow(FRAMING);
    while let Some(chunk) = poll_fn(|context| stream.as_mut().poll_next(context)).await {
        let chunk = chunk.map_err(|_| Fault::BrokenOff)?;
        inflow.allow_more(chunk.len() * FRAMING_OF_A_BYTE);
        let length = body.bytes.len() + chunk.len();
        if length > limit {
            return Err(Fault::TooLarge);
        }
        if length > SMALL && body.place.is_none() {
            let left = inflow.left();
            inflow.allow(0);
            // The semaphore is never closed.
            body.place = LARGE_BODIES.acquire().await.ok();
            inflow.allow(left);
            // Growing by steps would leave several times as much behind.
            body.bytes.reserve_exact(limit - body.bytes.len());
        }
        body.bytes.extend_from_slice(&chunk);
    }
    // What comes now is another request.
    inflow.allow(usize::MAX);
    Ok(body)
}

/// Holds a body that is not read (on) and lets so many more bytes of it come. What a dropped one
/// has still to bring actix reads to its end; held, the connection is cut once the refusal has been
/// sent.
pub fn hold(unread: Unread, bytes: usize) {
    unread.inflow.allow(bytes);
    rt::spawn(async move {
        rt::time::sleep(HOLD_REFUSED).await;
        drop(unread);
    });
}

fn too_large(limit: usize) -> Problem {
    let detail = format!("a body has at most {limit} bytes");
    Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "body-too-large", detail).closing()
}

/// `X-Src-Response-Host`, to be kept with the delivery.
pub fn response_host(request: &HttpRequest) -> Option<String> {
    let value = request
        .headers()
        .get("x-src-response-host")?
        .to_str()
        .ok()?;
    (value.len() <= MAX_RESPONSE_HOST).then(|| value.to_owned())
}
