//! Every setting: its default, its meaning, its check.
//!
//! `default.toml` is embedded, commented and complete: it is the documentation and the source of
//! the defaults at once. What a file, the environment and flags say is laid over it, in this order.

mod load;
mod mistakes;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;

use crate::domain::{CryptogramPolicy, MismatchPolicy, Policy, ProgramMatch, UnknownCardPolicy};
use crate::telemetry::LogFormat;

pub use load::{Overrides, SettingsError};

/// The commented default file.
pub const DEFAULTS: &str = include_str!("default.toml");

/// All settings of a process. See `default.toml` for what each means.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    pub environment: Environment,
    pub listen: String,
    pub api_listen: String,
    /// May hold a password.
    pub database_url: String,
    pub keys: PathBuf,
    pub roles: Vec<Role>,
    pub log: LogSettings,
    pub receiver: ReceiverSettings,
    pub processor: ProcessorSettings,
    pub policy: PolicySettings,
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
            .field("database_url", &shown_address(&self.database_url))
            .field("keys", &self.keys)
            .field("roles", &self.roles)
            .field("log", &self.log)
            .field("receiver", &self.receiver)
            .field("processor", &self.processor)
            .field("policy", &self.policy)
            .field("programs", &self.programs)
            .finish()
    }
}

/// A database address up to where a password could stand.
fn shown_address(url: &str) -> String {
    match url.split_once("://") {
        Some((scheme, _)) if scheme != "sqlite" => format!("{scheme}://(withheld)"),
        _ => url.to_owned(),
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
    pub success_status: u16,
    pub media_types: Vec<String>,
    pub max_body: usize,
    pub max_items: usize,
    pub(super) body_deadline: u64,
    pub queue: usize,
    pub commit_batch: usize,
    pub retry_after: u32,
}

impl ReceiverSettings {
    /// Time in which a body must have arrived.
    pub fn body_deadline(&self) -> Duration {
        Duration::from_secs(self.body_deadline)
    }
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProcessorSettings {
    pub batch: u32,
    threads: usize,
    pub allow_cbc: bool,
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

    /// Time between two looks at the key folder; none means never.
    pub fn key_reload(&self) -> Option<Duration> {
        (self.key_reload > 0).then(|| Duration::from_secs(self.key_reload))
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
    retry_window: i64,
}

/// A program the merchant takes part in.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProgramSettings {
    pub kind: ProgramKind,
    #[serde(default)]
    pub service_id: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ProgramKind {
    MastercardCheckout,
}

impl Settings {
    /// The policy the domain follows.
    pub fn policy(&self) -> Policy {
        let has_service_id = |(name, program): (&String, &ProgramSettings)| {
            (!program.service_id.is_empty()).then(|| ProgramMatch {
                name: name.clone(),
                service_id: program.service_id.clone(),
            })
        };
        let default = &self.policy.default_program;
        Policy {
            unknown_card: self.policy.unknown_card,
            payment_data_mismatch: self.policy.payment_data_mismatch,
            cryptogram: self.policy.cryptogram,
            checkout_on_number_change: self.policy.checkout_on_number_change,
            checkout_on_expiry_change: self.policy.checkout_on_expiry_change,
            retry_window: self.policy.retry_window.saturating_mul(1000),
            programs: self.programs.iter().filter_map(has_service_id).collect(),
            default_program: (!default.is_empty()).then(|| default.clone()),
        }
    }

    /// Whether this process has a role.
    pub fn has_role(&self, role: Role) -> bool {
        self.roles.contains(&role)
    }
}
