//! Changing the cards of the sandbox, from a program or over HTTP under `/sandbox`.

use serde_json::{Value, json};

use super::cards::{CardFault, CardStatus, NewCard, Refresh, SandboxCard};
use super::http::{Answer, Request};
use super::notification::Notification;
use super::shared::Shared;
use super::token_control;
use crate::jose::json;
use crate::telemetry::timestamp;

/// Calls that are listed over HTTP.
const LISTED: usize = 100;

pub(super) fn create(shared: &Shared, new: NewCard) -> Result<SandboxCard, CardFault> {
    shared.book().create(new, shared.clock.now())
}

/// Changes a card's token and tells the merchant.
pub(super) fn refresh(
    shared: &Shared,
    id: &str,
    refresh: Refresh,
) -> Result<Notification, CardFault> {
    let card = shared.book().refresh(id, refresh, shared.clock.now())?;
    Ok(tell(shared, card, true))
}

/// Changes a card's status and tells the merchant.
pub(super) fn set_status(
    shared: &Shared,
    id: &str,
    status: CardStatus,
) -> Result<Notification, CardFault> {
    let card = shared.book().set_status(id, status, shared.clock.now())?;
    Ok(tell(shared, card, false))
}

fn tell(shared: &Shared, card: SandboxCard, is_refresh: bool) -> Notification {
    let notification = Notification { card, is_refresh };
    shared.send(notification.clone());
    notification
}

/// Answers what does not belong to Mastercard's APIs.
pub(super) fn answer(shared: &Shared, request: &Request) -> Answer {
    let segments = request.segments().unwrap_or_default();
    let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
    let answered = match (request.method.as_str(), segments.as_slice()) {
        ("GET", ["sandbox", "cards"]) => {
            let cards: Vec<Value> = shared.book().all().map(view).collect();
            Ok(Answer::json(200, &json!({ "cards": cards })))
        }
        ("POST", ["sandbox", "cards"]) => match new_card(&request.body) {
            Some(new) => create(shared, new).map(|card| Answer::json(201, &view(&card))),
            None => Ok(problem(
                400,
                "the body is no object with cardId and serviceId",
            )),
        },
        ("GET", ["sandbox", "cards", id]) => shared_view(shared, id),
        ("POST", ["sandbox", "cards", id, change]) => match changed(shared, id, change) {
            Some(changed) => changed.and_then(|_| shared_view(shared, id)),
            None => Ok(nothing_here()),
        },
        (method, ["sandbox", path @ ("contracts" | "bank-tokens"), rest @ ..]) => {
            let body = &request.body;
            Ok(token_control::answer(shared, (method, path, rest), body))
        }
        ("GET", ["sandbox", "calls"]) => Ok(Answer::json(200, &calls(shared))),
        _ => Ok(nothing_here()),
    };
    answered.unwrap_or_else(|fault| match fault {
        CardFault::NoSuchCard => problem(404, &fault.to_string()),
        CardFault::Cancelled => problem(409, &fault.to_string()),
        CardFault::NotAnId | CardFault::UsedUp => problem(400, &fault.to_string()),
    })
}

/// None if there is no such change.
fn changed(shared: &Shared, id: &str, change: &str) -> Option<Result<Notification, CardFault>> {
    match change {
        "refresh" => Some(refresh(shared, id, Refresh::NumberAndExpiry)),
        "refresh-number" => Some(refresh(shared, id, Refresh::Number)),
        "refresh-expiry" => Some(refresh(shared, id, Refresh::Expiry)),
        "suspend" => Some(set_status(shared, id, CardStatus::Suspended)),
        "resume" => Some(set_status(shared, id, CardStatus::Active)),
        "cancel" => Some(set_status(shared, id, CardStatus::Cancelled)),
        _ => None,
    }
}

fn new_card(body: &[u8]) -> Option<NewCard> {
    if body.is_empty() {
        return Some(NewCard::default());
    }
    let body = json::parse(body).ok().filter(Value::is_object)?;
    let text = |name: &str| match body.get(name) {
        None => Some(None),
        Some(value) => value.as_str().map(|text| Some(text.to_owned())),
    };
    Some(NewCard {
        id: text("cardId")?,
        service_id: text("serviceId")?,
        ..NewCard::default()
    })
}

fn shared_view(shared: &Shared, id: &str) -> Result<Answer, CardFault> {
    let book = shared.book();
    let card = book.get(id).ok_or(CardFault::NoSuchCard)?;
    Ok(Answer::json(200, &view(card)))
}

/// The full number is nobody's business, though it is made up.
fn view(card: &SandboxCard) -> Value {
    json!({
        "cardId": card.id,
        "serviceId": card.service_id,
        "status": card.status.word(),
        "token": {
            "lastFour": card.number.last_four(),
            "expirationMonth": card.expiry.month(),
            "expirationYear": card.expiry.year(),
        },
        "changedAt": timestamp(card.changed_at),
    })
}

fn calls(shared: &Shared) -> Value {
    let calls = shared.calls.all();
    let (_, latest) = calls.split_at(calls.len().saturating_sub(LISTED));
    let call = |call: &super::calls::Call| {
        json!({
            "at": timestamp(call.at),
            "method": call.method,
            "pathAndQuery": call.path_and_query,
            "cardId": call.card_id,
            "status": call.status,
        })
    };
    json!({ "calls": latest.iter().map(call).collect::<Vec<_>>() })
}

pub(super) fn nothing_here() -> Answer {
    problem(404, "there is nothing at this path")
}

pub(super) fn problem(status: u16, detail: &str) -> Answer {
    Answer::json(status, &json!({ "detail": detail }))
}
