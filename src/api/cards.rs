//! `/v1/cards`: register a card, show one, list a consumer's, delete one.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use serde::Deserialize;
use serde_json::json;
use utoipa::IntoParams;

use super::access::Caller;
use super::idempotency::{Answer, once};
use super::refusals::{TERMINAL, UNKNOWN_CARD, WRONG_REGISTRATION};
use super::{Api, body, query, storage_failed, views};
use crate::processor::{self, Registered, Registering};
use crate::receiver::problem::Problem;
use crate::store::CardFilter;

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct ListQuery {
    /// The merchant's own reference of a consumer.
    consumer: Option<String>,
    after: Option<String>,
    /// 1 to 1000; 100 if absent.
    limit: Option<i64>,
}

/// Cards that may be shown, by ascending id.
#[utoipa::path(
    get, path = "/v1/cards", operation_id = "listCards",
    tag = "cards", params(ListQuery),
    responses((status = 200, body = views::CardPage))
)]
pub(super) async fn list(
    query: web::Query<ListQuery>,
    api: web::Data<Api>,
) -> Result<HttpResponse, Problem> {
    let query = query.into_inner();
    let limit = query::limit(query.limit)?;
    query::no_control(query.consumer.as_deref())?;
    query::no_control(query.after.as_deref())?;
    let filter = CardFilter {
        consumer_reference: query.consumer,
        with_ended: false,
        after: query.after,
        limit,
        ..CardFilter::default()
    };
    let rows = api.read(move |tx| tx.list_cards(&filter)).await?;
    Ok(HttpResponse::Ok().json(views::CardPage::new(&rows, limit)))
}

/// What to show of a card.
#[utoipa::path(
    get, path = "/v1/cards/{id}", operation_id = "showCard",
    tag = "cards", params(("id" = String, Path)),
    responses((status = 200, body = views::Card))
)]
pub(super) async fn show(
    id: web::Path<String>,
    api: web::Data<Api>,
) -> Result<HttpResponse, Problem> {
    let id = query::card_id(&id)?;
    let row = api.read(move |tx| tx.card(&id)).await?;
    let row = row.ok_or(UNKNOWN_CARD)?;
    if row.card.terminal.is_some() {
        return Err(TERMINAL.into());
    }
    Ok(HttpResponse::Ok().json(views::Card::from(&row)))
}

/// Registers a card that the merchant has stored.
///
/// It fills what no notification has set and overwrites nothing else; program and consumer reference
/// are always set.
#[utoipa::path(
    put, path = "/v1/cards/{id}", operation_id = "registerCard",
    tag = "cards",
    params(("id" = String, Path)), request_body = body::RegistrationBody,
    responses(
        (status = 201, description = "The card was not known.", body = views::Card),
        (status = 200, description = "The card was known.", body = views::Card)
    )
)]
pub(super) async fn register(
    request: HttpRequest,
    id: web::Path<String>,
    payload: web::Payload,
    caller: web::ReqData<Caller>,
    api: web::Data<Api>,
) -> Result<HttpResponse, Problem> {
    let id = query::card_id(&id)?;
    let bytes = body::read(payload).await?;
    let registering = body::registration(id, &bytes, &api.programs, api.clock.now());
    let registering = registering.map_err(|fault| WRONG_REGISTRATION.because(fault))?;
    let key = api.request_key(&request, &caller, &bytes)?;
    once(api.by(&caller), key, move |api| {
        register_now(api, registering)
    })
    .await
}

fn register_now(api: &Api, registering: Registering) -> Result<Answer, Problem> {
    let id = registering.registration.card_id.clone();
    let registered = processor::register(&api.store, &api.policy, registering);
    let status = match registered.map_err(storage_failed)? {
        Registered::Created => StatusCode::CREATED,
        Registered::Updated => StatusCode::OK,
        Registered::Ended => return Err(TERMINAL.into()),
        Registered::Misfit(misfit) => return Err(WRONG_REGISTRATION.because(misfit)),
    };
    if let Some(wake) = &api.wake {
        wake.hint();
    }
    let row = api.store.read(|tx| tx.card(&id)).map_err(storage_failed)?;
    Ok(Answer::new(status, &json!(row.as_ref().map(views::card))))
}
