//! What must hold for every input whatever: nothing panics, nothing forged opens, no number gets out.
//!
//! [`checks`] holds the properties; here they are put to generated inputs, in `fuzz/` to a fuzzer's.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may fail where it stands"
)]

mod body;
mod checks;
mod generated;
mod guard;
mod plaintext;
mod settings;
mod upstream;
