//! Changing the tokens of card contracts and of the bank over HTTP, under `/sandbox`.

use serde_json::{Value, json};

use super::bank_tokens::{BankToken, STATES};
use super::contracts::ContractToken;
use super::control::{nothing_here, problem};
use super::http::Answer;
use super::processing::last_four;
use super::shared::Shared;
use crate::jose::json;

const NEW_CUSTOMER: &str = "customer-1";

/// Answers what is asked for by a method, the first segment of a path under `/sandbox`, and the rest.
pub(super) fn answer(
    shared: &Shared,
    (method, first, rest): (&str, &str, &[&str]),
    body: &[u8],
) -> Answer {
    match (method, first, rest) {
        ("GET", "contracts", []) => Answer::json(200, &contracts(shared)),
        ("POST", "contracts", [id, "status", code]) => {
            if code.len() != 2 || !code.bytes().all(|byte| byte.is_ascii_digit()) {
                return problem(400, "a status of a contract has two digits");
            }
            let is_done = shared.contracts().set_code(id, code);
            told(shared, is_done)
        }
        ("POST", "contracts", [id, "relink", new]) => {
            let is_done = shared.contracts().relink(id, new);
            told(shared, is_done)
        }
        ("GET", "bank-tokens", []) => Answer::json(200, &bank_tokens(shared)),
        ("POST", "bank-tokens", []) => create(shared, body),
        ("POST", "bank-tokens", [token, "state", state]) => {
            if !STATES.contains(state) {
                return problem(400, "a state is ACTIVE, SUSPENDED, OBSOLETE or DELETED");
            }
            match shared.bank_tokens().set(token, state) {
                true => Answer::json(200, &json!({ "state": state })),
                false => problem(404, "there is no such token"),
            }
        }
        _ => nothing_here(),
    }
}

fn told(shared: &Shared, is_done: bool) -> Answer {
    match is_done {
        true => Answer::json(200, &contracts(shared)),
        false => problem(404, "there is no such contract"),
    }
}

/// The full numbers are nobody's business, though they are made up.
fn contracts(shared: &Shared) -> Value {
    let token = |token: &ContractToken| {
        json!({
            "clientId": token.client,
            "lastFour": last_four(&token.number),
            "status": token.status,
        })
    };
    let contracts = shared.contracts();
    let views = contracts.all().map(|(id, code, tokens)| {
        let tokens: Vec<Value> = tokens.into_iter().map(token).collect();
        json!({ "cardContractId": id, "status": code, "tokens": tokens })
    });
    json!({ "contracts": views.collect::<Vec<_>>() })
}

fn create(shared: &Shared, body: &[u8]) -> Answer {
    let Some((token, customer)) = new_token(body) else {
        return problem(400, "the body is no object with token and customerId");
    };
    let mut tokens = shared.bank_tokens();
    let token = token.unwrap_or_else(|| tokens.new_token());
    tokens.add(&token, customer.as_deref().unwrap_or(NEW_CUSTOMER));
    let created = tokens.get(&token).map(view);
    created.map_or_else(nothing_here, |view| Answer::json(201, &view))
}

/// Token and customer, as far as they are given.
fn new_token(body: &[u8]) -> Option<(Option<String>, Option<String>)> {
    if body.is_empty() {
        return Some((None, None));
    }
    let body = json::parse(body).ok().filter(Value::is_object)?;
    let text = |name: &str| match body.get(name) {
        None => Some(None),
        Some(value) => {
            let text = value.as_str().filter(|text| !text.is_empty())?;
            Some(Some(text.to_owned()))
        }
    };
    Some((text("token")?, text("customerId")?))
}

fn bank_tokens(shared: &Shared) -> Value {
    let tokens = shared.bank_tokens();
    json!({ "bankTokens": tokens.all().map(view).collect::<Vec<_>>() })
}

/// With the token itself: it is made up, and nobody could try it otherwise.
fn view(token: &BankToken) -> Value {
    json!({ "token": token.token, "customerId": token.customer, "state": token.state })
}
