//! `/v1/notifications`: what came, what became of it, and its replay.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use serde::Deserialize;
use serde_json::json;
use utoipa::IntoParams;

use super::access::Caller;
use super::idempotency::{Answer, once};
use super::refusals::{UNKNOWN_NOTIFICATION, WRONG_REPLAY};
use super::{Api, body, query, storage_failed, views};
use crate::processor;
use crate::receiver::problem::Problem;
use crate::store::{NotificationFilter, Replay};

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct ListQuery {
    /// Those of this card.
    card: Option<String>,
    /// `applied`, `no_change`, `duplicate`, `stale`, `parked` or `quarantined`.
    verdict: Option<String>,
    after: Option<String>,
    /// 1 to 1000; 100 if absent.
    limit: Option<i64>,
}

/// What came and what became of it, the latest arrival first.
#[utoipa::path(
    get, path = "/v1/notifications", operation_id = "listNotifications",
    tag = "notifications", params(ListQuery),
    responses((status = 200, body = views::NotificationPage))
)]
pub(super) async fn list(
    query: web::Query<ListQuery>,
    api: web::Data<Api>,
) -> Result<HttpResponse, Problem> {
    let query = query.into_inner();
    let limit = query::limit(query.limit)?;
    for text in [&query.card, &query.verdict, &query.after] {
        query::no_control(text.as_deref())?;
    }
    let filter = NotificationFilter {
        card_id: query.card,
        verdict: query.verdict,
        since: None,
        after: query.after,
        limit,
    };
    let rows = api.read(move |tx| tx.list_notifications(&filter)).await?;
    Ok(HttpResponse::Ok().json(views::NotificationPage::new(&rows, limit)))
}

/// One notification.
#[utoipa::path(
    get, path = "/v1/notifications/{id}", operation_id = "showNotification",
    tag = "notifications", params(("id" = String, Path)),
    responses((status = 200, body = views::Notification))
)]
pub(super) async fn show(
    id: web::Path<String>,
    api: web::Data<Api>,
) -> Result<HttpResponse, Problem> {
    let id = id.into_inner();
    query::no_control(Some(&id))?;
    let row = api.read(move |tx| tx.notification(&id)).await?;
    let row = row.ok_or(UNKNOWN_NOTIFICATION)?;
    Ok(HttpResponse::Ok().json(views::Notification::from(&row)))
}

/// Judges a recorded notification anew, with the receipt and event time it always had.
///
/// What was applied changes nothing again; what was held gets the verdict it deserves now. Who asked
/// (the API key's name) and why is recorded.
#[utoipa::path(
    post, path = "/v1/notifications/{id}/replay", operation_id = "replayNotification",
    tag = "notifications",
    params(("id" = String, Path)), request_body = body::ReplayBody,
    responses((status = 200, body = views::Replayed))
)]
pub(super) async fn replay(
    request: HttpRequest,
    id: web::Path<String>,
    payload: web::Payload,
    caller: web::ReqData<Caller>,
    api: web::Data<Api>,
) -> Result<HttpResponse, Problem> {
    let id = id.into_inner();
    query::no_control(Some(&id))?;
    let bytes = body::read(payload).await?;
    let reason = body::replay_reason(&bytes).map_err(|f| WRONG_REPLAY.because(f))?;
    let key = api.request_key(&request, &caller, &bytes)?;
    let asked = Replay {
        notification_id: id,
        at: api.clock.now(),
        operator: caller.name.clone(),
        reason,
        verdict: String::new(),
        rule: String::new(),
        changes: Vec::new(),
        card_order: None,
    };
    once(api.by(&caller), key, move |api| replay_now(api, asked)).await
}

fn replay_now(api: &Api, asked: Replay) -> Result<Answer, Problem> {
    let keyring = api.calls.keyring();
    let replayed = api.store.write(|tx| {
        let keys = api.store.keys();
        processor::replay_stored(tx, &keyring, keys, &api.policy, asked)
    });
    let replayed = replayed.map_err(storage_failed)?;
    let replayed = replayed.ok_or(UNKNOWN_NOTIFICATION)?;
    // A verdict may have made a call necessary.
    api.calls.hint();
    Ok(Answer::new(
        StatusCode::OK,
        &json!(views::Replayed::from(&replayed)),
    ))
}
