//! What the consumer may be shown of a card, by its status.

use serde_json::{Map, Value};

use super::{Card, Change, Status, TerminalState};

/// What stands where digits are not shown.
pub const WITHHELD: &str = "withheld";

/// What to show the consumer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Display {
    pub visible: bool,
    pub greyed: bool,
    /// Only of an ACTIVE card: a greyed one is shown without it.
    pub pan_last_four: Option<String>,
    pub art_uri: Option<String>,
    pub descriptor_name: Option<String>,
    pub pan_expiration_month: Option<String>,
    pub pan_expiration_year: Option<String>,
}

/// ACTIVE: shown with `panLastFour`. SUSPENDED, or no known status: greyed, without. Ended: not at
/// all.
pub fn display(card: &Card) -> Display {
    let text = |field: &str| card.masked_text(field).map(str::to_owned);
    // Leading zeros get lost on Mastercard's side; what is kept stays as it came.
    let four_digits = |text: &str| format!("{text:0>4}");
    let visible = card.terminal.is_none();
    let active = visible && card.known_status() == Some(Status::Active);
    Display {
        visible,
        greyed: visible && !active,
        pan_last_four: card
            .masked_text("panLastFour")
            .filter(|_| active)
            .map(four_digits),
        art_uri: text("digitalCardData.artUri"),
        descriptor_name: text("digitalCardData.descriptorName"),
        pan_expiration_month: text("panExpirationMonth"),
        pan_expiration_year: text("panExpirationYear"),
    }
}

/// Whether a masked field is shown of a card with this status: the last digits of the number only
/// while it is ACTIVE, and no digits at all once it has ended.
pub fn is_field_shown(field: &str, status: Option<&str>) -> bool {
    match field {
        "panLastFour" => status == Some(Status::Active.word()),
        "panBin" | "tokenLastFour" => !TerminalState::ALL
            .iter()
            .any(|state| status == Some(state.word())),
        _ => true,
    }
}

/// The masked fields that may be shown, by name.
pub fn shown_fields(card: &Card) -> impl Iterator<Item = (&str, &Value)> {
    let status = card.status_word();
    let all = card.masked.iter();
    let shown = all.filter(move |(name, _)| is_field_shown(name, status));
    shown.map(|(name, register)| (name.as_str(), &register.value))
}

/// What changed of a card that has this status now: digits that are not shown any more are withheld
/// from what was recorded, too.
pub fn shown_changes(mut changes: Vec<Change>, status: Option<&str>) -> Vec<Change> {
    for change in &mut changes {
        let field = change.field.strip_prefix("maskedCard.");
        if field.is_some_and(|field| !is_field_shown(field, status)) {
            let values = [&mut change.from, &mut change.to].into_iter();
            values
                .filter(|value| !value.is_null())
                .for_each(|value| *value = WITHHELD.into());
        }
    }
    changes
}

/// The `maskedCard` as it may be shown: the token's digits and expiry are those of the token we
/// hold, and the card's own digits go by its status.
pub fn shown_masked_card(card: &Card) -> Value {
    let mut top = Map::new();
    let mut digital = Map::new();
    for (name, value) in shown_fields(card) {
        match name.strip_prefix("digitalCardData.") {
            Some(inner) => digital.insert(inner.to_owned(), value.clone()),
            None => top.insert(name.to_owned(), value.clone()),
        };
    }
    if let Some(status) = card.status_word() {
        digital.insert("status".to_owned(), status.into());
    }
    if let Some(token) = &card.token {
        top.insert("tokenLastFour".to_owned(), token.number.last_four().into());
        if let Some(expiry) = token.expiry {
            top.insert("tokenExpirationMonth".to_owned(), expiry.month().into());
            top.insert("tokenExpirationYear".to_owned(), expiry.year().into());
        }
    }
    top.insert("srcDigitalCardId".to_owned(), card.id.as_str().into());
    if !digital.is_empty() {
        top.insert("digitalCardData".to_owned(), Value::Object(digital));
    }
    Value::Object(top)
}
