//! Every setting: its default, its meaning, its check.
//!
//! `default.toml` is embedded, commented and complete: it is the documentation and the source of
//! the defaults at once. What a file, the environment and flags say is laid over it, in this order.

mod database_url;
mod in_clear;
mod load;
mod missed;
mod mistakes;
mod notification;
mod programs;
mod retention;
#[cfg(test)]
mod tests;
mod transport;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

use crate::domain::{
    BothForms, CryptogramPolicy, MismatchPolicy, Policy, ProgramMatch, TokensOfCard,
    UnknownCardPolicy, WireForm,
};
use crate::jose::{Enc, OpenPolicy, UnknownKid};
use crate::telemetry::{ClockLimits, LogFormat};

pub use database_url::{DatabaseUrl, UnknownScheme};
pub use load::{Overrides, SettingsError};
pub use programs::{
    AllianceSettings, BaseStringForm, CallMethod, CheckoutSettings, ConnectionLost,
    ConnectionSettings, DynamicDataType, ExtraHeaders, InstantForm, KindSettings, OtherSide,
    ProcessingSettings, ProgramFault, ProgramSettings, Reach, StatusWords, TimestampType,
    TimestampUnit,
};

pub use missed::MissedSettings;
pub use retention::{AuditSettings, RetentionSettings};
pub use transport::{ClientPin, ClientSubject, Network, ProxySettings, SubjectKind, TlsSettings};

/// The commented default file.
pub const DEFAULTS: &str = include_str!("default.toml");

/// All settings of a process. See `default.toml` for what each means.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    pub environment: Environment,
    pub listen: String,
    pub api_listen: String,
    pub api_network_is_private: bool,
    /// May hold a password.
    pub database_url: String,
    pub database_network_is_private: bool,
    pub migrate_on_start: bool,
    pub keys: PathBuf,
    pub roles: Vec<Role>,
    pub log: LogSettings,
    pub receiver: ReceiverSettings,
    pub processor: ProcessorSettings,
    pub dispatcher: DispatcherSettings,
    pub notification: WireForm,
    pub policy: PolicySettings,
    pub missed: MissedSettings,
    pub audit: AuditSettings,
    pub clock: ClockLimits,
    pub retention: RetentionSettings,
    #[serde(default)]
    pub programs: BTreeMap<String, ProgramSettings>,
}

/// Shows everything but the database's password.
impl std::fmt::Debug for Settings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut shown = f.debug_struct("Settings");
        shown
            .field("environment", &self.environment)
            .field("listen", &self.listen)
            .field("api_listen", &self.api_listen)
            .field("api_network_is_private", &self.api_network_is_private)
            .field(
                "database_url",
                &DatabaseUrl::parse(&self.database_url).map(|url| url.to_string()),
            )
            .field(
                "database_network_is_private",
                &self.database_network_is_private,
            )
            .field("migrate_on_start", &self.migrate_on_start)
            .field("keys", &self.keys)
            .field("roles", &self.roles)
            .field("log", &self.log)
            .field("receiver", &self.receiver)
            .field("processor", &self.processor)
            .field("dispatcher", &self.dispatcher)
            .field("notification", &self.notification)
            .field("policy", &self.policy)
            .field("missed", &self.missed)
            .field("audit", &self.audit)
            .field("clock", &self.clock)
            .field("retention", &self.retention)
            .field("programs", &self.programs)
            .finish()
    }
}

/// How strict the start is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Environment {
    Development,
    Production,
}

