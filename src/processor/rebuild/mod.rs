//! Recomputes a card from its recorded inputs and compares it with what is stored.
//!
//! Inputs go away in time: a card that ends loses its numbers, retention removes what is old. What
//! stays is compared all the same, as far as it decides.

mod inputs;
mod registers;
mod shown;

use std::collections::{BTreeSet, HashMap};

use crate::domain::{Card, CardId, Policy, UnknownCardPolicy, decide};
use crate::jose::KeyedDigest;
use crate::store::{StoreError, StoredBeside, Tx};

use inputs::{Placed, placed};

/// How far a card could be recomputed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    Whole,
    /// It has ended, and its numbers are wiped: everything but them.
    WithoutNumbers,
    /// Some inputs are not kept any more: the registers that a kept input could set.
    Partly,
    /// Nothing is kept of it.
    Erased,
}

/// A register whose stored value is not the one its inputs lead to. Never holds a full number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    pub register: String,
    pub stored: String,
    pub recomputed: String,
}

/// A card, recomputed and compared.
#[derive(Debug)]
pub struct Rebuilt {
    pub extent: Extent,
    /// Inputs that are not kept any more, or without the number they brought.
    pub not_kept: usize,
    pub differences: Vec<Difference>,
}

impl Rebuilt {
    fn one(register: &str, stored: String, recomputed: &str) -> Self {
        let difference = Difference {
            register: register.to_owned(),
            stored,
            recomputed: recomputed.to_owned(),
        };
        Self {
            extent: Extent::Whole,
            not_kept: 0,
            differences: vec![difference],
        }
    }

    /// A card that inputs were decided for, and that has no row.
    pub fn without_row() -> Self {
        Self::one("card", "no row".to_owned(), "inputs were decided for it")
    }
}

/// What the kept inputs of a card lead to.
struct Recomputed {
    card: Card,
    /// The identity of each item, by its place of arrival.
    identities: HashMap<(i64, i32), KeyedDigest>,
    not_kept: usize,
    /// Whether an input is missing that may have set any register.
    has_gap: bool,
    /// Whether values decided between inputs of one event time.
    has_equal_times: bool,
}

/// Recomputes cards by the rules and the settings in force.
pub struct Rebuild {
    policy: Policy,
}

impl Rebuild {
    pub fn new(policy: Policy) -> Self {
        Self {
            policy: Policy {
                // What was decided on a card was not parked, also if its registration is not kept.
                unknown_card: UnknownCardPolicy::Adopt,
                ..policy
            },
        }
    }

    /// Recomputes a card within one snapshot; nothing where it has neither a row nor an input. What cannot
    /// be read is a difference.
    pub fn card(&self, tx: &mut Tx<'_>, id: &CardId) -> Result<Option<Rebuilt>, StoreError> {
        let stored = match tx.card(id) {
            Ok(row) => row.map(|row| row.card),
            Err(error) => return unreadable("state", error).map(Some),
        };
        if let Some(erased) = stored.as_ref().filter(|card| card.erased_at.is_some()) {
            return Ok(Some(Rebuilt {
                extent: Extent::Erased,
                not_kept: usize::try_from(erased.inputs_decided).unwrap_or(0),
                differences: Vec::new(),
            }));
        }
        let beside = tx.stored_beside(id)?;
        let inputs = match placed(tx, id, &self.policy) {
            Ok(inputs) => inputs,
            Err(error) => return unreadable("inputs", error).map(Some),
        };
        Ok(match stored {
            Some(stored) => Some(self.compare(stored, &beside, inputs)),
            None if inputs.is_empty() => None,
            None => Some(Rebuilt::without_row()),
        })
    }

    fn compare(&self, stored: Card, beside: &StoredBeside, inputs: Vec<Placed>) -> Rebuilt {
        let mut recomputed = self.recompute(&stored, inputs);
        take_over_digest(&stored, &mut recomputed);
        let extent = match (recomputed.has_gap, stored.terminal.is_some()) {
            (true, _) => Extent::Partly,
            (false, true) => Extent::WithoutNumbers,
            (false, false) => Extent::Whole,
        };
        let mut differences = registers::beside(&stored, beside);
        differences.extend(match extent {
            Extent::Partly => {
                registers::where_decided(&stored, &recomputed.card, recomputed.has_equal_times)
            }
            _ => registers::all(&stored, &recomputed.card, extent == Extent::Whole),
        });
        Rebuilt {
            extent,
            not_kept: recomputed.not_kept,
            differences,
        }
    }

    fn recompute(&self, stored: &Card, mut inputs: Vec<Placed>) -> Recomputed {
        inputs.sort_by_key(|placed| placed.order);
        let has_ended = stored.terminal.is_some();
        let orders: BTreeSet<i64> = inputs.iter().map(|placed| placed.order).collect();
        let absent = stored.inputs_decided - orders.len() as i64;
        let absent = usize::try_from(absent).unwrap_or(0);
        let mut recomputed = Recomputed {
            card: Card::new(stored.id.clone()),
            identities: HashMap::new(),
            not_kept: absent,
            has_gap: absent > 0,
            has_equal_times: inputs.iter().any(|placed| placed.is_equal_time),
        };
        let mut card = None;
        for placed in inputs {
            if placed.lacks_number || placed.input.is_none() {
                recomputed.not_kept += 1;
                // Of a card that has ended the numbers are not compared.
                recomputed.has_gap |= !(placed.lacks_number && has_ended);
            }
            recomputed.identities.extend(placed.identity);
            if let Some(input) = placed.input {
                let mut decision = decide(card, input, &self.policy);
                if placed.hands_out {
                    decision.hand_out_cryptogram();
                }
                card = decision.card;
            }
            if let Some(card) = &mut card {
                card.inputs_decided = placed.order;
            }
        }
        if let Some(card) = card {
            recomputed.card = card;
        }
        recomputed
    }
}

/// The digest of the latest item may be written under an earlier key: the same all the same.
fn take_over_digest(stored: &Card, recomputed: &mut Recomputed) {
    let digest = |card: &Card| card.latest_item.as_ref()?.digest.clone();
    let Some(latest) = &mut recomputed.card.latest_item else {
        return;
    };
    let identity = recomputed.identities.get(&(latest.sequence, latest.index));
    if let (Some(identity), Some(stored)) = (identity, digest(stored))
        && identity.is(&stored)
    {
        latest.digest = Some(stored);
    }
}

/// What cannot be read is told as a difference; a database that cannot be reached is an error.
fn unreadable(register: &str, error: StoreError) -> Result<Rebuilt, StoreError> {
    match error {
        StoreError::Damaged(_) | StoreError::Sealed(_) => {
            let recomputed = "cannot be compared";
            Ok(Rebuilt::one(register, error.to_string(), recomputed))
        }
        error => Err(error),
    }
}
