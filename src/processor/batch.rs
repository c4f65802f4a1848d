//! One batch: opened, decided and written in one transaction, as far as maintenance lets it.

use std::collections::HashSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;

use super::apply::{self, Applied};
use super::opening::{self, Opened};
use super::pacing::Inflow;
use super::turns::Turns;
use super::{BATCH_ITEMS, Processor};
use crate::jose::Keyring;
use crate::store::{Allowance, Delivery, StoreError, Tx, Waiting};

impl Processor {
    /// Decides what waits, in two lanes as long as each finds a whole batch and `goes_on` says so. Returns how many
    /// deliveries.
    pub(super) fn run_round(
        &self,
        inflow: &Inflow,
        goes_on: impl Fn() -> bool + Sync,
    ) -> Result<usize, StoreError> {
        let turns = Turns::default();
        let step = || {
            let begun = Instant::now();
            let decided = self.run_batch(&turns);
            inflow.rest(begun.elapsed());
            decided
        };
        let whole = self.settings.batch as usize;
        let first = step()?;
        if first < whole {
            return Ok(first);
        }
        let lane = || {
            let mut total = 0;
            while goes_on() {
                let decided = step()?;
                total += decided;
                if decided < whole {
                    break;
                }
            }
            Ok::<_, StoreError>(total)
        };
        let (one, other) = std::thread::scope(|scope| {
            let other = scope.spawn(lane);
            let one = lane();
            let other = other.join();
            (
                one,
                other.unwrap_or(Err(StoreError::Damaged("processing panicked"))),
            )
        });
        Ok(first + one? + other?)
    }

    /// Decides one batch; returns how many deliveries.
    pub(super) fn run_batch(&self, turns: &Turns) -> Result<usize, StoreError> {
        let keyring = self.keys.keyring();
        self.attempt(self.first(), turns, |deliveries| {
            self.open(deliveries, &keyring, self.settings.threads())
        })
    }

    /// The next batch.
    fn first(&self) -> Waiting {
        Waiting::First(i64::from(self.settings.batch))
    }

    pub(super) fn open(
        &self,
        deliveries: Vec<Delivery>,
        keyring: &Keyring,
        threads: usize,
    ) -> Vec<Opened> {
        let keys = self.store.keys();
        let opened = opening::open_all(deliveries, keyring, keys, &self.policy, threads);
        let operations = keyring.further_private_operations();
        self.metrics.private_operations(operations);
        opened
    }

    /// One attempt in one transaction; returns how many deliveries were decided.
    pub(super) fn attempt(
        &self,
        which: Waiting,
        turns: &Turns,
        open: impl FnOnce(Vec<Delivery>) -> Vec<Opened>,
    ) -> Result<usize, StoreError> {
        // A panic counts as a failure of the batch.
        let applied = catch_unwind(AssertUnwindSafe(|| self.decide(which, turns, open)))
            .unwrap_or(Err(StoreError::Damaged("processing panicked")))?;
        if applied.deliveries > 0 {
            if let Some(calls) = &self.calls {
                calls.give();
            }
            // What is committed stays so, whatever becomes of its figures.
            if catch_unwind(AssertUnwindSafe(|| self.measure(&applied))).is_err() {
                log::error!("a batch was decided, but measuring it panicked");
            }
        }
        Ok(applied.deliveries)
    }

    fn decide(
        &self,
        which: Waiting,
        turns: &Turns,
        open: impl FnOnce(Vec<Delivery>) -> Vec<Opened>,
    ) -> Result<Applied, StoreError> {
        if self.store.is_shared() {
            let mut turn = None;
            // Claimed by row locks, so opening happens inside the transaction.
            return self.store.write(|tx| {
                let allowance = tx.allowance(self.clock.now())?;
                // What is in work is locked.
                let take = |_: &_| allowed(tx, allowance, which, &HashSet::new());
                let (its, taken) = turns.take(take)?;
                let opened = bounded(open(taken));
                // Until after the commit.
                turn.insert(its).wait();
                self.apply(tx, opened, allowance)
            });
        }
        // SQLite's one write lock is not held while keys are at work.
        let now = self.clock.now();
        let (turn, taken) = turns.take(|others| {
            self.store.read(|tx| {
                let allowance = tx.allowance(now)?;
                allowed(tx, allowance, which, others)
            })
        })?;
        let mut opened = bounded(open(taken));
        if opened.is_empty() {
            return Ok(Applied::default());
        }
        turn.wait();
        self.store.write(|tx| {
            // Maintenance may have begun since, or another process have taken its share.
            let allowance = tx.allowance(self.clock.now())?;
            let sequences: Vec<i64> = opened.iter().map(|o| o.sequence).collect();
            let waiting = tx.still_waiting(&sequences)?;
            opened.retain(|o| waiting.contains(&o.sequence));
            match allowance {
                Allowance::All => {}
                Allowance::AtMost { count, .. } => {
                    opened.truncate(usize::try_from(count).unwrap_or(usize::MAX));
                }
                Allowance::Nothing => opened.clear(),
            }
            self.apply(tx, opened, allowance)
        })
    }

    fn apply(
        &self,
        tx: &mut Tx<'_>,
        opened: Vec<Opened>,
        allowance: Allowance,
    ) -> Result<Applied, StoreError> {
        let now = self.clock.now();
        let applied = apply::apply(tx, opened, &self.policy, now)?;
        if let Allowance::AtMost { pause, .. } = allowance
            && applied.deliveries > 0
        {
            tx.note_drained(now, pause)?;
        }
        Ok(applied)
    }

    fn measure(&self, applied: &Applied) {
        let now = self.clock.now();
        self.metrics.batch(applied.deliveries);
        for (verdict, received_at) in &applied.items {
            let seconds = now.saturating_sub(*received_at) as f64 / 1000.0;
            let hold = verdict.hold().map(|hold| hold.0);
            self.metrics.decided(verdict.name(), hold, seconds);
        }
    }
}

/// The waiting deliveries that may be processed now, without those that others have in work.
fn allowed(
    tx: &mut Tx<'_>,
    allowance: Allowance,
    which: Waiting,
    others: &HashSet<i64>,
) -> Result<Vec<Delivery>, StoreError> {
    let which = match (allowance, which) {
        (Allowance::Nothing, _) => return Ok(Vec::new()),
        (Allowance::AtMost { count, .. }, Waiting::First(limit)) => {
            Waiting::First(limit.min(count))
        }
        (_, which) => which,
    };
    tx.waiting_deliveries(which, others)
}

/// The first deliveries that hold no more than [`BATCH_ITEMS`] items together, but always one: each
/// item's card is locked. The others wait for the next batch.
fn bounded(mut opened: Vec<Opened>) -> Vec<Opened> {
    let mut items = 0;
    let fits = |delivery: &&Opened| {
        items += delivery.parts.len();
        items <= BATCH_ITEMS
    };
    let count = opened.iter().take_while(fits).count();
    opened.truncate(count.max(1));
    opened
}