/// What a process does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    Receive,
    Process,
    Dispatch,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogSettings {
    pub format: LogFormat,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReceiverSettings {
    pub path: String,
    pub sibling_paths: Vec<String>,
    pub success_status: u16,
    pub media_types: Vec<String>,
    pub max_body: usize,
    pub max_items: usize,
    pub(super) body_deadline: u64,
    pub queue: usize,
    pub commit_batch: usize,
    pub(super) commit_patience: u64,
    pub retry_after: u32,
    /// Empty: none.
    pub spool: PathBuf,
    pub spool_bytes: u64,
    pub tls: TlsSettings,
    pub proxy: ProxySettings,
}

impl ReceiverSettings {
    /// Time in which a body must have arrived.
    pub fn body_deadline(&self) -> Duration {
        Duration::from_secs(self.body_deadline)
    }

    /// A sibling path that cannot be one beside the notification path and `/livez`.
    fn unfit_sibling(&self) -> Option<&String> {
        let taken = [self.path.as_str(), "/livez"];
        self.sibling_paths.iter().find(|path| {
            !path.starts_with('/') || path.contains(['{', '}']) || taken.contains(&path.as_str())
        })
    }

    /// Where deliveries are kept while the database is away, if they are.
    pub fn spool(&self) -> Option<&Path> {
        (self.spool != Path::new("")).then_some(&self.spool)
    }

    /// Time a request waits for its commit.
    pub fn commit_patience(&self) -> Duration {
        Duration::from_secs(self.commit_patience)
    }
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProcessorSettings {
    pub batch: u32,
    threads: usize,
    #[serde(deserialize_with = "not_empty")]
    pub enc: Vec<Enc>,
    pub unknown_kid: UnknownKid,
    key_reload: u64,
}

impl ProcessorSettings {
    /// Threads that open JWEs.
    pub fn threads(&self) -> usize {
        let cores = || std::thread::available_parallelism().map_or(1, usize::from);
        if self.threads == 0 {
            cores()
        } else {
            self.threads
        }
    }

    /// What may be opened, and with which keys.
    pub fn opening(&self) -> OpenPolicy {
        OpenPolicy {
            enc: self.enc.clone(),
            unknown_kid: self.unknown_kid,
        }
    }

    /// Time between two looks at the key folder; none means never.
    pub fn key_reload(&self) -> Option<Duration> {
        (self.key_reload > 0).then(|| Duration::from_secs(self.key_reload))
    }
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DispatcherSettings {
    clock_skew: u32,
    caller_patience: u32,
    cryptogram_lifetime: u32,
    reconcile_after: u32,
}

impl DispatcherSettings {
    /// Milliseconds by which our clock may run ahead of Mastercard's.
    pub fn clock_skew(&self) -> i64 {
        i64::from(self.clock_skew) * 1000
    }

    /// Time a caller waits for a cryptogram.
    pub fn caller_patience(&self) -> Duration {
        Duration::from_secs(self.caller_patience.into())
    }

    /// Milliseconds that a prefetched cryptogram is kept at most.
    pub fn cryptogram_lifetime(&self) -> i64 {
        i64::from(self.cryptogram_lifetime) * 3_600_000
    }

    /// Milliseconds without a word of a card after which Mastercard is asked; none means never.
    pub fn reconcile_after(&self) -> Option<i64> {
        (self.reconcile_after > 0).then(|| i64::from(self.reconcile_after) * 86_400_000)
    }
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PolicySettings {
    pub unknown_card: UnknownCardPolicy,
    default_program: String,
    pub cryptogram: CryptogramPolicy,
    pub checkout_on_number_change: bool,
    pub checkout_on_expiry_change: bool,
    pub payment_data_mismatch: MismatchPolicy,
    pub both_forms: BothForms,
    retry_window: i64,
}

/// A list that makes no sense without an entry.
fn not_empty<'de, D, T>(deserializer: D) -> Result<Vec<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    let list = Vec::deserialize(deserializer)?;
    match list.is_empty() {
        true => Err(D::Error::custom("the list is empty")),
        false => Ok(list),
    }
}

impl Settings {
    /// The policy the domain follows.
    pub fn policy(&self) -> Policy {
        let has_service_id = |(name, program): (&String, &ProgramSettings)| {
            let service_id = &program.checkout()?.service_id;
            (!service_id.is_empty()).then(|| ProgramMatch {
                name: name.clone(),
                service_id: service_id.clone(),
            })
        };
        let tokens_of = |(name, program): (&String, &ProgramSettings)| {
            let tokens = match &program.kind {
                KindSettings::MastercardCheckout(_) => return None,
                KindSettings::MastercardProcessing(_) => TokensOfCard::Many,
                KindSettings::Alliance(_) => TokensOfCard::One,
            };
            Some((name.clone(), tokens))
        };
        let default = &self.policy.default_program;
        Policy {
            unknown_card: self.policy.unknown_card,
            payment_data_mismatch: self.policy.payment_data_mismatch,
            both_forms: self.policy.both_forms,
            cryptogram: self.policy.cryptogram,
            checkout_on_number_change: self.policy.checkout_on_number_change,
            checkout_on_expiry_change: self.policy.checkout_on_expiry_change,
            retry_window: self.policy.retry_window.saturating_mul(1000),
            programs: self.programs.iter().filter_map(has_service_id).collect(),
            token_programs: self.programs.iter().filter_map(tokens_of).collect(),
            default_program: (!default.is_empty()).then(|| default.clone()),
            wire: self.notification.clone(),
        }
    }

    /// Whether a start brings the database's schema up to date. Never in production: there the service's
    /// database user has no right to.
    pub fn migrates_on_start(&self) -> bool {
        self.migrate_on_start && self.environment == Environment::Development
    }

    /// Whether this process has a role.
    pub fn has_role(&self, role: Role) -> bool {
        self.roles.contains(&role)
    }
}
