//! What the compiler refuses, and what the repository must not hold.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may fail where it stands"
)]

mod repository;

/// Six types, each refused as `Debug`, as `Display` and as `Serialize`: the messages beside the files say so.
#[test]
fn p05_secrets_can_be_neither_printed_nor_serialised() {
    let cases = trybuild::TestCases::new();
    cases.compile_fail("tests/secrets/refused/*.rs");
    println!("P-05 6/6 types refused as Debug, Display and Serialize");
}
