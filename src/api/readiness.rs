//! `GET /v1/cards/{id}/readiness`: whether a card may be charged now, and with what.

use actix_web::{HttpResponse, web};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::refusals::{TERMINAL, UNKNOWN_CARD};
use super::{Api, query};
use crate::domain::{Card, Reason, Warning, may_charge, reasons, warnings};
use crate::receiver::problem::Problem;
use crate::store::{StoreError, Tx};

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
pub(crate) struct Readiness {
    /// ACTIVE, not ended, and no reason against it.
    pub may_charge: bool,
    /// `suspended`, `status-unknown`, `refresh-unreadable`, `token-expired`.
    pub reasons: Vec<&'static str>,
    pub token: Option<ReadyToken>,
    pub cryptogram: CryptogramReadiness,
    /// Whether the series must be started anew; null if it is not said what it was started with.
    pub series_restart: Option<bool>,
    /// Token number or expiry are not those of the last Checkout, and none is under way by itself.
    pub checkout_recommended: bool,
    /// `refresh-suspected`, `not-found-there`.
    pub warnings: Vec<&'static str>,
}

/// The token to charge.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ReadyToken {
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
pub(crate) enum CryptogramReadiness {
    /// Stored and not run out.
    Ready,
    /// Mastercard is being asked for one.
    Requested,
    None,
}

impl CryptogramReadiness {
    /// The word for it, as shown.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::Requested => "requested",
            Self::None => "none",
        }
    }
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
    let (now, series) = (api.clock.now(), query.series_number_version);
    let read = api.read(move |tx| {
        let Some(row) = tx.card(&id)? else {
            return Ok(None);
        };
        if row.card.terminal.is_some() {
            return Ok(Some(None));
        }
        Ok(Some(Some(Readiness::read(tx, &row.card, now, series)?)))
    });
    let readiness = read.await?.ok_or(UNKNOWN_CARD)?.ok_or(TERMINAL)?;
    Ok(HttpResponse::Ok().json(readiness))
}

impl Readiness {
    /// How a living card stands at `now`, for a series that was started with this number.
    pub(crate) fn read(
        tx: &mut Tx<'_>,
        card: &Card,
        now: i64,
        series: Option<u32>,
    ) -> Result<Self, StoreError> {
        let expiry = tx.cryptogram_expiry(&card.id)?;
        let cryptogram = match expiry {
            Some(expiry) if expiry > now => CryptogramReadiness::Ready,
            _ if tx.cryptogram_is_requested(&card.id)? => CryptogramReadiness::Requested,
            _ => CryptogramReadiness::None,
        };
        Ok(Self {
            may_charge: may_charge(card, now),
            reasons: reasons(card, now).into_iter().map(Reason::name).collect(),
            token: token(card),
            cryptogram,
            series_restart: series.map(|version| version != card.number_version),
            checkout_recommended: card.checkout_recommended,
            warnings: warnings(card).into_iter().map(Warning::name).collect(),
        })
    }
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
