//! The body of a request for credentials.

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use utoipa::ToSchema;
use utoipa::openapi::schema::{Object, ObjectBuilder, SchemaType, Type};

use super::{BodyFault, object, only};
use crate::dispatcher::Usage;
use crate::mastercard::Amount;

/// What credentials are wanted for.
#[derive(ToSchema)]
#[schema(as = CredentialsRequest, rename_all = "camelCase")]
#[expect(dead_code, reason = "the shape of the body, for the description")]
pub(in crate::api) struct CredentialsBody {
    /// `single`, `recurring-first` or `recurring`.
    #[schema(rename = "use")]
    usage: String,
    amount: Option<AmountBody>,
    /// The `numberVersion` that the caller's series was started with.
    series_number_version: Option<u32>,
}

/// What the payment is about.
#[derive(ToSchema)]
#[schema(as = Amount, rename_all = "camelCase")]
#[expect(dead_code, reason = "the shape of the body, for the description")]
pub(in crate::api) struct AmountBody {
    /// A decimal number with 1 to 13 digits.
    #[schema(schema_with = text_or_number)]
    transaction_amount: String,
    /// ISO 4217: three capital letters.
    transaction_currency_code: String,
}

fn text_or_number() -> Object {
    let types = SchemaType::from_iter([Type::String, Type::Number]);
    ObjectBuilder::new().schema_type(types).build()
}

/// A request for credentials, without the card.
pub(in crate::api) struct CredentialsWanted {
    pub usage: Usage,
    pub amount: Option<Amount>,
    pub series_number_version: Option<u32>,
}

/// Reads a request for credentials.
pub(in crate::api) fn credentials(body: &[u8]) -> Result<CredentialsWanted, BodyFault> {
    let fields = object(body)?;
    only(&fields, "use, amount, seriesNumberVersion")?;
    let usage = match fields.get("use").map(Value::as_str) {
        None => return Err(BodyFault::Missing("use")),
        Some(Some("single")) => Usage::Single,
        Some(Some("recurring-first")) => Usage::RecurringFirst,
        Some(Some("recurring")) => Usage::Recurring,
        Some(_) => return Err(BodyFault::WrongForm("use")),
    };
    let amount = match fields.get("amount") {
        None | Some(Value::Null) => None,
        Some(Value::Object(amount)) => Some(read_amount(amount, body)?),
        Some(_) => return Err(BodyFault::WrongForm("amount")),
    };
    Ok(CredentialsWanted {
        usage,
        amount,
        series_number_version: version(fields.get("seriesNumberVersion"))?,
    })
}

fn version(value: Option<&Value>) -> Result<Option<u32>, BodyFault> {
    match value {
        None | Some(Value::Null) => Ok(None),
        Some(value) => {
            let version = value
                .as_u64()
                .and_then(|version| u32::try_from(version).ok());
            let wrong = BodyFault::WrongForm("seriesNumberVersion");
            version.map(Some).ok_or(wrong)
        }
    }
}

fn read_amount(fields: &Map<String, Value>, body: &[u8]) -> Result<Amount, BodyFault> {
    only(fields, "transactionAmount, transactionCurrencyCode")?;
    let value = match fields.get("transactionAmount") {
        None => return Err(BodyFault::Missing("amount.transactionAmount")),
        Some(Value::String(value)) => value.as_str(),
        Some(Value::Number(_)) => written(body)?,
        Some(_) => return Err(BodyFault::WrongForm("amount.transactionAmount")),
    };
    let currency = fields.get("transactionCurrencyCode");
    let currency = currency.and_then(Value::as_str);
    let currency = currency.ok_or(BodyFault::Missing("amount.transactionCurrencyCode"))?;
    Ok(Amount::parse(value, currency)?)
}

/// The body once more, for the digits of its amount: a number read as one becomes a float.
#[derive(Deserialize)]
struct Written<'a> {
    #[serde(borrow)]
    amount: WrittenAmount<'a>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WrittenAmount<'a> {
    #[serde(borrow)]
    transaction_amount: &'a RawValue,
}

fn written(body: &[u8]) -> Result<&str, BodyFault> {
    let written: Written<'_> = serde_json::from_slice(body)
        .map_err(|_| BodyFault::WrongForm("amount.transactionAmount"))?;
    Ok(written.amount.transaction_amount.get())
}
