//! The body of a registration, read strictly: the merchant's own mistakes are told.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use crate::domain::{CardId, PaymentData, Registration, masked_fields};
use crate::jose::json::{JsonFault, parse};
use crate::notification::payment_data;

/// What is wrong with a registration. Names fields, quotes no values.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BodyFault {
    #[error("the body is not accepted: {0}")]
    NotJson(#[from] JsonFault),
    #[error("the body must be a JSON object")]
    NotAnObject,
    #[error("the body has a field that is none of program, consumerReference, maskedCard, token")]
    UnknownField,
    #[error("{0} is missing")]
    Missing(&'static str),
    #[error("{0} is not of the right form")]
    WrongForm(&'static str),
    #[error("program names none of the configured programs")]
    UnknownProgram,
    #[error("maskedCard.srcDigitalCardId names another card")]
    OtherCard,
}

const FIELDS: [&str; 4] = ["program", "consumerReference", "maskedCard", "token"];
/// Longer references are refused: they are shown and searched for.
const MAX_TEXT: usize = 255;

/// Reads a registration of `card_id`. `programs` are the names that may be used, all if empty.
pub fn registration(
    card_id: CardId,
    body: &[u8],
    programs: &BTreeSet<String>,
    received_at: i64,
) -> Result<Registration, BodyFault> {
    let Value::Object(fields) = parse(body)? else {
        return Err(BodyFault::NotAnObject);
    };
    from_fields(card_id, &fields, programs, received_at)
}

/// The same from a line of an import, which names its card itself (`cardId`).
pub fn import_line(
    line: &[u8],
    programs: &BTreeSet<String>,
    received_at: i64,
) -> Result<Registration, BodyFault> {
    let Value::Object(mut fields) = parse(line)? else {
        return Err(BodyFault::NotAnObject);
    };
    let id = fields
        .remove("cardId")
        .ok_or(BodyFault::Missing("cardId"))?;
    let id = id.as_str().and_then(|id| CardId::parse(id).ok());
    from_fields(
        id.ok_or(BodyFault::WrongForm("cardId"))?,
        &fields,
        programs,
        received_at,
    )
}

fn from_fields(
    card_id: CardId,
    fields: &Map<String, Value>,
    programs: &BTreeSet<String>,
    received_at: i64,
) -> Result<Registration, BodyFault> {
    if fields.keys().any(|name| !FIELDS.contains(&name.as_str())) {
        return Err(BodyFault::UnknownField);
    }
    let program = text(fields, "program")?;
    let is_unknown = |name: &String| !programs.is_empty() && !programs.contains(name);
    if program.as_ref().is_some_and(is_unknown) {
        return Err(BodyFault::UnknownProgram);
    }
    let masked_card = match fields.get("maskedCard") {
        None | Some(Value::Null) => Value::Null,
        Some(object @ Value::Object(_)) => object.clone(),
        Some(_) => return Err(BodyFault::WrongForm("maskedCard")),
    };
    let named = masked_card.get("srcDigitalCardId");
    if named.is_some_and(|named| named.as_str() != Some(card_id.as_str())) {
        return Err(BodyFault::OtherCard);
    }
    Ok(Registration {
        card_id,
        program,
        consumer_reference: text(fields, "consumerReference")?,
        masked: masked_fields(&masked_card),
        token: token(fields)?,
        received_at,
    })
}

fn token(fields: &Map<String, Value>) -> Result<Option<PaymentData>, BodyFault> {
    match fields.get("token") {
        None | Some(Value::Null) => Ok(None),
        Some(token) => payment_data(token)
            .map(Some)
            .ok_or(BodyFault::WrongForm("token")),
    }
}

fn text(fields: &Map<String, Value>, name: &'static str) -> Result<Option<String>, BodyFault> {
    let fits =
        |text: &str| (1..=MAX_TEXT).contains(&text.len()) && !text.chars().any(char::is_control);
    match fields.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) if fits(text) => Ok(Some(text.clone())),
        Some(_) => Err(BodyFault::WrongForm(name)),
    }
}
