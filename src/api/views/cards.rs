//! A card as it may be shown: never with a full number.

use serde::Serialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::next;
use crate::domain::{self, display, shown_masked_card};
use crate::store::CardRow;
use crate::telemetry::timestamp;

/// A card as it may be shown.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Card {
    pub card_id: String,
    /// Null until known, as is the consumer reference.
    pub program: Option<String>,
    pub consumer_reference: Option<String>,
    /// `ACTIVE`, `SUSPENDED`, or null while none is known.
    pub status: Option<&'static str>,
    pub display: Display,
    pub token: Option<Token>,
    /// The tokens of a program where a card has tokens of its own; missing elsewhere.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tokens: Vec<CardToken>,
    /// The status of the card contract as the issuer told it last; missing where none was told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub contract_status: Option<String>,
    /// Masked data as Mastercard sent it.
    #[schema(value_type = Object)]
    pub masked_card: Value,
    pub updated_at: String,
}

/// What the consumer may be shown of a card.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Display {
    pub visible: bool,
    /// Shown, but not to be chosen.
    pub greyed: bool,
    /// Only of an ACTIVE card.
    pub pan_last_four: Option<String>,
    pub art_uri: Option<String>,
    pub descriptor_name: Option<String>,
    pub pan_expiration_month: Option<String>,
    pub pan_expiration_year: Option<String>,
}

/// A card's token, by its last four digits.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Token {
    pub last_four: String,
    pub expiration_month: Option<String>,
    pub expiration_year: Option<String>,
    /// Rises with any change of the token.
    pub version: u32,
    /// Rises when the token number changes.
    pub number_version: u32,
    pub refreshed_at: String,
}

/// One of a card's tokens, never with its text.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct CardToken {
    /// Ours, to tell the tokens of a card apart.
    pub id: String,
    pub last_four: String,
    /// `ACTIVE`, `SUSPENDED`, `OBSOLETE`, `DELETED`, another word of the program, or null while none is
    /// known.
    pub status: Option<String>,
    pub expiration_month: Option<String>,
    pub expiration_year: Option<String>,
    /// It waits to be linked to a replaced card.
    pub relinking: bool,
    /// The program said that it does not know the token.
    pub not_found_there: bool,
    /// Further fields as the program gave them.
    #[schema(value_type = Object)]
    pub details: Value,
}

impl From<&domain::CardToken> for CardToken {
    fn from(token: &domain::CardToken) -> Self {
        Self {
            id: token.id.clone(),
            last_four: token.last_four.clone(),
            status: token.status().map(|status| status.word().to_owned()),
            expiration_month: token.expiry.map(|expiry| expiry.month()),
            expiration_year: token.expiry.map(|expiry| expiry.year()),
            relinking: token.relinking_since.is_some(),
            not_found_there: token.not_there_since.is_some(),
            details: json!(token.details),
        }
    }
}

impl From<&CardRow> for Card {
    fn from(row: &CardRow) -> Self {
        let card = &row.card;
        let display = display(card);
        let token = card.token.as_ref().map(|token| Token {
            last_four: token.number.last_four(),
            expiration_month: token.expiry.map(|expiry| expiry.month()),
            expiration_year: token.expiry.map(|expiry| expiry.year()),
            version: card.version,
            number_version: card.number_version,
            refreshed_at: timestamp(token.refreshed_at),
        });
        Self {
            card_id: card.id.to_string(),
            program: row.program.clone(),
            consumer_reference: card.consumer_reference.clone(),
            status: card.status_word(),
            display: Display {
                visible: display.visible,
                greyed: display.greyed,
                pan_last_four: display.pan_last_four,
                art_uri: display.art_uri,
                descriptor_name: display.descriptor_name,
                pan_expiration_month: display.pan_expiration_month,
                pan_expiration_year: display.pan_expiration_year,
            },
            token,
            tokens: card.tokens.iter().map(CardToken::from).collect(),
            contract_status: card.contract_status.clone(),
            masked_card: shown_masked_card(card),
            updated_at: timestamp(card.updated_at),
        }
    }
}

/// A card as it may be shown.
pub fn card(row: &CardRow) -> Value {
    json!(Card::from(row))
}

/// Cards by ascending id.
#[derive(Serialize, ToSchema)]
pub struct CardPage {
    pub cards: Vec<Card>,
    /// The cursor of the next page; null on the last one.
    pub next: Option<String>,
}

impl CardPage {
    /// The page that these rows are, of at most `limit`.
    pub fn new(rows: &[CardRow], limit: i64) -> Self {
        Self {
            cards: rows.iter().map(Card::from).collect(),
            next: next(rows, limit, |row| row.card.id.to_string()),
        }
    }
}
