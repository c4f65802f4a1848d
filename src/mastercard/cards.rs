//! The Card API: Delete Card, Get Card, and a card's transactions.

use chrono::DateTime;
use serde_json::{Value, json};
use uuid::Uuid;

use super::call::{address, flow_header};
use super::errors::{refusal, refusal_about_a_card};
use super::oauth::percent_encode;
use super::{Client, ErrorBody};
use crate::domain::{
    CardId, Hold, MaskedFields, Payment, PaymentData, ReportedStatus, without_full_numbers,
};
use crate::jose::{Keyring, json};
use crate::notification::{Item, PaymentPart, hold_of, payment_data};
use crate::settings::InstantForm;
use crate::upstream::{Answer, CallFailure, FailureClass, Request};

/// A card's removal, as it is told to Mastercard.
pub struct DeleteRequest {
    pub card_id: CardId,
    pub reason: Option<DeleteReason>,
    pub requestor: Option<Requestor>,
    /// Of an earlier answer that this call follows directly.
    pub flow_id: Option<String>,
}

/// Why a card is removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeleteReason {
    SuspectedFraud,
    AccountClosed,
    Other,
    Default,
}

impl DeleteReason {
    const ALL: [Self; 4] = [
        Self::SuspectedFraud,
        Self::AccountClosed,
        Self::Other,
        Self::Default,
    ];

    /// Mastercard's word for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::SuspectedFraud => "SUSPECTED_FRAUD",
            Self::AccountClosed => "ACCOUNT_CLOSED",
            Self::Other => "OTHER",
            Self::Default => "DEFAULT",
        }
    }

    /// The reason that the word names.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.word() == word)
    }
}

/// Who wants a card removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Requestor {
    Cardholder,
    Merchant,
    Issuer,
    Wallet,
}

impl Requestor {
    const ALL: [Self; 4] = [Self::Cardholder, Self::Merchant, Self::Issuer, Self::Wallet];

    /// Mastercard's word for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Cardholder => "CARDHOLDER",
            Self::Merchant => "MERCHANT",
            Self::Issuer => "ISSUER",
            Self::Wallet => "WALLET",
        }
    }

    /// The requestor that the word names.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|who| who.word() == word)
    }
}

/// What Mastercard says of a card.
pub struct CardAnswer {
    pub status: ReportedStatus,
    pub masked: MaskedFields,
    /// Opened if the token was asked for and came.
    pub payment: Payment,
    /// To be sent with a call that follows directly.
    pub flow_id: Option<String>,
}

impl Client {
    /// Delete Card. Done only if Mastercard's answer says so in its documented form; a repeat of a
    /// delete that was done is answered [`FailureClass::NotThere`].
    ///
    /// # Errors
    /// [`CallFailure`].
    pub fn delete_card(&self, request: &DeleteRequest) -> Result<(), CallFailure> {
        let mut query = Vec::new();
        query.extend(request.reason.map(|reason| ("reason", reason.word())));
        query.extend(request.requestor.map(|who| ("requestor", who.word())));
        let url = self.card_address(&request.card_id, "", &query)?;
        let sent = Request {
            method: "DELETE",
            url: &url,
            headers: flow_header(request.flow_id.as_deref()),
            body: None,
        };
        let caller = &self.0.caller;
        let answer = caller.call(sent, caller.deadline())?;
        if !answer.is_success() {
            return Err(refusal_about_a_card(&answer));
        }
        if answer.status == 204 && answer.body.is_empty() {
            return Ok(());
        }
        let answered = object(&answer)?;
        match answered.get("srcCorrelationId") {
            Some(Value::String(_)) => Ok(()),
            _ => Err(answer.unusable("wrong-schema")),
        }
    }

    /// Get Card: status and masked card, and the token where the program's settings ask for it.
    ///
    /// # Errors
    /// [`CallFailure`].
    pub fn get_card(&self, card_id: &CardId, keyring: &Keyring) -> Result<CardAnswer, CallFailure> {
        let program = &self.0;
        let deadline = program.caller.deadline();
        let ask = |with_token: bool| {
            let mut query = Vec::new();
            if with_token {
                query.push(("tokenRequested", "true"));
                let fingerprint = program.settings.key_fingerprint_id.as_str();
                query
                    .extend((!fingerprint.is_empty()).then_some(("keyFingerprintId", fingerprint)));
            }
            let url = self.card_address(card_id, "", &query)?;
            program.caller.call(get(&url), deadline)
        };
        let with_token = program.settings.get_card_token;
        let mut answer = ask(with_token)?;
        // The program may not read tokens: what it may read is asked for again.
        let may_not = answer.status == 403
            && ErrorBody::parse(&answer.body).detail.as_deref() == Some("INVALID_VALUE");
        if with_token && may_not {
            answer = ask(false)?;
        }
        if !answer.is_success() {
            return Err(refusal_about_a_card(&answer));
        }
        self.card_answer(card_id, answer, keyring)
    }

