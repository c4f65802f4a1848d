//! The recorded inputs of a card as the domain takes them, each in its place.

use serde_json::Value;

use crate::domain::{
    CardAnswer, CardId, Change, CheckoutAnswer, ContractStatus, CryptogramSpent, CryptogramState,
    Delete, DeleteConfirmed, Expiry, Flag, Hold, Input, MaskedFields, NotThere, Notice, Payment,
    PaymentData, Policy, Rank, ReadToken, Registration, ReportedStatus, Rule, SeenToken,
    TokenCommand, TokenCommandDone, TokenStatus, TokensRead,
};
use crate::jose::KeyedDigest;
use crate::jose::json::parse;
use crate::notification::{Item, PaymentPart, payment_data};
use crate::processor::replay::element_of;
use crate::store::{
    AnswerKind, RecordedAnswer, RecordedNotice, RecordedRegistration, StoreError, Tx,
};

/// A recorded input in its place among the inputs decided for the card.
pub struct Placed {
    pub order: i64,
    /// None if its content is not kept.
    pub input: Option<Input>,
    /// It brought a number that is wiped.
    pub lacks_number: bool,
    /// The cryptogram it brought went to a caller at once.
    pub hands_out: bool,
    pub identity: Option<((i64, i32), KeyedDigest)>,
    /// Another input of the same event time had another value.
    pub is_equal_time: bool,
}

impl Placed {
    fn new(order: i64, input: Option<Input>) -> Self {
        Self {
            order,
            input,
            lacks_number: false,
            hands_out: false,
            identity: None,
            is_equal_time: false,
        }
    }
}

const DAMAGED: StoreError = StoreError::Damaged("a recorded input cannot be read");

/// Every recorded input of a card.
pub fn placed(tx: &mut Tx<'_>, id: &CardId, policy: &Policy) -> Result<Vec<Placed>, StoreError> {
    let mut placed = Vec::new();
    for row in tx.recorded_notices(id)? {
        let first = row
            .earlier
            .iter()
            .map(|earlier| (earlier.card_order, Some(&*earlier.hold), ""));
        let last = (row.card_order, row.hold.as_deref(), &*row.rule);
        let replays = row
            .replays
            .iter()
            .map(|(order, rule)| (*order, None, &**rule));
        for (order, hold, rule) in first.chain([last]).chain(replays) {
            placed.push(notice(&row, id, policy, (order, hold, rule))?);
        }
    }
    for row in tx.recorded_registrations(id)? {
        let order = row.card_order;
        placed.push(Placed::new(order, Some(registration(row, id)?)));
    }
    for row in tx.recorded_answers(id)? {
        placed.push(answer(row, id)?);
    }
    Ok(placed)
}

/// One decision on an item: its place, why a part was held, and the rule that decided it.
fn notice(
    row: &RecordedNotice,
    id: &CardId,
    policy: &Policy,
    (order, hold, rule): (i64, Option<&str>, &str),
) -> Result<Placed, StoreError> {
    let Some(content) = &row.content else {
        return Ok(Placed::new(order, None));
    };
    let element = element_of(content).ok_or(DAMAGED)?;
    let item = Item::read(element, row.received_at, &policy.wire).map_err(|_| DAMAGED)?;
    if item.card_id != *id {
        return Err(DAMAGED);
    }
    let (payment, lacks_number) = payment(item.payment, hold)?;
    let identity = content.identity.as_ref();
    let notice = Notice {
        card_id: item.card_id,
        rank: match row.event_time {
            Some(time) => Rank::timed(time),
            None => Rank::untimed(row.received_at, row.sequence, row.index),
        },
        received_at: row.received_at,
        sequence: row.sequence,
        index: row.index,
        digest: match payment {
            // Its identity was found when it opened.
            Payment::Unreadable(hold) if hold != Hold::PAYMENT_DATA_MISSING => None,
            _ => identity.map(|identity| identity.text.clone()),
        },
        is_known: rule == Rule::SAME_IDENTITY.0,
        status: item.status,
        masked: item.masked,
        payment,
        earlier_changes: Vec::new(),
    };
    let place = (row.sequence, row.index);
    Ok(Placed {
        lacks_number,
        identity: identity.map(|identity| (place, identity.clone())),
        is_equal_time: row.flags.contains(&Flag::EqualTime),
        ..Placed::new(order, Some(Input::Notice(notice)))
    })
}

