//! What Mastercard tells of its cards: random items, and the bodies they travel in.

use serde_json::{Map, Value, json};
use tokenkeep::domain::ReportedStatus;
use tokenkeep::jose::encrypt;

use crate::kit::Kit;
use crate::support::item::{Item, reports};
use crate::support::random::Random;
use crate::support::{EXPIRY_1, EXPIRY_2};

/// How the payment data of an item travels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sealing {
    /// For the key that the service has.
    Early,
    /// For a key that only an operator's replay brings.
    Late,
    /// It opens by no key.
    Broken,
}

/// An item of a card, on its way.
#[derive(Debug, Clone)]
pub struct Sent {
    pub card: String,
    pub item: Item,
    pub sealing: Sealing,
}

impl Sent {
    /// For the trace.
    pub fn line(&self) -> String {
        let Item {
            time,
            masked,
            refresh,
            remark,
            ..
        } = &self.item;
        let status = status_word(&self.item.status);
        let refresh = refresh
            .as_ref()
            .map(|token| (&token.number[11..], &token.expiry));
        let masked: Vec<&Value> = masked.values().collect();
        let (card, sealing) = (&self.card, self.sealing);
        format!("{card} {status} {time:?} {refresh:?} {masked:?} {remark} {sealing:?}")
    }
}

/// Token numbers of no real card.
pub fn number(card: usize, which: usize) -> String {
    format!("52047400000{card}{:04}", 1001 + which)
}

/// A random item, mostly of the last minutes; now and then without a time, or of the future.
pub fn random_item(random: &mut Random, card: usize, now: i64, earlier: Option<i64>) -> Sent {
    let back = |random: &mut Random| 10 * i64::try_from(random.below(60_000)).unwrap();
    // Never the time of a call: those end in another digit.
    let now = now / 10 * 10;
    let time = match random.below(20) {
        0 | 1 => None,
        2 => Some(now + back(random) / 2),
        3 => Some(now + 660_000 + back(random)),
        4..=6 => earlier.or(Some(now)),
        _ => Some(now - back(random)),
    };
    let word = match random.below(240) {
        0 => "CANCELLED",
        1..=8 => "LOST",
        9..=60 => "SUSPENDED",
        _ => "ACTIVE",
    };
    let mut item = reports(word, time.unwrap_or_default());
    item.time = time;
    let mut sealing = Sealing::Early;
    if random.below(5) < 2 {
        let number = number(card, random.below(5));
        item = item.refresh(&number, random.one_of(&[EXPIRY_1, EXPIRY_2]));
        sealing = match random.below(20) {
            0 | 1 => Sealing::Late,
            2 => Sealing::Broken,
            _ => Sealing::Early,
        };
    }
    for (field, values) in [
        ("panLastFour", ["1111", "2222"]),
        ("digitalCardData.descriptorName", ["Blue", "Gold"]),
        ("tokenLastFour", ["1001", "1003"]),
    ] {
        if random.once_in(4) {
            item = item.with(field, random.one_of(&values));
        }
    }
    let item = item.remark(random.one_of(&["STATUS_UPDATE", "ANOTHER_REASON"]));
    let card = format!("card-{card}");
    Sent {
        card,
        item,
        sealing,
    }
}

pub fn status_word(status: &ReportedStatus) -> &str {
    match status {
        ReportedStatus::Known(status) => status.word(),
        ReportedStatus::Cancelled => "CANCELLED",
        ReportedStatus::Unknown(word) => word,
    }
}

/// A masked card with these fields.
pub fn masked_card(card: &str, item: &Item) -> Value {
    let mut digital = Map::new();
    digital.insert("status".to_owned(), status_word(&item.status).into());
    let mut fields = Map::new();
    fields.insert("srcDigitalCardId".to_owned(), card.into());
    for (name, value) in &item.masked {
        match name.strip_prefix("digitalCardData.") {
            Some(name) => digital.insert(name.to_owned(), value.clone()),
            None => fields.insert(name.clone(), value.clone()),
        };
    }
    fields.insert("digitalCardData".to_owned(), digital.into());
    fields.into()
}

/// Number and expiry as Mastercard writes them.
pub fn payment_token(number: &str, (month, year): (&str, &str)) -> Value {
    json!({
        "paymentToken": number,
        "tokenExpirationMonth": month,
        "tokenExpirationYear": year,
    })
}

impl Kit {
    /// Encrypts anew each time. `sealing` chooses the key.
    pub fn jwe(&self, plaintext: &Value, sealing: Sealing) -> String {
        let (kid, key) = &self.payload[usize::from(sealing == Sealing::Late)];
        let plaintext = plaintext.to_string();
        let jwe = encrypt(plaintext.as_bytes(), key, Some(kid), "A128GCM", 12).unwrap();
        match sealing {
            // Its tag is another's.
            Sealing::Broken => {
                let (head, _) = jwe.rsplit_once('.').unwrap();
                format!("{head}.AAAAAAAAAAAAAAAAAAAAAA")
            }
            _ => jwe,
        }
    }

    fn element(&self, sent: &Sent, is_inside: bool) -> Value {
        let Sent { card, item, .. } = sent;
        let reason = match item.refresh {
            Some(_) => "TOKEN_REFRESH",
            None => item.remark,
        };
        let mut element = json!({
            "reasonCode": reason,
            "maskedCard": masked_card(card, item),
        });
        if let Some(time) = item.time {
            element["eventTimeStamp"] = time.to_string().into();
        }
        if let Some(token) = &item.refresh {
            let token = payment_token(&token.number, token.month_and_year());
            let plaintext = json!({ "paymentToken": token });
            element["paymentData"] = match is_inside && sent.sealing == Sealing::Early {
                true => plaintext,
                false => self.jwe(&plaintext, sent.sealing).into(),
            };
        }
        element
    }

    /// The body of a delivery, encrypted anew each time.
    pub fn body(&self, items: &[Sent], is_encrypted: bool) -> Vec<u8> {
        let elements: Value = items
            .iter()
            .map(|sent| self.element(sent, is_encrypted))
            .collect();
        let body = match is_encrypted {
            false => json!({ "digitalCardUpdateNotifications": elements }),
            true => {
                let jwe = self.jwe(&elements, Sealing::Early);
                json!({ "encryptedDigitalCardUpdateNotifications": jwe })
            }
        };
        body.to_string().into_bytes()
    }
}
