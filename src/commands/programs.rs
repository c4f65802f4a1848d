//! The clients of the programs: which of them can be called.

use super::service::StartError;
use crate::alliance;
use crate::dispatcher::ProgramClient;
use crate::mastercard;
use crate::settings::{Environment, KindSettings, ProgramSettings, Settings};
use crate::telemetry::Clock;
use crate::upstream::ClientError;

/// Whether a program can be called.
pub enum Callable {
    Yes(ProgramClient),
    /// Its settings are not complete, or its kind is not called: its calls wait.
    NotYet(String),
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
    match client(settings, name, program, clock) {
        Ok(client) if is_production && client.holds_demonstration_key() => {
            Callable::Wrong(StartError::DemonstrationKeys)
        }
        Ok(client) => Callable::Yes(client),
        Err(unset @ ClientError::Unset { .. }) => Callable::NotYet(unset.to_string()),
        Err(error) => wrong(error.to_string()),
    }
}

/// The client of a program.
fn client(
    settings: &Settings,
    name: &str,
    program: &ProgramSettings,
    clock: &Clock,
) -> Result<ProgramClient, ClientError> {
    let mut connection = program.connection.clone();
    if settings.environment == Environment::Production {
        connection.reach = connection.production_reach();
    }
    let (connection, keys, clock) = (&connection, &settings.keys, clock.clone());
    match &program.kind {
        KindSettings::MastercardCheckout(checkout) => {
            let wire = settings.notification.clone();
            let client = mastercard::Client::new(name, connection, checkout, keys, wire, clock);
            client.map(ProgramClient::Checkout)
        }
        KindSettings::MastercardProcessing(processing) => {
            let client =
                mastercard::processing::Client::new(name, connection, processing, keys, clock);
            client.map(ProgramClient::Processing)
        }
        KindSettings::Alliance(bank) => {
            let client = alliance::Client::new(name, connection, bank, keys, clock);
            client.map(ProgramClient::Alliance)
        }
    }
}

/// What an operator should know of a program before it is called.
pub fn remarks(name: &str, program: &ProgramSettings, client: &ProgramClient) -> Vec<String> {
    let mut remarks = client.remarks().to_vec();
    if program.connection.allow_private_addresses {
        remarks.push(format!(
            "program {name}: addresses of private networks are called in production as well \
             (allow_private_addresses)"
        ));
    }
    remarks
}

/// The programs that can be called. One whose settings are not complete is told.
///
/// # Errors
/// The first program that is wrong.
pub fn all_callable(
    settings: &Settings,
    clock: &Clock,
) -> Result<Vec<(String, ProgramSettings, ProgramClient)>, StartError> {
    let mut all = Vec::new();
    for (name, program) in &settings.programs {
        match callable(settings, name, program, clock) {
            Callable::Yes(client) => {
                for remark in remarks(name, program, &client) {
                    log::warn!("{remark}");
                }
                all.push((name.clone(), program.clone(), client));
            }
            Callable::NotYet(why) => log::warn!("{why}: calls of this program wait"),
            Callable::Wrong(error) => return Err(error),
        }
    }
    Ok(all)
}
