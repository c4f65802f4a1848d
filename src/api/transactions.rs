//! `GET /v1/cards/{id}/transactions`: what Mastercard lists of a card, passed on.

use actix_web::{HttpResponse, web};
use chrono::DateTime;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

use super::refusals::{
    NOT_OFFERED, PROGRAM_UNKNOWN, TERMINAL, UNKNOWN_CARD, UPSTREAM_REFUSED, UPSTREAM_UNAVAILABLE,
    WRONG_QUERY,
};
use super::{Api, blocking, query, storage_failed};
use crate::dispatcher::NoTransactions;
use crate::receiver::problem::Problem;
use crate::upstream::{CallFailure, FailureClass};

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct TransactionsQuery {
    /// The earliest to list: ISO-8601 with an offset.
    from: Option<String>,
}

/// A card's latest transactions.
#[derive(Serialize, ToSchema)]
pub(super) struct Transactions {
    /// As Mastercard lists them, without anything that could be a full number.
    #[schema(value_type = Vec<Object>)]
    transactions: Value,
}

/// A card's latest transactions, asked of Mastercard now.
#[utoipa::path(
    get, path = "/v1/cards/{id}/transactions", operation_id = "transactions", tag = "cards",
    params(("id" = String, Path), TransactionsQuery),
    responses((status = 200, body = Transactions))
)]
pub(super) async fn show(
    id: web::Path<String>,
    query: web::Query<TransactionsQuery>,
    api: web::Data<Api>,
) -> Result<HttpResponse, Problem> {
    let id = query::card_id(&id)?;
    let from = query.into_inner().from;
    let is_instant = |from: &String| DateTime::parse_from_rfc3339(from).is_ok();
    if !from.as_ref().is_none_or(is_instant) {
        return Err(WRONG_QUERY.because("from is a time like 2026-07-20T10:00:00Z"));
    }
    let transactions = blocking(move || {
        let listed = api.calls.transactions(&id, from.as_deref());
        listed.map_err(refused)
    });
    let transactions = transactions.await?;
    Ok(HttpResponse::Ok().json(Transactions { transactions }))
}

fn refused(why: NoTransactions) -> Problem {
    match why {
        NoTransactions::UnknownCard => UNKNOWN_CARD.into(),
        NoTransactions::Ended => TERMINAL.into(),
        NoTransactions::ProgramUnknown => PROGRAM_UNKNOWN.into(),
        NoTransactions::NotOffered => NOT_OFFERED.into(),
        NoTransactions::Failed(failure) => failed(&failure),
        NoTransactions::Store(error) => storage_failed(error),
    }
}

fn failed(failure: &CallFailure) -> Problem {
    let detail = |what: &str| format!("{what}: {failure}");
    match failure.class {
        FailureClass::Retry => {
            let wait = failure.retry_after.map_or(1, |wait| wait.as_secs().max(1));
            UPSTREAM_UNAVAILABLE
                .because(detail(UPSTREAM_UNAVAILABLE.detail))
                .retry_after(u32::try_from(wait).unwrap_or(u32::MAX))
        }
        FailureClass::Refused | FailureClass::Denied | FailureClass::NotThere => {
            UPSTREAM_REFUSED.because(detail(UPSTREAM_REFUSED.detail))
        }
    }
}
