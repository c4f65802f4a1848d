//! The rules of card on file, tested exhaustively: every order of arrival, thousands of random
//! histories against an order-free model, and each rule by itself.
//!
//! Everything here is pure: no database, no network, no clock, no keys.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may fail where it stands"
)]

mod support;

mod all_orders;
mod answer_orders;
mod answers;
mod card_tokens;
mod checkout_answers;
mod deletion;
mod disagreement;
mod display;
mod ending;
mod equal_times;
mod events;
mod held_parts;
mod masked_card;
mod masked_fields;
mod programs;
mod random_histories;
mod readiness;
mod refresh;
mod refresh_table;
mod registration;
mod replays;
mod status;
mod token_commands;
mod untimed;
mod untimed_doubt;
