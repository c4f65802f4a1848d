//! `POST /v1/cards/{id}/credentials`: what one payment needs, handed out once.

use actix_web::http::header::{CACHE_CONTROL, HeaderValue};
use actix_web::{HttpRequest, HttpResponse, ResponseError, web};
use serde::Serialize;
use utoipa::ToSchema;

use super::access::Caller;
use super::refusals::{
    ALREADY_ISSUED, IDEMPOTENCY_KEY_REUSED, NO_CRYPTOGRAM, NOT_OFFERED, PROGRAM_UNKNOWN, TERMINAL,
    UNKNOWN_CARD, WRONG_CREDENTIALS_REQUEST, not_chargeable,
};
use super::{Api, body, query, storage_failed};
use crate::dispatcher::{Credentials, CredentialsRequest, IdempotencyKey, NoCredentials};
use crate::domain::{Cryptogram, Expiry};
use crate::receiver::problem::Problem;

// Borrows its secrets: they become text only in the answer's own buffer.
/// What one payment needs.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Credentials)]
pub(super) struct CredentialsView<'a> {
    /// The full token number.
    payment_token: &'a str,
    token_expiration_month: Option<String>,
    token_expiration_year: Option<String>,
    /// Never handed out twice. A further payment of a series has none, unless it must start anew.
    #[serde(skip_serializing_if = "Option::is_none")]
    cryptogram: Option<&'a str>,
    /// The cryptogram's kind.
    dynamic_data_type: Option<&'a str>,
    /// 246, or 247 for a series.
    sli: u16,
    number_version: u32,
    /// Whether the series must be started anew; null if it is not said what it was started with.
    series_restart: Option<bool>,
}

/// What one payment needs.
///
/// `single` and `recurring-first` get a cryptogram; `recurring` gets one only if the series must
/// start anew. The answer is stored nowhere: under an `Idempotency-Key` a repeated request is refused
/// with `already-issued`.
#[utoipa::path(
    post, path = "/v1/cards/{id}/credentials", operation_id = "credentials", tag = "payments",
    params(("id" = String, Path)), request_body = body::CredentialsBody,
    responses((status = 200, body = CredentialsView))
)]
pub(super) async fn issue(
    request: HttpRequest,
    id: web::Path<String>,
    payload: web::Payload,
    caller: web::ReqData<Caller>,
    api: web::Data<Api>,
) -> Result<HttpResponse, Problem> {
    let card_id = query::card_id(&id)?;
    let bytes = body::read(payload).await?;
    let asked = body::credentials(&bytes).map_err(|f| WRONG_CREDENTIALS_REQUEST.because(f))?;
    let key = api.request_key(&request, &caller, &bytes)?;
    let asked = CredentialsRequest {
        card_id,
        usage: asked.usage,
        amount: asked.amount,
        series_number_version: asked.series_number_version,
        by: caller.actor.clone(),
        idempotency: key.map(|key| IdempotencyKey {
            id: key.id,
            request: key.request,
        }),
    };
    let issued = web::block(move || api.calls.credentials(&asked)).await;
    let mut response = match issued {
        Ok(Ok(credentials)) => issued_as(&credentials)?,
        Ok(Err(no)) => refused(no),
        Err(_) => super::storage_down().error_response(),
    };
    let never = HeaderValue::from_static("no-store");
    response.headers_mut().insert(CACHE_CONTROL, never);
    Ok(response)
}

fn issued_as(credentials: &Credentials) -> Result<HttpResponse, Problem> {
    let cryptogram = credentials.cryptogram.as_ref().map(Cryptogram::expose);
    let view = CredentialsView {
        payment_token: credentials.number.expose(),
        token_expiration_month: credentials.expiry.map(Expiry::month),
        token_expiration_year: credentials.expiry.map(Expiry::year),
        cryptogram,
        dynamic_data_type: credentials.dynamic_data_type.as_deref(),
        sli: credentials.sli,
        number_version: credentials.number_version,
        series_restart: credentials.series_restart,
    };
    // Large enough from the start: a buffer that grows leaves copies behind.
    let mut body = Vec::with_capacity(1024 + 6 * cryptogram.map_or(0, str::len));
    serde_json::to_writer(&mut body, &view).map_err(|_| super::storage_down())?;
    Ok(HttpResponse::Ok()
        .content_type("application/json")
        .body(body))
}

fn refused(no: NoCredentials) -> HttpResponse {
    let problem: Problem = match no {
        NoCredentials::NotChargeable(reasons) => return not_chargeable(reasons),
        NoCredentials::UnknownCard => UNKNOWN_CARD.into(),
        NoCredentials::Ended => TERMINAL.into(),
        NoCredentials::ProgramUnknown => PROGRAM_UNKNOWN.into(),
        NoCredentials::NotOffered => NOT_OFFERED.into(),
        NoCredentials::AlreadyIssued => ALREADY_ISSUED.into(),
        NoCredentials::OtherRequest => IDEMPOTENCY_KEY_REUSED.into(),
        NoCredentials::NoneInTime {
            retry_after,
            reason,
        } => NO_CRYPTOGRAM
            .because(format!("{}: {reason}", NO_CRYPTOGRAM.detail))
            .retry_after(retry_after),
        NoCredentials::Store(error) => storage_failed(error),
    };
    problem.error_response()
}
