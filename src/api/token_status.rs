//! `PUT /v1/cards/{id}/token-status` and `…/contract-status`: what a merchant, or an issuer, wants of a
//! card's tokens.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use serde::Serialize;
use serde_json::json;
use utoipa::ToSchema;

use super::access::Caller;
use super::idempotency::{Answer, once};
use super::refusals::{
    ILLEGAL_TRANSITION, NOT_OFFERED, PROGRAM_UNKNOWN, TERMINAL, UNKNOWN_CARD, UNKNOWN_TOKEN,
    WRONG_TOKEN_COMMAND,
};
use super::{Api, body, query, storage_failed, views};
use crate::dispatcher::{self, CommandRequest, Commanded, ContractTold};
use crate::domain::{CardId, TokensOfCard};
use crate::receiver::problem::Problem;

/// What became of a token command.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct TokenCommandAnswer<'a> {
    card_id: &'a str,
    token_status: &'static str,
    /// `queued`, or `no_change` where the tokens have that status or are about to.
    outcome: &'static str,
    /// The call that carries it; null where none is needed.
    job: Option<views::Job<'a>>,
    /// Where to see what becomes of the call.
    link: Option<String>,
    /// What else should be known.
    note: Option<&'static str>,
}

/// What a contract status changed.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct ContractStatusAnswer<'a> {
    card_id: &'a str,
    contract_status: &'a str,
    /// `applied` or `no_change`.
    outcome: &'static str,
    tokens: Vec<views::CardToken>,
}

const NETWORK_FOLLOWS: &str = "the card management system changes first; the network follows later";
const ISSUERS: &str =
    "the card's program does not offer this: to suspend and resume its tokens is the issuer's";

/// Suspends, resumes or deactivates tokens.
///
/// The call is made where the card's tokens live. A card of a Checkout program is deleted by
/// `DEACTIVATE`; to suspend and to resume it is the issuer's.
#[utoipa::path(
    put, path = "/v1/cards/{id}/token-status", operation_id = "setTokenStatus", tag = "cards",
    params(("id" = String, Path)), request_body = body::TokenCommandBody,
    responses(
        (status = 202, description = "The call waits.", body = TokenCommandAnswer),
        (status = 200, description = "It would change nothing.", body = TokenCommandAnswer)
    )
)]
pub(super) async fn set(
    request: HttpRequest,
    id: web::Path<String>,
    payload: web::Payload,
    caller: web::ReqData<Caller>,
    api: web::Data<Api>,
) -> Result<HttpResponse, Problem> {
    let card_id = query::card_id(&id)?;
    let bytes = body::read(payload).await?;
    let read = body::token_command(&bytes);
    let (command, token) = read.map_err(|fault| WRONG_TOKEN_COMMAND.because(fault))?;
    let request_key = api.request_key(&request, &caller, &bytes)?;
    let asked = CommandRequest {
        card_id,
        token,
        command,
    };
    once(api.by(&caller), request_key, move |api| {
        set_now(api, &asked)
    })
    .await
}

fn set_now(api: &Api, asked: &CommandRequest) -> Result<Answer, Problem> {
    let now = api.clock.now();
    let commanded = dispatcher::request_command(&api.store, &api.policy, asked, now);
    let (code, outcome, job) = match commanded.map_err(storage_failed)? {
        Commanded::Queued(job) => {
            api.calls.hint();
            (StatusCode::ACCEPTED, "queued", Some(job))
        }
        Commanded::NoChange(job) => (StatusCode::OK, "no_change", job),
        Commanded::UnknownCard => return Err(UNKNOWN_CARD.into()),
        Commanded::Ended => return Err(TERMINAL.into()),
        Commanded::ProgramUnknown => return Err(PROGRAM_UNKNOWN.into()),
        Commanded::NotOffered => return Err(NOT_OFFERED.because(ISSUERS)),
        Commanded::UnknownToken => return Err(UNKNOWN_TOKEN.into()),
        Commanded::Illegal(from) => {
            let (to, from) = (asked.command.word(), from.word());
            return Err(ILLEGAL_TRANSITION.because(format!(
                "{to} is not possible: after the commands that wait the status is {from}"
            )));
        }
    };
    let answer = TokenCommandAnswer {
        card_id: asked.card_id.as_str(),
        token_status: asked.command.word(),
        outcome,
        link: job.as_ref().map(|job| format!("/v1/outbox/{}", job.id)),
        job: job.as_deref().map(views::Job::from),
        note: match code {
            StatusCode::ACCEPTED => note(api, &asked.card_id)?,
            _ => None,
        },
    };
    Ok(Answer::new(code, &json!(answer)))
}

/// Where the network learns of a command by other ways than the call.
fn note(api: &Api, card_id: &CardId) -> Result<Option<&'static str>, Problem> {
    let row = api.store.read(|tx| tx.card(card_id));
    let row = row.map_err(storage_failed)?;
    let tokens_of = row.and_then(|row| api.policy.tokens_of(&row.card));
    Ok((tokens_of == Some(TokensOfCard::Many)).then_some(NETWORK_FOLLOWS))
}

/// Tells the status of a card contract (Mastercard Processing Digital).
///
/// `05` suspends the active tokens here, as it did there. `41` and `43` (lost, stolen) leave them as
/// they are and mark them: they will be linked to the card's replacement.
#[utoipa::path(
    put, path = "/v1/cards/{id}/contract-status", operation_id = "setContractStatus", tag = "cards",
    params(("id" = String, Path)), request_body = body::ContractStatusBody,
    responses((status = 200, body = ContractStatusAnswer))
)]
pub(super) async fn set_contract(
    request: HttpRequest,
    id: web::Path<String>,
    payload: web::Payload,
    caller: web::ReqData<Caller>,
    api: web::Data<Api>,
) -> Result<HttpResponse, Problem> {
    let card_id = query::card_id(&id)?;
    let bytes = body::read(payload).await?;
    let code = body::contract_status(&bytes);
    let code = code.map_err(|fault| WRONG_TOKEN_COMMAND.because(fault))?;
    let request_key = api.request_key(&request, &caller, &bytes)?;
    once(api.by(&caller), request_key, move |api| {
        tell(api, &card_id, &code)
    })
    .await
}

fn tell(api: &Api, card_id: &CardId, code: &str) -> Result<Answer, Problem> {
    let now = api.clock.now();
    let told = dispatcher::tell_contract_status(&api.store, &api.policy, card_id, code, now);
    let (card, is_changed) = match told.map_err(storage_failed)? {
        ContractTold::Told { card, is_changed } => (card, is_changed),
        ContractTold::UnknownCard => return Err(UNKNOWN_CARD.into()),
        ContractTold::Ended => return Err(TERMINAL.into()),
        ContractTold::ProgramUnknown => return Err(PROGRAM_UNKNOWN.into()),
        ContractTold::NotOffered => return Err(NOT_OFFERED.into()),
    };
    api.calls.hint();
    let answer = ContractStatusAnswer {
        card_id: card_id.as_str(),
        contract_status: code,
        outcome: if is_changed { "applied" } else { "no_change" },
        tokens: card.tokens.iter().map(views::CardToken::from).collect(),
    };
    Ok(Answer::new(StatusCode::OK, &json!(answer)))
}
