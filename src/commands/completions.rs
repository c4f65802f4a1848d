//! `completions`: the script with which a shell completes tokenkeep's commands and options.

use std::io::{self, Write};

use clap::{Args, CommandFactory};
use clap_complete::{Shell, generate};

use super::Cli;
use super::failure::Failure;

#[derive(Args)]
pub struct CompletionsArgs {
    /// The shell it is for
    shell: Shell,
}

pub fn run(args: &CompletionsArgs) -> Result<(), Failure> {
    // Written to memory first: what generates it panics where nobody reads.
    let mut script = Vec::new();
    generate(args.shell, &mut Cli::command(), "tokenkeep", &mut script);
    Ok(io::stdout().write_all(&script)?)
}
