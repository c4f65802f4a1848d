//! The secrets that the tests work with, in one place: none of them may be found in anything that is told.

/// What the numbers of tests and sandbox begin with; the first six alone are the sandbox's range.
pub const NUMBERS: [&str; 3] = ["5480980000", "559876543210", "998877665544"];
/// Cryptograms, tokens of the bank.
pub const TEXTS: [&str; 4] = [
    "a demonstration cryptogram",
    "s9UCfCNN0YMk4ZOyZX8pWAt",
    "SRrSBe5DOb7lrZ_FS46fihty",
    "_T4wQm0nV2xJ8cLr5hYdGz1K",
];
/// The cryptogram that tests put in Checkout's place.
pub const CRYPTOGRAM: &str = TEXTS[0];
/// Numbers in this range come from the sandbox.
pub const SANDBOX_RANGE: &str = "548098";

/// Both kinds, to be looked for.
pub fn all() -> Vec<Vec<u8>> {
    let texts = NUMBERS.iter().chain(&TEXTS);
    texts.map(|text| text.as_bytes().to_vec()).collect()
}
