//! Get Transactions: the last purchases of a card.

use chrono::DateTime;
use serde_json::{Value, json};

use super::api::{card_of, query};
use super::cards::SandboxCard;
use super::errors::{Refusal, SourceType};
use super::fields::Fields;
use super::http::Request;
use super::shared::Shared;
use crate::telemetry::timestamp;

const DAY: i64 = 24 * 60 * 60 * 1000;
/// Days for which transactions can be asked for.
const REACH: i64 = 30;
/// Days that lie between the purchases of a card.
const EVERY: i64 = 7;

pub(super) fn answer(shared: &Shared, request: &Request, id: &str) -> Result<Value, Refusal> {
    let query = query(request)?;
    let fields = Fields::new(&query, SourceType::Query);
    let now = shared.clock.now();
    let name = "transactionsFromTimestamp";
    let from = match fields.text(name)? {
        None => now - REACH * DAY,
        Some(text) => {
            let time = DateTime::parse_from_rfc3339(text).map(|time| time.timestamp_millis());
            let time = time.ok().or_else(|| text.parse().ok());
            let time = time.filter(|time| (now - REACH * DAY..=now).contains(time));
            time.ok_or(Refusal::argument("INVALID_VALUE", name, SourceType::Query))?
        }
    };
    let card = card_of(shared, &fields, id)?;
    let days = (1..=REACH).filter(|day| day % EVERY == 0);
    let purchases = days.map(|day| (day, now - day * DAY));
    let listed: Vec<Value> = purchases
        .filter(|(_, at)| *at >= from)
        .map(|(day, at)| purchase(&card, day, at))
        .collect();
    Ok(json!({ "transactions": listed }))
}

fn purchase(card: &SandboxCard, day: i64, at: i64) -> Value {
    json!({
        "recordId": format!("{}-{day}", card.id),
        "transactionType": "PURCHASE",
        "amount": 10 + day,
        "currencyCode": "EUR",
        "authorizationStatus": "CLEARED",
        "transactionTimestamp": timestamp(at),
        "merchantName": "Sandbox Shop",
        "merchantType": "5411",
        "transactionCountryCode": "DEU",
        "srcDigitalCardId": card.id,
        "serviceId": card.service_id,
    })
}