/// The payment data as it was decided upon, and whether a number is missing that was there.
fn payment(part: PaymentPart, hold: Option<&str>) -> Result<(Payment, bool), StoreError> {
    if let Some(hold) = hold.and_then(Hold::of_payment) {
        return Ok((Payment::Unreadable(hold), false));
    }
    match part {
        PaymentPart::Absent => Ok((Payment::Absent, false)),
        PaymentPart::Clear(value) => {
            let data = payment_data(&value).ok_or(DAMAGED)?;
            Ok((Payment::Opened(data), false))
        }
        PaymentPart::Missing => Ok((Payment::Absent, true)),
        // It is kept as it was decrypted.
        PaymentPart::Jwe { .. } => Err(DAMAGED),
    }
}

fn registration(row: RecordedRegistration, id: &CardId) -> Result<Input, StoreError> {
    let token = row.payment.as_ref();
    let changes = &row.changes;
    let seen = row.tokens.into_iter().map(|token| SeenToken {
        last_four: added_last_four(changes, &token),
        id: token,
    });
    Ok(Input::Registration(Registration {
        card_id: id.clone(),
        program: row.program,
        consumer_reference: row.consumer_reference,
        masked: from::<MaskedFields>(&parse(&row.content).map_err(|_| DAMAGED)?)?,
        token: token.map(|payment| number(payment)).transpose()?,
        tokens: seen.collect(),
        received_at: row.received_at,
    }))
}

fn answer(row: RecordedAnswer, id: &CardId) -> Result<Placed, StoreError> {
    let content = row.content.as_ref();
    let content = content.map(|content| parse(content).map_err(|_| DAMAGED));
    let content = content.transpose()?;
    let (card_id, received_at) = (id.clone(), row.received_at);
    let spent = |state| {
        Input::CryptogramSpent(CryptogramSpent {
            card_id: id.clone(),
            state,
            received_at,
        })
    };
    let input = match (row.kind, &content) {
        (AnswerKind::NotThere, _) => Input::NotThere(NotThere {
            card_id,
            received_at,
        }),
        (AnswerKind::DeleteAsked, _) => Input::Delete(Delete {
            card_id,
            received_at,
        }),
        (AnswerKind::DeleteConfirmed, _) => Input::DeleteConfirmed(DeleteConfirmed {
            card_id,
            received_at,
        }),
        (AnswerKind::CryptogramHandedOut, _) => spent(CryptogramState::HandedOut),
        (AnswerKind::CryptogramRanOut, _) => spent(CryptogramState::RanOut),
        (AnswerKind::Checkout, Some(content)) => return checkout(&row, content, id),
        (AnswerKind::GetCard, Some(content)) => get_card(&row, content, id)?,
        (AnswerKind::TokenStatusSet, Some(content)) => {
            let command = content["command"].as_str();
            Input::TokenCommandDone(TokenCommandDone {
                card_id,
                token: content["tokenId"].as_str().map(str::to_owned),
                command: command.and_then(TokenCommand::from_word).ok_or(DAMAGED)?,
                received_at,
            })
        }
        (AnswerKind::ContractStatus, Some(content)) => Input::ContractStatus(ContractStatus {
            card_id,
            code: content["contractStatus"]
                .as_str()
                .ok_or(DAMAGED)?
                .to_owned(),
            received_at,
        }),
        (AnswerKind::TokensRead, Some(content)) => tokens_read(&row, content, id)?,
        (_, None) => return Ok(Placed::new(row.card_order, None)),
    };
    Ok(Placed::new(row.card_order, Some(input)))
}

