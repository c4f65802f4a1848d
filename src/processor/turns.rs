//! Two lanes take batches by turns: while one writes, the other opens the next. They are written in the order in
//! which they were taken.

use std::collections::{BTreeMap, HashSet};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use crate::store::{Delivery, StoreError};

/// The batches in work.
#[derive(Default)]
pub(super) struct Turns {
    /// Held while a batch is taken: no two take the same deliveries, and who takes later ones writes later.
    taking: Mutex<()>,
    in_work: Mutex<InWork>,
    one_ended: Condvar,
}

#[derive(Default)]
struct InWork {
    next: u64,
    /// The sequences of their deliveries.
    batches: BTreeMap<u64, Vec<i64>>,
}

/// A batch's place in the order. It lasts until this is dropped.
pub(super) struct Turn<'a> {
    turns: &'a Turns,
    number: u64,
}

impl Turns {
    /// Takes a batch. `take` is told what is in work already.
    pub fn take(
        &self,
        take: impl FnOnce(&HashSet<i64>) -> Result<Vec<Delivery>, StoreError>,
    ) -> Result<(Turn<'_>, Vec<Delivery>), StoreError> {
        let _taking = lock(&self.taking);
        let others = HashSet::from_iter(self.in_work().batches.values().flatten().copied());
        let taken = take(&others)?;
        let mut in_work = self.in_work();
        let number = in_work.next;
        in_work.next += 1;
        let sequences = taken.iter().map(|delivery| delivery.sequence);
        in_work.batches.insert(number, sequences.collect());
        let turn = Turn {
            turns: self,
            number,
        };
        Ok((turn, taken))
    }

    fn in_work(&self) -> MutexGuard<'_, InWork> {
        lock(&self.in_work)
    }
}

impl Turn<'_> {
    /// Returns once every batch that was taken before has ended.
    pub fn wait(&self) {
        let is_later = |work: &mut InWork| work.batches.keys().next() != Some(&self.number);
        let turns = self.turns;
        // A lane that panicked has dropped its turn.
        drop(turns.one_ended.wait_while(turns.in_work(), is_later));
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.turns.in_work().batches.remove(&self.number);
        self.turns.one_ended.notify_all();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(sequences: &[i64]) -> Vec<Delivery> {
        let of = |sequence: &i64| Delivery {
            sequence: *sequence,
            id: String::new(),
            received_at: 0,
            body: None,
        };
        sequences.iter().map(of).collect()
    }

    #[test]
    fn what_one_lane_has_taken_the_other_is_told_until_it_has_ended() {
        let turns = Turns::default();
        let first = turns.take(|others| {
            assert!(others.is_empty());
            Ok(batch(&[1, 2]))
        });
        let second = turns.take(|others| {
            assert_eq!(*others, HashSet::from([1, 2]));
            Ok(batch(&[3]))
        });
        drop(first);
        let third = turns.take(|others| {
            assert_eq!(*others, HashSet::from([3]));
            Ok(Vec::new())
        });
        assert!(second.is_ok() && third.is_ok());
    }

    // Seen to fail without the wait.
    #[test]
    fn a_batch_that_was_taken_later_is_written_later_also_where_the_earlier_one_ends_by_a_panic() {
        let turns = Turns::default();
        let (first, _) = turns.take(|_| Ok(batch(&[1]))).expect("a batch");
        let (second, _) = turns.take(|_| Ok(batch(&[2]))).expect("a batch");
        let written = Mutex::new(Vec::new());
        std::thread::scope(|scope| {
            scope.spawn(|| {
                second.wait();
                lock(&written).push(2);
            });
            let earlier = scope.spawn(|| {
                let first = first;
                first.wait();
                lock(&written).push(1);
                std::panic::resume_unwind(Box::new(()));
            });
            assert!(earlier.join().is_err());
        });
        assert_eq!(*lock(&written), [1, 2]);
    }
}
