//! The body of a registration, read strictly: the merchant's own mistakes are told.

use std::collections::BTreeSet;

use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::{BodyFault, is_program, object, only, text};
use crate::domain::{CardId, ProgramToken, Registration, masked_fields};
use crate::notification::payment_data;
use crate::processor::Registering;

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
    /// The card's token; in a program whose cards have several tokens they stand in `tokens`.
    token: Option<TokenBody>,
    /// The tokens of a card contract (Mastercard Processing Digital).
    tokens: Option<Vec<TokenOfCardBody>>,
}

/// A token as the merchant holds it.
#[derive(ToSchema)]
#[schema(as = RegisteredToken, rename_all = "camelCase")]
#[expect(dead_code, reason = "the shape of the body, for the description")]
pub(in crate::api) struct TokenBody {
    /// 12 to 19 digits; a bank's token is 1 to 255 visible ASCII characters, without expiry.
    payment_token: String,
    token_expiration_month: Option<String>,
    token_expiration_year: Option<String>,
}

/// One of several tokens of a card.
#[derive(ToSchema)]
#[schema(as = RegisteredTokenOfCard, rename_all = "camelCase")]
#[expect(dead_code, reason = "the shape of the body, for the description")]
pub(in crate::api) struct TokenOfCardBody {
    /// 1 to 255 visible ASCII characters.
    token_number: String,
}

const FIELDS: &str = "program, consumerReference, maskedCard, token, tokens";
/// Tokens of one card that are taken at once.
const MOST_TOKENS: usize = 100;

/// Reads a registration of `card_id`. `programs` are the names that may be used, all if empty.
pub fn registration(
    card_id: CardId,
    body: &[u8],
    programs: &BTreeSet<String>,
    received_at: i64,
) -> Result<Registering, BodyFault> {
    from_fields(card_id, &object(body)?, programs, received_at)
}

/// The same from a line of an import, which names its card itself (`cardId`).
pub fn import_line(
    line: &[u8],
    programs: &BTreeSet<String>,
    received_at: i64,
) -> Result<Registering, BodyFault> {
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
) -> Result<Registering, BodyFault> {
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
    let token = fields.get("token").filter(|token| !token.is_null());
    let number = token.and_then(payment_data);
    let bank_text = token.and_then(|token| token_text(token, "paymentToken"));
    if token.is_some() && number.is_none() && bank_text.is_none() {
        return Err(BodyFault::WrongForm("token"));
    }
    let registration = Registration {
        card_id,
        program,
        consumer_reference: text(fields, "consumerReference")?,
        masked: masked_fields(&masked_card),
        token: number,
        tokens: Vec::new(),
        received_at,
    };
    Ok(Registering {
        registration,
        token: bank_text,
        tokens: tokens(fields)?,
    })
}

fn tokens(fields: &Map<String, Value>) -> Result<Vec<ProgramToken>, BodyFault> {
    let wrong = BodyFault::WrongForm("tokens");
    match fields.get("tokens") {
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(Value::Array(list)) if list.len() <= MOST_TOKENS => {
            let texts = list.iter().map(|token| token_text(token, "tokenNumber"));
            texts.collect::<Option<Vec<_>>>().ok_or(wrong)
        }
        Some(_) => Err(wrong),
    }
}

/// The token's text, as text or as a whole number.
fn token_text(token: &Value, name: &str) -> Option<ProgramToken> {
    match token.get(name)? {
        Value::String(text) => ProgramToken::parse(text),
        Value::Number(number) => ProgramToken::parse(&number.as_u64()?.to_string()),
        _ => None,
    }
}
