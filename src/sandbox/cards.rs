//! The cards of the sandbox: what the other side knows of each, and how it changes.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::random::Random;
use crate::domain::{Expiry, TokenNumber};
use crate::jose::hex;
use crate::telemetry::timestamp;

/// Token numbers are made in this range, which Mastercard's published samples use.
const TOKEN_RANGE: &str = "548098";
const PAN_BIN: &str = "512034";
/// Years that a refresh adds to an expiry.
const YEARS_OF_A_REFRESH: u16 = 2;
/// Years between which expiries are made up.
const EARLIEST_YEAR: u16 = 2030;
const LATEST_YEAR: u16 = 2060;

/// How a card stands at the other side. A deleted one is not there any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CardStatus {
    Active,
    Suspended,
    /// Ended by its issuer.
    Cancelled,
}

impl CardStatus {
    /// Mastercard's word for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Active => "ACTIVE",
            Self::Suspended => "SUSPENDED",
            Self::Cancelled => "CANCELLED",
        }
    }
}

/// What a refresh changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refresh {
    NumberAndExpiry,
    Number,
    Expiry,
    Nothing,
}

/// A card to be created; what is not given is made up.
#[derive(Clone, Default)]
pub struct NewCard {
    pub id: Option<String>,
    pub service_id: Option<String>,
    pub number: Option<TokenNumber>,
    pub expiry: Option<Expiry>,
}

/// A card as the other side knows it. Holds a full number, so it cannot be printed.
#[derive(Clone)]
pub struct SandboxCard {
    pub id: String,
    pub service_id: String,
    pub status: CardStatus,
    pub number: TokenNumber,
    pub expiry: Expiry,
    /// Time of the last change, milliseconds since 1970; each change has a later one.
    pub changed_at: i64,
    pub(super) created_at: i64,
    /// Number of the card art: new art always comes under a new address.
    art: u32,
    pan_last_four: String,
    token_reference: String,
    account_reference: String,
}

impl SandboxCard {
    /// `maskedCard`, as notifications and answers hold it.
    pub(super) fn masked(&self) -> Value {
        json!({
            "srcDigitalCardId": self.id,
            "panBin": PAN_BIN,
            "panLastFour": self.pan_last_four,
            "panExpirationMonth": self.expiry.month(),
            "panExpirationYear": self.expiry.year(),
            "tokenUniqueReference": self.token_reference,
            "tokenLastFour": self.number.last_four(),
            "tokenExpirationMonth": self.expiry.month(),
            "tokenExpirationYear": self.expiry.year(),
            "paymentCardDescriptor": "mastercard",
            "paymentCardType": "CREDIT",
            "serviceId": self.service_id,
            "paymentAccountReference": self.account_reference,
            "dateOfCardCreated": timestamp(self.created_at),
            "digitalCardData": {
                "status": self.status.word(),
                "descriptorName": "Sandbox Bank Credit",
                "artUri": format!("https://assets.example/card-art/{}.png", self.art),
                "isCoBranded": "false",
            },
        })
    }

    /// The token in full: only to be encrypted.
    pub(super) fn token(&self) -> Value {
        json!({
            "paymentToken": self.number.expose(),
            "tokenExpirationMonth": self.expiry.month(),
            "tokenExpirationYear": self.expiry.year(),
            "paymentAccountReference": self.account_reference,
        })
    }

    /// Marks a change; returns the card as it is now.
    fn changed(&mut self, now: i64) -> Self {
        self.changed_at = now.max(self.changed_at + 1);
        self.clone()
    }
}

/// Why a card is not created or changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CardFault {
    #[error("a card id has 1 to 36 visible ASCII characters")]
    NotAnId,
    #[error("there is no such card, or not any more")]
    NoSuchCard,
    #[error("a cancelled card does not change any more")]
    Cancelled,
    #[error("no further token number or expiry can be made up")]
    UsedUp,
}

/// All cards that there are.
pub(super) struct Book {
    cards: BTreeMap<String, SandboxCard>,
    service_id: String,
    random: Random,
    /// Of the last number that was made up.
    sequence: usize,
}

impl Book {
    /// An empty book; cards belong to `service_id` unless they say otherwise.
    pub(super) fn new(service_id: &str, mut random: Random) -> Self {
        Self {
            cards: BTreeMap::new(),
            service_id: service_id.to_owned(),
            sequence: random.below(900_000_000),
            random,
        }
    }

    pub(super) fn get(&self, id: &str) -> Option<&SandboxCard> {
        self.cards.get(id)
    }

    pub(super) fn all(&self) -> impl Iterator<Item = &SandboxCard> {
        self.cards.values()
    }

    /// Puts a new card into the book, in the place of one of the same id if there is one.
    pub(super) fn create(&mut self, new: NewCard, now: i64) -> Result<SandboxCard, CardFault> {
        let card = self.make(new, now)?;
        self.cards.insert(card.id.clone(), card.clone());
        Ok(card)
    }

