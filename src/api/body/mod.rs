//! Bodies of requests, read strictly: the merchant's own mistakes are told.

mod credentials;
mod registration;
mod replay;
mod token_status;

use std::collections::BTreeSet;
use std::time::Duration;

use actix_web::web;
use serde_json::{Map, Value};

use crate::jose::json::{JsonFault, parse};
use crate::mastercard::AmountFault;
use crate::receiver::{self, problem::Problem};

pub(super) use credentials::{CredentialsBody, credentials};
pub(super) use registration::RegistrationBody;
pub use registration::{import_line, registration};
pub(super) use replay::{ReplayBody, replay_reason};
pub(super) use token_status::{
    ContractStatusBody, TokenCommandBody, contract_status, token_command,
};

/// What is wrong with a body. Names fields, quotes no values.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BodyFault {
    #[error("the body is not accepted: {0}")]
    NotJson(#[from] JsonFault),
    #[error("the body must be a JSON object")]
    NotAnObject,
    #[error("the body has a field that is none of {0}")]
    UnknownField(&'static str),
    #[error("{0} is missing")]
    Missing(&'static str),
    #[error("{0} is not of the right form")]
    WrongForm(&'static str),
    #[error("program names none of the configured programs")]
    UnknownProgram,
    #[error("maskedCard.srcDigitalCardId names another card")]
    OtherCard,
    #[error("amount: {0}")]
    Amount(#[from] AmountFault),
}

/// What the merchant's systems send is small, and they are near.
const LARGEST: usize = 64 * 1024;
const DEADLINE: Duration = Duration::from_secs(10);
/// Longer texts are refused: they are shown and searched for.
const LONGEST_TEXT: usize = 255;

/// Reads a body within the limits of this listener.
pub(crate) async fn read(payload: web::Payload) -> Result<Vec<u8>, Problem> {
    let body = receiver::read_body(payload.into(), LARGEST, DEADLINE).await?;
    Ok(body.bytes)
}

/// Whether a program may be named so, if one is; with none configured, any name is taken.
pub(super) fn is_program(programs: &BTreeSet<String>, name: Option<&str>) -> bool {
    programs.is_empty() || name.is_none_or(|name| programs.contains(name))
}

fn object(body: &[u8]) -> Result<Map<String, Value>, BodyFault> {
    match parse(body)? {
        Value::Object(fields) => Ok(fields),
        _ => Err(BodyFault::NotAnObject),
    }
}

/// Refuses any field but these, whose names stand with commas between them.
fn only(fields: &Map<String, Value>, names: &'static str) -> Result<(), BodyFault> {
    let is_known = |field: &String| names.split(", ").any(|name| name == field);
    match fields.keys().all(is_known) {
        true => Ok(()),
        false => Err(BodyFault::UnknownField(names)),
    }
}

/// A text that may be stored and shown, if the field is there.
fn text(fields: &Map<String, Value>, name: &'static str) -> Result<Option<String>, BodyFault> {
    match fields.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) if fits(text) => Ok(Some(text.clone())),
        Some(_) => Err(BodyFault::WrongForm(name)),
    }
}

/// Whether a text may be stored and shown.
pub(crate) fn fits(text: &str) -> bool {
    (1..=LONGEST_TEXT).contains(&text.len()) && !text.chars().any(char::is_control)
}
