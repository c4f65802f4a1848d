//! A request body: kept or refused, read item by item, and read the same when it is written anew.

use std::sync::OnceLock;

use serde_json::{Value, json};
use tokenkeep::domain::{ReportedStatus, WireForm};
use tokenkeep::jose::StorageKeys;
use tokenkeep::jose::json::{canonical, parse};
use tokenkeep::notification::{Envelope, Item, List, PaymentPart, elements, identity};

use super::{NOW, keyring, repository};

pub fn check(body: &[u8]) {
    for wire in [&WireForm::default(), &further_names()] {
        let read = items_of(body, wire);
        let Ok(value) = parse(body) else {
            assert!(read.is_none());
            continue;
        };
        let anew = canonical(&value);
        assert_eq!(parse(&anew).as_ref(), Ok(&value));
        assert_eq!(read, items_of(&anew, wire));
        // As it would be read if it had come encrypted.
        if let Some(decrypted) = elements(value, NOW, wire) {
            for element in decrypted.list {
                said(element, wire);
            }
        }
    }
}

/// Every setting that adds a name under which something may come.
fn further_names() -> WireForm {
    let mut wire = WireForm {
        event_id_fields: vec!["eventId".to_owned(), "id".to_owned()],
        event_time_beside_list: true,
        ..WireForm::default()
    };
    for (name, aliases) in &mut wire.aliases {
        aliases.push(name.to_uppercase());
        aliases.push("data".to_owned());
    }
    wire
}

/// What the items of a body say; none where it is not kept.
fn items_of(body: &[u8], wire: &WireForm) -> Option<Vec<String>> {
    let envelope = match Envelope::parse(body, wire) {
        Ok(envelope) => envelope,
        Err(fault) => {
            assert!(fault.to_string().len() < 100);
            return None;
        }
    };
    envelope.event_time(NOW, wire);
    assert!(envelope.visible_items() <= body.len());
    let list = match envelope.list {
        List::Plain(Value::Array(list)) | List::Both(Value::Array(list), _) => list,
        List::Encrypted(encrypted) => {
            let token = encrypted.token.as_str().unwrap_or_default();
            let opened = keyring().open(token, encrypted.fingerprint.as_deref());
            let list = opened.ok().and_then(|plain| parse(&plain).ok());
            let list = list.and_then(|list| elements(list, NOW, wire));
            list.map(|elements| elements.list).unwrap_or_default()
        }
        List::Plain(_) | List::Both(..) => Vec::new(),
    };
    Some(list.into_iter().map(|item| said(item, wire)).collect())
}

/// Everything that an element says, as a text, or why it says nothing. Its content is read once more,
/// as a stored one is.
fn said(element: Value, wire: &WireForm) -> String {
    let item = match Item::read(element, NOW, wire) {
        Ok(item) => item,
        Err(unreadable) => return format!("{unreadable:?}"),
    };
    assert!(item.content.get("paymentData").is_none());
    assert!(item.event_time.is_none_or(|time| time <= NOW + 600_000));
    let shown = [item.reason.as_deref(), status(&item)];
    for text in shown.into_iter().flatten() {
        assert!(text.chars().count() <= 64 && !text.chars().any(char::is_control));
        // A longer text was cut, by which the end of no number may become a whole one.
        if text.chars().count() < 64 {
            assert_full_number_free(text);
        }
    }
    let kept = Item::read(item.content.clone(), NOW, wire);
    let kept = kept.unwrap_or_else(|unreadable| panic!("{unreadable:?}"));
    assert_eq!(kept.card_id.as_str(), item.card_id.as_str());
    assert_eq!(parts(&kept), parts(&item));
    assert_eq!(canonical(&kept.content), canonical(&item.content));
    let time = item.event_time;
    // An object's members have no order.
    let payment = canonical(&payment(&item.payment));
    format!(
        "{} {time:?} {} {}",
        parts(&item),
        String::from_utf8_lossy(&payment),
        identity(keys(), &item, None).text
    )
}

/// What does not depend on event time and payment data.
fn parts(item: &Item) -> String {
    let Item {
        reason, event_id, ..
    } = item;
    format!(
        "{reason:?} {event_id:?} {:?} {:?}",
        item.status, item.masked
    )
}

fn status(item: &Item) -> Option<&str> {
    match &item.status {
        ReportedStatus::Unknown(word) => Some(word),
        _ => None,
    }
}

fn payment(part: &PaymentPart) -> Value {
    match part {
        PaymentPart::Absent => json!("absent"),
        PaymentPart::Missing => json!("missing"),
        PaymentPart::Jwe { token, fingerprint } => json!([token, fingerprint]),
        PaymentPart::Clear(value) => json!([value]),
    }
}

fn assert_full_number_free(text: &str) {
    let scrubbed = tokenkeep::domain::without_full_numbers(&text.into());
    assert!(!scrubbed.is_null(), "a number got out: {text}");
}

fn keys() -> &'static StorageKeys {
    static KEYS: OnceLock<StorageKeys> = OnceLock::new();
    KEYS.get_or_init(|| StorageKeys::load(&repository("keys")).unwrap())
}
