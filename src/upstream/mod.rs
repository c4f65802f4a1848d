//! One HTTP exchange with another side: the agent, deadlines, whole answers, and what a failure means.
//!
//! What every program's client shares. An `Exchange` sends a request and takes in the whole answer,
//! whatever its status; what an answer says is for the room whose API it is. A [`CallFailure`] tells
//! whoever wanted the call what follows. `Verification` holds the keys under which another side signs.

mod agent;
mod client_error;
mod exchange;
mod failure;
mod public;
#[cfg(test)]
mod tests;
mod verification;

use crate::jose::JwsAlg;

pub use client_error::ClientError;
pub(crate) use exchange::{Answer, Exchange, FLOW_ID, Request, is_flow_id};
pub(crate) use failure::LONGEST_WAIT;
pub use failure::{CallFailure, FailureClass};
pub(crate) use verification::{KeySetFiles, Verification};

/// What protects the calls of a program, beside the connection.
pub struct Algorithms {
    /// By which requests are signed and encrypted.
    pub requests: Vec<String>,
    /// By which answers may be signed.
    pub answers: Vec<String>,
}

impl Algorithms {
    /// `answers` are the signatures that are believed.
    pub(crate) fn new(requests: Vec<String>, answers: &[JwsAlg]) -> Self {
        let answers = answers.iter().map(|alg| format!("JWS {}", alg.name()));
        Self {
            requests,
            answers: answers.collect(),
        }
    }
}
