//! Checkout: `POST /transaction/credentials`, a token with a fresh cryptogram.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use openssl::rand::rand_bytes;
use serde_json::{Value, json};
use uuid::Uuid;

use super::api::shown;
use super::cards::CardStatus;
use super::errors::{Refusal, SourceType};
use super::faults::Fault;
use super::fields::{Fields, add, check_client, check_key, check_service};
use super::http::Request;
use super::keys::{Stamp, wrongly_signed};
use super::shared::{Issued, Shared};
use crate::domain::Cryptogram;
use crate::jose::json;
use crate::telemetry::timestamp;

/// How the payload is encrypted.
const ENC: (&str, usize) = ("A128GCM", 12);
/// A kid that is in no key set.
const FOREIGN_KID: &str = "20230207164613-sandbox-payload-verification-somebody-else";
const DAY: i64 = 24 * 60 * 60 * 1000;
/// Milliseconds for which a cryptogram can be used.
const LIFETIME: i64 = 5 * DAY;
const BODY: SourceType = SourceType::Body;

/// The card that a Checkout names, however wrong the rest of the body is.
pub(super) fn card_id(request: &Request) -> Option<String> {
    let body = json::parse(&request.body).ok()?;
    Some(body.get("srcDigitalCardId")?.as_str()?.to_owned())
}

pub(super) fn answer(
    shared: &Shared,
    request: &Request,
    fault: Option<&Fault>,
) -> Result<Value, Refusal> {
    let body = json::parse(&request.body).ok().filter(Value::is_object);
    let body = body.ok_or(Refusal::argument("INVALID_FORMAT", "body", BODY))?;
    let fields = Fields::new(&body, BODY);
    check_client(&fields)?;
    let service = fields.required("serviceId")?;
    let id = fields.required("srcDigitalCardId")?;
    let options = body.get("dpaTransactionOptions").unwrap_or(&Value::Null);
    check_amount(options)?;
    let kind = dynamic_data_type(options)?;
    let card = shared.book().get(id).cloned();
    let card = card.ok_or(Refusal::argument(
        "CARD_NOT_FOUND",
        "srcDigitalCardId",
        BODY,
    ))?;
    check_service(&card, service, BODY)?;
    if card.status != CardStatus::Active {
        return Err(Refusal {
            reason: "INVALID_STATE",
            ..Refusal::argument("INACTIVE_CARD", "srcDigitalCardId", BODY)
        });
    }
    check_key(shared, &fields)?;
    let now = shared.clock.now();
    let card = shown(shared, card, fault)?;
    let correlation_id = match fault {
        Some(Fault::OtherRequest) => Uuid::now_v7().to_string(),
        _ => fields.correlation_id()?,
    };
    let mut payload = json!({
        "srcCorrelationId": correlation_id,
        "srciTransactionId": fields.text("srciTransactionId")?,
        "maskedCard": card.masked(),
        "assuranceData": { "eci": "06" },
    });
    if wants_credentials(&fields)? {
        let cryptogram = dynamic_data(kind)?;
        let expires = match fault {
            Some(Fault::ExpiredCryptogram) => now - DAY,
            _ => now + LIFETIME,
        };
        let plaintext = json!({
            "token": card.token(),
            "dynamicData": {
                "dynamicDataType": kind,
                "dynamicDataValue": cryptogram.expose(),
                "dynamicDataExpiration": timestamp(expires),
            },
        });
        let token = shared.encrypted(&plaintext, ENC, fault)?;
        add(&mut payload, "encryptedPayload", token);
        add(
            &mut payload,
            "keyFingerprintId",
            shared.keys.fingerprint.as_str(),
        );
        if fault.is_none() {
            shared.note_issued(Issued {
                card_id: card.id.clone(),
                number: card.number.clone(),
                cryptogram,
            });
        }
    }
    let jws = signed(shared, &payload, fault, now)?;
    Ok(json!({ "checkoutResponseJWS": jws }))
}

