//! The rules a second time, without any order: the end state computed from the set of timed items.
//!
//! Written from the design, not from the code: no card, no rank, no decision. It covers timed items
//! and one registration. Left out: untimed items (their rank is their place of arrival, so they are
//! no set), verdicts and versions (they may depend on the order), refreshes without an expiry (see
//! `refresh.rs`), and a registration of a number that a refresh also brings (see `registration.rs`).

use std::collections::BTreeMap;

use serde_json::Value;
use tokenkeep::domain::{ReportedStatus, Status};

use super::item::{Item, Register, Token};
use super::state::State;

/// The state after these items in whatever order. `checkout_answers`: every call for a cryptogram
/// that was due has been answered.
pub fn end_state(items: &[Item], registered: Option<&Register>, checkout_answers: bool) -> State {
    let fields = latest_fields(items, registered);
    let values = fields.iter().map(|(name, (.., value))| (name, value));
    let masked = values.map(|(n, v)| (n.clone(), v.clone())).collect();
    if items.iter().any(Item::is_cancelled) {
        return State {
            status: Some("CANCELLED"),
            is_terminal: true,
            masked,
            ..State::default()
        };
    }
    let status = latest_status(items);
    let is_active = status == Some("ACTIVE");
    let refreshes = items
        .iter()
        .filter_map(|item| Some((item.time, item.token()?)));
    let refresh = refreshes.max_by_key(|(time, token)| (*time, in_order(token)));
    let registered_token = registered.and_then(|r| r.token.clone());
    let token = refresh.map(|(_, token)| token.clone()).or(registered_token);
    let token_time = refresh.and_then(|(time, _)| time);
    let unreadable = items.iter().filter(|item| item.is_unreadable);
    let is_refresh_unreadable = unreadable
        .clone()
        .any(|item| token.is_none() || item.time > token_time);
    let tells_other_digits = |token: &Token| {
        let (month, year) = token.month_and_year();
        let differs = |(name, ours): (&str, &str)| {
            let told = fields.get(name);
            told.is_some_and(|(time, _, value)| *time > token_time && *value != ours)
        };
        let last_four = &token.number[token.number.len() - 4..];
        differs(("tokenLastFour", last_four))
            || differs(("tokenExpirationMonth", month))
            || differs(("tokenExpirationYear", year))
    };
    State {
        status,
        is_terminal: false,
        masked,
        has_cryptogram: checkout_answers && is_active && refresh.is_some(),
        is_cryptogram_due: !checkout_answers && is_active && refresh.is_some(),
        is_refresh_unreadable,
        is_refresh_suspected: token.as_ref().is_some_and(tells_other_digits),
        may_charge: is_active && !is_refresh_unreadable,
        token,
    }
}

/// The latest known status, at equal times SUSPENDED; none if an unknown one is later still.
fn latest_status(items: &[Item]) -> Option<&'static str> {
    let known = |item: &Item| Some((item.time, item.known_status()? == Status::Suspended));
    let (time, is_suspended) = items.iter().filter_map(known).max()?;
    let is_later = |item: &Item| item.time > time;
    let is_unknown = |item: &Item| matches!(item.status, ReportedStatus::Unknown(_));
    let is_held = items.iter().any(|item| is_unknown(item) && is_later(item));
    (!is_held).then_some(if is_suspended { "SUSPENDED" } else { "ACTIVE" })
}

/// Field by field the latest, at equal times the greater text; a registration fills the rest.
fn latest_fields(
    items: &[Item],
    registered: Option<&Register>,
) -> BTreeMap<String, (Option<i64>, String, Value)> {
    let told = items.iter().map(|item| (item.time, &item.masked));
    let mut fields = BTreeMap::new();
    for (time, masked) in told.chain(registered.map(|r| (None, &r.masked))) {
        for (name, value) in masked {
            let text = value.as_str().map_or(value.to_string(), str::to_owned);
            let entry = (time, text, value.clone());
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
