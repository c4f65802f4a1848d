//! `/v1/cards`: register a card, show one, list a consumer's.

use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use serde::Deserialize;
use serde_json::json;

use super::access::AccessRole::{App, Ops};
use super::{Api, blocking, body, views};
use crate::domain::CardId;
use crate::processor::{self, Registered};
use crate::receiver::{self, problem::Problem};
use crate::store::CardFilter;

/// Rows of a page, when the caller does not say.
pub(super) const DEFAULT_LIMIT: i64 = 100;
pub(super) const MAX_LIMIT: i64 = 1000;
/// A registration is small, and its sender near.
const MAX_BODY: usize = 64 * 1024;
const BODY_DEADLINE: Duration = Duration::from_secs(10);

#[derive(Deserialize)]
pub(super) struct ListQuery {
    consumer: Option<String>,
    after: Option<String>,
    limit: Option<i64>,
}

/// `GET /v1/cards?consumer=…`: cards that may be shown, by ascending id.
pub(super) async fn list(
    request: HttpRequest,
    query: web::Query<ListQuery>,
    api: web::Data<Api>,
) -> Result<HttpResponse, Problem> {
    api.admit(&request, &[App, Ops]).await?;
    let query = query.into_inner();
    let limit = limit(query.limit)?;
    no_control(query.consumer.as_deref())?;
    no_control(query.after.as_deref())?;
    let filter = CardFilter {
        consumer_reference: query.consumer,
        with_ended: false,
        after: query.after,
        limit,
    };
    let rows = api.read(move |tx| tx.list_cards(&filter)).await?;
    let next = views::next(&rows, limit, |row| row.card.id.as_str().to_owned());
    let cards: Vec<_> = rows.iter().map(views::card).collect();
    Ok(HttpResponse::Ok().json(json!({ "cards": cards, "next": next })))
}

/// `GET /v1/cards/{id}`: what to show; 404 unknown, 410 ended.
pub(super) async fn show(
    request: HttpRequest,
    id: web::Path<String>,
    api: web::Data<Api>,
) -> Result<HttpResponse, Problem> {
    api.admit(&request, &[App, Ops]).await?;
    let id = card_id(&id)?;
    let row = api.read(move |tx| tx.card(&id)).await?;
    let row = row.ok_or_else(|| {
        Problem::new(
            StatusCode::NOT_FOUND,
            "unknown-card",
            "no card of this id is known",
        )
    })?;
    if row.card.terminal.is_some() {
        return Err(ended());
    }
    Ok(HttpResponse::Ok().json(views::card(&row)))
}

/// `PUT /v1/cards/{id}`: registers a card; 201 new, 200 known, 410 ended.
pub(super) async fn register(
    request: HttpRequest,
    id: web::Path<String>,
    payload: web::Payload,
    api: web::Data<Api>,
) -> Result<HttpResponse, Problem> {
    api.admit(&request, &[App]).await?;
    let id = card_id(&id)?;
    let body = receiver::read_body(payload, MAX_BODY, BODY_DEADLINE).await?;
    let registration = body::registration(id.clone(), &body.bytes, &api.programs, api.clock.now())
        .map_err(|f| Problem::new(StatusCode::BAD_REQUEST, "wrong-registration", f))?;
    let (store, policy) = (api.store.clone(), api.policy.clone());
    let registered = blocking(move || processor::register(&store, &policy, registration)).await?;
    if let Some(wake) = &api.wake {
        wake.hint();
    }
    let status = match registered {
        Registered::Created => StatusCode::CREATED,
        Registered::Updated => StatusCode::OK,
        Registered::Ended => return Err(ended()),
    };
    let row = api.read(move |tx| tx.card(&id)).await?;
    Ok(HttpResponse::build(status).json(row.as_ref().map(views::card)))
}

fn card_id(text: &str) -> Result<CardId, Problem> {
    CardId::parse(text)
        .map_err(|fault| Problem::new(StatusCode::BAD_REQUEST, "wrong-card-id", fault))
}

/// PostgreSQL cannot hold U+0000, and no id or reference has any control character.
pub(super) fn no_control(text: Option<&str>) -> Result<(), Problem> {
    if text.is_some_and(|text| text.chars().any(char::is_control)) {
        let detail = "a query parameter holds a control character";
        return Err(Problem::new(StatusCode::BAD_REQUEST, "wrong-query", detail));
    }
    Ok(())
}

pub(super) fn limit(asked: Option<i64>) -> Result<i64, Problem> {
    let limit = asked.unwrap_or(DEFAULT_LIMIT);
    if (1..=MAX_LIMIT).contains(&limit) {
        return Ok(limit);
    }
    let detail = format!("limit is a number from 1 to {MAX_LIMIT}");
    Err(Problem::new(StatusCode::BAD_REQUEST, "wrong-limit", detail))
}

fn ended() -> Problem {
    Problem::new(
        StatusCode::GONE,
        "terminal",
        "the card has ended and is not shown any more",
    )
}
