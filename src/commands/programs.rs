//! The clients of the programs: which of them can be called.

use super::service::StartError;
use crate::mastercard::{Client, ClientError};
use crate::settings::{Environment, ProgramSettings, Settings};
use crate::telemetry::Clock;

/// Whether a program can be called.
pub enum Callable {
    Yes(Client),
    /// Its settings are not complete: its calls wait.
    NotYet(ClientError),
    /// It would be called in an unsafe way, or its keys cannot be used.
    Wrong(StartError),
}

/// Loads what a program's calls need.
pub fn callable(
    settings: &Settings,
    name: &str,
    program: &ProgramSettings,
    clock: &Clock,
) -> Callable {
    let is_production = settings.environment == Environment::Production;
    let wrong =
        |fault: String| Callable::Wrong(StartError::Program(format!("programs.{name}: {fault}")));
    if let Err(fault) = program.check(is_production) {
        return wrong(fault.to_string());
    }
    let wire = settings.notification.clone();
    match Client::new(name, program, &settings.keys, wire, clock.clone()) {
        Ok(client) if is_production && client.holds_demonstration_key() => {
            Callable::Wrong(StartError::DemonstrationKeys)
        }
        Ok(client) => Callable::Yes(client),
        Err(unset @ ClientError::Unset { .. }) => Callable::NotYet(unset),
        Err(error) => wrong(error.to_string()),
    }
}

/// The programs that can be called. One whose settings are not complete is told.
///
/// # Errors
/// The first program that is wrong.
pub fn all_callable(
    settings: &Settings,
    clock: &Clock,
) -> Result<Vec<(String, ProgramSettings, Client)>, StartError> {
    let mut all = Vec::new();
    for (name, program) in &settings.programs {
        match callable(settings, name, program, clock) {
            Callable::Yes(client) => {
                client
                    .remarks()
                    .iter()
                    .for_each(|remark| log::warn!("{remark}"));
                all.push((name.clone(), program.clone(), client));
            }
            Callable::NotYet(why) => log::warn!("{why}: calls of this program wait"),
            Callable::Wrong(error) => return Err(error),
        }
    }
    Ok(all)
}
