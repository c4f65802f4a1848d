//! What the tests of this room share: the bank as a server that checks each request as the real one
//! says it does, with answers of the test's choice.

mod answers;
mod clients;
mod errors;
mod requests;
mod support;
mod tokens;
