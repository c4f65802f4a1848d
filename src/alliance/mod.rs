//! Alliance Bank's token API as tokenkeep calls it: each request is a signed JWS, and an answer counts
//! only if the bank signed it.
//!
//! A [`Client`] makes the calls of one program. A call is one attempt: it either gives what the bank
//! signed, or a [`CallFailure`](crate::upstream::CallFailure) that says what follows. The bank's errors
//! may come with HTTP 200 and unsigned: they are errors all the same, and nothing unsigned is a success.
//!
//! An answer carries neither time nor request: it is bound to the request by the token or customer
//! that it names, and that it is of now rests on the connection.

mod answer;
mod client;
mod errors;
#[cfg(test)]
mod tests;
mod tokens;

pub use client::Client;
