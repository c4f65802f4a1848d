//! One card in every state that a card can be in, and what may be shown of each.

use serde_json::{Value, json};
use tokenkeep::sandbox::{Fault, Operation};

use super::Backend;
use super::build::{payment_jwe, plain, refresh_with, status};
use super::calls::{MINUTE, SERVICE, Shop};
use super::commands::tokenkeep;
use super::issuer::CONTRACT;
use crate::canaries;
use crate::commands_numbers::number_that_fits;
use crate::leak_forms::Forms;
use crate::leak_numbers;

/// How much of a card's number is shown.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Digits {
    /// The first six and the last four.
    Both,
    FirstSix,
    None,
}

/// A card in one of the states.
#[derive(Clone, Copy)]
pub struct Known {
    pub id: &'static str,
    /// As it is stored; none for one that is not known.
    state: Option<&'static str>,
    first_six: &'static str,
    last_four: &'static str,
    shown: Digits,
}

const fn known(
    id: &'static str,
    state: Option<&'static str>,
    digits: [&'static str; 2],
    shown: Digits,
) -> Known {
    Known {
        id,
        state,
        first_six: digits[0],
        last_four: digits[1],
        shown,
    }
}

pub const CARDS: [Known; 7] = [
    known("active", Some("ACTIVE"), ["522131", "7101"], Digits::Both),
    known(
        "suspended",
        Some("SUSPENDED"),
        ["522132", "7102"],
        Digits::FirstSix,
    ),
    known("unknown", None, ["522133", "7103"], Digits::FirstSix),
    known(
        "pending",
        Some("DELETE_PENDING"),
        ["522134", "7104"],
        Digits::None,
    ),
    known(
        "cancelled",
        Some("CANCELLED"),
        ["522135", "7105"],
        Digits::None,
    ),
    known(CONTRACT, Some("DELETED"), ["522136", "7106"], Digits::None),
    known(
        "erased",
        Some("CANCELLED"),
        ["522137", "7107"],
        Digits::None,
    ),
];

/// A shop with all of them. In each one's details there is a whole number where none should stand.
pub fn shop(backend: Backend) -> Shop {
    let shop = Shop::with_tokens(backend);
    let digits = |card: &Known| json!({ "panBin": card.first_six, "panLastFour": card.last_four });
    for card in CARDS {
        let time = Some(shop.now());
        let mut items = Vec::new();
        if card.id == CONTRACT {
            let registration = json!({ "program": "issuer", "maskedCard": digits(&card) });
            shop.register(CONTRACT, &registration);
        } else {
            shop.new_card(card.id);
            let number = shop.sandbox.card(card.id).unwrap().number;
            let jwe = payment_jwe(number.expose(), ("12", "2031"));
            items.push(of_service(refresh_with(card.id, shop.now(), &jwe), &card));
            items.push(of_service(status(card.id, time, "ACTIVE"), &card));
        }
        items.iter().for_each(|item| {
            shop.app.deliver(&plain(std::slice::from_ref(item)));
            shop.settle();
        });
    }
    shop.advance(MINUTE);
    let tell = |id: &str, word: &str| {
        let item = status(id, Some(shop.now()), word);
        let item = without_digits(item);
        shop.app.deliver(&plain(&[item]));
    };
    tell("suspended", "SUSPENDED");
    tell("cancelled", "CANCELLED");
    tell("erased", "CANCELLED");
    // The other side never confirms it.
    (shop.sandbox).answer_next(Operation::DeleteCard, Fault::service_error(503));
    assert_eq!(shop.delete("pending").status, 202);
    shop.give(CONTRACT, "DEACTIVATE", None);
    shop.settle();
    // A minute later the other side would be asked which one it is.
    tell("unknown", "DORMANT");
    let erased = tokenkeep(&shop.app.database, &["cards", "erase", "erased"]);
    assert_eq!(erased.code, 0, "{erased:?}");
    for card in CARDS {
        let found = shop.app.card(card.id).unwrap().card;
        assert_eq!(found.status_word(), card.state, "{}", card.id);
        assert_eq!(found.erased_at.is_some(), card.id == "erased");
    }
    assert!(shop.cryptogram("active").is_some());
    shop
}

/// What the other side could say of a card once more: its state and its digits.
pub fn said_again(card: &Known, time: i64) -> Value {
    let word = card.state.unwrap_or("DORMANT");
    of_service(status(card.id, Some(time), word), card)
}

/// With the card's digits, and the number in places that are for people to read.
fn of_service(mut item: Value, card: &Known) -> Value {
    let number = number_that_fits();
    let spaced = format!("{} {} {}", &number[..4], &number[4..8], &number[8..]);
    item["reasonCode"] = match item["paymentData"].is_null() {
        true => number.into(),
        false => "TOKEN_REFRESH".into(),
    };
    item["maskedCard"]["serviceId"] = SERVICE.into();
    item["maskedCard"]["panBin"] = card.first_six.into();
    item["maskedCard"]["panLastFour"] = card.last_four.into();
    item["maskedCard"]["paymentCardDescriptor"] = format!("card {spaced}").into();
    item
}

fn without_digits(mut item: Value) -> Value {
    let masked = item["maskedCard"].as_object_mut().unwrap();
    masked.remove("panLastFour");
    item
}

/// Looks for digits that must not be there, in all that is told.
pub struct Masking {
    forms: Forms,
}

impl Masking {
    pub fn new() -> Self {
        Self {
            forms: Forms::of(&canaries::all()),
        }
    }

    /// Nothing longer than the first six and the last four of any card, and less where its state
    /// wants less.
    pub fn check(&self, place: &str, told: &str) {
        for card in CARDS {
            let hides = |digits: &str| {
                assert!(!stands_alone(told, digits), "{place}: {digits}\n{told}");
            };
            if card.shown != Digits::Both {
                hides(card.last_four);
            }
            if card.shown == Digits::None {
                hides(card.first_six);
            }
        }
        // Grouped in any way, a number is still one.
        for text in [told.to_owned(), ungrouped(told)] {
            let found = leak_numbers::find(text.as_bytes());
            assert!(found.is_empty(), "{place}: {found:?}\n{told}");
        }
        let found = self.forms.find(told.as_bytes());
        assert!(found.is_empty(), "{place}: {found:?}\n{told}");
    }
}

/// Whether these digits stand somewhere by themselves, and not in an id or a time.
fn stands_alone(told: &str, digits: &str) -> bool {
    let is_part = |other: Option<char>| other.is_some_and(|c| c.is_alphanumeric() || c == '-');
    told.match_indices(digits).any(|(at, _)| {
        let (before, behind) = (&told[..at], &told[at + digits.len()..]);
        !is_part(before.chars().next_back()) && !is_part(behind.chars().next())
    })
}

/// Without the single spaces and hyphens between digits.
fn ungrouped(told: &str) -> String {
    let chars: Vec<char> = told.chars().collect();
    let is_digit = |at: usize| chars.get(at).is_some_and(char::is_ascii_digit);
    let kept = chars.iter().enumerate().filter(|(at, c)| {
        let joins = matches!(c, ' ' | '-') && *at > 0 && is_digit(at - 1) && is_digit(at + 1);
        !joins
    });
    kept.map(|(_, c)| c).collect()
}
