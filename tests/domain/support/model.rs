//! The rules a second time, without any order: the state computed from the set of what was told.
//!
//! Written from the design, not from the code: no card, no decision. It covers what notifications and
//! answers told, with their ranks, and one registration. Left out: verdicts and versions (they may depend
//! on the order), refreshes without an expiry (see `refresh.rs`), and a registration of a number that a
//! refresh also brings (see `registration.rs`).

use std::collections::BTreeMap;

use serde_json::Value;
use tokenkeep::domain::{MaskedFields, ReportedStatus, Status};

use super::item::{Item, Register, Token};
use super::state::State;

/// What one input told of a card, whatever brought it.
#[derive(Debug, Clone)]
pub struct Told {
    pub rank: Rank,
    /// None where it says nothing of the status.
    pub status: Option<ReportedStatus>,
    pub masked: MaskedFields,
    pub refresh: Option<Token>,
    /// Its refresh cannot be opened as yet.
    pub is_unreadable: bool,
}

/// Time, untimed after timed, then the place of arrival.
pub type Rank = (i64, bool, i64, i32);

/// The rank of what happened at a time.
pub fn timed(time: i64) -> Rank {
    (time, false, 0, 0)
}

impl Told {
    pub fn is_cancelled(&self) -> bool {
        self.status == Some(ReportedStatus::Cancelled)
    }

    fn known_status(&self) -> Option<Status> {
        match self.status {
            Some(ReportedStatus::Known(status)) => Some(status),
            _ => None,
        }
    }

    /// The token it brings, if that can be read.
    pub fn token(&self) -> Option<&Token> {
        self.refresh.as_ref().filter(|_| !self.is_unreadable)
    }
}

impl From<&Item> for Told {
    /// Of a timed item.
    fn from(item: &Item) -> Self {
        Self {
            rank: timed(item.time.unwrap()),
            status: Some(item.status.clone()),
            masked: item.masked.clone(),
            refresh: item.refresh.clone(),
            is_unreadable: item.is_unreadable,
        }
    }
}

/// The state after these items in whatever order. `checkout_answers`: every call for a cryptogram
/// that was due has been answered.
pub fn end_state(items: &[Item], registered: Option<&Register>, checkout_answers: bool) -> State {
    let told: Vec<Told> = items.iter().map(Told::from).collect();
    let registered_token = registered.and_then(|r| r.token.as_ref());
    let state = state_of(&told, registered.map(|r| &r.masked), registered_token);
    let is_wanted = state.status == Some("ACTIVE") && told.iter().any(|t| t.token().is_some());
    State {
        has_cryptogram: checkout_answers && is_wanted,
        is_cryptogram_due: !checkout_answers && is_wanted,
        ..state
    }
}

/// The state after all this was told in whatever order, but for the cryptogram.
pub fn state_of(
    told: &[Told],
    registered: Option<&MaskedFields>,
    registered_token: Option<&Token>,
) -> State {
    let fields = latest_fields(told, registered);
    let values = fields.iter().map(|(name, (.., value))| (name, value));
    let masked = values.map(|(n, v)| (n.clone(), v.clone())).collect();
    if told.iter().any(Told::is_cancelled) {
        return State {
            status: Some("CANCELLED"),
            is_terminal: true,
            masked,
            ..State::default()
        };
    }
    let status = latest_status(told);
    let is_active = status == Some("ACTIVE");
    let refreshes = told
        .iter()
        .filter_map(|told| Some((told.rank, told.token()?)));
    let refresh = refreshes.max_by_key(|(rank, token)| (*rank, in_order(token)));
    let token = refresh.map(|(_, token)| token).or(registered_token);
    let token_rank = refresh.map(|(rank, _)| rank);
    let mut unreadable = told.iter().filter(|told| told.is_unreadable);
    let is_refresh_unreadable =
        unreadable.any(|told| token.is_none() || Some(told.rank) > token_rank);
    let tells_other_digits = |token: &Token| {
        let (month, year) = token.month_and_year();
        let differs = |(name, ours): (&str, &str)| {
            let told = fields.get(name);
            told.is_some_and(|(rank, _, value)| *rank > token_rank && *value != ours)
        };
        let last_four = &token.number[token.number.len() - 4..];
        differs(("tokenLastFour", last_four))
            || differs(("tokenExpirationMonth", month))
            || differs(("tokenExpirationYear", year))
    };
    State {
        status,
        masked,
        is_refresh_unreadable,
        is_refresh_suspected: token.is_some_and(tells_other_digits),
        may_charge: is_active && !is_refresh_unreadable,
        token: token.cloned(),
        ..State::default()
    }
}

/// The latest known status, at equal ranks SUSPENDED; none if an unknown one is later still.
fn latest_status(told: &[Told]) -> Option<&'static str> {
    let known = |told: &Told| Some((told.rank, told.known_status()? == Status::Suspended));
    let (rank, is_suspended) = told.iter().filter_map(known).max()?;
    let is_unknown = |told: &Told| matches!(told.status, Some(ReportedStatus::Unknown(_)));
    let is_held = told.iter().any(|t| is_unknown(t) && t.rank > rank);
    (!is_held).then_some(if is_suspended { "SUSPENDED" } else { "ACTIVE" })
}

/// Field by field the latest, at equal ranks the greater text; a registration fills the rest.
fn latest_fields(
    told: &[Told],
    registered: Option<&MaskedFields>,
) -> BTreeMap<String, (Option<Rank>, String, Value)> {
    let of_told = told.iter().map(|told| (Some(told.rank), &told.masked));
    let mut fields = BTreeMap::new();
    for (rank, masked) in of_told.chain(registered.map(|masked| (None, masked))) {
        for (name, value) in masked {
            let text = value.as_str().map_or(value.to_string(), str::to_owned);
            let entry = (rank, text, value.clone());
            let latest = fields.entry(name.clone()).or_insert_with(|| entry.clone());
            if (entry.0, &entry.1) > (latest.0, &latest.1) {
                *latest = entry;
            }
        }
    }
    fields
}

/// The greater number, then the greater YYYYMM.
fn in_order(token: &Token) -> (&str, (&str, &str)) {
    let (month, year) = token.month_and_year();
    (&token.number, (year, month))
}
