//! The choices a merchant may make where the rules leave one.

use super::Card;

/// What to do with a notification for a card that nobody registered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UnknownCardPolicy {
    /// Keep its state; calls wait until its program is known.
    Adopt,
    /// Keep the notification and decide it when the card is registered.
    Park,
}

/// When decrypted data and masked digits of one item disagree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MismatchPolicy {
    /// The decrypted data wins, the item is flagged.
    Apply,
    /// The token part is held back.
    Quarantine,
}

/// When a due cryptogram is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CryptogramPolicy {
    Prefetch,
    OnDemand,
}

/// How a card's program is recognised from `maskedCard.serviceId`.
#[derive(Debug, Clone)]
pub struct ProgramMatch {
    pub name: String,
    pub service_id: String,
}

/// The policy [`decide`](super::decide()) follows.
#[derive(Debug, Clone)]
pub struct Policy {
    pub unknown_card: UnknownCardPolicy,
    pub payment_data_mismatch: MismatchPolicy,
    pub cryptogram: CryptogramPolicy,
    pub checkout_on_number_change: bool,
    pub checkout_on_expiry_change: bool,
    /// Two inputs received within this many milliseconds may be retries of one another.
    pub retry_window: i64,
    pub programs: Vec<ProgramMatch>,
    pub default_program: Option<String>,
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
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            unknown_card: UnknownCardPolicy::Adopt,
            payment_data_mismatch: MismatchPolicy::Apply,
            cryptogram: CryptogramPolicy::Prefetch,
            checkout_on_number_change: true,
            checkout_on_expiry_change: false,
            retry_window: 3_600_000,
            programs: Vec::new(),
            default_program: None,
        }
    }
}
