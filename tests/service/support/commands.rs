//! Runs the built program on a test's database.

use std::process::Command;

use serde_json::Value;

use super::{TestDatabase, keys};

/// What a command printed, and its exit code.
#[derive(Debug)]
pub struct Output {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Output {
    pub fn json(&self) -> Value {
        let wrong = |_| panic!("not JSON: {}\n{}", self.stdout, self.stderr);
        serde_json::from_str(&self.stdout).unwrap_or_else(wrong)
    }
}

/// Runs `tokenkeep` with these arguments, with the demonstration keys.
pub fn tokenkeep(database: &TestDatabase, arguments: &[&str]) -> Output {
    with(database, arguments, &[])
}

/// The same with more variables in its environment.
pub fn with(database: &TestDatabase, arguments: &[&str], variables: &[(&str, &str)]) -> Output {
    let output = Command::new(env!("CARGO_BIN_EXE_tokenkeep"))
        .args(arguments)
        .env("DATABASE_URL", database.url())
        .env("TOKENKEEP_KEYS", keys())
        .env("RUST_LOG", "error")
        .envs(variables.iter().copied())
        .output()
        .unwrap();
    Output {
        code: output.status.code().unwrap(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}
