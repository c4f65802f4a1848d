//! `Idempotency-Key`: a repeated request gets the answer of the first one.
//!
//! Only what was carried out is kept. A refusal changed nothing, so its request is judged anew.

use actix_web::http::StatusCode;
use actix_web::http::header::HeaderValue;
use actix_web::{HttpRequest, HttpResponse, web};
use openssl::sha::Sha256;
use serde_json::Value;

use super::access::Caller;
use super::refusals::{DAMAGED_ROW, IDEMPOTENCY_KEY_REUSED, WRONG_IDEMPOTENCY_KEY};
use super::{Api, blocking, storage_failed};
use crate::jose::{KeyedDigest, hex};
use crate::receiver::problem::Problem;
use crate::store::AnsweredRequest;

const HEADER: &str = "idempotency-key";
const LONGEST: usize = 255;

/// What is answered to a request that was carried out.
pub(super) struct Answer {
    status: StatusCode,
    /// JSON.
    body: String,
}

impl Answer {
    pub fn new(status: StatusCode, body: &Value) -> Self {
        let body = body.to_string();
        Self { status, body }
    }
}

/// An idempotency key and the request it came with.
pub(super) struct RequestKey {
    /// Digest of API key and idempotency key: one caller's keys mean nothing to another.
    pub id: String,
    /// Keyed digest of the request, which may hold a full number.
    pub request: KeyedDigest,
}

impl Api {
    /// The idempotency key that a request carries, if it carries one.
    pub(super) fn request_key(
        &self,
        request: &HttpRequest,
        caller: &Caller,
        body: &[u8],
    ) -> Result<Option<RequestKey>, Problem> {
        let Some(key) = header(request)? else {
            return Ok(None);
        };
        let mut id = Sha256::new();
        id.update(caller.digest.as_bytes());
        id.update(key);
        let uri = request.uri().to_string();
        let parts = [request.method().as_str().as_bytes(), uri.as_bytes(), body];
        Ok(Some(RequestKey {
            id: hex::encode(&id.finish()),
            request: self.store.keys().digest(&parts),
        }))
    }

    fn answer_once(
        &self,
        key: &RequestKey,
        work: impl FnOnce(&Self) -> Result<Answer, Problem>,
    ) -> Result<Answer, Problem> {
        if let Some(earlier) = self.answered_under(key)? {
            return Ok(earlier);
        }
        let answer = work(self)?;
        let kept = AnsweredRequest {
            id: key.id.clone(),
            request: key.request.text.clone(),
            status: i32::from(answer.status.as_u16()),
            answer: answer.body.clone(),
            created_at: self.clock.now(),
        };
        let is_first = self.store.write(|tx| tx.keep_answer(&kept, &key.request));
        if is_first.map_err(storage_failed)? {
            return Ok(answer);
        }
        // The same request was carried out twice at once: both get one answer.
        Ok(self.answered_under(key)?.unwrap_or(answer))
    }

    fn answered_under(&self, key: &RequestKey) -> Result<Option<Answer>, Problem> {
        let earlier = self.store.read(|tx| tx.answered_request(&key.id));
        let Some(earlier) = earlier.map_err(storage_failed)? else {
            return Ok(None);
        };
        if !key.request.is(&earlier.request) {
            return Err(IDEMPOTENCY_KEY_REUSED.into());
        }
        let status = u16::try_from(earlier.status).ok();
        let status = status.and_then(|status| StatusCode::from_u16(status).ok());
        Ok(Some(Answer {
            status: status.ok_or(DAMAGED_ROW)?,
            body: earlier.answer,
        }))
    }
}

/// Carries a request out beside the event loop, unless it was answered under its key before.
pub(super) async fn once(
    api: web::Data<Api>,
    key: Option<RequestKey>,
    work: impl FnOnce(&Api) -> Result<Answer, Problem> + Send + 'static,
) -> Result<HttpResponse, Problem> {
    let answer = blocking(move || match key {
        Some(key) => api.answer_once(&key, work),
        None => work(&api),
    });
    let Answer { status, body } = answer.await?;
    Ok(HttpResponse::build(status)
        .content_type("application/json")
        .body(body))
}

/// The value of the one header; two of them are ambiguous.
fn header(request: &HttpRequest) -> Result<Option<&[u8]>, Problem> {
    let mut headers = request.headers().get_all(HEADER).map(HeaderValue::as_bytes);
    let Some(key) = headers.next() else {
        return Ok(None);
    };
    let is_well_formed = (1..=LONGEST).contains(&key.len()) && key.iter().all(u8::is_ascii_graphic);
    match is_well_formed && headers.next().is_none() {
        true => Ok(Some(key)),
        false => Err(WRONG_IDEMPOTENCY_KEY.into()),
    }
}
