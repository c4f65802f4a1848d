//! `/v1/outbox`: the calls that wait, run or have ended.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use serde::Deserialize;
use utoipa::IntoParams;

use super::access::Caller;
use super::idempotency::{Answer, once};
use super::refusals::{NOT_RETRYABLE, UNKNOWN_JOB};
use super::{Api, query, storage_failed, views};
use crate::dispatcher::{Operated, retry_call};
use crate::receiver::problem::Problem;
use crate::store::{JobFilter, JobView};

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct ListQuery {
    /// `waiting`, `running`, `done`, `parked`, `dead` or `discarded`.
    state: Option<String>,
    /// `cryptogram`, `get_card`, `delete_card`, `read_tokens`, `token_status` or `credentials`.
    kind: Option<String>,
    /// Calls of this card.
    card: Option<String>,
    after: Option<String>,
    /// 1 to 1000; 100 if absent.
    limit: Option<i64>,
}

/// Calls to Mastercard, in the order they became necessary.
#[utoipa::path(
    get, path = "/v1/outbox", operation_id = "listCalls",
    tag = "outbox", params(ListQuery),
    responses((status = 200, body = views::JobPage))
)]
pub(super) async fn list(
    query: web::Query<ListQuery>,
    api: web::Data<Api>,
) -> Result<HttpResponse, Problem> {
    let query = query.into_inner();
    let limit = query::limit(query.limit)?;
    for text in [&query.state, &query.kind, &query.card, &query.after] {
        query::no_control(text.as_deref())?;
    }
    let filter = JobFilter {
        state: query.state,
        kind: query.kind,
        card_id: query.card,
        after: query.after,
        limit,
        ..JobFilter::default()
    };
    let rows = api.read(move |tx| tx.list_jobs(&filter)).await?;
    Ok(HttpResponse::Ok().json(views::JobPage::new(&rows, limit)))
}

/// One call.
#[utoipa::path(
    get, path = "/v1/outbox/{id}", operation_id = "showCall",
    tag = "outbox", params(("id" = String, Path)),
    responses((status = 200, body = views::Job))
)]
pub(super) async fn show(
    id: web::Path<String>,
    api: web::Data<Api>,
) -> Result<HttpResponse, Problem> {
    let id = id.into_inner();
    query::no_control(Some(&id))?;
    let row = api.read(move |tx| tx.job(&id)).await?;
    let row = row.ok_or(UNKNOWN_JOB)?;
    Ok(HttpResponse::Ok().json(views::Job::from(&row)))
}

/// Lets a call be made at once that waits, is parked or was given up.
#[utoipa::path(
    post, path = "/v1/outbox/{id}/retry", operation_id = "retryCall",
    tag = "outbox", params(("id" = String, Path)),
    responses((status = 200, body = views::Job))
)]
pub(super) async fn retry(
    request: HttpRequest,
    id: web::Path<String>,
    caller: web::ReqData<Caller>,
    api: web::Data<Api>,
) -> Result<HttpResponse, Problem> {
    let id = id.into_inner();
    query::no_control(Some(&id))?;
    let key = api.request_key(&request, &caller, &[])?;
    once(api.by(&caller), key, move |api| {
        let job = retry_now(api, &id)?;
        Ok(Answer::new(StatusCode::OK, &views::job(&job)))
    })
    .await
}

/// Lets a call be made at once, if its state allows it.
pub(crate) fn retry_now(api: &Api, id: &str) -> Result<JobView, Problem> {
    let retried = retry_call(&api.store, id, api.clock.now());
    match retried.map_err(storage_failed)? {
        Operated::Done(job) => {
            api.calls.hint();
            Ok(job)
        }
        Operated::Refused(_) => Err(NOT_RETRYABLE.into()),
        Operated::Unknown => Err(UNKNOWN_JOB.into()),
    }
}
