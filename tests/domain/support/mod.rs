//! What the tests share: items as a test writes them, a tiny processor, the state that is compared.

pub mod answers;
pub mod arrangements;
pub mod item;
pub mod model;
pub mod processor;
pub mod random;
pub mod state;

pub use item::{Item, Register, active, cancelled, reports, suspended};
pub use processor::{Arrival, Processor};
pub use state::State;

/// Token numbers and expiries of no real card, in ascending order.
pub const NUMBER_1: &str = "5204740000001001";
pub const NUMBER_2: &str = "5204740000002002";
pub const NUMBER_3: &str = "5204740000003003";
pub const EXPIRY_1: &str = "01/2030";
pub const EXPIRY_2: &str = "07/2031";
/// An instant before any of these expiries.
pub const NOW: i64 = 1_800_000_000_000;
