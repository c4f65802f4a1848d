//! Runs the built program on a test's database.

use std::io::Write;
use std::process::{Command, Stdio};

use serde_json::Value;

use super::{TestDatabase, keys, leaks};

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
    let mut command = command(database, arguments);
    run(command.envs(variables.iter().copied()), "")
}

/// The same with this on its standard input.
pub fn fed(database: &TestDatabase, arguments: &[&str], input: &str) -> Output {
    run(&mut command(database, arguments), input)
}

fn command(database: &TestDatabase, arguments: &[&str]) -> Command {
    let program = Command::new(env!("CARGO_BIN_EXE_tokenkeep"));
    prepared(program, database, arguments)
}

/// The program, or what runs it, with these arguments.
pub fn prepared(mut program: Command, database: &TestDatabase, arguments: &[&str]) -> Command {
    program
        .args(arguments)
        .env("DATABASE_URL", database.url())
        .env("TOKENKEEP_KEYS", keys())
        // Beside a service whose clock is a test's own.
        .env("TOKENKEEP_CLOCK__REFUSE_BEYOND", "0")
        .env("RUST_LOG", "error");
    program
}

/// Runs a command to its end.
pub fn run(command: &mut Command, input: &str) -> Output {
    let piped = command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = piped.stderr(Stdio::piped()).spawn().unwrap();
    // A command that does not read it may be gone already.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    let output = child.wait_with_output().unwrap();
    // The one command that prints a secret.
    match output.stdout.starts_with(b"tk_") {
        true => leaks::look_for(String::from_utf8_lossy(&output.stdout).trim()),
        false => leaks::keep("commands", &output.stdout),
    }
    leaks::keep("commands", &output.stderr);
    Output {
        code: output.status.code().unwrap(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}
