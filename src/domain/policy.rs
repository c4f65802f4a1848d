//! The choices a merchant may make where the rules leave one.

use std::collections::BTreeMap;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

use super::{Card, JobKind, ReportedStatus, Status};

/// What to do with a notification for a card that nobody registered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UnknownCardPolicy {
    /// Keep its state; calls wait until its program is known.
    Adopt,
    /// Keep the notification and decide it when the card is registered.
    Park,
}

/// When decrypted data and masked digits of one item disagree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MismatchPolicy {
    /// The decrypted data wins, the item is flagged.
    Apply,
    /// The token part is held back.
    Quarantine,
}

/// When a due cryptogram is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CryptogramPolicy {
    Prefetch,
    OnDemand,
}

/// Which list counts when a body has the plain one and the encrypted one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BothForms {
    /// Neither: the notification is kept and never applied.
    Park,
    Plain,
    Encrypted,
}

/// How Mastercard writes what its public pages leave open. See `default.toml` for each meaning.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WireForm {
    pub event_time_fields: Vec<String>,
    pub event_time_unit: TimeUnit,
    /// Seconds an event time may lie after its receipt.
    pub max_ahead: i64,
    pub event_time_beside_list: bool,
    pub event_id_fields: Vec<String>,
    pub refresh_reasons: Vec<String>,
    pub status_words: BTreeMap<String, StatusWord>,
    /// Further names of [`Self::FIELDS`].
    #[serde(deserialize_with = "of_known_fields")]
    pub aliases: BTreeMap<String, Vec<String>>,
}

/// What a number as event time counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TimeUnit {
    /// Told apart by size.
    Auto,
    Seconds,
    Milliseconds,
}

/// What a further status word means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum StatusWord {
    Active,
    Suspended,
    Cancelled,
}

fn of_known_fields<'de, D>(deserializer: D) -> Result<BTreeMap<String, Vec<String>>, D::Error>
where
    D: Deserializer<'de>,
{
    let aliases = BTreeMap::<String, Vec<String>>::deserialize(deserializer)?;
    let is_unknown = |name: &&String| !WireForm::FIELDS.contains(&name.as_str());
    match aliases.keys().find(is_unknown) {
        Some(name) => Err(D::Error::custom(format!(
            "{name} is not a field with aliases"
        ))),
        None => Ok(aliases),
    }
}

impl WireForm {
    /// The fields of a request and of an element that are read, apart from event time and event id.
    pub const FIELDS: [&str; 6] = [
        "digitalCardUpdateNotifications",
        "encryptedDigitalCardUpdateNotifications",
        "maskedCard",
        "reasonCode",
        "paymentData",
        "keyFingerprintId",
    ];

    /// Reads a status strictly: one of Mastercard's three words or of the merchant's further ones.
    pub fn status(&self, word: &str) -> ReportedStatus {
        match self.status_words.get(word) {
            Some(StatusWord::Active) => ReportedStatus::Known(Status::Active),
            Some(StatusWord::Suspended) => ReportedStatus::Known(Status::Suspended),
            Some(StatusWord::Cancelled) => ReportedStatus::Cancelled,
            None => ReportedStatus::from_word(word),
        }
    }
}

impl Default for WireForm {
    fn default() -> Self {
        Self {
            event_time_fields: vec!["eventTimeStamp".to_owned(), "eventTimestamp".to_owned()],
            event_time_unit: TimeUnit::Auto,
            max_ahead: 600,
            event_time_beside_list: false,
            event_id_fields: Vec::new(),
            refresh_reasons: vec!["TOKEN_REFRESH".to_owned()],
            status_words: BTreeMap::new(),
            aliases: Self::FIELDS
                .map(|name| (name.to_owned(), Vec::new()))
                .into(),
        }
    }
}

/// How a card's program is recognised from `maskedCard.serviceId`.
#[derive(Debug, Clone)]
pub struct ProgramMatch {
    pub name: String,
    pub service_id: String,
}

/// How many tokens a card has, in a program where it has tokens of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokensOfCard {
    /// The card is its token: it ends with it.
    One,
    Many,
}

/// The policy [`decide`](super::decide()) follows.
#[derive(Debug, Clone)]
pub struct Policy {
    pub unknown_card: UnknownCardPolicy,
    pub payment_data_mismatch: MismatchPolicy,
    pub both_forms: BothForms,
    pub cryptogram: CryptogramPolicy,
    pub checkout_on_number_change: bool,
    pub checkout_on_expiry_change: bool,
    /// Two inputs received within this many milliseconds may be retries of one another.
    pub retry_window: i64,
    pub programs: Vec<ProgramMatch>,
    /// The programs whose cards have tokens of their own.
    pub token_programs: BTreeMap<String, TokensOfCard>,
    pub default_program: Option<String>,
    pub wire: WireForm,
}

impl Policy {
    /// The program of a card: the registered one, else the one whose `serviceId` the masked card
    /// names, else the default.
    pub fn program_of(&self, card: &Card) -> Option<String> {
        let by_service = || {
            let service_id = card.masked_text("serviceId")?;
            let program = self.programs.iter().find(|p| p.service_id == service_id)?;
            Some(program.name.clone())
        };
        card.registered_program
            .clone()
            .or_else(by_service)
            .or_else(|| self.default_program.clone())
    }

    /// How many tokens of its own the card may have; none where its program has no such tokens.
    pub fn tokens_of(&self, card: &Card) -> Option<TokensOfCard> {
        self.token_programs.get(&self.program_of(card)?).copied()
    }

    /// The call that asks a program what is true of a card.
    pub fn lookup(&self, program: Option<&str>) -> JobKind {
        match program.is_some_and(|program| self.token_programs.contains_key(program)) {
            true => JobKind::ReadTokens,
            false => JobKind::GetCard,
        }
    }
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            unknown_card: UnknownCardPolicy::Adopt,
            payment_data_mismatch: MismatchPolicy::Apply,
            both_forms: BothForms::Park,
            cryptogram: CryptogramPolicy::Prefetch,
            checkout_on_number_change: true,
            checkout_on_expiry_change: false,
            retry_window: 3_600_000,
            programs: Vec::new(),
            token_programs: BTreeMap::new(),
            default_program: None,
            wire: WireForm::default(),
        }
    }
}
