//! What senders bring: numbered notifications, of cards that several of them tell of.

use tokenkeep::domain::{Expiry, TokenNumber};
use tokenkeep::sandbox::{NewCard, Sandbox};

use super::rules::Item;
use super::rules::item::reports;
use crate::support::START;
use crate::support::build::{NUMBER_1, NUMBER_2, plain, refresh, status};
use crate::support::calls::SERVICE;

/// One in five is a refresh; of the cards most are told of by several notifications. Each has its card, the
/// second of its event, its status, and its number if it is a refresh.
pub const BLOCK: [(char, i64, &str, Option<&str>); 20] = [
    ('a', 1, "ACTIVE", Some(NUMBER_1)),
    ('a', 2, "ACTIVE", Some(NUMBER_2)),
    ('a', 3, "ACTIVE", None),
    ('b', 1, "ACTIVE", Some(NUMBER_1)),
    ('b', 2, "SUSPENDED", None),
    ('b', 3, "ACTIVE", None),
    ('c', 1, "ACTIVE", Some(NUMBER_1)),
    ('c', 2, "CANCELLED", None),
    ('d', 1, "ACTIVE", None),
    ('d', 2, "SUSPENDED", None),
    ('d', 3, "ACTIVE", None),
    ('d', 4, "SUSPENDED", None),
    ('e', 1, "CANCELLED", None),
    ('e', 2, "ACTIVE", None),
    ('f', 1, "ACTIVE", None),
    ('g', 1, "ACTIVE", None),
    ('h', 1, "ACTIVE", None),
    ('i', 1, "ACTIVE", None),
    ('j', 1, "ACTIVE", None),
    ('k', 1, "SUSPENDED", None),
];
const EXPIRY: &str = "12/2031";

/// A notification, the same for the same number.
pub struct Notification {
    pub card: String,
    pub item: Item,
    status: &'static str,
}

impl Notification {
    pub fn numbered(number: usize) -> Self {
        let block = number / BLOCK.len();
        // Another order in each block.
        let place = (number * 7 + block) % BLOCK.len();
        let (card, second, word, refreshed) = BLOCK[place];
        let item = reports(word, START + second * 1_000)
            .with("panLastFour", "0747")
            .with("serviceId", SERVICE)
            .with("digitalCardData.descriptorName", format!("Bank {second}"));
        Self {
            card: format!("card-{block}-{card}"),
            item: match refreshed {
                Some(number) => item.refresh(number, EXPIRY),
                None => item,
            },
            status: word,
        }
    }

    /// Its event time, which no other notification of its card has.
    pub fn time(&self) -> i64 {
        self.item.time.unwrap()
    }

    /// The body of a delivery; payment data is encrypted anew each time.
    pub fn body(&self) -> String {
        let mut element = match &self.item.refresh {
            Some(token) => {
                let expiry = token.month_and_year();
                refresh(&self.card, self.time(), &token.number, expiry)
            }
            None => status(&self.card, Some(self.time()), self.status),
        };
        let masked = &mut element["maskedCard"];
        for (name, value) in &self.item.masked {
            match name.strip_prefix("digitalCardData.") {
                Some(name) => masked["digitalCardData"][name] = value.clone(),
                None => masked[name] = value.clone(),
            }
        }
        plain(&[element]).to_string()
    }

    /// Lets the other side know the card: there it has its last number from the beginning.
    pub fn make_card_at(&self, sandbox: &Sandbox) {
        let is_of_card = |of: &&(char, i64, &str, Option<&str>)| self.card.ends_with(of.0);
        let mut numbers = BLOCK.iter().filter(is_of_card).filter_map(|of| of.3);
        let (month, year) = EXPIRY.split_once('/').unwrap();
        let new = NewCard {
            id: Some(self.card.clone()),
            number: numbers
                .next_back()
                .map(|it| TokenNumber::parse(it).unwrap()),
            expiry: Expiry::parse(month, year),
            ..NewCard::default()
        };
        sandbox.create_card(new).unwrap();
    }
}
