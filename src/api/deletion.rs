//! `DELETE /v1/cards/{id}`: unusable here at once, then deleted at Mastercard.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::{IntoParams, ToSchema};

use super::access::Caller;
use super::body::{self, BodyFault};
use super::idempotency::{Answer, once};
use super::refusals::{NOT_OFFERED, PROGRAM_UNKNOWN, UNKNOWN_CARD, WRONG_QUERY};
use super::{Api, query, storage_failed, views};
use crate::dispatcher::{self, DeletionRequest};
use crate::domain::TerminalState;
use crate::mastercard::{DeleteReason, Requestor};
use crate::receiver::problem::Problem;

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct DeletionQuery {
    /// `SUSPECTED_FRAUD`, `ACCOUNT_CLOSED`, `OTHER` or `DEFAULT`.
    reason: Option<String>,
    /// `CARDHOLDER`, `MERCHANT`, `ISSUER` or `WALLET`.
    requestor: Option<String>,
    /// The program to delete it at, for a card whose program is not known.
    program: Option<String>,
}

/// A card that is being deleted, or has ended.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Deletion<'a> {
    card_id: &'a str,
    /// `DELETE_PENDING` until Mastercard has confirmed it, then `CANCELLED`.
    status: &'static str,
    /// The call that deletes it there; null once it is over.
    job: Option<views::Job<'a>>,
}

/// Deletes a card.
///
/// It is unusable here at once: number and cryptogram are destroyed. The call to Mastercard is made
/// until it succeeds.
#[utoipa::path(
    delete, path = "/v1/cards/{id}", operation_id = "deleteCard", tag = "cards",
    params(("id" = String, Path), DeletionQuery),
    responses(
        (status = 202, description = "The call to Mastercard waits.", body = Deletion),
        (status = 200, description = "The card had ended or was being deleted.", body = Deletion)
    )
)]
pub(super) async fn delete(
    request: HttpRequest,
    id: web::Path<String>,
    query: web::Query<DeletionQuery>,
    caller: web::ReqData<Caller>,
    api: web::Data<Api>,
) -> Result<HttpResponse, Problem> {
    let query = query.into_inner();
    query::no_control(query.program.as_deref())?;
    if !body::is_program(&api.programs, query.program.as_deref()) {
        return Err(WRONG_QUERY.because(BodyFault::UnknownProgram));
    }
    let asked = DeletionRequest {
        card_id: query::card_id(&id)?,
        program: query.program,
        reason: word(query.reason, DeleteReason::from_word, REASONS)?,
        requestor: word(query.requestor, Requestor::from_word, REQUESTORS)?,
    };
    let key = api.request_key(&request, &caller, &[])?;
    once(api.by(&caller), key, move |api| delete_now(api, &asked)).await
}

const DEACTIVATED: &str =
    "the card's program deletes no cards; deactivate its tokens (token-status)";
const REASONS: &str = "reason is SUSPECTED_FRAUD, ACCOUNT_CLOSED, OTHER or DEFAULT";
const REQUESTORS: &str = "requestor is CARDHOLDER, MERCHANT, ISSUER or WALLET";

fn word<T>(
    text: Option<String>,
    named: fn(&str) -> Option<T>,
    allowed: &str,
) -> Result<Option<T>, Problem> {
    let Some(text) = text else {
        return Ok(None);
    };
    let word = named(&text).ok_or_else(|| WRONG_QUERY.because(allowed))?;
    Ok(Some(word))
}

fn delete_now(api: &Api, asked: &DeletionRequest) -> Result<Answer, Problem> {
    let now = api.clock.now();
    let deletion = dispatcher::request_deletion(&api.store, &api.policy, asked, now);
    let (code, status, job) = match deletion.map_err(storage_failed)? {
        dispatcher::Deletion::Asked(job) => {
            api.calls.hint();
            let pending = TerminalState::DeletePending.word();
            (StatusCode::ACCEPTED, pending, Some(job))
        }
        dispatcher::Deletion::Repeated { status, job } => (StatusCode::OK, status, job),
        dispatcher::Deletion::UnknownCard => return Err(UNKNOWN_CARD.into()),
        dispatcher::Deletion::ProgramUnknown => return Err(PROGRAM_UNKNOWN.into()),
        dispatcher::Deletion::NotOffered => return Err(NOT_OFFERED.because(DEACTIVATED)),
    };
    let answer = Deletion {
        card_id: asked.card_id.as_str(),
        status,
        job: job.as_ref().map(views::Job::from),
    };
    Ok(Answer::new(code, &json!(answer)))
}
