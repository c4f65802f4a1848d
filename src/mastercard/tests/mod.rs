//! What the tests of this room share: the other side as a recorder with answers of the test's choice,
//! and Checkout answers as Mastercard signs them, with any part out of order.

mod algorithms;
mod amounts;
mod answers;
mod bindings;
mod cards;
mod classes;
mod clients;
mod error_forms;
mod headers;
mod requests;
pub(super) mod support;
mod transport;
mod vectors;
mod verification;
