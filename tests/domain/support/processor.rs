//! A processor of one card, in memory: what the real one does around `decide`, without a database.

use std::collections::{HashMap, HashSet};

use tokenkeep::domain::{
    Card, Change, CryptogramState, Decision, Hold, Input, JobKind, Notice, Policy, Rank,
    TokenNumber, Verdict, decide,
};

use super::item::{Item, Register, card_id};
use super::state::State;

/// Receipts begin here; event times of the tests are smaller unless a test says otherwise.
pub const FIRST_RECEIPT: i64 = 1_000_000;
const BETWEEN_RECEIPTS: i64 = 1_000;

/// An item at its place of arrival.
#[derive(Debug, Clone)]
pub struct Arrival {
    pub item: Item,
    pub sequence: i64,
    pub index: i32,
    pub received_at: i64,
}

#[derive(Default)]
pub struct Processor {
    pub policy: Policy,
    pub card: Option<Card>,
    /// Checkout answers every call for a cryptogram at once; otherwise never.
    pub checkout_answers: bool,
    /// The number Checkout gave the latest cryptogram for.
    cryptogram_of: Option<TokenNumber>,
    known: HashSet<String>,
    /// What items judged with a part held back have changed so far.
    earlier: HashMap<(i64, i32), Vec<Change>>,
    /// Notifications that wait for the card to be registered.
    parked: Vec<Arrival>,
    deliveries: i64,
}

impl Processor {
    pub fn new() -> Self {
        Self::default()
    }

    pub fn following(policy: Policy) -> Self {
        Self {
            policy,
            ..Self::default()
        }
    }

    /// A processor that has received these items, one a delivery.
    pub fn after(items: &[Item]) -> Self {
        let mut processor = Self::new();
        for item in items {
            processor.receive(item);
        }
        processor
    }

    /// A delivery of one item.
    pub fn receive(&mut self, item: &Item) -> Decision {
        let received_at = FIRST_RECEIPT + (self.deliveries + 1) * BETWEEN_RECEIPTS;
        self.receive_at(item, received_at)
    }

    pub fn receive_at(&mut self, item: &Item, received_at: i64) -> Decision {
        self.deliveries += 1;
        self.process(&Arrival {
            item: item.clone(),
            sequence: self.deliveries,
            index: 0,
            received_at,
        })
    }

    /// One delivery of several items.
    pub fn receive_batch(&mut self, items: &[Item]) -> Vec<Decision> {
        let sequence = self.deliveries + 1;
        self.deliveries = sequence;
        let received_at = FIRST_RECEIPT + sequence * BETWEEN_RECEIPTS;
        let arrivals = (0..).zip(items).map(|(index, item)| Arrival {
            item: item.clone(),
            sequence,
            index,
            received_at,
        });
        arrivals.map(|arrival| self.process(&arrival)).collect()
    }

    /// Decides an item at its place of arrival: for the first time, again, or after a key has come.
    pub fn process(&mut self, arrival: &Arrival) -> Decision {
        let Arrival { item, .. } = arrival;
        self.deliveries = self.deliveries.max(arrival.sequence);
        let (sequence, index, received_at) = (arrival.sequence, arrival.index, arrival.received_at);
        let digest = item.digest();
        let is_timed = item.time.is_some();
        let is_known = is_timed && digest.as_ref().is_some_and(|d| self.known.contains(d));
        let notice = Notice {
            card_id: card_id(),
            rank: match item.time {
                Some(time) => Rank::timed(time),
                None => Rank::untimed(received_at, sequence, index),
            },
            received_at,
            sequence,
            index,
            digest: digest.clone(),
            is_known,
            status: item.status.clone(),
            masked: item.masked.clone(),
            payment: item.payment(),
            earlier_changes: self.earlier.remove(&(sequence, index)).unwrap_or_default(),
        };
        let decision = self.decide(Input::Notice(notice));
        let may_open_later = decision.verdict.hold().is_some_and(Hold::may_open_later);
        if decision.verdict == Verdict::Parked(Hold::UNKNOWN_CARD) {
            self.parked.push(arrival.clone());
        } else if may_open_later {
            let changes = decision.changes.clone();
            self.earlier.insert((sequence, index), changes);
        } else if is_timed && decision.verdict != Verdict::Duplicate {
            self.known.extend(digest);
        }
        decision
    }

    /// A registration; what was parked for it is decided afterwards.
    pub fn register(&mut self, registration: &Register) -> Decision {
        let received_at = FIRST_RECEIPT + self.deliveries * BETWEEN_RECEIPTS;
        let decision = self.decide(Input::Registration(registration.input(received_at)));
        for arrival in std::mem::take(&mut self.parked) {
            self.process(&arrival);
        }
        decision
    }

    pub fn decide(&mut self, input: Input) -> Decision {
        let decision = decide(self.card.take(), input, &self.policy);
        self.card = decision.card.clone();
        let asks_checkout = jobs(&decision).contains(&"cryptogram");
        if self.checkout_answers && asks_checkout {
            self.hold_cryptogram(CryptogramState::Stored);
            self.cryptogram_of = self.number();
        }
        decision
    }

    /// As if Checkout had answered (and the cryptogram had been handed out, or had run out).
    pub fn hold_cryptogram(&mut self, state: CryptogramState) {
        self.card.as_mut().unwrap().cryptogram = Some(state);
    }

    pub fn card(&self) -> &Card {
        self.card.as_ref().unwrap()
    }

    /// The state of the card, after a look at the cryptogram: it belongs to the number we hold.
    pub fn state(&self) -> State {
        let state = State::of(self.card());
        if self.checkout_answers && state.has_cryptogram {
            assert!(self.cryptogram_of == self.number(), "of another number");
        }
        state
    }

    fn number(&self) -> Option<TokenNumber> {
        let token = self.card().token.as_ref();
        token.map(|token| token.number.clone())
    }

    /// (`version`, `numberVersion`).
    pub fn versions(&self) -> (u32, u32) {
        (self.card().version, self.card().number_version)
    }
}

/// The kinds of calls a decision makes necessary.
pub fn jobs(decision: &Decision) -> Vec<&'static str> {
    decision.jobs.iter().map(|job| job.kind.name()).collect()
}

/// The number version a decision asks a cryptogram for.
pub fn cryptogram_job(decision: &Decision) -> Option<u32> {
    decision.jobs.iter().find_map(|job| match job.kind {
        JobKind::Cryptogram { number_version } => Some(number_version),
        JobKind::GetCard | JobKind::DeleteCard | JobKind::ReadTokens => None,
    })
}

/// Verdict and rule by name.
pub fn verdict(decision: &Decision) -> (&'static str, &'static str) {
    (decision.verdict.name(), decision.rule.0)
}
