//! What the merchant's systems are told of a decision.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{Card, CardToken, Change, TokenStatus};

/// A change of a card, to be read by the merchant's systems. Never holds a full number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    pub kind: EventKind,
    pub data: Value,
}

/// The kinds of events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventKind {
    /// Program or consumer reference were set.
    CardRegistered,
    /// What may be done with the card changed, or it ended.
    CardStatus,
    /// Masked data or card art changed.
    CardDetails,
    /// Token number or expiry changed.
    CardToken,
    /// A cryptogram was stored, handed out or destroyed.
    CardCryptogram,
    /// The tokens of a card that has several, or one of a bank, changed.
    CardTokens,
}

impl EventKind {
    /// The kind's name, as stored and shown.
    pub fn name(self) -> &'static str {
        match self {
            Self::CardRegistered => "card.registered",
            Self::CardStatus => "card.status",
            Self::CardDetails => "card.details",
            Self::CardToken => "card.token",
            Self::CardCryptogram => "card.cryptogram",
            Self::CardTokens => "card.tokens",
        }
    }
}

/// The events of a decision: one for each part of the card that changed.
pub(super) fn events(card: &Card, changes: &[Change]) -> Vec<Event> {
    let mut events = Vec::new();
    let mut tell = |kind, data| events.push(Event { kind, data });
    // The last word on a part: a cryptogram may be destroyed and replaced in one decision.
    let of = |part: &str| changes.iter().rfind(|change| change.field == part);
    let is_any = |fields: &[&str]| fields.iter().any(|field| of(field).is_some());
    if is_any(&["program", "consumerReference"]) {
        let reference = &card.consumer_reference;
        tell(
            EventKind::CardRegistered,
            json!({ "program": card.registered_program, "consumerReference": reference }),
        );
    }
    // Behind an unknown status a known one moves unseen: nothing may be done that could not be before.
    let is_shown = |change: &&Change| change.to.as_str() == card.status_word();
    if let Some(change) = of("status").filter(is_shown) {
        tell(
            EventKind::CardStatus,
            json!({ "from": change.from, "to": change.to }),
        );
    }
    if is_any(&["token.version"]) {
        tell(
            EventKind::CardToken,
            token(card, of("token.number").is_some()),
        );
    }
    let masked: Vec<&str> = changes
        .iter()
        .filter_map(|change| change.field.strip_prefix("maskedCard."))
        .collect();
    if !masked.is_empty() {
        tell(EventKind::CardDetails, json!({ "fields": masked }));
    }
    let tokens = tokens_changed(changes);
    if !tokens.is_empty() {
        let (here, gone): (Vec<&str>, Vec<&str>) = tokens
            .into_iter()
            .partition(|id| card.token_of_id(id).is_some());
        let here = here.into_iter().filter_map(|id| card.token_of_id(id));
        let here: Vec<Value> = here.map(token_of_program).collect();
        tell(
            EventKind::CardTokens,
            json!({ "tokens": here, "gone": gone }),
        );
    }
    if let Some(change) = of("cryptogram") {
        let state = change.to.as_str().unwrap_or("destroyed");
        events.push(card.cryptogram_event(state));
    }
    events
}

fn token(card: &Card, number_changed: bool) -> Value {
    let token = card.token.as_ref();
    let expiry = token.and_then(|token| token.expiry);
    json!({
        "version": card.version,
        "numberVersion": card.number_version,
        "numberChanged": number_changed,
        "lastFour": token.map(|token| token.number.last_four()),
        "expirationMonth": expiry.map(|expiry| expiry.month()),
        "expirationYear": expiry.map(|expiry| expiry.year()),
    })
}

/// The ids of the tokens that changed, or that are not the card's any more.
fn tokens_changed(changes: &[Change]) -> BTreeSet<&str> {
    let fields = changes
        .iter()
        .filter_map(|change| change.field.strip_prefix("tokens."));
    fields.filter_map(|field| field.split('.').next()).collect()
}

fn token_of_program(token: &CardToken) -> Value {
    json!({
        "tokenId": token.id,
        "lastFour": token.last_four,
        "status": token.status().map(TokenStatus::word),
        "relinking": token.relinking_since.is_some(),
        "notThere": token.not_there_since.is_some(),
    })
}

impl Card {
    /// What became of the cryptogram of the card's number.
    pub fn cryptogram_event(&self, state: &str) -> Event {
        Event {
            kind: EventKind::CardCryptogram,
            data: json!({ "state": state, "numberVersion": self.number_version }),
        }
    }
}
