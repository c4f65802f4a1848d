//! `GET /v1/cards/{id}/timeline`: what happened to a card, from all sides, in order.

use actix_web::{HttpResponse, web};
use serde::Deserialize;
use utoipa::IntoParams;

use super::refusals::{UNKNOWN_CARD, WRONG_QUERY};
use super::{Api, query, views};
use crate::receiver::problem::Problem;
use crate::store::TimelineCursor;

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct TimelineQuery {
    after: Option<String>,
    /// 1 to 1000; 100 if absent.
    limit: Option<i64>,
}

/// What happened to a card, the latest first.
///
/// Notifications, registrations, answers, calls, and what operators did. Also of a card that has ended.
#[utoipa::path(
    get, path = "/v1/cards/{id}/timeline", operation_id = "showTimeline", tag = "cards",
    params(("id" = String, Path), TimelineQuery),
    responses((status = 200, body = views::Timeline))
)]
pub(super) async fn show(
    id: web::Path<String>,
    query: web::Query<TimelineQuery>,
    api: web::Data<Api>,
) -> Result<HttpResponse, Problem> {
    let id = query::card_id(&id)?;
    let limit = query::limit(query.limit)?;
    let after = cursor(query.after.as_deref())?;
    let read = api.read(move |tx| {
        let moments = tx.timeline(&id, after.as_ref(), limit)?;
        Ok((tx.card(&id)?.is_some(), moments))
    });
    let (is_known, moments) = read.await?;
    if !is_known && moments.is_empty() {
        return Err(UNKNOWN_CARD.into());
    }
    Ok(HttpResponse::Ok().json(views::Timeline::new(&moments, limit)))
}

/// The place in a timeline behind which to read, if one is named.
pub(crate) fn cursor(text: Option<&str>) -> Result<Option<TimelineCursor>, Problem> {
    query::no_control(text)?;
    let Some(text) = text else {
        return Ok(None);
    };
    let wrong = || WRONG_QUERY.because("a cursor is the next of another page");
    Ok(Some(TimelineCursor::parse(text).ok_or_else(wrong)?))
}
