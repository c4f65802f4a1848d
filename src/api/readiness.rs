//! `GET /v1/cards/{id}/readiness`: whether a card may be charged now, and with what.

use actix_web::{HttpResponse, web};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::refusals::{TERMINAL, UNKNOWN_CARD};
use super::{Api, query};
use crate::domain::{Card, Reason, Warning, may_charge, reasons, warnings};
use crate::receiver::problem::Problem;

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query, rename_all = "camelCase")]
#[serde(rename_all = "camelCase")]
pub(super) struct ReadinessQuery {
    /// The `numberVersion` that the caller's series was started with.
    series_number_version: Option<u32>,
}

/// Whether a card may be charged now, and with what.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Readiness {
    /// ACTIVE, not ended, and no reason against it.
    may_charge: bool,
    /// `suspended`, `status-unknown`, `refresh-unreadable`, `token-expired`.
    reasons: Vec<&'static str>,
    token: Option<ReadyToken>,
    cryptogram: CryptogramReadiness,
    /// Whether the series must be started anew; null if it is not said what it was started with.
    series_restart: Option<bool>,
    /// Token number or expiry are not those of the last Checkout, and none is under way by itself.
    checkout_recommended: bool,
    /// `refresh-suspected`, `not-found-there`.
    warnings: Vec<&'static str>,
}

/// The token to charge.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct ReadyToken {
    /// Rises when the token number changes.
    number_version: u32,
    /// Rises with any change of the token.
    version: u32,
    last_four: String,
    expiration_month: Option<String>,
    expiration_year: Option<String>,
}

/// Whether there is a cryptogram for the current number.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum CryptogramReadiness {
    /// Stored and not run out.
    Ready,
    /// Mastercard is being asked for one.
    Requested,
    None,
}

/// Whether a card may be charged now, and with what.
#[utoipa::path(
    get, path = "/v1/cards/{id}/readiness", operation_id = "readiness", tag = "payments",
    params(("id" = String, Path), ReadinessQuery),
    responses((status = 200, body = Readiness))
)]
pub(super) async fn show(
    id: web::Path<String>,
    query: web::Query<ReadinessQuery>,
    api: web::Data<Api>,
) -> Result<HttpResponse, Problem> {
    let id = query::card_id(&id)?;
    let read = api.read(move |tx| {
        let row = tx.card(&id)?;
        let expiry = tx.cryptogram_expiry(&id)?;
        Ok((row, expiry, tx.cryptogram_is_requested(&id)?))
    });
    let (row, cryptogram_expiry, is_requested) = read.await?;
    let card = row.ok_or(UNKNOWN_CARD)?.card;
    if card.terminal.is_some() {
        return Err(TERMINAL.into());
    }
    let now = api.clock.now();
    let cryptogram = match cryptogram_expiry {
        Some(expiry) if expiry > now => CryptogramReadiness::Ready,
        _ if is_requested => CryptogramReadiness::Requested,
        _ => CryptogramReadiness::None,
    };
    let series = query.series_number_version;
    Ok(HttpResponse::Ok().json(Readiness {
        may_charge: may_charge(&card, now),
        reasons: reasons(&card, now).into_iter().map(Reason::name).collect(),
        token: token(&card),
        cryptogram,
        series_restart: series.map(|version| version != card.number_version),
        checkout_recommended: card.checkout_recommended,
        warnings: warnings(&card).into_iter().map(Warning::name).collect(),
    }))
}

fn token(card: &Card) -> Option<ReadyToken> {
    let token = card.token.as_ref()?;
    Some(ReadyToken {
        number_version: card.number_version,
        version: card.version,
        last_four: token.number.last_four(),
        expiration_month: token.expiry.map(|expiry| expiry.month()),
        expiration_year: token.expiry.map(|expiry| expiry.year()),
    })
}
