//! What was asked for and cannot be done, each with its reason.

use std::fmt::Display;
use std::io;

use serde_json::{Value, json};

use super::failure::Failure;
use super::tables::print_table;

/// Things refused, in the order they were named.
#[derive(Default)]
pub struct Refusals(Vec<(String, String)>);

impl Refusals {
    pub fn add(&mut self, what: impl Display, why: impl Display) {
        self.0.push((what.to_string(), why.to_string()));
    }

    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// As JSON, with what was refused under this name.
    pub fn view(&self, name: &str) -> Value {
        let refusal = |(what, why): &(String, String)| json!({ name: what, "reason": why });
        self.0.iter().map(refusal).collect()
    }

    /// Prints a table of them, if there are any.
    pub fn print(&self, head: &str) -> io::Result<()> {
        if self.0.is_empty() {
            return Ok(());
        }
        let cells = |(what, why): &(String, String)| vec![what.clone(), why.clone()];
        print_table(&[head, "REFUSED BECAUSE"], self.0.iter().map(cells))
    }

    /// Fails if there are any.
    pub fn verdict(&self, message: &str) -> Result<(), Failure> {
        match self.0.is_empty() {
            true => Ok(()),
            false => Err(Failure::unwell(message)),
        }
    }
}
