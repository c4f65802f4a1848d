//! `check`: loads settings, keys, certificates, programs and database, and says what is wrong and where. Lists
//! all cryptography that is in use. A SQLite file is read as a whole. With `--data` it looks at the cards instead.

use clap::Args;

use super::check_data;
use super::failure::Failure;
use super::inventory::Inventory;
use super::maintenance::in_words;
use super::programs::{Callable, callable, remarks};
use super::{Common, StartError, connect, keys, spool};
use crate::jose::{StorageKeys, named_keys};
use crate::receiver::LoadedTls;
use crate::settings::{Environment, Role, Settings};
use crate::store::Store;
use crate::telemetry::Clock;

#[derive(Args)]
pub struct CheckArgs {
    /// Look at the cards instead: of which of them something seems to have been missed, and which
    /// programs have fallen silent (settings: missed)
    #[arg(long)]
    data: bool,
    /// Print JSON
    #[arg(long, requires = "data")]
    json: bool,
}

pub fn run(common: &Common, args: &CheckArgs) -> Result<(), Failure> {
    if args.data {
        return check_data::run(common, args.json);
    }
    // Wrong settings end here, with their place: nothing else can be looked at without them.
    let settings = common.settings(Vec::new())?;
    println!("settings: in order");
    let mut wrong = Vec::new();
    let found = keys::findings(&settings);
    match found.wrong.is_empty() {
        true => println!("keys: {} can be used", settings.keys.display()),
        false => wrong.extend(found.wrong.iter().map(|what| format!("keys: {what}"))),
    }
    for remark in &found.remarks {
        println!("keys: not for production: {remark}");
    }
    wrong.extend(networks(&settings));
    wrong.extend(listener(&settings));
    wrong.extend(programs(&settings));
    // Told already among the keys, and nothing opens the database without it.
    if StorageKeys::load(&settings.keys).is_err() {
        wrong.push("database: not looked at, for want of a storage key".to_owned());
        return Err(Failure::unwell(wrong.join("\ntokenkeep: ")));
    }
    let mut inventory = Inventory::load(&settings);
    let looked = connect(&settings).and_then(|store| {
        let (waiting, in_force, others, uses) = store.read(|tx| {
            let others = tx.other_keys(&named_keys(&inventory.keys()))?;
            Ok((
                tx.count_waiting()?,
                tx.maintenance()?,
                others,
                tx.last_uses()?,
            ))
        })?;
        Ok((store, waiting, in_force, others, uses))
    });
    match looked {
        Ok((store, waiting, in_force, others, uses)) => {
            inventory = inventory.used(uses);
            let location = store.location();
            println!("database: {location} can be used, deliveries that wait: {waiting}");
            wrong.extend(structure(&store));
            if let Some(in_force) = in_force {
                println!("maintenance: {}", in_words(&in_force));
            }
            wrong.extend(
                others
                    .iter()
                    .map(|other| format!("keys: {}", other.fault())),
            );
        }
        Err(failure) => wrong.push(format!("database: {failure}")),
    }
    wrong.extend(spool::check(&settings));
    println!();
    inventory.print()?;
    match wrong.is_empty() {
        true => Ok(()),
        false => Err(Failure::unwell(wrong.join("\ntokenkeep: "))),
    }
}

/// Tells whether the database's file is whole, where it is ours to look after; returns what is wrong.
fn structure(store: &Store) -> Option<String> {
    match store.structure_fault() {
        Ok(None) if store.is_shared() => None,
        Ok(None) => {
            println!("database: its file is whole");
            None
        }
        Ok(Some(fault)) => Some(format!("database: its file is damaged: {fault}")),
        Err(error) => Some(format!("database: {error}")),
    }
}

/// Refuses in production that numbers go over a network in clear; elsewhere it says so.
pub(super) fn check_networks(settings: &Settings) -> Result<(), StartError> {
    for what in [settings.api_in_clear(), settings.database_in_clear()] {
        match (what, settings.environment) {
            (None, _) => {}
            (Some(what), Environment::Production) => return Err(StartError::InClear(what)),
            (Some(what), Environment::Development) => log::warn!("{what}"),
        }
    }
    Ok(())
}

/// Tells where numbers would go over a network in clear; returns what is wrong.
fn networks(settings: &Settings) -> Vec<String> {
    for (is_private, setting) in [
        (settings.api_network_is_private, "api_network_is_private"),
        (
            settings.database_network_is_private,
            "database_network_is_private",
        ),
    ] {
        if is_private {
            println!("network: {setting} is set: what goes over it in clear is not looked at");
        }
    }
    let found = [settings.api_in_clear(), settings.database_in_clear()];
    let found = found.into_iter().flatten();
    if settings.environment == Environment::Production {
        return found.map(|what| format!("network: {what}")).collect();
    }
    found.for_each(|what| println!("network: not for production: {what}"));
    Vec::new()
}

/// Tells how the public listener knows its sender; returns what is wrong.
fn listener(settings: &Settings) -> Vec<String> {
    let mut wrong = Vec::new();
    if !settings.has_role(Role::Receive) {
        return wrong;
    }
    let (receiver, is_production) = (
        &settings.receiver,
        settings.environment == Environment::Production,
    );
    match receiver.is_authenticated() {
        true => println!("listener: it knows who delivers"),
        false if is_production => wrong.push(format!("listener: {}", StartError::OpenListener)),
        false => println!("listener: not for production: whoever reaches it may deliver"),
    }
    if !receiver.proxy.trusted.is_empty() && receiver.proxy.certificate_header.is_empty() {
        println!("listener: whoever the proxy lets through is believed: no certificate_header");
    }
    if !receiver.tls.is_used() {
        return wrong;
    }
    match LoadedTls::load(&settings.keys, &receiver.tls) {
        Err(error) => wrong.push(format!("listener: {error}")),
        Ok(loaded) => {
            for file in &loaded.files {
                let (name, days) = (&file.name, file.days_left(Clock::system().now()));
                match days < 0 {
                    true => wrong.push(format!("listener: {name} has ended")),
                    false => println!("listener: {name} can be used, days left: {days}"),
                }
            }
        }
    }
    wrong
}

/// Tells of each program whether it can be called; returns what is wrong.
fn programs(settings: &Settings) -> Vec<String> {
    let mut wrong = Vec::new();
    for (name, program) in &settings.programs {
        match callable(settings, name, program, &Clock::system()) {
            Callable::Yes(client) => {
                println!(
                    "program {name}: can be called at {}",
                    program.connection.base_url
                );
                for remark in remarks(name, program, &client) {
                    println!("{remark}");
                }
                if client.holds_demonstration_key() {
                    println!("program {name}: not for production: it uses a demonstration key");
                }
            }
            Callable::NotYet(why) => println!("program {name}: its calls wait: {why}"),
            Callable::Wrong(error) => wrong.push(error.to_string()),
        }
    }
    wrong
}
