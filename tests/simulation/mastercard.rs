//! Mastercard in memory: what is true of its cards, and what goes wrong on the way to it and back.

use serde_json::{Map, Value, json};
use tokenkeep::domain::{MaskedFields, ReportedStatus};
use tokenkeep::settings::ConnectionLost;
use tokenkeep::telemetry::timestamp;
use uuid::Uuid;

use crate::kit::{Kit, SKEW};
use crate::post::{Sealing, Sent, masked_card, payment_token, status_word};
use crate::sim::{self, Sim};
use crate::support::item::{Item, Token, reports};
use crate::support::model::{Told, timed};
use crate::trouble::Trouble;

const DAY: i64 = 86_400_000;
type Answered = Result<(u16, Vec<u8>), ConnectionLost>;

/// What is true of a card there.
#[derive(Debug, Clone)]
pub struct Truth {
    pub status: ReportedStatus,
    pub token: Token,
    /// The event times of the latest word on either.
    status_time: i64,
    token_time: i64,
    is_deleted: bool,
}

impl Truth {
    pub fn new(number: &str, expiry: &str) -> Self {
        Self {
            status: ReportedStatus::from_word("ACTIVE"),
            token: Token::new(number, Some(expiry)),
            status_time: 0,
            token_time: 0,
            is_deleted: false,
        }
    }

    /// Something is about to be told of the card.
    pub fn tells(&mut self, sent: &Sent) {
        let Some(time) = sent.item.time else { return };
        let is_word = !matches!(sent.item.status, ReportedStatus::Unknown(_));
        if is_word && time >= self.status_time && self.status != ReportedStatus::Cancelled {
            (self.status, self.status_time) = (sent.item.status.clone(), time);
        }
        if let Some(token) = &sent.item.refresh
            && time >= self.token_time
        {
            (self.token, self.token_time) = (token.clone(), time);
        }
    }

    fn item(&self) -> Item {
        let last_four = &self.token.number[self.token.number.len() - 4..];
        reports(status_word(&self.status), 0).with("tokenLastFour", last_four)
    }
}

/// Called by the clients of all workers.
pub fn answer(method: &str, url: &str, body: &[u8]) -> Answered {
    let sim = sim::current();
    let caller = sim.caller();
    if caller.is_gone() {
        return Err(ConnectionLost::BeforeRequest);
    }
    let call = Call::of(method, url, body);
    let as_of = sim.now() - SKEW;
    sim.pass(1);
    let trouble = sim.trouble();
    sim.note(&format!("  {} of {}: {trouble:?}", call.kind, call.card));
    sim.count(&format!("{trouble:?}"));
    if trouble == Trouble::Refused {
        return Err(ConnectionLost::BeforeRequest);
    }
    let answered = match trouble {
        Trouble::LostBefore => Err(ConnectionLost::BeforeAnswer),
        _ => Ok(call.answered(&sim, trouble, as_of)),
    };
    // Whatever else happens while the answer is on its way.
    sim.meanwhile();
    if sim.once_in(25) && !sim.is_healed() {
        sim.note("  the caller dies before the answer comes");
        sim.count("crash during a call");
        caller.kill();
        return Err(ConnectionLost::BeforeAnswer);
    }
    sim.answer_is_there();
    match trouble {
        Trouble::LostAfter => Err(ConnectionLost::BeforeAnswer),
        _ => answered,
    }
}

struct Call {
    kind: &'static str,
    card: String,
    correlation: String,
}

impl Call {
    fn of(method: &str, url: &str, body: &[u8]) -> Self {
        let path = url.split('?').next().unwrap();
        let card = path.rsplit('/').next().unwrap().to_owned();
        match method {
            "POST" => {
                let body: Value = serde_json::from_slice(body).unwrap();
                let text = |name: &str| body[name].as_str().unwrap().to_owned();
                Self {
                    kind: "Checkout",
                    card: text("srcDigitalCardId"),
                    correlation: text("srcCorrelationId"),
                }
            }
            "DELETE" => Self {
                kind: "Delete Card",
                card,
                correlation: String::new(),
            },
            _ => Self {
                kind: "Get Card",
                card,
                correlation: String::new(),
            },
        }
    }

