//! Opens deliveries: on all cores, without the database.

use serde_json::Value;
use zeroize::Zeroizing;

use crate::domain::{BothForms, Hold, PaymentData, Policy, WireForm};
use crate::jose::json::{canonical, parse};
use crate::jose::{KeyedDigest, Keyring, StorageKeys};
use crate::notification::{
    Elements, EncryptedList, Envelope, Item, List, PaymentPart, Unreadable, elements, hold_of,
    identity, payment_data,
};
use crate::store::Delivery;

/// A delivery, split into its items and opened as far as possible.
pub struct Opened {
    pub sequence: i64,
    pub id: String,
    pub received_at: i64,
    pub parts: Vec<Part>,
}

/// One item of a delivery, or what stands in its place.
pub enum Part {
    Item(Box<OpenedItem>),
    /// Nothing can be made of it.
    Held(Hold),
}

impl Part {
    /// The item, if one could be made out.
    pub fn item(&self) -> Option<&OpenedItem> {
        match self {
            Self::Item(item) => Some(item),
            Self::Held(_) => None,
        }
    }
}

/// An item with its payment data.
pub struct OpenedItem {
    pub item: Item,
    pub payment: OpenedPayment,
    /// None while the payment data cannot be read.
    pub identity: Option<KeyedDigest>,
}

/// The payment data of an item.
pub enum OpenedPayment {
    Absent,
    Data {
        data: PaymentData,
        /// As decrypted, for the record.
        plaintext: Zeroizing<Vec<u8>>,
    },
    Unreadable(Hold),
}

/// Opens deliveries, keeping their order.
pub fn open_all(
    deliveries: Vec<Delivery>,
    keyring: &Keyring,
    keys: &StorageKeys,
    policy: &Policy,
    threads: usize,
) -> Vec<Opened> {
    let open = |delivery: &Delivery| open_delivery(delivery, keyring, keys, policy);
    if deliveries.len() < 2 || threads < 2 {
        return deliveries.iter().map(open).collect();
    }
    let share = deliveries.len().div_ceil(threads);
    std::thread::scope(|scope| {
        let workers: Vec<_> = deliveries
            .chunks(share)
            .map(|chunk| scope.spawn(move || chunk.iter().map(open).collect::<Vec<_>>()))
            .collect();
        let joined = workers.into_iter().map(|worker| match worker.join() {
            Ok(opened) => opened,
            Err(panic) => std::panic::resume_unwind(panic),
        });
        joined.flatten().collect()
    })
}

/// A delivery that failed again and again: held as it is, without another look into it.
pub fn set_aside(delivery: Delivery) -> Opened {
    Opened {
        sequence: delivery.sequence,
        id: delivery.id,
        received_at: delivery.received_at,
        parts: vec![Part::Held(Hold::PROCESSING_FAILED)],
    }
}

fn open_delivery(
    delivery: &Delivery,
    keyring: &Keyring,
    keys: &StorageKeys,
    policy: &Policy,
) -> Opened {
    let parts = match split(delivery, keyring, policy) {
        Ok(Elements { list, event_time }) => {
            let read = |element| read_part(element, event_time, delivery, keyring, keys, policy);
            list.into_iter().map(read).collect()
        }
        Err(hold) => vec![Part::Held(hold)],
    };
    Opened {
        sequence: delivery.sequence,
        id: delivery.id.clone(),
        received_at: delivery.received_at,
        parts,
    }
}

/// An element; the time beside its list counts if it has none of its own.
fn read_part(
    element: Value,
    time_beside_list: Option<i64>,
    delivery: &Delivery,
    keyring: &Keyring,
    keys: &StorageKeys,
    policy: &Policy,
) -> Part {
    match Item::read(element, delivery.received_at, &policy.wire) {
        Ok(item) => {
            let event_time = item.event_time.or(time_beside_list);
            let item = Item { event_time, ..item };
            Part::Item(Box::new(open_item(item, keyring, keys)))
        }
        Err(Unreadable(hold)) => Part::Held(hold),
    }
}

/// The elements of a delivery's body.
fn split(delivery: &Delivery, keyring: &Keyring, policy: &Policy) -> Result<Elements, Hold> {
    let (received_at, wire) = (delivery.received_at, &policy.wire);
    let body = delivery.body.as_ref().ok_or(Hold::PROCESSING_FAILED)?;
    let envelope = Envelope::parse(body, wire).map_err(|_| Hold::NOT_A_NOTIFICATION)?;
    let event_time = envelope.event_time(received_at, wire);
    let plain = |list| match list {
        Value::Array(list) => Ok(Elements { list, event_time }),
        _ => Err(Hold::NOT_A_NOTIFICATION),
    };
    let encrypted = |list| {
        let inside = encrypted_elements(list, keyring, received_at, wire)?;
        Ok(Elements {
            event_time: inside.event_time.or(event_time),
            ..inside
        })
    };
    match envelope.list {
        List::Plain(list) => plain(list),
        List::Encrypted(list) => encrypted(list),
        List::Both(plain_list, encrypted_list) => match policy.both_forms {
            BothForms::Park => Err(Hold::BOTH_FORMS),
            BothForms::Plain => plain(plain_list),
            BothForms::Encrypted => encrypted(encrypted_list),
        },
    }
}

fn encrypted_elements(
    list: EncryptedList,
    keyring: &Keyring,
    received_at: i64,
    wire: &WireForm,
) -> Result<Elements, Hold> {
    let Value::String(token) = list.token else {
        return Err(Hold::NOT_A_NOTIFICATION);
    };
    let fingerprint = list.fingerprint.as_deref();
    let plaintext = keyring.open(&token, fingerprint).map_err(hold_of)?;
    let list = parse(&plaintext).map_err(|_| Hold::UNREADABLE)?;
    elements(list, received_at, wire).ok_or(Hold::UNREADABLE)
}

/// Opens the payment data of an item, as far as the keys allow.
pub fn open_item(mut item: Item, keyring: &Keyring, keys: &StorageKeys) -> OpenedItem {
    let part = std::mem::replace(&mut item.payment, PaymentPart::Absent);
    let clear = match part {
        PaymentPart::Absent => Ok(None),
        PaymentPart::Missing => Err(Hold::PAYMENT_DATA_MISSING),
        PaymentPart::Clear(value) => Ok(Some(value)),
        PaymentPart::Jwe { token, fingerprint } => keyring
            .open(&token, fingerprint.as_deref())
            .map_err(hold_of)
            .and_then(|plaintext| parse(&plaintext).map(Some).map_err(|_| Hold::UNREADABLE)),
    };
    let read = clear.and_then(|clear| match clear {
        None => Ok(None),
        Some(value) => payment_data(&value)
            .map(|data| Some((data, value)))
            .ok_or(Hold::UNREADABLE),
    });
    match read {
        Err(hold) => OpenedItem {
            item,
            payment: OpenedPayment::Unreadable(hold),
            identity: None,
        },
        Ok(None) => OpenedItem {
            identity: Some(identity(keys, &item, None)),
            item,
            payment: OpenedPayment::Absent,
        },
        Ok(Some((data, value))) => OpenedItem {
            identity: Some(identity(keys, &item, Some(&value))),
            item,
            payment: OpenedPayment::Data {
                data,
                plaintext: canonical(&value),
            },
        },
    }
}