fn signed(
    shared: &Shared,
    payload: &Value,
    fault: Option<&Fault>,
    now: i64,
) -> Result<String, Refusal> {
    let mut stamp = Stamp::new(now);
    let mut before = shared.last_answer();
    match (fault, before.take()) {
        (Some(Fault::Replayed), Some((jws, jti))) => {
            *before = Some((jws.clone(), jti));
            return Ok(jws);
        }
        (Some(Fault::RepeatedJti), Some((_, jti))) => stamp.jti = jti,
        (Some(Fault::ForeignKid), _) => stamp.kid = FOREIGN_KID,
        (Some(Fault::SignedYesterday), _) => stamp.at -= DAY,
        _ => {}
    }
    let sign = |payload| shared.keys.sign(payload, &stamp);
    let mut jws = sign(payload).map_err(|_| Refusal::internal())?;
    if fault == Some(&Fault::WrongSignature) {
        let other = sign(&Value::Null).map_err(|_| Refusal::internal())?;
        jws = wrongly_signed(&jws, &other).ok_or_else(Refusal::internal)?;
    }
    *before = Some((jws.clone(), stamp.jti.clone()));
    Ok(jws)
}

/// Only a summary comes without the encrypted payload.
fn wants_credentials(fields: &Fields<'_>) -> Result<bool, Refusal> {
    let name = "payloadTypeIndicatorCheckout";
    match fields.text(name)? {
        None | Some("FULL" | "PAYMENT") => Ok(true),
        Some("SUMMARY" | "NON_PAYMENT") => Ok(false),
        Some(_) => Err(Refusal::argument("INVALID_VALUE", name, BODY)),
    }
}

/// An amount has a number and a currency, or is not there at all.
fn check_amount(options: &Value) -> Result<(), Refusal> {
    let Some(amount) = options.get("transactionAmount") else {
        return Ok(());
    };
    let name = "transactionAmount";
    let number = amount.get(name).and_then(Value::as_f64);
    if number.is_none_or(|number| number < 0.0) {
        return Err(Refusal::argument("INVALID_VALUE", name, BODY));
    }
    let currency = amount
        .get("transactionCurrencyCode")
        .and_then(Value::as_str);
    let is_code =
        |code: &str| code.len() == 3 && code.bytes().all(|byte| byte.is_ascii_uppercase());
    match currency.is_some_and(is_code) {
        true => Ok(()),
        false => {
            let name = "transactionCurrencyCode";
            Err(Refusal::argument("INVALID_VALUE", name, BODY))
        }
    }
}

fn dynamic_data_type(options: &Value) -> Result<&'static str, Refusal> {
    const KNOWN: [&str; 4] = [
        "CARD_APPLICATION_CRYPTOGRAM_SHORT_FORM",
        "CARD_APPLICATION_CRYPTOGRAM_LONG_FORM",
        "CARDHOLDER_AUTHENTICATION_CRYPTOGRAM",
        "DYNAMIC_CARD_SECURITY_CODE",
    ];
    let asked = options.pointer("/paymentOptions/0/dynamicDataType");
    let asked = asked.map_or(
        Some("CARD_APPLICATION_CRYPTOGRAM_SHORT_FORM"),
        Value::as_str,
    );
    let known = KNOWN.into_iter().find(|known| asked == Some(known));
    known.ok_or(Refusal::argument("NOT_SUPPORTED", "dynamicDataType", BODY))
}

/// A cryptogram, or the three digits that stand in its place.
fn dynamic_data(kind: &str) -> Result<Cryptogram, Refusal> {
    let mut bytes = [0; 21];
    rand_bytes(&mut bytes).map_err(|_| Refusal::internal())?;
    let value = match kind {
        "DYNAMIC_CARD_SECURITY_CODE" => {
            let [first, second, ..] = bytes;
            format!("{:03}", u16::from_be_bytes([first, second]) % 1000)
        }
        _ => STANDARD.encode(bytes),
    };
    Ok(Cryptogram::new(value))
}
