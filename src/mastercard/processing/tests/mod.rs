//! What is sent, what answers mean, and what must never be seen: each against a recorder in the other
//! side's place.

mod clients;
mod failures;
mod readings;
mod requests;
mod support;
