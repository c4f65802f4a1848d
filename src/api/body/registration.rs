//! The body of a registration, read strictly: the merchant's own mistakes are told.

use std::collections::BTreeSet;

use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::{BodyFault, is_program, object, only, text};
use crate::domain::{CardId, PaymentData, Registration, masked_fields};
use crate::notification::payment_data;

/// What the merchant's app says of a card it has stored.
#[derive(ToSchema)]
#[schema(as = Registration, rename_all = "camelCase")]
#[expect(dead_code, reason = "the shape of the body, for the description")]
pub(in crate::api) struct RegistrationBody {
    /// One of the configured programs.
    program: Option<String>,
    /// The merchant's own reference of the consumer, 1 to 255 characters.
    consumer_reference: Option<String>,
    /// As Mastercard gave it.
    #[schema(value_type = Option<Object>)]
    masked_card: Option<Value>,
    token: Option<TokenBody>,
}

/// A token as the merchant holds it.
#[derive(ToSchema)]
#[schema(as = RegisteredToken, rename_all = "camelCase")]
#[expect(dead_code, reason = "the shape of the body, for the description")]
pub(in crate::api) struct TokenBody {
    /// 12 to 19 digits.
    payment_token: String,
    token_expiration_month: Option<String>,
    token_expiration_year: Option<String>,
}

const FIELDS: &str = "program, consumerReference, maskedCard, token";

/// Reads a registration of `card_id`. `programs` are the names that may be used, all if empty.
pub fn registration(
    card_id: CardId,
    body: &[u8],
    programs: &BTreeSet<String>,
    received_at: i64,
) -> Result<Registration, BodyFault> {
    from_fields(card_id, &object(body)?, programs, received_at)
}

/// The same from a line of an import, which names its card itself (`cardId`).
pub fn import_line(
    line: &[u8],
    programs: &BTreeSet<String>,
    received_at: i64,
) -> Result<Registration, BodyFault> {
    let mut fields = object(line)?;
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
    only(fields, FIELDS)?;
    let program = text(fields, "program")?;
    if !is_program(programs, program.as_deref()) {
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
