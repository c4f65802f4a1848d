//! Replays: new deliveries rehearsed, recorded items judged anew.

use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::apply::{apply, judge_again};
use super::opening::{Opened, open_all, open_item};
use super::rows::Origin;
use crate::audit::Act;
use crate::domain::{Change, Hold, Policy};
use crate::jose::{Keyring, StorageKeys, json::parse};
use crate::notification::Item;
use crate::store::{
    Delivery, Entry, KeptContent, NewDelivery, NotificationView, Replay, Store, StoreError, Tx,
};

/// What a replay of an item came to.
#[derive(Debug, Clone, PartialEq)]
pub struct Replayed {
    pub notification_id: String,
    pub card_id: Option<String>,
    pub verdict: String,
    pub hold: Option<String>,
    pub rule: String,
    pub changes: Vec<Change>,
}

impl From<NotificationView> for Replayed {
    fn from(view: NotificationView) -> Self {
        Self {
            notification_id: view.id,
            card_id: view.card_id,
            verdict: view.verdict,
            hold: view.hold,
            rule: view.rule,
            changes: view.changes,
        }
    }
}

/// Decides new deliveries by the real rules in a transaction that is undone. The keys do their work
/// before it begins.
pub fn rehearse_deliveries(
    store: &Store,
    keyring: &Keyring,
    policy: &Policy,
    new: &[NewDelivery],
    now: i64,
) -> Result<Vec<Replayed>, StoreError> {
    let received = new.iter().map(|new| Delivery {
        sequence: 0,
        id: new.id.clone(),
        received_at: new.received_at,
        body: Some(Zeroizing::new(new.body.clone())),
    });
    let opened = open_all(received.collect(), keyring, store.keys(), policy, 1);
    store.rehearse(|tx| {
        tx.insert_deliveries(new)?;
        let ids: Vec<String> = new.iter().map(|new| new.id.clone()).collect();
        let sequences = tx.sequences_of(&ids)?;
        let numbered = opened.into_iter().filter_map(|opened| {
            let sequence = *sequences.get(&opened.id)?;
            Some(Opened { sequence, ..opened })
        });
        apply(tx, numbered.collect(), policy, now)?;
        let mut sequences: Vec<i64> = sequences.into_values().collect();
        sequences.sort_unstable();
        let items = tx.items_of(&sequences)?;
        Ok(items.into_iter().map(Replayed::from).collect())
    })
}

/// Judges a recorded item anew, with the receipt, sequence and event time it always had, and
/// records who asked for it and why. What was applied is found to be known and changes nothing;
/// what was held gets the verdict it deserves now. `None` if there is no such item.
pub fn replay_stored(
    tx: &mut Tx<'_>,
    keyring: &Keyring,
    keys: &StorageKeys,
    policy: &Policy,
    asked: Replay,
) -> Result<Option<Replayed>, StoreError> {
    let Some(view) = tx.notification(&asked.notification_id)? else {
        return Ok(None);
    };
    let opens_later = view.hold.as_deref().is_some_and(Hold::named_may_open_later);
    let (replayed, card_order) = match tx.kept_content(&view.id)? {
        Some(content) if !opens_later => {
            judge_content(tx, &view, &content, keyring, keys, policy, asked.at)?
        }
        // What could not be opened is still in the delivery.
        _ => (reopen(tx, view, keyring, keys, policy, asked.at)?, None),
    };
    tx.record_replay(&Replay {
        verdict: replayed.verdict.clone(),
        rule: replayed.rule.clone(),
        changes: replayed.changes.clone(),
        card_order,
        ..asked.clone()
    })?;
    tx.audit(Entry {
        act: Act::NotificationReplayed,
        object: &replayed.notification_id,
        outcome: &replayed.verdict,
        details: json!({ "reason": asked.reason }),
        at: asked.at,
    })?;
    Ok(Some(replayed))
}

fn judge_content(
    tx: &mut Tx<'_>,
    view: &NotificationView,
    content: &KeptContent,
    keyring: &Keyring,
    keys: &StorageKeys,
    policy: &Policy,
    now: i64,
) -> Result<(Replayed, Option<i64>), StoreError> {
    let damaged = StoreError::Damaged("an item's content cannot be read");
    let Some(item) = item_of(view, content, policy) else {
        return Err(damaged);
    };
    let mut opened = open_item(item, keyring, keys);
    // The kept content is without full numbers: the identity is the one of the whole.
    opened.identity.clone_from(&content.identity);
    let origin = Origin {
        delivery_id: view.delivery_id.clone(),
        sequence: view.delivery_sequence,
        index: view.index,
        received_at: view.received_at,
    };
    let was_held = view.hold.is_some();
    let row = judge_again(tx, origin, opened, was_held, policy, now)?;
    let card_order = Some(row.card_order).filter(|order| !was_held && *order > 0);
    let replayed = Replayed {
        notification_id: view.id.clone(),
        changes: tx.shown_changes(row.card_id.as_deref(), row.changes)?,
        card_id: row.card_id,
        verdict: row.verdict.name().to_owned(),
        hold: row.verdict.hold().map(|hold| hold.0.to_owned()),
        rule: row.rule.to_owned(),
    };
    Ok((replayed, card_order))
}

/// The item as it was received, put together again.
fn item_of(view: &NotificationView, content: &KeptContent, policy: &Policy) -> Option<Item> {
    let item = Item::read(element_of(content)?, view.received_at, &policy.wire).ok()?;
    // It stands beside the content: in which field and form it came is forgotten.
    let event_time = view.event_time;
    Some(Item { event_time, ..item })
}

/// The element of an item with its payment data.
pub(super) fn element_of(content: &KeptContent) -> Option<Value> {
    let Value::Object(mut element) = parse(&content.element).ok()? else {
        return None;
    };
    if let Some(payment) = &content.payment {
        element.insert("paymentData".to_owned(), parse(payment).ok()?);
    }
    Some(Value::Object(element))
}

/// Decides the held parts of the delivery of an item anew.
fn reopen(
    tx: &mut Tx<'_>,
    view: NotificationView,
    keyring: &Keyring,
    keys: &StorageKeys,
    policy: &Policy,
    now: i64,
) -> Result<Replayed, StoreError> {
    let delivery = tx.read_deliveries(&[view.delivery_sequence])?;
    apply(
        tx,
        open_all(delivery, keyring, keys, policy, 1),
        policy,
        now,
    )?;
    let judged = tx.notification(&view.id)?.unwrap_or(view);
    Ok(judged.into())
}
