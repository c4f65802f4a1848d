//! Decides the items of a batch and writes everything that follows, in one transaction.

use std::collections::{BTreeSet, HashMap, HashSet};

use super::opening::{Opened, OpenedItem, OpenedPayment, Part};
use super::rows::{Origin, bare_row, is_effective, status_word};
use crate::domain::{
    Card, CardId, Decision, Event, Hold, Input, Job, JobKind, Notice, Payment, Policy, Rank, Rule,
    TraceStep, Verdict, decide, without_full_numbers,
};
use crate::jose::{KeyedDigest, json::canonical};
use crate::store::{DecidedBefore, DeliveryState, DueCall, NotificationRow, StoreError, Tx};

/// What a batch came to.
#[derive(Default)]
pub struct Applied {
    pub deliveries: usize,
    /// The verdict on each item, with its receipt (milliseconds since 1970, UTC).
    pub items: Vec<(Verdict, i64)>,
}

/// Decides a batch in the order of arrival and writes cards, tokens, verdicts and calls.
pub fn apply(
    tx: &mut Tx<'_>,
    opened: Vec<Opened>,
    policy: &Policy,
    now: i64,
) -> Result<Applied, StoreError> {
    if opened.is_empty() {
        return Ok(Applied::default());
    }
    let deliveries = opened.len();
    let parts = opened.iter().flat_map(|delivery| &delivery.parts);
    let items: Vec<&OpenedItem> = parts.filter_map(Part::item).collect();
    let sequences: Vec<i64> = opened.iter().map(|delivery| delivery.sequence).collect();
    let mut batch = Batch::load(tx, &items, &sequences, policy, now)?;
    for delivery in opened {
        batch.decide_delivery(delivery);
    }
    let rows = batch.new.iter().chain(&batch.again);
    let items = rows.map(|row| (row.verdict, row.received_at)).collect();
    batch.write(tx)?;
    Ok(Applied { deliveries, items })
}

/// Judges one recorded item anew, with the rank it always had. An item whose row says that it was
/// held is recorded anew; the row of any other one stays as it is.
pub fn judge_again(
    tx: &mut Tx<'_>,
    origin: Origin,
    item: OpenedItem,
    was_held: bool,
    policy: &Policy,
    now: i64,
) -> Result<NotificationRow, StoreError> {
    let mut batch = Batch::load(tx, &[&item], &[origin.sequence], policy, now)?;
    if batch.is_damaged(&item.item.card_id) {
        return Err(StoreError::Damaged("the item's card cannot be read"));
    }
    let mut before = None;
    if was_held {
        before = batch.before.remove(&(origin.sequence, origin.index));
        // Its own record does not make it a duplicate.
        let of_item = |known: &String| item.identity.as_ref().is_some_and(|i| i.is(known));
        batch.known.retain(|known| !of_item(known));
    }
    let row = batch.decide_item(origin, item, before);
    if was_held {
        batch.again.push(row.clone());
    }
    batch.write(tx)?;
    Ok(row)
}

/// Writes the digest of the card's latest item as it is written now, if this is it under an earlier key.
fn renew_latest(card: &mut Card, identity: &KeyedDigest) {
    let latest = card.latest_item.as_mut();
    if let Some(digest) = latest.and_then(|latest| latest.digest.as_mut())
        && identity.is(digest)
    {
        digest.clone_from(&identity.text);
    }
}

struct Batch<'a> {
    policy: &'a Policy,
    now: i64,
    /// None for one whose row is damaged.
    cards: HashMap<CardId, Option<Card>>,
    touched: BTreeSet<CardId>,
    known: HashSet<String>,
    before: HashMap<(i64, i32), DecidedBefore>,
    new: Vec<NotificationRow>,
    again: Vec<NotificationRow>,
    jobs: Vec<(CardId, Job, String)>,
    events: Vec<(CardId, Event)>,
    /// Cards for which no cryptogram is due any more.
    withdrawn: BTreeSet<CardId>,
    done: Vec<i64>,
    held: Vec<i64>,
}