    /// The card's latest transactions, a list of objects, from an instant (ISO-8601) at the earliest.
    ///
    /// # Errors
    /// [`CallFailure`].
    pub fn transactions(&self, card_id: &CardId, from: Option<&str>) -> Result<Value, CallFailure> {
        let unusable_time = || CallFailure::unsent(FailureClass::Refused, "not-an-instant");
        let from = match from {
            Some(from) => Some(DateTime::parse_from_rfc3339(from).map_err(|_| unusable_time())?),
            None => None,
        };
        let from = from.map(|from| match self.0.settings.transactions_from {
            // Milliseconds, and the offset in digits.
            InstantForm::Iso8601 => from.format("%Y-%m-%dT%H:%M:%S%.3f%:z").to_string(),
            InstantForm::EpochMilliseconds => from.timestamp_millis().to_string(),
        });
        let mut query = Vec::new();
        query.extend(
            from.iter()
                .map(|from| ("transactionsFromTimestamp", from.as_str())),
        );
        let url = self.card_address(card_id, "/transactions", &query)?;
        let caller = &self.0.caller;
        let answer = caller.call(get(&url), caller.deadline())?;
        if !answer.is_success() {
            return Err(refusal(&answer));
        }
        match object(&answer)?.get("transactions") {
            Some(list @ Value::Array(items)) if items.iter().all(Value::is_object) => {
                Ok(without_full_numbers(list))
            }
            _ => Err(answer.unusable("wrong-schema")),
        }
    }

    /// The address of a card or of what is under it, with the ids that every call carries.
    fn card_address(
        &self,
        card_id: &CardId,
        below: &str,
        query: &[(&str, &str)],
    ) -> Result<String, CallFailure> {
        // As path segments these two mean another address.
        if [".", ".."].contains(&card_id.as_str()) {
            let reason = "card-id-cannot-be-sent";
            return Err(CallFailure::unsent(FailureClass::Refused, reason));
        }
        let settings = &self.0.settings;
        let correlation_id = Uuid::now_v7().to_string();
        let segment = percent_encode(card_id.as_str());
        let mut all = vec![
            ("srcClientId", settings.src_client_id.as_str()),
            ("serviceId", &settings.service_id),
        ];
        // Transactions take neither of the two.
        if below.is_empty() {
            all.push(("srcCorrelationId", &correlation_id));
            let dpa_id = settings.src_dpa_id.as_str();
            all.extend((!dpa_id.is_empty()).then_some(("srcDpaId", dpa_id)));
        }
        all.extend(query);
        let card = format!("{}/cards/{segment}{below}", self.0.base_url);
        Ok(address(&card, &all))
    }

    fn card_answer(
        &self,
        card_id: &CardId,
        answer: Answer,
        keyring: &Keyring,
    ) -> Result<CardAnswer, CallFailure> {
        let fields = object(&answer)?;
        let field = |name: &str| fields.get(name).cloned().unwrap_or_default();
        // Read as an element of a notification is, which says the same under other names.
        let element = json!({
            "maskedCard": field("maskedCard"),
            "paymentData": field("encryptedPaymentData"),
            "keyFingerprintId": field("keyFingerprintId"),
        });
        let now = self.0.clock.now();
        let item = Item::read(element, now, &self.0.wire);
        let item = item.map_err(|_| answer.unusable("wrong-schema"))?;
        if item.card_id != *card_id {
            return Err(answer.unusable("other-card"));
        }
        Ok(CardAnswer {
            status: item.status,
            masked: item.masked,
            payment: opened(item.payment, keyring),
            flow_id: answer.flow_id,
        })
    }
}

/// A request that only reads.
fn get(url: &str) -> Request<'_> {
    Request {
        method: "GET",
        url,
        headers: Vec::new(),
        body: None,
    }
}

/// The object that the body of a success is.
fn object(answer: &Answer) -> Result<Value, CallFailure> {
    match json::parse(&answer.body) {
        Ok(object @ Value::Object(_)) => Ok(object),
        Ok(_) => Err(answer.unusable("wrong-schema")),
        Err(_) => Err(answer.unusable("not-json")),
    }
}

/// Status and masked card count even where the token cannot be read.
fn opened(part: PaymentPart, keyring: &Keyring) -> Payment {
    let PaymentPart::Jwe { token, fingerprint } = part else {
        return Payment::Absent;
    };
    match open(&token, fingerprint.as_deref(), keyring) {
        Ok(data) => Payment::Opened(data),
        Err(hold) => Payment::Unreadable(hold),
    }
}

fn open(token: &str, fingerprint: Option<&str>, keyring: &Keyring) -> Result<PaymentData, Hold> {
    let plaintext = keyring.open(token, fingerprint).map_err(hold_of)?;
    let plaintext = json::parse(&plaintext).map_err(|_| Hold::UNREADABLE)?;
    payment_data(&plaintext).ok_or(Hold::UNREADABLE)
}
