//! One bad delivery never stops the others: after a failed batch each is tried alone.

use std::time::Duration;

use super::turns::Turns;
use super::{Processor, opening};
use crate::store::{StoreError, Waiting};

/// A delivery that fails alone this often is set aside, so that it does not stop the others.
const ATTEMPTS_ALONE: u32 = 3;
const PAUSE_ALONE: Duration = Duration::from_millis(200);

impl Processor {
    /// After a batch failed for a reason that does not pass by itself: tries its deliveries one by
    /// one, so that one of them does not stop the others. Returns how many were moved on.
    pub(super) fn isolate_after(&self, error: StoreError) -> Result<usize, StoreError> {
        if error.is_passing() {
            return Err(error);
        }
        log::error!("a batch failed, its deliveries are tried one by one: {error}");
        let batch = i64::from(self.settings.batch);
        let mut moved = 0;
        for sequence in self.store.read(|tx| tx.waiting_sequences(batch))? {
            match self.try_alone(sequence) {
                Ok(decided) => moved += decided,
                Err(error) if error.is_passing() => return Err(error),
                Err(error) => log::error!("delivery {sequence} cannot be set aside: {error}"),
            }
        }
        if moved == 0 { Err(error) } else { Ok(moved) }
    }

    /// Decides one delivery, or quarantines it after some failures of its own.
    fn try_alone(&self, sequence: i64) -> Result<usize, StoreError> {
        let alone = Waiting::This(sequence);
        let (keyring, turns) = (self.keys.keyring(), Turns::default());
        for attempt in 1..=ATTEMPTS_ALONE {
            match self.attempt(alone, &turns, |deliveries| {
                self.open(deliveries, &keyring, 1)
            }) {
                Ok(decided) => return Ok(decided),
                Err(error) if error.is_passing() => return Err(error),
                Err(error) => log::error!("delivery {sequence} failed, attempt {attempt}: {error}"),
            }
            std::thread::sleep(PAUSE_ALONE);
        }
        log::error!("delivery {sequence} is quarantined: it cannot be processed");
        self.attempt(alone, &turns, |deliveries| {
            deliveries.into_iter().map(opening::set_aside).collect()
        })
    }
}
