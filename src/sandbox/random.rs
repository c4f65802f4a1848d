//! Choices that follow from a seed, so that a run can be had again.

use openssl::error::ErrorStack;
use openssl::rand::rand_bytes;

/// SplitMix64: good enough to choose with, and nothing to keep a secret with.
#[derive(Clone)]
pub(super) struct Random(u64);

/// A seed nobody has chosen.
pub(super) fn new_seed() -> Result<u64, ErrorStack> {
    let mut bytes = [0; 8];
    rand_bytes(&mut bytes)?;
    Ok(u64::from_le_bytes(bytes))
}

impl Random {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Another row of choices, which follows from this one.
    pub(super) fn fork(&mut self) -> Self {
        Self(self.next())
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `bound`; 0 where there is none.
    pub(super) fn below(&mut self, bound: usize) -> usize {
        let bound = bound as u64;
        let number = self.next().checked_rem(bound).unwrap_or_default();
        usize::try_from(number).unwrap_or_default()
    }

    /// True once in `times`, on average.
    pub(super) fn one_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }

    pub(super) fn bytes<const LENGTH: usize>(&mut self) -> [u8; LENGTH] {
        std::array::from_fn(|_| self.below(256) as u8)
    }
}
