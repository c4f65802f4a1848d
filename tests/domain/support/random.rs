//! Random items and histories, the same for the same seed.

use super::item::{Item, Register, reports};
use super::{EXPIRY_1, EXPIRY_2, NUMBER_1, NUMBER_2, NUMBER_3};

/// SplitMix64: small, seeded, the same on every machine.
pub struct Random(u64);

impl Random {
    pub fn seeded(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number of `0..end`.
    pub fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % end as u64).unwrap()
    }

    /// True once in `odds` times.
    pub fn once_in(&mut self, odds: usize) -> bool {
        self.below(odds) == 0
    }

    pub fn one_of<T: Clone>(&mut self, things: &[T]) -> T {
        things[self.below(things.len())].clone()
    }

    pub fn shuffle<T>(&mut self, things: &mut [T]) {
        for last in (1..things.len()).rev() {
            things.swap(last, self.below(last + 1));
        }
    }

    /// These things in another order, some of them several times.
    pub fn shuffled_with_repeats<T: Clone>(&mut self, things: &[T]) -> Vec<T> {
        let mut arrivals = things.to_vec();
        for _ in 0..self.below(things.len() + 2) {
            arrivals.push(self.one_of(things));
        }
        self.shuffle(&mut arrivals);
        arrivals
    }
}

/// Masked fields and the values random items give them.
const FIELDS: [(&str, [&str; 3]); 5] = [
    ("panLastFour", ["1111", "2222", "3333"]),
    (
        "digitalCardData.descriptorName",
        ["Blue", "Gold", "Goldcard"],
    ),
    ("tokenLastFour", ["1001", "2002", "9009"]),
    ("tokenExpirationMonth", ["01", "07", "11"]),
    ("tokenExpirationYear", ["2030", "2031", "2039"]),
];

/// What may appear in random items beside ACTIVE, SUSPENDED, refreshes and masked fields.
#[derive(Clone, Copy)]
pub struct Spice {
    pub cancelled: bool,
    pub unknown_status: bool,
    pub unreadable: bool,
}

impl Spice {
    pub const NONE: Self = Self {
        cancelled: false,
        unknown_status: false,
        unreadable: false,
    };
    pub const ALL: Self = Self {
        cancelled: true,
        unknown_status: true,
        unreadable: true,
    };
}

/// An item whose event time is one of few, so that equal times are common.
pub fn item(random: &mut Random, spice: Spice) -> Item {
    let time = 100 * i64::try_from(1 + random.below(5)).unwrap();
    let word = match random.below(20) {
        0 if spice.cancelled => "CANCELLED",
        1 | 2 if spice.unknown_status => "LOST",
        3..=11 => "SUSPENDED",
        _ => "ACTIVE",
    };
    let mut item = reports(word, time);
    if random.once_in(2) {
        let number = random.one_of(&[NUMBER_1, NUMBER_2, NUMBER_3]);
        item = item.refresh(number, random.one_of(&[EXPIRY_1, EXPIRY_2]));
        item.is_unreadable = spice.unreadable && random.once_in(5);
    }
    for (field, values) in &FIELDS {
        if random.once_in(3) {
            item = item.with(field, random.one_of(values));
        }
    }
    item.remark(random.one_of(&["", "another reason"]))
}

/// One to nine items, no two the same.
pub fn items(random: &mut Random, spice: Spice) -> Vec<Item> {
    let mut items = Vec::new();
    for _ in 0..=random.below(9) {
        let item = item(random, spice);
        if !items.contains(&item) {
            items.push(item);
        }
    }
    items
}

/// In half of the histories a registration. Its number is never one that a refresh brings.
pub fn registration(random: &mut Random) -> Option<Register> {
    if random.once_in(2) {
        return None;
    }
    let mut registration = Register::under("shop").with("panLastFour", "0000");
    if random.once_in(2) {
        registration = registration.token("5204740000000000", EXPIRY_1);
    }
    Some(registration.with("panExpirationYear", "2032"))
}
