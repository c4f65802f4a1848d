//! The command line, handed to `tokenkeep::commands`.

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    ExitCode::from(tokenkeep::commands::run(tokenkeep::commands::Cli::parse()))
}
