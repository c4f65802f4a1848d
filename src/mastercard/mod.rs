//! Mastercard's APIs as tokenkeep calls them: requests signed with OAuth 1.0a, the Checkout API and the
//! Card API, and what their answers mean. [`processing`] is an API of its own, for issuers.
//!
//! A [`Client`] makes the calls of one program. A call is one attempt: it either gives the answer,
//! verified where Mastercard signs it, or a
//! [`CallFailure`](crate::upstream::CallFailure) that says what follows. Trying again is the
//! caller's decision; every attempt carries a nonce, a timestamp and a correlation id of its own.

mod amount;
mod call;
mod cards;
mod checkout;
mod checkout_answer;
mod client;
mod credential;
mod errors;
mod seen;
#[cfg(test)]
mod tests;

pub mod oauth;
pub mod processing;

pub use amount::{Amount, AmountFault};
pub use cards::{CardAnswer, DeleteReason, DeleteRequest, Requestor};
pub use checkout::CheckoutRequest;
pub use checkout_answer::CheckoutAnswer;
pub use client::Client;
pub use errors::ErrorBody;