fn get_card(row: &RecordedAnswer, content: &Value, id: &CardId) -> Result<Input, StoreError> {
    let held = content["held"].as_str().and_then(Hold::of_payment);
    let payment = match (&row.payment, held) {
        (Some(payment), _) => Payment::Opened(number(payment)?),
        (None, Some(hold)) => Payment::Unreadable(hold),
        (None, None) => Payment::Absent,
    };
    Ok(Input::CardAnswer(CardAnswer {
        card_id: id.clone(),
        rank: Rank::timed(row.as_of),
        received_at: row.received_at,
        status: ReportedStatus::from_word(content["status"].as_str().ok_or(DAMAGED)?),
        masked: from(&content["masked"])?,
        payment,
    }))
}

fn checkout(row: &RecordedAnswer, content: &Value, id: &CardId) -> Result<Placed, StoreError> {
    // Without the number nothing can be decided; before it was recorded what was asked for, neither.
    let asked_for = content["askedFor"].as_u64();
    let asked_for = asked_for.and_then(|version| u32::try_from(version).ok());
    let (Some(payment), Some(asked_for)) = (&row.payment, asked_for) else {
        return Ok(Placed {
            lacks_number: row.payment.is_none(),
            ..Placed::new(row.card_order, None)
        });
    };
    let says = |field: &str| content[field].as_bool().ok_or(DAMAGED);
    let input = CheckoutAnswer {
        card_id: id.clone(),
        rank: Rank::timed(row.as_of),
        received_at: row.received_at,
        asked_for,
        data: number(payment)?,
        is_consistent: says("isConsistent")?,
        is_repeated: says("isRepeated")?,
    };
    Ok(Placed {
        hands_out: says("handedOut")?,
        ..Placed::new(row.card_order, Some(Input::CheckoutAnswer(input)))
    })
}

fn tokens_read(row: &RecordedAnswer, content: &Value, id: &CardId) -> Result<Input, StoreError> {
    let tokens = content["tokens"].as_array().ok_or(DAMAGED)?;
    let read = |token: &Value| read_token(token, &row.changes).ok_or(DAMAGED);
    Ok(Input::TokensRead(TokensRead {
        card_id: id.clone(),
        rank: Rank::timed(row.as_of),
        received_at: row.received_at,
        tokens: tokens.iter().map(read).collect::<Result<_, _>>()?,
        moved: from(&content["moved"])?,
        missing: from(&content["missing"])?,
        is_not_there: content["notThere"].as_bool().ok_or(DAMAGED)?,
    }))
}

fn read_token(token: &Value, changes: &[Change]) -> Option<ReadToken> {
    let id = token["tokenId"].as_str()?.to_owned();
    let expiry = token["expiry"].as_str();
    let parts = expiry.and_then(|text| text.split_once('/'));
    Some(ReadToken {
        last_four: added_last_four(changes, &id),
        id,
        status: TokenStatus::from_word(token["status"].as_str()?),
        customer: token["customer"].as_str().map(str::to_owned),
        expiry: parts.and_then(|(month, year)| Expiry::parse(month, year)),
        details: serde_json::from_value(token["details"].clone()).ok()?,
    })
}

/// The last four of a token that this input added; of one that was there they are not asked for.
fn added_last_four(changes: &[Change], token: &str) -> String {
    let field = format!("tokens.{token}");
    let added = changes.iter().find(|change| change.field == field);
    let last_four = added.and_then(|change| change.to.as_str());
    last_four.unwrap_or_default().to_owned()
}

fn from<T: serde::de::DeserializeOwned>(value: &Value) -> Result<T, StoreError> {
    serde_json::from_value(value.clone()).map_err(|_| DAMAGED)
}

fn number(payment: &[u8]) -> Result<PaymentData, StoreError> {
    let payment = parse(payment).map_err(|_| DAMAGED)?;
    payment_data(&payment).ok_or(DAMAGED)
}
