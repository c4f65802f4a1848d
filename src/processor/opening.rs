//! Opens deliveries: on all cores, without the database.

use serde_json::Value;
use zeroize::Zeroizing;

use crate::domain::{BothForms, Hold, PaymentData, Policy};
use crate::jose::json::{canonical, parse};
use crate::jose::{Keyring, OpenError, StorageKeys};
use crate::notification::{
    EncryptedList, Envelope, Item, PaymentPart, Unreadable, elements, identity, payment_data,
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
    pub identity: Option<String>,
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
    let read = |element| match Item::read(element, delivery.received_at, &policy.wire) {
        Ok(item) => Part::Item(Box::new(open_item(item, keyring, keys))),
        Err(Unreadable(hold)) => Part::Held(hold),
    };
    let parts = match split(delivery, keyring, policy.both_forms) {
        Ok(elements) => elements.into_iter().map(read).collect(),
        Err(hold) => vec![Part::Held(hold)],
    };
    Opened {
        sequence: delivery.sequence,
        id: delivery.id.clone(),
        received_at: delivery.received_at,
        parts,
    }
}

/// The elements of a delivery's body.
fn split(
    delivery: &Delivery,
    keyring: &Keyring,
    both_forms: BothForms,
) -> Result<Vec<Value>, Hold> {
    let body = delivery.body.as_ref().ok_or(Hold::PROCESSING_FAILED)?;
    match Envelope::parse(body).map_err(|_| Hold::NOT_A_NOTIFICATION)? {
        Envelope::Plain(list) => plain_elements(list),
        Envelope::Encrypted(list) => encrypted_elements(list, keyring),
        Envelope::Both(plain, encrypted) => match both_forms {
            BothForms::Park => Err(Hold::BOTH_FORMS),
            BothForms::Plain => plain_elements(plain),
            BothForms::Encrypted => encrypted_elements(encrypted, keyring),
        },
    }
}

fn plain_elements(list: Value) -> Result<Vec<Value>, Hold> {
    match list {
        Value::Array(elements) => Ok(elements),
        _ => Err(Hold::NOT_A_NOTIFICATION),
    }
}

fn encrypted_elements(list: EncryptedList, keyring: &Keyring) -> Result<Vec<Value>, Hold> {
    let Value::String(token) = list.token else {
        return Err(Hold::NOT_A_NOTIFICATION);
    };
    let fingerprint = list.fingerprint.as_deref();
    let plaintext = keyring.open(&token, fingerprint).map_err(hold_of)?;
    let list = parse(&plaintext).map_err(|_| Hold::UNREADABLE)?;
    elements(list).ok_or(Hold::UNREADABLE)
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

fn hold_of(error: OpenError) -> Hold {
    match error {
        OpenError::UnknownKey => Hold::UNKNOWN_KEY,
        OpenError::Refused => Hold::UNREADABLE,
    }
}
