//! Checkout: asks for a token's payment data with a fresh cryptogram.

use std::time::Instant;

use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::call::flow_header;
use super::checkout_answer::{Expected, Signed, read_signed};
use super::errors::refusal;
use super::{Amount, CheckoutAnswer, Client};
use crate::domain::CardId;
use crate::jose::{JwsAlg, Keyring, VerifyFault, json};
use crate::settings::CheckoutSettings;
use crate::upstream::{Answer, CallFailure, Request};

const PATH: &str = "/transaction/credentials";
const OPTIONS: &str = "dpaTransactionOptions";
/// What Mastercard signs by.
pub(super) const ALGS: [JwsAlg; 2] = [JwsAlg::Rs256, JwsAlg::Es256];

/// What Checkout is asked for.
pub struct CheckoutRequest {
    pub card_id: CardId,
    pub amount: Option<Amount>,
    /// Of an earlier answer that this call follows directly.
    pub flow_id: Option<String>,
}

impl Client {
    /// Asks for the card's payment data with a fresh cryptogram. The answer is believed only if
    /// Mastercard signed it, just now, for this request and this card.
    ///
    /// # Errors
    /// [`CallFailure`]; each call that got an answer may have made a cryptogram that nobody will use.
    pub fn checkout(
        &self,
        request: &CheckoutRequest,
        keyring: &Keyring,
    ) -> Result<CheckoutAnswer, CallFailure> {
        let program = &self.0;
        let deadline = program.caller.deadline();
        let correlation_id = Uuid::now_v7().to_string();
        let body = body(&program.settings, request, &correlation_id);
        let sent = Request {
            method: "POST",
            url: &format!("{}{PATH}", program.base_url),
            headers: flow_header(request.flow_id.as_deref()),
            body: Some(("application/json", body.as_bytes())),
        };
        let answer = program.caller.call(sent, deadline)?;
        if !answer.is_success() {
            return Err(refusal(&answer));
        }
        let signed = self
            .signed(&answer, deadline)
            .map_err(|reason| answer.unusable(reason))?;
        let expected = Expected {
            correlation_id: &correlation_id,
            card_id: &request.card_id,
            now: program.clock.now(),
            seen: &program.seen,
        };
        read_signed(signed, &expected, keyring)
            .map(|read| CheckoutAnswer {
                flow_id: answer.flow_id.clone(),
                ..read
            })
            .map_err(|reason| answer.unusable(reason))
    }

    /// The signed part of an answer, once its signature is found right.
    fn signed(&self, answer: &Answer, deadline: Instant) -> Result<Signed, &'static str> {
        let Ok(Value::Object(mut fields)) = json::parse(&answer.body) else {
            return Err("not-json");
        };
        match fields.remove("checkoutResponseJWS") {
            Some(Value::String(compact)) => self.verified(&compact, deadline),
            Some(Value::Object(exploded)) if self.0.settings.accept_unverified_checkout => {
                unverified(exploded)
            }
            Some(Value::Object(_)) => Err("cannot-be-verified"),
            _ => Err("wrong-schema"),
        }
    }

    fn verified(&self, compact: &str, deadline: Instant) -> Result<Signed, &'static str> {
        let program = &self.0;
        let fetch = || {
            let url = &program.settings.verification_url;
            let fetched =
                (!url.is_empty()).then(|| program.caller.exchange.fetch(url, deadline))?;
            fetched
                .inspect_err(|failure| log::warn!("verification_url gave no key set: {failure}"))
                .ok()
        };
        let verified = program
            .verification
            .verify(compact, program.clock.now(), fetch);
        let verified = verified.map_err(VerifyFault::word)?;
        if !ALGS.contains(&verified.alg) {
            return Err(VerifyFault::AlgNotAllowed.word());
        }
        match json::parse(&verified.payload) {
            Ok(Value::Object(payload)) => Ok(Signed {
                header: verified.header,
                payload,
            }),
            _ => Err("wrong-schema"),
        }
    }
}

/// The form in which Mastercard's specification displays an answer. Nothing vouches for it.
fn unverified(mut exploded: Map<String, Value>) -> Result<Signed, &'static str> {
    let mut take = |name: &str| match exploded.remove(name) {
        Some(Value::Object(part)) => Ok(part),
        _ => Err("wrong-schema"),
    };
    Ok(Signed {
        header: take("jose_header")?,
        payload: take("jws_payload")?,
    })
}

fn body(settings: &CheckoutSettings, request: &CheckoutRequest, correlation_id: &str) -> String {
    let own = [
        ("srcClientId", settings.src_client_id.as_str()),
        ("srcDpaId", &settings.src_dpa_id),
        ("serviceId", &settings.service_id),
        ("srcCorrelationId", correlation_id),
        ("srcDigitalCardId", request.card_id.as_str()),
        ("keyFingerprintId", &settings.key_fingerprint_id),
    ]
    .into_iter()
    .filter(|(_, value)| !value.is_empty())
    .map(|(name, value)| (name.to_owned(), value.into()));
    let mut fields = settings.checkout_fields.clone();
    fields.remove(OPTIONS);
    fields.extend(own);
    let amount = request.amount.as_ref().map(Amount::json);
    let amount = amount.map_or_else(String::new, |json| {
        format!(r#""transactionAmount":{json},"#)
    });
    let wanted = json!([{ "dynamicDataType": settings.dynamic_data_type.word() }]);
    let options = format!(r#"{{{amount}"paymentOptions":{wanted}}}"#);
    // Joined as text: as a value of serde_json the amount would pass through a float.
    let fields = Value::Object(fields).to_string();
    let fields = fields.strip_suffix('}').unwrap_or(&fields);
    format!(r#"{fields},"{OPTIONS}":{options}}}"#)
}
