//! How long what is kept, and where the audit is copied to.

use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;

const DAY: i64 = 86_400_000;
/// The audit is kept for 12 months at least.
const AUDIT_DAYS: u32 = 366;

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AuditSettings {
    checkpoint_file: PathBuf,
    checkpoint_every: u32,
}

impl AuditSettings {
    /// Where the heads of the audit's chains are written to, and how often; none if nowhere.
    pub fn checkpoints(&self) -> Option<(PathBuf, Duration)> {
        let every = Duration::from_secs(self.checkpoint_every.max(1).into());
        let file = self.checkpoint_file.clone();
        (!file.as_os_str().is_empty()).then_some((file, every))
    }
}

/// Days that each class of rows is kept; 0 is for ever.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RetentionSettings {
    pub raw_body_days: u32,
    pub notifications_days: u32,
    pub answers_days: u32,
    pub events_days: u32,
    pub outbox_days: u32,
    pub ended_cards_days: u32,
    pub audit_days: u32,
}

impl RetentionSettings {
    /// Before when rows kept for this many days are due; none if never.
    pub fn due_before(days: u32, now: i64) -> Option<i64> {
        (days > 0).then(|| now.saturating_sub(i64::from(days) * DAY))
    }

    /// What is wrong, if anything is.
    pub(super) fn mistake(&self) -> Option<String> {
        let is_short = (1..AUDIT_DAYS).contains(&self.audit_days);
        is_short.then(|| format!("retention.audit_days must be {AUDIT_DAYS} or more, or 0"))
    }
}
