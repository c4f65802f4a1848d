//! `GET /v1/events`: what the merchant's systems are told, to be pulled.

use actix_web::{HttpResponse, web};
use serde::Deserialize;
use utoipa::IntoParams;

use super::{Api, query, views};
use crate::receiver::problem::Problem;

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct EventsQuery {
    /// The id of the last event read; without it, reading begins with the first one.
    after: Option<String>,
    /// 1 to 1000; 100 if absent.
    limit: Option<i64>,
}

/// Every change, once, in the order of commit.
///
/// `next` is the cursor to go on from. It is there on every page, also on an empty one: whoever asks
/// again later with it misses nothing.
#[utoipa::path(
    get, path = "/v1/events", operation_id = "listEvents",
    tag = "events", params(EventsQuery),
    responses((status = 200, body = views::EventPage))
)]
pub(super) async fn list(
    query: web::Query<EventsQuery>,
    api: web::Data<Api>,
) -> Result<HttpResponse, Problem> {
    let limit = query::limit(query.limit)?;
    let after = query::cursor(query.after.as_deref())?.unwrap_or(0);
    let rows = api.read(move |tx| tx.events_after(after, limit)).await?;
    Ok(HttpResponse::Ok().json(views::EventPage::new(&rows, after)))
}
