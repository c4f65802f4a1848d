//! The comparison of a card's registers, stored and recomputed.

use std::collections::BTreeSet;

use super::Difference;
use super::shown::{Shown, registers};
use crate::domain::{Card, CryptogramState, Precedence, Rank};
use crate::store::StoredBeside;

/// Compares everything; without `with_numbers` all that does not follow from one.
pub fn all(stored: &Card, recomputed: &Card, with_numbers: bool) -> Vec<Difference> {
    compare(stored, recomputed, |_, stored, recomputed| {
        let either = stored.or(recomputed);
        let is_compared = with_numbers || either.is_some_and(|shown| !shown.is_of_number);
        is_compared && !stored.zip(recomputed).is_some_and(|(s, r)| s.equals(r))
    })
}

/// Compares what the kept inputs decide although others are not kept: a value of greater rank than
/// theirs may have come from one of those.
pub fn where_decided(stored: &Card, recomputed: &Card, has_equal_times: bool) -> Vec<Difference> {
    if stored.terminal.is_none() && recomputed.terminal.is_some() {
        return all(stored, recomputed, false);
    }
    let has_ended = stored.terminal.is_some();
    compare(stored, recomputed, |name, stored, recomputed| {
        let is_compared = is_masked(name) || !(has_ended || name.ends_with(')'));
        let kept = recomputed.filter(|_| is_compared);
        kept.is_some_and(|kept| contradicts(kept, stored, is_by_rank(name), has_equal_times))
    })
}

fn is_masked(name: &str) -> bool {
    name.starts_with("maskedCard.")
}

/// Whether the value of greater rank always wins there.
fn is_by_rank(name: &str) -> bool {
    is_masked(name) || name == "status"
}

/// Whether a kept input leads to a value that the stored one cannot stand beside.
fn contradicts(
    kept: &Shown,
    stored: Option<&Shown>,
    is_by_rank: bool,
    has_equal_times: bool,
) -> bool {
    // The first registration fills a field, and may not be kept.
    let Some(rank) = kept.rank.filter(|rank| *rank != Rank::LOWEST) else {
        return false;
    };
    let Some(stored) = stored else {
        return is_by_rank;
    };
    match stored.rank.map(|held| rank.against(held)) {
        Some(Precedence::Newer) => is_by_rank,
        Some(Precedence::Equal) => !has_equal_times && !stored.same_value(kept),
        Some(Precedence::Older) | None => false,
    }
}

/// Compares a card's state with what stands beside it.
pub fn beside(stored: &Card, beside: &StoredBeside) -> Vec<Difference> {
    let text = |value: Option<&str>| value.unwrap_or("none").to_owned();
    let number = |value: Option<i64>| value.map_or("none".to_owned(), |value| value.to_string());
    let version = Some(i64::from(stored.number_version));
    let of_token = version.filter(|_| stored.token.is_some());
    let is_stored = stored.cryptogram == Some(CryptogramState::Stored);
    let columns = [
        (
            "status (column)",
            text(beside.status.as_deref()),
            text(stored.status_word()),
        ),
        (
            "consumerReference (column)",
            text(beside.consumer_reference.as_deref()),
            text(stored.consumer_reference.as_deref()),
        ),
        (
            "token.numberVersion (row)",
            number(beside.token_version.map(i64::from)),
            number(of_token),
        ),
        (
            "cryptogram (row)",
            number(beside.cryptogram_version.map(i64::from)),
            number(version.filter(|_| is_stored)),
        ),
    ];
    let unlike = columns.into_iter().filter(|(_, row, state)| row != state);
    unlike
        .map(|(register, stored, recomputed)| Difference {
            register: register.to_owned(),
            stored,
            recomputed,
        })
        .collect()
}

fn compare(
    stored: &Card,
    recomputed: &Card,
    differs: impl Fn(&str, Option<&Shown>, Option<&Shown>) -> bool,
) -> Vec<Difference> {
    let status = stored.status_word();
    let (stored, recomputed) = (registers(stored, status), registers(recomputed, status));
    let names: BTreeSet<&String> = stored.keys().chain(recomputed.keys()).collect();
    let difference = |name: &String| {
        let (stored, recomputed) = (stored.get(name), recomputed.get(name));
        if !differs(name, stored, recomputed) {
            return None;
        }
        let shown = |shown: Option<&Shown>| shown.map_or("none".to_owned(), Shown::in_words);
        let (of_stored, mut of_recomputed) = (shown(stored), shown(recomputed));
        if of_stored == of_recomputed {
            of_recomputed.push_str(", but not the same");
        }
        Some(Difference {
            register: name.clone(),
            stored: of_stored,
            recomputed: of_recomputed,
        })
    };
    names.into_iter().filter_map(difference).collect()
}
