//! The verdict that an item deserves, from what was told before it: the first that fits.

use serde_json::Value;
use tokenkeep::domain::{MaskedFields, ReportedStatus, Status};

use crate::support::State;
use crate::support::model::{Rank, Told};

/// An item at the place where it is judged.
pub struct Judged<'a> {
    pub told: &'a Told,
    /// Its content in words, none while it cannot be read.
    pub identity: Option<&'a String>,
    /// An effective item of the same identity is recorded.
    pub is_known: bool,
    /// It changed something when it was judged before.
    pub changed_before: bool,
    /// What the card's latest item says, if that could be read.
    pub latest: Option<&'a String>,
}

/// How a part of an item stands to its register.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    Same,
    Older,
    Changed,
}

/// The verdict, and whether anything changed.
pub fn verdict(
    judged: &Judged<'_>,
    before: &State,
    told_before: &[&Told],
    registered: &MaskedFields,
) -> (&'static str, bool) {
    let told = judged.told;
    if judged.is_known {
        return ("duplicate", false);
    }
    let ends = told.is_cancelled() && before.status != Some("CANCELLED");
    if before.is_terminal || ends {
        return (if ends { "applied" } else { "stale" }, ends);
    }
    let status_set = told_before.iter().filter_map(|told| status(told)).max();
    let token_set = told_before.iter().filter_map(|told| token(told)).max();
    // A registered token ranks below everything; beside it the same values are no change.
    let token_part = token(told).map(|new| match (token_set, &before.token) {
        (None, Some(held)) if told.token() == Some(held) => Part::Same,
        _ => part(new, token_set),
    });
    let mut parts = fields(told, told_before, registered);
    parts.extend(status(told).map(|new| part(new, status_set)));
    parts.extend(token_part);
    let is_unknown = matches!(told.status, Some(ReportedStatus::Unknown(_)));
    let is_held = is_unknown && status_set.is_none_or(|(set_by, _)| told.rank > set_by);
    // An unknown status hides the word, a known one shows it again.
    let hidden = told_before.iter().filter(|told| {
        let is_unknown = matches!(told.status, Some(ReportedStatus::Unknown(_)));
        is_unknown && status_set.is_none_or(|(set_by, _)| told.rank > set_by)
    });
    let hidden_by = hidden.map(|told| told.rank).max();
    let shows = status(told).is_some_and(|_| hidden_by.is_some_and(|by| told.rank >= by));
    let moves = shows || (is_held && before.status.is_some());
    let changed = parts.contains(&Part::Changed) || moves;
    let changed_ever = changed || judged.changed_before;
    let repeats = judged.latest.is_some() && judged.latest == judged.identity;
    let is_untimed = told.rank.1;
    let verdict = if is_untimed && repeats && !changed_ever {
        "duplicate"
    } else if told.is_unreadable {
        "quarantined"
    } else if is_held {
        "parked"
    } else if changed_ever {
        "applied"
    } else if is_unknown || parts.contains(&Part::Older) {
        "stale"
    } else {
        "no_change"
    };
    (verdict, changed)
}

/// A known status; at equal ranks SUSPENDED is the greater.
fn status(told: &Told) -> Option<(Rank, bool)> {
    match told.status {
        Some(ReportedStatus::Known(status)) => Some((told.rank, status == Status::Suspended)),
        _ => None,
    }
}

/// Number, then YYYYMM.
fn token(told: &Told) -> Option<(Rank, (&str, &str, &str))> {
    let token = told.token()?;
    let (month, year) = token.month_and_year();
    Some((told.rank, (&token.number, year, month)))
}

fn part<T: Ord>(new: (Rank, T), set: Option<(Rank, T)>) -> Part {
    match set {
        Some((rank, value)) if new.0 >= rank && value == new.1 => Part::Same,
        Some(set) if new < set => Part::Older,
        _ => Part::Changed,
    }
}

/// Field by field; what was registered ranks below everything.
fn fields(told: &Told, before: &[&Told], registered: &MaskedFields) -> Vec<Part> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let one = |(name, value): (&String, &Value)| {
        let of = |told: &&Told| Some((told.rank, text(told.masked.get(name)?)));
        match before.iter().filter_map(of).max() {
            None if registered.get(name) == Some(value) => Part::Same,
            set => part((told.rank, text(value)), set),
        }
    };
    told.masked.iter().map(one).collect()
}
