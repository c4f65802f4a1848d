//! Reads a body: right media type, right size, in time.

use std::time::Duration;

use actix_web::http::{StatusCode, header};
use actix_web::{HttpMessage, HttpRequest, rt, web};

use super::problem::Problem;
use crate::settings::ReceiverSettings;

/// Longer values of `X-Src-Response-Host` are not kept (the published limit).
const MAX_RESPONSE_HOST: usize = 1024;

/// Refuses what the headers show to be unfit, before a byte of the body is read.
pub fn check_headers(request: &HttpRequest, settings: &ReceiverSettings) -> Result<(), Problem> {
    let accepted = request.mime_type().ok().flatten().is_some_and(|mime| {
        let charset = mime
            .get_param("charset")
            .is_none_or(|charset| charset == "utf-8");
        charset
            && settings
                .media_types
                .iter()
                .any(|accepted| accepted == mime.essence_str())
    });
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

/// Reads the body within its limits. actix has no time limit for bodies: this is it.
pub async fn read(
    payload: web::Payload,
    limit: usize,
    deadline: Duration,
) -> Result<web::Bytes, Problem> {
    match rt::time::timeout(deadline, payload.to_bytes_limited(limit)).await {
        Ok(Ok(Ok(body))) => Ok(body),
        Ok(Ok(Err(_))) => {
            let detail = "the body broke off";
            Err(Problem::new(StatusCode::BAD_REQUEST, "incomplete-body", detail).closing())
        }
        Ok(Err(_)) => Err(too_large(limit)),
        Err(_) => {
            let detail = "the body did not arrive in time";
            Err(Problem::new(StatusCode::REQUEST_TIMEOUT, "body-timeout", detail).closing())
        }
    }
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
