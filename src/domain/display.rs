//! What the consumer may be shown of a card, by its status.

use serde_json::{Map, Value};

use super::{Card, Status};

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

/// The `maskedCard` as it may be shown: the token's digits and expiry are those of the token we
/// hold, and only an ACTIVE card has `panLastFour` in it.
pub fn shown_masked_card(card: &Card) -> Value {
    let shows_digits = display(card).pan_last_four.is_some();
    let mut top = Map::new();
    let mut digital = Map::new();
    for (name, register) in &card.masked {
        if name == "panLastFour" && !shows_digits {
            continue;
        }
        match name.strip_prefix("digitalCardData.") {
            Some(inner) => digital.insert(inner.to_owned(), register.value.clone()),
            None => top.insert(name.clone(), register.value.clone()),
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
