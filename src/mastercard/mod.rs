//! Mastercard's APIs as tokenkeep calls them: requests signed with OAuth 1.0a, the Checkout API and the
//! Card API, and what their answers mean.
//!
//! A [`Client`] makes the calls of one program. A call is one attempt: it either gives the answer,
//! verified where Mastercard signs it, or a [`CallFailure`] that says what follows. Trying again is the
//! caller's decision; every attempt carries a nonce, a timestamp and a correlation id of its own.

mod agent;
mod amount;
mod call;
mod cards;
mod checkout;
mod checkout_answer;
mod client;
mod errors;
mod failure;
mod seen;
#[cfg(test)]
mod tests;
mod verification;

pub mod oauth;

pub use amount::{Amount, AmountFault};
pub use cards::{CardAnswer, DeleteReason, DeleteRequest, Requestor};
pub use checkout::CheckoutRequest;
pub use checkout_answer::CheckoutAnswer;
pub use client::{Client, ClientError};
pub use errors::ErrorBody;
pub use failure::{CallFailure, FailureClass};
