//! From when on something counts as missed.

use serde::Deserialize;

use super::{KindSettings, Settings};
use crate::domain::{CryptogramPolicy, MissedRules, SilenceRules};

const MINUTE: i64 = 60_000;
const DAY: i64 = 86_400_000;
/// Silence is heard within the weeks that are counted.
const MOST_SILENT_HOURS: u32 = 7 * 24;

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MissedSettings {
    pub token_expires_days: u32,
    pub suspended_days: u32,
    pub cryptogram_minutes: u32,
    pub digits_minutes: u32,
    pub silent_hours: u32,
    pub silent_usual: u32,
    pub silent_share: u32,
}

impl MissedSettings {
    /// What is wrong, if anything is.
    pub(super) fn mistake(&self) -> Option<String> {
        if self.silent_hours > MOST_SILENT_HOURS {
            return Some(format!(
                "missed.silent_hours must be {MOST_SILENT_HOURS} or less"
            ));
        }
        let is_usual = self.silent_share >= 100;
        is_usual.then(|| "missed.silent_share must be less than 100".to_owned())
    }
}

impl Settings {
    /// What counts as missed, and of which programs.
    pub fn missed_rules(&self) -> MissedRules {
        let missed = &self.missed;
        let time = |count: u32, unit: i64| (count > 0).then(|| i64::from(count) * unit);
        // Where cryptograms are asked for only when they are needed, none is late.
        let has_cryptograms = |kind: &KindSettings| {
            let is_checkout = matches!(kind, KindSettings::MastercardCheckout(_));
            is_checkout && self.policy.cryptogram == CryptogramPolicy::Prefetch
        };
        let of_cards = self
            .programs
            .iter()
            .filter(|(_, program)| has_cryptograms(&program.kind));
        MissedRules {
            token_expires: time(missed.token_expires_days, DAY),
            suspended_long: time(missed.suspended_days, DAY),
            cryptogram_missing: time(missed.cryptogram_minutes, MINUTE),
            digits_disagree: time(missed.digits_minutes, MINUTE),
            cryptogram_programs: of_cards.map(|(name, _)| name.clone()).collect(),
            silence: (missed.silent_hours > 0).then(|| SilenceRules {
                hours: missed.silent_hours.into(),
                usual: missed.silent_usual.max(1).into(),
                share: missed.silent_share.into(),
            }),
            programs: self.programs.keys().cloned().collect(),
        }
    }
}