impl<'a> Batch<'a> {
    /// Locks the cards, then reads what there is of them: in this order, so that nothing another
    /// process decided in between is missed.
    fn load(
        tx: &mut Tx<'_>,
        items: &[&OpenedItem],
        sequences: &[i64],
        policy: &'a Policy,
        now: i64,
    ) -> Result<Self, StoreError> {
        let ids: BTreeSet<CardId> = items.iter().map(|item| item.item.card_id.clone()).collect();
        let identities = items.iter().filter_map(|item| item.identity.as_ref());
        let identities: Vec<String> = identities.flat_map(KeyedDigest::forms).cloned().collect();
        tx.lock_cards(&ids)?;
        Ok(Self {
            policy,
            now,
            cards: tx.load_cards(&ids)?,
            touched: BTreeSet::new(),
            known: tx.known_identities(&identities)?,
            before: tx.decided_before(sequences)?,
            new: Vec::new(),
            again: Vec::new(),
            jobs: Vec::new(),
            events: Vec::new(),
            withdrawn: BTreeSet::new(),
            done: Vec::new(),
            held: Vec::new(),
        })
    }

    fn decide_delivery(&mut self, delivery: Opened) {
        let mut is_held = false;
        for (index, part) in (0_i32..).zip(delivery.parts) {
            let origin = Origin {
                delivery_id: delivery.id.clone(),
                sequence: delivery.sequence,
                index,
                received_at: delivery.received_at,
            };
            // Also where an earlier item's row stands in this place: what waits behind it still waits.
            is_held |= matches!(part, Part::Held(hold) if hold.may_open_later());
            let before = self.before.remove(&(origin.sequence, index));
            if before.as_ref().is_some_and(|before| before.is_final) {
                continue;
            }
            let judged_before = before.is_some();
            let row = match part {
                Part::Held(hold) => self.held_row(origin, hold, None, before),
                Part::Item(item) if self.is_damaged(&item.item.card_id) => {
                    let card_id = Some(item.item.card_id);
                    self.held_row(origin, Hold::PROCESSING_FAILED, card_id, before)
                }
                Part::Item(item) => self.decide_item(origin, *item, before),
            };
            is_held |= row.verdict.hold().is_some_and(Hold::may_open_later);
            if judged_before {
                self.again.push(row);
            } else {
                self.new.push(row);
            }
        }
        if is_held {
            self.held.push(delivery.sequence);
        } else {
            self.done.push(delivery.sequence);
        }
    }

    fn is_damaged(&self, id: &CardId) -> bool {
        matches!(self.cards.get(id), Some(None))
    }

    fn decide_item(
        &mut self,
        origin: Origin,
        opened: OpenedItem,
        before: Option<DecidedBefore>,
    ) -> NotificationRow {
        let (earlier_changes, earlier) = match before {
            Some(before) => (before.changes, before.decisions),
            None => Default::default(),
        };
        let OpenedItem {
            item,
            payment,
            identity,
        } = opened;
        let (payment, plaintext) = match payment {
            OpenedPayment::Absent => (Payment::Absent, None),
            OpenedPayment::Data { data, plaintext } => (Payment::Opened(data), Some(plaintext)),
            OpenedPayment::Unreadable(hold) => (Payment::Unreadable(hold), None),
        };
        let rank = match item.event_time {
            Some(time) => Rank::timed(time),
            None => Rank::untimed(origin.received_at, origin.sequence, origin.index),
        };
        // Without a time and an id, an equal item may be another event.
        let is_told_apart = !rank.is_untimed() || item.event_id.is_some();
        let is_known = |identity: &KeyedDigest| identity.forms().any(|id| self.known.contains(id));
        let is_known = is_told_apart && identity.as_ref().is_some_and(is_known);
        let status_word = status_word(&item.status);
        let notice = Notice {
            card_id: item.card_id.clone(),
            rank,
            received_at: origin.received_at,
            sequence: origin.sequence,
            index: origin.index,
            digest: identity.as_ref().map(|identity| identity.text.clone()),
            is_known,
            status: item.status,
            masked: item.masked,
            payment,
            earlier_changes,
        };
        let mut card = self.cards.remove(&item.card_id).flatten();
        if let (Some(card), Some(identity)) = (&mut card, &identity) {
            renew_latest(card, identity);
        }
        let decision = decide(card, Input::Notice(notice), self.policy);
        log::debug!(delivery:% = origin.delivery_id, index = origin.index,
            verdict = decision.verdict.name(), rule = decision.rule.0; "item decided");
        let identity_is_unique = is_told_apart && is_effective(decision.verdict);
        if let Some(identity) = identity.as_ref().filter(|_| identity_is_unique) {
            self.known.insert(identity.text.clone());
        }
        let after = decision.card.as_ref();
        let ended = after.is_some_and(|card| card.terminal.is_some());
        let erased = after.is_some_and(|card| card.erased_at.is_some());
        NotificationRow {
            card_id: Some(item.card_id.as_str().to_owned()),
            card_order: decision.card.as_ref().map_or(0, |card| card.inputs_decided),
            event_time: item.event_time,
            reason: item.reason,
            status: status_word,
            identity,
            identity_is_unique,
            // The number has a column of its own, which is wiped when the card ends.
            content: Some(canonical(&without_full_numbers(&item.content))).filter(|_| !erased),
            // An ended card keeps no number, not even in the record.
            payment: plaintext.filter(|_| !ended),
            earlier,
            ..self.take_in(origin, item.card_id, decision)
        }
    }

