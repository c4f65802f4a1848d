//! OAuth 1.0a as Mastercard's gateway takes it: RSA-SHA256, and always a hash of the body.
//!
//! [`base_string()`], [`parse_header`] and [`body_hash`] are what both sides need, the one that signs and
//! the one that checks. [`Signer`] is the side that signs.

mod base_string;
mod encoding;
mod header;
mod signer;
mod signing_key;
#[cfg(test)]
mod tests;

pub use base_string::{NotAnAddress, base_string, rfc5849_base_string};
pub use encoding::{percent_decode, percent_encode};
pub use header::{Parameters, parse_header};
pub use signer::{Signer, SigningFault, body_hash, nonce};
pub use signing_key::SigningKey;
