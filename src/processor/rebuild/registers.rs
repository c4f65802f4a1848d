//! The registers of a card, as they are compared and shown: never with a full number.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::Difference;
use crate::domain::{
    Card, CardToken, CryptogramState, Expiry, Precedence, Rank, Register, Token, TokenNumber,
    TokenStatus, WITHHELD, is_field_shown,
};
use crate::store::StoredBeside;
use crate::telemetry::timestamp;

/// The value of a register.
struct Shown {
    text: String,
    /// Compared, never shown.
    number: Option<TokenNumber>,
    rank: Option<Rank>,
    /// When what set it was received; empty where that is not kept.
    received: String,
    /// It follows from numbers, which are wiped when the card ends.
    is_of_number: bool,
    /// Digits that may not be shown of a card with the stored status.
    is_withheld: bool,
}

type Registers = BTreeMap<String, Shown>;

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
        let is_masked = name.starts_with("maskedCard.");
        let is_by_rank = is_masked || name == "status";
        let is_compared = is_masked || !(has_ended || name.ends_with(')'));
        let Some(kept) = recomputed.filter(|_| is_compared) else {
            return false;
        };
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
    })
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

impl Shown {
    fn plain(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            number: None,
            rank: None,
            received: String::new(),
            is_of_number: false,
            is_withheld: false,
        }
    }

    fn register<T>(register: &Register<T>, text: impl Into<String>) -> Self {
        Self {
            rank: Some(register.rank),
            received: timestamp(register.received_at),
            ..Self::plain(text)
        }
    }

    fn of_number(self) -> Self {
        Self {
            is_of_number: true,
            ..self
        }
    }

    fn same_value(&self, other: &Self) -> bool {
        self.text == other.text && self.number == other.number
    }

    fn equals(&self, other: &Self) -> bool {
        self.same_value(other) && self.rank == other.rank && self.received == other.received
    }

    fn in_words(&self) -> String {
        let mut words = match self.is_withheld {
            true => WITHHELD.to_owned(),
            false => self.text.clone(),
        };
        if let Some(rank) = self.rank {
            words.push_str(&format!(" of {rank}"));
        }
        if !self.received.is_empty() {
            words.push_str(&format!(", received {}", self.received));
        }
        words
    }
}

/// The registers of a card, as they are shown of one with this status.
fn registers(card: &Card, shown_as: Option<&str>) -> Registers {
    let mut found = Registers::new();
    let mut add = |name: &str, shown: Option<Shown>| {
        if let Some(shown) = shown {
            found.insert(name.to_owned(), shown);
        }
    };
    let held = |rank: Rank| Shown {
        rank: Some(rank),
        ..Shown::plain("held")
    };
    let text = |text: &Option<String>| text.as_ref().map(Shown::plain);
    let at = |at: i64| Shown::plain(timestamp(at));
    let status = card.status.as_ref();
    add("status", status.map(|s| Shown::register(s, s.value.word())));
    add("status (held)", card.status_held.map(held));
    add("program", text(&card.registered_program));
    add("consumerReference", text(&card.consumer_reference));
    add("contractStatus", text(&card.contract_status));
    add("notThereSince", card.not_there_since.map(at));
    add("inputsDecided", count(card.inputs_decided));
    let end = card.terminal.as_ref();
    let end = end.map(|end| format!("{} at {}", end.state.word(), timestamp(end.at)));
    add("end", end.map(Shown::plain));
    let latest = card.latest_item.as_ref();
    let latest = latest.map(|item| {
        let digest = item.digest.as_deref().unwrap_or("no identity");
        Shown::plain(format!("{}.{}, {digest}", item.sequence, item.index))
    });
    add("latestItem", latest.map(Shown::of_number));
    add("updatedAt", Some(at(card.updated_at).of_number()));
    add("version", count(card.version.into()).map(Shown::of_number));
    add(
        "numberVersion",
        count(card.number_version.into()).map(Shown::of_number),
    );
    let cryptogram = card.cryptogram.map(|state| Shown::plain(state.word()));
    add("cryptogram", cryptogram.map(Shown::of_number));
    let recommended = Shown::plain(card.checkout_recommended.to_string());
    add("checkoutRecommended", Some(recommended.of_number()));
    add(
        "token (held)",
        card.refresh_held.map(|rank| held(rank).of_number()),
    );
    add(
        "token (doubted)",
        card.token_doubted.map(|rank| held(rank).of_number()),
    );
    for (name, register) in &card.masked {
        let value = match &register.value {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        let shown = Shown {
            is_withheld: !is_field_shown(name, shown_as),
            ..Shown::register(register, value)
        };
        add(&format!("maskedCard.{name}"), Some(shown));
    }
    found.extend(card.token.iter().flat_map(of_token));
    found.extend(card.tokens.iter().flat_map(of_program_token));
    found
}

fn count(count: i64) -> Option<Shown> {
    Some(Shown::plain(count.to_string()))
}

/// The token register: number and expiry move together.
fn of_token(token: &Token) -> Vec<(String, Shown)> {
    let ending = |number: &TokenNumber| format!("number ending in {}", number.last_four());
    let expiry = token.expiry.map(|expiry: Expiry| expiry.to_string());
    let register = Shown {
        number: Some(token.number.clone()),
        rank: Some(token.rank),
        received: timestamp(token.received_at),
        ..Shown::plain(format!(
            "{}, {}",
            ending(&token.number),
            expiry.as_deref().unwrap_or("no expiry")
        ))
        .of_number()
    };
    let mut found = vec![
        ("token".to_owned(), register),
        (
            "token.refreshedAt".to_owned(),
            Shown::plain(timestamp(token.refreshed_at)).of_number(),
        ),
        (
            "token.checkoutWanted".to_owned(),
            Shown::plain(format!("{:?}", token.checkout_wanted)).of_number(),
        ),
    ];
    if let Some(registered) = &token.registered {
        let shown = Shown {
            number: Some(registered.clone()),
            ..Shown::plain(ending(registered))
        };
        found.push(("token.registered".to_owned(), shown.of_number()));
    }
    found
}

/// A token of a program whose cards have tokens of their own.
fn of_program_token(token: &CardToken) -> Vec<(String, Shown)> {
    let name = |part: &str| format!("tokens.{}.{part}", token.id);
    let at = |at: Option<i64>| at.map_or("never".to_owned(), timestamp);
    let rest = format!(
        "ending in {}, {}, customer {}, {}, read as of {}, relinking since {}, not there since {}",
        token.last_four,
        token
            .expiry
            .map_or("no expiry".to_owned(), |expiry| expiry.to_string()),
        token.customer.as_deref().unwrap_or("none"),
        Value::from_iter(token.details.clone()),
        token
            .read
            .map_or("never".to_owned(), |rank| rank.to_string()),
        at(token.relinking_since),
        at(token.not_there_since),
    );
    let mut found = vec![(name("details"), Shown::plain(rest))];
    if let Some(status) = &token.status {
        let shown = Shown::register(status, TokenStatus::word(&status.value));
        found.push((name("status"), shown));
    }
    found
}
