//! Where a program is reached, and how fast: settings that every kind of program has.

use std::sync::Arc;
use std::time::Duration;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

use super::address::base_address_or_none;

const MOST_CALLS_A_SECOND: u32 = 1000;
const MOST_AT_ONCE: usize = 256;
/// Seconds. Longer than a claim of a call lasts would let two processes make it at once.
const LONGEST_ATTEMPT: u64 = 30;

/// How a program is called. See `default.toml` for what each setting means.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConnectionSettings {
    /// Empty only where the kind has no address of its own and none is set.
    #[serde(deserialize_with = "base_address_or_none")]
    pub base_url: String,
    #[serde(default = "fifty", deserialize_with = "calls_a_second")]
    rate: u32,
    #[serde(default = "sixteen", deserialize_with = "at_once")]
    concurrency: usize,
    #[serde(default = "thirty", deserialize_with = "attempt")]
    timeout: u64,
    /// Whether addresses of private networks are called in production as well.
    #[serde(default)]
    pub allow_private_addresses: bool,
    /// Set by where the service runs.
    #[serde(skip)]
    pub reach: Reach,
    /// Set by tests: answers in place of the network.
    #[serde(skip)]
    pub other_side: Option<OtherSide>,
}

/// The other side as a function: method, address and body go in, a status and a body come out.
#[derive(Clone)]
pub struct OtherSide(Arc<AnswerHook>);

type AnswerHook = dyn Fn(&str, &str, &[u8]) -> Result<(u16, Vec<u8>), ConnectionLost> + Send + Sync;

/// No answer came back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConnectionLost {
    /// Nothing was sent.
    BeforeRequest,
    /// The request may have arrived.
    BeforeAnswer,
}

impl OtherSide {
    /// Another side that answers what `answer` says.
    pub fn from_fn(
        answer: impl Fn(&str, &str, &[u8]) -> Result<(u16, Vec<u8>), ConnectionLost>
        + Send
        + Sync
        + 'static,
    ) -> Self {
        Self(Arc::new(answer))
    }

    /// What it answers to a request.
    pub fn answer(
        &self,
        method: &str,
        url: &str,
        body: &[u8],
    ) -> Result<(u16, Vec<u8>), ConnectionLost> {
        (self.0)(method, url, body)
    }
}

impl std::fmt::Debug for OtherSide {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("OtherSide")
    }
}

/// Which addresses a program is called at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Reach {
    /// Any: outside production.
    #[default]
    Anywhere,
    /// Public ones.
    Public,
    /// Public ones and those of private networks; never those of this machine, of its link, or of
    /// whoever runs it.
    PublicOrPrivate,
}

impl ConnectionSettings {
    /// The names of its settings within a program.
    pub(super) const NAMES: [&str; 5] = [
        "base_url",
        "allow_private_addresses",
        "rate",
        "concurrency",
        "timeout",
    ];

    /// Where the program may be called in production.
    pub fn production_reach(&self) -> Reach {
        match self.allow_private_addresses {
            true => Reach::PublicOrPrivate,
            false => Reach::Public,
        }
    }

    /// Calls that may begin in one second.
    pub fn rate(&self) -> u32 {
        self.rate
    }

    /// Calls that may be under way at once.
    pub fn concurrency(&self) -> usize {
        self.concurrency
    }

    /// Time one attempt may take, from the connection to the last byte of the answer.
    pub fn timeout(&self) -> Duration {
        Duration::from_secs(self.timeout)
    }
}

fn calls_a_second<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    within(deserializer, MOST_CALLS_A_SECOND)
}

fn at_once<'de, D: Deserializer<'de>>(deserializer: D) -> Result<usize, D::Error> {
    within(deserializer, MOST_AT_ONCE)
}

fn attempt<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    within(deserializer, LONGEST_ATTEMPT)
}

/// A number from 1 to `most`.
fn within<'de, D, T>(deserializer: D, most: T) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + From<u8> + PartialOrd + std::fmt::Display,
{
    let number = T::deserialize(deserializer)?;
    match number >= T::from(1) && number <= most {
        true => Ok(number),
        false => Err(D::Error::custom(format!("must be from 1 to {most}"))),
    }
}

fn fifty() -> u32 {
    50
}

fn sixteen() -> usize {
    16
}

fn thirty() -> u64 {
    LONGEST_ATTEMPT
}
