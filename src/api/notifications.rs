//! `/v1/notifications`: what came, and what became of it.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use serde::Deserialize;
use serde_json::json;

use super::access::AccessRole::Ops;
use super::{Api, cards, views};
use crate::receiver::problem::Problem;
use crate::store::NotificationFilter;

#[derive(Deserialize)]
pub(super) struct ListQuery {
    card: Option<String>,
    verdict: Option<String>,
    after: Option<String>,
    limit: Option<i64>,
}

/// `GET /v1/notifications?card=&verdict=&limit=&after=`: the latest arrival first.
pub(super) async fn list(
    request: HttpRequest,
    query: web::Query<ListQuery>,
    api: web::Data<Api>,
) -> Result<HttpResponse, Problem> {
    api.admit(&request, &[Ops]).await?;
    let query = query.into_inner();
    let limit = cards::limit(query.limit)?;
    for text in [&query.card, &query.verdict, &query.after] {
        cards::no_control(text.as_deref())?;
    }
    let filter = NotificationFilter {
        card_id: query.card,
        verdict: query.verdict,
        since: None,
        after: query.after,
        limit,
    };
    let rows = api.read(move |tx| tx.list_notifications(&filter)).await?;
    let next = views::next(&rows, limit, |row| row.id.clone());
    let notifications: Vec<_> = rows.iter().map(views::notification).collect();
    Ok(HttpResponse::Ok().json(json!({ "notifications": notifications, "next": next })))
}

/// `GET /v1/notifications/{id}`.
pub(super) async fn show(
    request: HttpRequest,
    id: web::Path<String>,
    api: web::Data<Api>,
) -> Result<HttpResponse, Problem> {
    api.admit(&request, &[Ops]).await?;
    let id = id.into_inner();
    cards::no_control(Some(&id))?;
    let row = api.read(move |tx| tx.notification(&id)).await?;
    let row = row.ok_or_else(|| {
        let detail = "no notification of this id is known";
        Problem::new(StatusCode::NOT_FOUND, "unknown-notification", detail)
    })?;
    Ok(HttpResponse::Ok().json(views::notification(&row)))
}
