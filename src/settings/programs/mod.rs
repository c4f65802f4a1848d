//! The programs a merchant takes part in: where each is reached, and with which ids and keys.
//!
//! In a file a program is one flat table. Its `kind` says which settings it has beside those of the
//! connection; one that belongs to another kind is a mistake.

mod address;
mod alliance;
mod checkout;
mod connection;
mod processing;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use toml::Table;

use crate::domain::TokenStatus;
use address::{NOT_AN_ADDRESS, PLAIN_HTTP, host_of, is_loopback, is_public_name};

pub use alliance::{AllianceSettings, CallMethod, TimestampType, TimestampUnit};
pub use checkout::{CheckoutSettings, DynamicDataType, InstantForm};
pub use connection::{ConnectionLost, ConnectionSettings, OtherSide, Reach};
pub use processing::{ExtraHeaders, ProcessingSettings};

/// A program the merchant takes part in.
#[derive(Debug, Clone)]
pub struct ProgramSettings {
    pub connection: ConnectionSettings,
    pub kind: KindSettings,
}

/// The settings that only programs of one kind have.
#[derive(Debug, Clone)]
pub enum KindSettings {
    MastercardCheckout(CheckoutSettings),
    MastercardProcessing(ProcessingSettings),
    Alliance(AllianceSettings),
}

/// Whose API a program speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum ProgramKind {
    #[default]
    MastercardCheckout,
    MastercardProcessing,
    Alliance,
}

/// How the text that OAuth 1.0a signs is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BaseStringForm {
    /// As Mastercard's own libraries write it.
    #[default]
    Mastercard,
    /// To the letter of RFC 5849.
    Rfc5849,
}

/// What must not be where the service runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ProgramFault {
    #[error("{0} is plain http: not in production")]
    PlainHttpInProduction(&'static str),
    #[error("{0} is plain http to another machine; use https")]
    PlainHttp(&'static str),
    #[error("the host of {0} is no public name: not in production")]
    NotPublic(&'static str),
}

impl ProgramKind {
    /// A program of the kind with every setting it can have, to know their names and types.
    pub(super) fn template(self) -> &'static str {
        match self {
            Self::MastercardCheckout => include_str!("checkout.toml"),
            Self::MastercardProcessing => include_str!("processing.toml"),
            Self::Alliance => include_str!("alliance.toml"),
        }
    }

    /// Where programs of the kind are reached unless they say otherwise.
    fn base_url(self) -> &'static str {
        match self {
            Self::MastercardCheckout => {
                "https://sandbox.api.mastercard.com/src/api/digital/payments"
            }
            Self::MastercardProcessing => {
                "https://sandbox.api.mastercard.com/global-processing/digital"
            }
            Self::Alliance => "",
        }
    }
}

impl<'de> Deserialize<'de> for ProgramSettings {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let table = Table::deserialize(deserializer)?;
        Self::read(table).map_err(|error| D::Error::custom(error.message()))
    }
}

impl ProgramSettings {
    fn read(mut table: Table) -> Result<Self, toml::de::Error> {
        let kind = table.remove("kind");
        let kind = kind.ok_or_else(|| toml::de::Error::missing_field("kind"))?;
        let kind: ProgramKind = kind.try_into()?;
        let mut connection = Table::new();
        connection.insert("base_url".to_owned(), kind.base_url().into());
        for name in ConnectionSettings::NAMES {
            if let Some(value) = table.remove(name) {
                connection.insert(name.to_owned(), value);
            }
        }
        let connection: ConnectionSettings = connection.try_into()?;
        if connection.base_url.is_empty() && !kind.base_url().is_empty() {
            return Err(toml::de::Error::custom(NOT_AN_ADDRESS));
        }
        let kind = match kind {
            ProgramKind::MastercardCheckout => KindSettings::MastercardCheckout(table.try_into()?),
            ProgramKind::MastercardProcessing => {
                KindSettings::MastercardProcessing(table.try_into()?)
            }
            ProgramKind::Alliance => KindSettings::Alliance(table.try_into()?),
        };
        Ok(Self { connection, kind })
    }

    /// The settings of a program of Checkout; none of another kind's.
    pub fn checkout(&self) -> Option<&CheckoutSettings> {
        match &self.kind {
            KindSettings::MastercardCheckout(settings) => Some(settings),
            KindSettings::MastercardProcessing(_) | KindSettings::Alliance(_) => None,
        }
    }

    /// Refuses what would send signed requests over the network in the clear: plain http at all in
    /// production, and to another machine everywhere. In production also what leads to a machine that
    /// only this one knows.
    ///
    /// # Errors
    /// [`ProgramFault`] with the setting's name within the program.
    pub fn check(&self, production: bool) -> Result<(), ProgramFault> {
        let verification_url = match &self.kind {
            KindSettings::MastercardCheckout(settings) => &settings.verification_url,
            KindSettings::Alliance(settings) => &settings.verification_url,
            KindSettings::MastercardProcessing(_) => "",
        };
        for (name, url) in [
            ("base_url", self.connection.base_url.as_str()),
            ("verification_url", verification_url),
        ] {
            if !url.starts_with(PLAIN_HTTP) {
                let is_public = url.is_empty() || host_of(url).is_some_and(is_public_name);
                if production && !is_public {
                    return Err(ProgramFault::NotPublic(name));
                }
                continue;
            }
            if production {
                return Err(ProgramFault::PlainHttpInProduction(name));
            }
            if !host_of(url).is_some_and(is_loopback) {
                return Err(ProgramFault::PlainHttp(name));
            }
        }
        Ok(())
    }
}

/// Further words for the status of a token, each with what it means.
#[derive(Debug, Clone, Default)]
pub struct StatusWords(BTreeMap<String, TokenStatus>);

impl StatusWords {
    /// What a word means, if it is one of these.
    pub fn meaning(&self, word: &str) -> Option<&TokenStatus> {
        self.0.get(word)
    }
}

impl<'de> Deserialize<'de> for StatusWords {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let words = BTreeMap::<String, String>::deserialize(deserializer)?;
        let meaning = |(word, meaning): (String, String)| {
            let status = match meaning.as_str() {
                "ACTIVE" => TokenStatus::Active,
                "SUSPENDED" => TokenStatus::Suspended,
                "OBSOLETE" => TokenStatus::Obsolete,
                "DELETED" => TokenStatus::Deleted,
                _ => return Err("a status word means ACTIVE, SUSPENDED, OBSOLETE or DELETED"),
            };
            Ok((word, status))
        };
        let read = words.into_iter().map(meaning).collect::<Result<_, _>>();
        read.map(Self).map_err(D::Error::custom)
    }
}

/// Text that makes no sense empty.
fn required_text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let text = String::deserialize(deserializer)?;
    match text.is_empty() {
        true => Err(D::Error::custom("must not be empty")),
        false => Ok(text),
    }
}
