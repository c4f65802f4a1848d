//! Which operation a request asks for, and the way to its answer; the answers of Mastercard's Card API.

use serde_json::{Value, json};
use uuid::Uuid;

use super::calls::Operation;
use super::cards::{CardFault, CardStatus, SandboxCard};
use super::errors::{self, Refusal, SourceType};
use super::faults::Fault;
use super::fields::{Fields, add, check_client, check_key, check_service};
use super::http::{Answer, Request};
use super::keys::JWKS;
use super::shared::Shared;
use super::{alliance, checkout, processing, transactions};

/// Where the APIs are, as at Mastercard.
pub(super) const BASE_PATH: &str = "/src/api/digital/payments";
/// Where the keys are that verify answers.
pub(super) const KEYS_PATH: &str = "/keys/mcs/payloadVerification";

const FLOW_ID: &str = "X-Src-Cx-Flow-Id";
const REASONS: [&str; 4] = ["SUSPECTED_FRAUD", "ACCOUNT_CLOSED", "OTHER", "DEFAULT"];
const REQUESTORS: [&str; 4] = ["CARDHOLDER", "MERCHANT", "ISSUER", "WALLET"];
/// How the token of Get Card is encrypted.
const CARD_ENC: (&str, usize) = ("A128GCM", 12);

/// What a request asks for, and the card or card contract in its path or body.
pub(super) fn operation(request: &Request) -> Option<(Operation, Option<String>)> {
    let segments = request.segments()?;
    let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
    let card = |id: &str| Some(id.to_owned());
    match (request.method.as_str(), segments.as_slice()) {
        ("GET", ["keys", "mcs", "payloadVerification"]) => {
            Some((Operation::VerificationKeys, None))
        }
        (method, ["src", "api", "digital", "payments", rest @ ..]) => match (method, rest) {
            ("POST", ["transaction", "credentials"]) => {
                Some((Operation::Checkout, checkout::card_id(request)))
            }
            ("DELETE", ["cards", id]) => Some((Operation::DeleteCard, card(id))),
            ("GET", ["cards", id]) => Some((Operation::GetCard, card(id))),
            ("GET", ["cards", id, "transactions"]) => Some((Operation::Transactions, card(id))),
            _ => None,
        },
        (method, ["global-processing", "digital", rest @ ..]) => {
            processing::operation(method, rest)
        }
        ("POST", ["ecom", "jws", "token", rest @ ..]) => {
            alliance::operation(rest).map(|operation| (operation, None))
        }
        _ => None,
    }
}

/// The true answer, but for a fault of its content.
pub(super) fn answer(
    shared: &Shared,
    request: &Request,
    (operation, card): (Operation, Option<&str>),
    fault: Option<&Fault>,
) -> Answer {
    if operation == Operation::VerificationKeys {
        return Answer::new(200, "application/json", JWKS);
    }
    if operation.is_of_the_bank() {
        return alliance::answer(shared, request, operation, fault);
    }
    let now = shared.clock.now();
    if let Err(fault) = shared.authentication.check(request, now) {
        return errors::gateway(401, fault.code(), &fault.to_string(), false);
    }
    let id = card.unwrap_or_default();
    let answered = match operation {
        Operation::SetTokenStatus => return processing::command(shared, request, id),
        Operation::ReadTokens => return processing::read(shared, request, fault),
        Operation::Checkout => checkout::answer(shared, request, fault),
        Operation::DeleteCard => delete(shared, request, id),
        Operation::GetCard => get(shared, request, id, fault),
        Operation::Transactions => transactions::answer(shared, request, id),
        Operation::VerificationKeys
        | Operation::UpdateTokenState
        | Operation::GetToken
        | Operation::ListTokens => Err(Refusal::internal()),
    };
    let flow_id = request.header(FLOW_ID).map(str::to_owned);
    let answer = answered.map_or_else(|refusal| refusal.answer(), |body| Answer::json(200, &body));
    answer.with(
        FLOW_ID,
        flow_id.unwrap_or_else(|| Uuid::now_v7().to_string()),
    )
}

/// The card that a path names, if the ids of the query belong to it.
pub(super) fn card_of(
    shared: &Shared,
    fields: &Fields<'_>,
    id: &str,
) -> Result<SandboxCard, Refusal> {
    check_client(fields)?;
    let service = fields.required("serviceId")?;
    let card = shared.book().get(id).cloned();
    let card = card.ok_or_else(Refusal::card_not_found)?;
    check_service(&card, service, fields.source)?;
    Ok(card)
}

fn delete(shared: &Shared, request: &Request, id: &str) -> Result<Value, Refusal> {
    let query = query(request)?;
    let fields = Fields::new(&query, SourceType::Query);
    for (name, known) in [("reason", REASONS), ("requestor", REQUESTORS)] {
        if fields
            .text(name)?
            .is_some_and(|word| !known.contains(&word))
        {
            return Err(Refusal::argument("INVALID_VALUE", name, SourceType::Query));
        }
    }
    let correlation_id = fields.correlation_id()?;
    card_of(shared, &fields, id)?;
    let deleted = shared.book().delete(id);
    match deleted {
        Ok(_) => Ok(json!({ "srcCorrelationId": correlation_id })),
        Err(CardFault::NoSuchCard | CardFault::Cancelled) => Err(Refusal::card_not_found()),
        Err(_) => Err(Refusal::internal()),
    }
}

fn get(
    shared: &Shared,
    request: &Request,
    id: &str,
    fault: Option<&Fault>,
) -> Result<Value, Refusal> {
    let query = query(request)?;
    let fields = Fields::new(&query, SourceType::Query);
    let wants_token = match fields.text("tokenRequested")? {
        None | Some("false") => false,
        Some("true") => true,
        Some(_) => {
            let name = "tokenRequested";
            return Err(Refusal::argument("INVALID_VALUE", name, SourceType::Query));
        }
    };
    let asked = card_of(shared, &fields, id)?;
    let card = shown(shared, asked, fault)?;
    let mut body = json!({
        "srcCorrelationId": fields.correlation_id()?,
        "maskedCard": card.masked(),
    });
    if wants_token && card.status != CardStatus::Cancelled {
        if !shared.gives_tokens {
            return Err(Refusal::denied(
                "INVALID_VALUE",
                "tokenRequested",
                SourceType::Query,
            ));
        }
        check_key(shared, &fields)?;
        let plaintext = json!({ "paymentToken": card.token() });
        let token = shared.encrypted(&plaintext, CARD_ENC, fault)?;
        add(&mut body, "encryptedPaymentData", token);
        add(
            &mut body,
            "keyFingerprintId",
            shared.keys.fingerprint.as_str(),
        );
    }
    Ok(body)
}

/// The card that is shown: the one that was asked for, but for a fault that shows another.
pub(super) fn shown(
    shared: &Shared,
    asked: SandboxCard,
    fault: Option<&Fault>,
) -> Result<SandboxCard, Refusal> {
    if fault != Some(&Fault::OtherCard) {
        return Ok(asked);
    }
    let mut book = shared.book();
    let other = book.all().find(|card| card.id != asked.id).cloned();
    let other = other.map_or_else(|| book.make(Default::default(), shared.clock.now()), Ok);
    other.map_err(|_| Refusal::internal())
}

/// The query's values as an object.
pub(super) fn query(request: &Request) -> Result<Value, Refusal> {
    let query = request.query();
    let query = query.ok_or(Refusal::argument(
        "INVALID_FORMAT",
        "query",
        SourceType::Query,
    ))?;
    Ok(json!(query))
}