    /// A card that does not come into the book.
    pub(super) fn make(&mut self, new: NewCard, now: i64) -> Result<SandboxCard, CardFault> {
        let id = new.id.unwrap_or_else(|| self.new_id());
        if !(1..=36).contains(&id.len()) || !id.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(CardFault::NotAnId);
        }
        let reference = hex::encode(&self.random.bytes::<16>());
        Ok(SandboxCard {
            id,
            service_id: new.service_id.unwrap_or_else(|| self.service_id.clone()),
            status: CardStatus::Active,
            number: new.number.map_or_else(|| self.new_number(), Ok)?,
            expiry: new.expiry.map_or_else(|| self.new_expiry(), Ok)?,
            changed_at: now,
            created_at: now,
            art: 1,
            pan_last_four: format!("{:04}", self.random.below(10_000)),
            token_reference: format!("DM4MMC1US0000000{reference}"),
            account_reference: self.new_account_reference(),
        })
    }

    /// Gives a card another status, for good if it is cancelled.
    pub(super) fn set_status(
        &mut self,
        id: &str,
        status: CardStatus,
        now: i64,
    ) -> Result<SandboxCard, CardFault> {
        let card = self.living(id)?;
        card.status = status;
        Ok(card.changed(now))
    }

    pub(super) fn refresh(
        &mut self,
        id: &str,
        refresh: Refresh,
        now: i64,
    ) -> Result<SandboxCard, CardFault> {
        let number = match refresh {
            Refresh::NumberAndExpiry | Refresh::Number => Some(self.new_number()?),
            Refresh::Expiry | Refresh::Nothing => None,
        };
        let card = self.living(id)?;
        if matches!(refresh, Refresh::NumberAndExpiry | Refresh::Expiry) {
            card.expiry = longer(card.expiry)?;
        }
        if let Some(number) = number {
            card.number = number;
        }
        card.art += 1;
        Ok(card.changed(now))
    }

    /// Takes a card out of the book. One that its issuer has cancelled is gone for its merchant already.
    pub(super) fn delete(&mut self, id: &str) -> Result<SandboxCard, CardFault> {
        match self.living(id) {
            Ok(_) => self.cards.remove(id).ok_or(CardFault::NoSuchCard),
            Err(fault) => Err(fault),
        }
    }

    fn living(&mut self, id: &str) -> Result<&mut SandboxCard, CardFault> {
        let card = self.cards.get_mut(id).ok_or(CardFault::NoSuchCard)?;
        match card.status {
            CardStatus::Cancelled => Err(CardFault::Cancelled),
            CardStatus::Active | CardStatus::Suspended => Ok(card),
        }
    }

    /// In the form of Mastercard's: 22 characters of base64url, 12 digits, a country.
    fn new_id(&mut self) -> String {
        let random = URL_SAFE_NO_PAD.encode(self.random.bytes::<16>());
        format!("{random}000000000000US")
    }

    fn new_account_reference(&mut self) -> String {
        let letters = self.random.bytes::<25>();
        let letter = |byte: &u8| char::from(b'A' + byte % 26);
        format!("5001{}", letters.iter().map(letter).collect::<String>())
    }

    fn new_number(&mut self) -> Result<TokenNumber, CardFault> {
        self.sequence += 1;
        let digits = format!("{TOKEN_RANGE}{:09}", self.sequence);
        let number = format!("{digits}{}", check_digit(&digits));
        TokenNumber::parse(&number).map_err(|_| CardFault::UsedUp)
    }

    fn new_expiry(&mut self) -> Result<Expiry, CardFault> {
        let month = (1 + self.random.below(12)).to_string();
        let year = (usize::from(EARLIEST_YEAR) + self.random.below(5)).to_string();
        Expiry::parse(&month, &year).ok_or(CardFault::UsedUp)
    }
}

/// A later expiry; after a long time of refreshes an early one again.
fn longer(expiry: Expiry) -> Result<Expiry, CardFault> {
    let year: u16 = expiry.year().parse().map_err(|_| CardFault::UsedUp)?;
    let year = match year + YEARS_OF_A_REFRESH {
        late if late > LATEST_YEAR => EARLIEST_YEAR,
        year => year,
    };
    Expiry::parse(&expiry.month(), &year.to_string()).ok_or(CardFault::UsedUp)
}

/// The digit that makes a number pass Luhn's check.
fn check_digit(digits: &str) -> u32 {
    let from_the_right = digits.chars().rev().filter_map(|c| c.to_digit(10));
    let sum: u32 = from_the_right
        .enumerate()
        .map(|(place, digit)| match place % 2 {
            0 => digit * 2 / 10 + digit * 2 % 10,
            _ => digit,
        })
        .sum();
    (10 - sum % 10) % 10
}
