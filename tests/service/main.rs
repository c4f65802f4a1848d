//! The service as its users meet it: real servers, real databases, real HTTP.
//!
//! Every test of the flow or the store runs on SQLite and on PostgreSQL. `tests/run` starts the
//! PostgreSQL they need.

mod support;

mod cancelled;
mod duplicates;
mod kills;
mod refreshes;