    fn answered(&self, sim: &Sim, trouble: Trouble, as_of: i64) -> (u16, Vec<u8>) {
        match trouble {
            Trouble::Status(status) => return error(status),
            Trouble::Gateway(recoverable) => return gateway(recoverable),
            Trouble::NotJson => return (200, b"<html>".to_vec()),
            Trouble::Empty => return (200, Vec::new()),
            _ => {}
        }
        let mut truths = sim.truths.borrow_mut();
        let truth = truths.get_mut(&self.card).unwrap();
        match self.kind {
            "Delete Card" if truth.is_deleted => error(404),
            "Delete Card" => {
                truth.is_deleted = true;
                truth.status = ReportedStatus::Cancelled;
                (204, Vec::new())
            }
            "Get Card" if truth.is_deleted && sim.once_in(2) => error(404),
            "Get Card" => self.card(sim, truth, trouble, as_of),
            _ if truth.status != ReportedStatus::from_word("ACTIVE") => error(400),
            _ => self.checkout(sim, truth, trouble, as_of),
        }
    }

    fn shown(&self, trouble: Trouble) -> &str {
        match trouble {
            Trouble::OtherCard => "card-elsewhere",
            _ => &self.card,
        }
    }

    fn card(&self, sim: &Sim, truth: &Truth, trouble: Trouble, as_of: i64) -> (u16, Vec<u8>) {
        let item = truth.item();
        let token = payment_token(&truth.token.number, truth.token.month_and_year());
        let body = json!({
            "maskedCard": masked_card(self.shown(trouble), &item),
            "encryptedPaymentData": sim.kit.jwe(&json!({ "paymentToken": token }), Sealing::Early),
        });
        let told = Told {
            rank: timed(as_of),
            status: Some(truth.status.clone()),
            masked: item.masked,
            refresh: Some(truth.token.clone()),
            is_unreadable: false,
        };
        sim.answers
            .borrow_mut()
            .insert((self.card.clone(), as_of), told);
        (200, body.to_string().into_bytes())
    }

    fn checkout(&self, sim: &Sim, truth: &Truth, trouble: Trouble, as_of: i64) -> (u16, Vec<u8>) {
        let mut item = truth.item();
        if trouble == Trouble::OtherNumber {
            item = item.with("tokenLastFour", "9999");
        }
        let now = sim.now();
        let expires = match trouble {
            Trouble::RanOut => now - DAY,
            _ => now + 5 * DAY,
        };
        let cryptogram = sim.new_cryptogram(&self.card, &truth.token.number);
        let plaintext = json!({
            "token": payment_token(&truth.token.number, truth.token.month_and_year()),
            "dynamicData": {
                "dynamicDataType": "CARD_APPLICATION_CRYPTOGRAM_SHORT_FORM",
                "dynamicDataValue": cryptogram,
                "dynamicDataExpiration": timestamp(expires),
            },
        });
        let payload = json!({
            "srcCorrelationId": self.correlation,
            "maskedCard": masked_card(self.shown(trouble), &item),
            "encryptedPayload": sim.kit.jwe(&plaintext, Sealing::Early),
        });
        let mut jws = signed(&sim.kit, &payload, now);
        if trouble == Trouble::WrongSignature {
            let other = signed(&sim.kit, &Value::Null, now);
            let (head, _) = jws.rsplit_once('.').unwrap();
            jws = format!("{head}.{}", other.rsplit('.').next().unwrap());
        }
        // Only its token counts, and only where its masked card names the same one.
        let told = Told {
            rank: timed(as_of),
            status: None,
            masked: MaskedFields::new(),
            refresh: Some(truth.token.clone()),
            is_unreadable: trouble == Trouble::OtherNumber,
        };
        sim.answers
            .borrow_mut()
            .insert((self.card.clone(), as_of), told);
        (
            200,
            json!({ "checkoutResponseJWS": jws })
                .to_string()
                .into_bytes(),
        )
    }
}

fn signed(kit: &Kit, payload: &Value, now: i64) -> String {
    let header = json!({
        "kid": "tokenkeep-sandbox-payload-verification",
        "iat": (now / 1000).to_string(),
        "jti": Uuid::now_v7().to_string(),
    });
    let header: Map<String, Value> = header.as_object().unwrap().clone();
    kit.signer
        .sign(header, payload.to_string().as_bytes())
        .unwrap()
}

fn error(status: u16) -> (u16, Vec<u8>) {
    let body = json!({ "status": status, "reason": "SIMULATED", "message": "" });
    (status, body.to_string().into_bytes())
}

fn gateway(recoverable: bool) -> (u16, Vec<u8>) {
    let error = json!({ "ReasonCode": "SIMULATED", "Recoverable": recoverable });
    let body = json!({ "Errors": { "Error": [error] } });
    (400, body.to_string().into_bytes())
}
