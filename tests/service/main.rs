//! The service as its users meet it: real servers, real databases, real HTTP.
//!
//! Every test of the flow or the store runs on SQLite and on PostgreSQL. `tests/run` starts the
//! PostgreSQL they need.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may fail where it stands"
)]

mod support;

mod cancelled;
mod demo;
mod duplicates;
mod kills;
mod refreshes;
mod replay;
mod wire;
mod wire_digits;
mod wire_keys;
mod wire_masked;
mod wire_payment;
mod wire_text;
mod wire_times;