    /// Keeps the card as decided and the calls that follow; returns the row's part of the decision.
    fn take_in(&mut self, origin: Origin, card_id: CardId, decision: Decision) -> NotificationRow {
        let notification_id = format!("{}.{}", origin.delivery_id, origin.index);
        if decision.no_longer_due {
            // Those of this batch are not written yet.
            let is_call = |(id, job, _): &(CardId, Job, String)| {
                *id == card_id && job.kind != JobKind::GetCard
            };
            self.jobs.retain(|queued| !is_call(queued));
            self.withdrawn.insert(card_id.clone());
        }
        for job in decision.jobs {
            self.jobs
                .push((card_id.clone(), job, notification_id.clone()));
        }
        let events = decision.events.into_iter();
        self.events
            .extend(events.map(|event| (card_id.clone(), event)));
        if let Some(card) = decision.card {
            self.touched.insert(card_id.clone());
            self.cards.insert(card_id, Some(card));
        }
        NotificationRow {
            flags: decision.flags,
            changes: decision.changes,
            trace: decision.trace,
            ..bare_row(origin, decision.verdict, decision.rule, self.now)
        }
    }

    /// The row of something no card can be decided upon.
    fn held_row(
        &self,
        origin: Origin,
        hold: Hold,
        card_id: Option<CardId>,
        before: Option<DecidedBefore>,
    ) -> NotificationRow {
        let verdict = match hold {
            Hold::BOTH_FORMS => Verdict::Parked(hold),
            _ => Verdict::Quarantined(hold),
        };
        let step = format!("not decided: {}", hold.0);
        NotificationRow {
            card_id: card_id.map(|id| id.as_str().to_owned()),
            trace: vec![TraceStep {
                register: "delivery".to_owned(),
                step,
            }],
            earlier: before.map(|before| before.decisions).unwrap_or_default(),
            ..bare_row(origin, verdict, Rule::NOT_READABLE, self.now)
        }
    }

    fn write(self, tx: &mut Tx<'_>) -> Result<(), StoreError> {
        let cards = self.touched.iter();
        let cards = cards.filter_map(|id| self.cards.get(id)?.as_ref());
        let cards: Vec<_> = cards
            .map(|card| (card, self.policy.program_of(card)))
            .collect();
        tx.save_cards(&cards, self.now)?;
        tx.record(&self.new, &self.again)?;
        tx.set_delivery_state(&self.done, DeliveryState::Done)?;
        tx.set_delivery_state(&self.held, DeliveryState::Held)?;
        let withdrawn: Vec<&str> = self.withdrawn.iter().map(CardId::as_str).collect();
        tx.withdraw_cryptogram_calls(&withdrawn, self.now)?;
        let due = self.jobs.iter().map(|(card_id, job, source)| DueCall {
            card_id,
            job,
            source: Some(source),
        });
        tx.queue_jobs(&due.collect::<Vec<_>>(), self.now)?;
        let ended = cards.iter().filter(|(card, _)| card.terminal.is_some());
        for (card, _) in ended {
            tx.wipe_numbers(&card.id)?;
            tx.settle_jobs_of_ended(card, self.now)?;
            if card.erased_at.is_some() {
                tx.erase_items(&card.id)?;
            }
        }
        let told: Vec<(&CardId, &Event)> =
            self.events.iter().map(|(id, event)| (id, event)).collect();
        tx.tell(&told, self.now)?;
        if !self.again.is_empty() {
            tx.wipe_bodies_with_ended_cards(&self.done)?;
        }
        Ok(())
    }
}
