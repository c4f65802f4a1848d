//! The command line, one file a command.
//!
//! Exit codes: 0 done, 1 the thing asked about is not well, 2 wrong use or settings.

mod api_keys;
mod audit;
mod backup;
mod cards;
mod check;
mod check_data;
mod clock_check;
mod completions;
mod core_dumps;
mod demo;
mod encrypt;
mod failure;
mod inventory;
mod key_use_writer;
mod keys;
mod keys_approve;
mod maintenance;
mod migrate;
mod notifications;
mod outbox;
mod programs;
mod purge;
mod rebuild;
mod reconcile;
mod refusals;
mod replay;
mod reseal;
mod sandbox;
mod serve;
mod servers;
mod service;
mod service_keys;
mod service_record;
mod signals;
mod spool;
mod tables;
mod user;

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;

use clap::{Args, Parser, Subcommand};

use crate::audit::Act;
use crate::jose::{KeyDescription, StorageKeys, named_keys};
use crate::settings::{DatabaseUrl, Environment, Overrides, Settings};
use crate::store::{Entry, Store, StoreError};
use crate::telemetry::{Clock, LogFormat, init_logs};
use failure::Failure;

pub use service::{Service, StartError};

/// Keeps a merchant's Mastercard card-on-file tokens fresh.
#[derive(Parser)]
#[command(name = "tokenkeep", version, propagate_version = true)]
pub struct Cli {
    #[command(flatten)]
    common: Common,
    #[command(subcommand)]
    command: Command,
}

/// Options of every command that looks at the database or the keys.
#[derive(Args, Clone, Default)]
pub struct Common {
    /// The settings file [default: tokenkeep.toml, if it is there]
    #[arg(long, global = true, value_name = "FILE", env = "TOKENKEEP_CONFIG")]
    config: Option<PathBuf>,
    /// The database: a path, sqlite://PATH or postgres://… (a password belongs into the
    /// environment: DATABASE_URL)
    #[arg(long, global = true, value_name = "URL")]
    database_url: Option<String>,
    /// The key folder
    #[arg(long, global = true, value_name = "DIR")]
    keys: Option<PathBuf>,
}

#[derive(Subcommand)]
enum Command {
    /// Runs the service: receives notifications, decides them, answers the merchant's systems
    Serve(serve::ServeArgs),
    /// Plays the fixtures into a receiver on this machine and tells what each one changed and why
    Demo(demo::DemoArgs),
    /// Sends fixture files, to a receiver or into the store; or shows what they would change
    Replay(replay::ReplayArgs),
    /// Cards: what is known of them, their deletion, and the status of their tokens
    #[command(subcommand)]
    Cards(cards::CardsCommand),
    /// Notifications: what came, its verdict, and why
    #[command(subcommand)]
    Notifications(notifications::NotificationsCommand),
    /// Calls to the other side: those that wait, were made, or were refused
    #[command(subcommand)]
    Outbox(outbox::OutboxCommand),
    /// Asks the programs for cards that nothing was heard of for long, or of which something was missed
    ///
    /// Queues a Get Card for each, or a read of its tokens where it has tokens of its own; a running
    /// serve makes them. What is answered is judged like a notification.
    Reconcile(reconcile::ReconcileArgs),
    /// The keys that open what Mastercard encrypts, and those that seal what is stored
    #[command(subcommand)]
    Keys(keys::KeysCommand),
    /// Removes what is kept longer than the settings say (`[retention]`)
    ///
    /// A batch a transaction, each recorded in the audit. Run again after it was interrupted, the
    /// command goes on where it stopped. Cards on hold are left alone.
    Purge(purge::PurgeArgs),
    /// Brings the database's schema up to date; with --to moves everything into another database
    ///
    /// Without --to: in production, and with migrate_on_start = false, nothing else changes the schema.
    /// Stop the service, run this as the database's owner, start the service again.
    ///
    /// With --to: moves everything into another, empty database, SQLite or PostgreSQL on either side.
    /// Every serve must be stopped: what came in meanwhile would stay behind. All or nothing: run again
    /// after it was interrupted, it begins anew. Rows stay sealed under the same storage keys, with
    /// their ids and places; calls that wait go on from the new database. The old one is left under
    /// maintenance, so that no call is made from both.
    Migrate(migrate::MigrateArgs),
    /// Writes a copy of a SQLite database into a file, beside a running serve
    ///
    /// The copy is what stood at one moment. It is read again before it gets its name: SQLite's integrity
    /// check, foreign keys, schema. For PostgreSQL, the command of its own tools is told.
    Backup(backup::BackupArgs),
    /// Receives and keeps notifications, and leaves what waits alone, until it is off again
    ///
    /// Every process that shares the database keeps to it within two seconds, also one that is started
    /// later. Waiting are deliveries and calls that are due. The API goes on: cards are registered and
    /// shown, a deletion makes the card unusable at once, commands are taken, and what a caller waits
    /// for is done; but it knows of nothing that waits.
    #[command(subcommand)]
    Maintenance(maintenance::MaintenanceCommand),
    /// Recomputes every card from its recorded inputs, and compares it with what is stored
    ///
    /// By the rules and the settings in force now, beside a running serve. What differs is listed,
    /// register by register, and is an error. Inputs that are wiped or purged cannot be recomputed:
    /// they are counted, and what the others decide is compared.
    Rebuild(rebuild::RebuildArgs),
    /// The audit: who did what, and whether its records are as they were written
    #[command(subcommand)]
    Audit(audit::AuditCommand),
    /// API keys of the merchant's systems and people
    #[command(subcommand)]
    ApiKeys(api_keys::ApiKeysCommand),
    /// Loads settings, keys, certificates and database, and says what is wrong and where
    Check(check::CheckArgs),
    /// Runs the other side on this machine, to try and to test against: Mastercard's Checkout with a
    /// sender of notifications, Mastercard Processing Digital, and a bank
    Sandbox(sandbox::SandboxArgs),
    /// Makes a paymentData JWE (or a fully encrypted body) from plain JSON
    Encrypt(encrypt::EncryptArgs),
    /// Prints the script with which a shell completes these commands and their options
    ///
    /// For bash put it into ~/.local/share/bash-completion/completions/tokenkeep, for fish into
    /// ~/.config/fish/completions/tokenkeep.fish, for zsh as _tokenkeep into a folder of its fpath; the
    /// others read it from their profile.
    Completions(completions::CompletionsArgs),
}

/// Runs the command line; returns the exit code.
pub fn run(cli: Cli) -> u8 {
    let common = cli.common;
    if !matches!(cli.command, Command::Serve(_)) {
        init_logs(LogFormat::Human);
        core_dumps::forbid();
    }
    let serves = matches!(
        cli.command,
        Command::Serve(_) | Command::Demo(_) | Command::Sandbox(_)
    );
    if !serves {
        // Behind `| head` a command ends quietly when nobody reads any more, as others do.
        sigpipe::reset();
    }
    let result = match cli.command {
        Command::Serve(args) => serve::run(&common, args),
        Command::Demo(args) => demo::run(&common, args),
        Command::Replay(args) => replay::run(&common, args),
        Command::Cards(command) => cards::run(&common, command),
        Command::Notifications(command) => notifications::run(&common, command),
        Command::Outbox(command) => outbox::run(&common, command),
        Command::Reconcile(args) => reconcile::run(&common, &args),
        Command::Keys(command) => keys::run(&common, command),
        Command::Purge(args) => purge::run(&common, &args),
        Command::Migrate(args) => migrate::run(&common, &args),
        Command::Backup(args) => backup::run(&common, &args),
        Command::Maintenance(command) => maintenance::run(&common, command),
        Command::Rebuild(args) => rebuild::run(&common, &args),
        Command::Audit(command) => audit::run(&common, command),
        Command::ApiKeys(command) => api_keys::run(&common, command),
        Command::Check(args) => check::run(&common, &args),
        Command::Sandbox(args) => sandbox::run(&common, args),
        Command::Encrypt(args) => encrypt::run(args),
        Command::Completions(args) => completions::run(&args),
    };
    match result {
        Ok(()) => 0,
        Err(failure) => failure.report(),
    }
}

impl Common {
    /// The settings, with these options over them.
    fn settings(&self, more: Vec<(&'static str, toml::Value)>) -> Result<Settings, Failure> {
        let mut values = more;
        if let Some(url) = &self.database_url {
            if DatabaseUrl::parse(url).is_ok_and(|url| url.holds_password()) {
                return Err(Failure::wrong(
                    "--database-url holds a password, which every process of this machine could read; \
                     set DATABASE_URL instead",
                ));
            }
            values.push(("database_url", url.as_str().into()));
        }
        if let Some(keys) = &self.keys {
            values.push(("keys", keys.to_string_lossy().as_ref().into()));
        }
        let overrides = Overrides {
            config: self.config.clone(),
            values,
        };
        Settings::load(&overrides, environment()).map_err(Failure::wrong)
    }

    /// Settings and database, for commands that work beside a running service.
    fn open(&self) -> Result<(Settings, Store), Failure> {
        let settings = self.settings(Vec::new())?;
        let store = open_store(&settings)?;
        Ok((settings, store))
    }

    /// The database, for a command that shows what is in it: that it was looked at is recorded first.
    fn open_to_read(&self, object: &str) -> Result<Store, Failure> {
        let (_, store) = self.open()?;
        record_reading(&store, object)?;
        Ok(store)
    }
}

/// Records that what is in the database is looked at.
fn record_reading(store: &Store, object: &str) -> Result<(), Failure> {
    let entry = Entry {
        act: Act::Read,
        object,
        outcome: "done",
        details: serde_json::Value::Null,
        at: Clock::system().now(),
    };
    Ok(store.write(|tx| tx.audit(entry))?)
}

/// The process's variables, as far as they are text: what is not is none of ours.
fn environment() -> impl Iterator<Item = (String, String)> {
    let text = |(name, value): (OsString, OsString)| {
        Some((name.into_string().ok()?, value.into_string().ok()?))
    };
    std::env::vars_os().filter_map(text)
}

/// The database, on behalf of who uses the command line. Nothing is sealed, and no record hashed, under a
/// storage key that took the place of another.
fn open_store(settings: &Settings) -> Result<Store, Failure> {
    let store = connect(settings)?;
    refuse_other_keys(&store, &store.keys().descriptions())?;
    Ok(store)
}

/// The same with whatever storage keys there are.
fn connect(settings: &Settings) -> Result<Store, Failure> {
    refuse_in_clear(settings)?;
    let keys = StorageKeys::load(&settings.keys).map_err(Failure::wrong)?;
    let url = DatabaseUrl::parse(&settings.database_url).map_err(Failure::wrong)?;
    let store = open_database(settings, &url, Arc::new(keys))?;
    let watch = clock_check::first_look(&store, settings, Clock::system())?;
    if let Some(fault) = watch.fault() {
        return Err(Failure::unwell(format!(
            "{fault}: nothing is done, for it would be recorded with this time"
        )));
    }
    Ok(store.acting(user::actor()))
}

/// Fails in production if what goes to the database could be read on its way.
fn refuse_in_clear(settings: &Settings) -> Result<(), Failure> {
    match (settings.database_in_clear(), settings.environment) {
        (Some(what), Environment::Production) => Err(Failure::wrong(StartError::InClear(what))),
        _ => Ok(()),
    }
}

/// Fails if one of these keys took the place of another and is not approved.
fn refuse_other_keys(store: &Store, keys: &[KeyDescription]) -> Result<(), Failure> {
    let others = store.read(|tx| tx.other_keys(&named_keys(keys)))?;
    match others.first() {
        None => Ok(()),
        Some(first) => Err(Failure::wrong(first.fault())),
    }
}

/// The database, its schema brought up to date where the settings allow it.
fn open_database(
    settings: &Settings,
    url: &DatabaseUrl,
    keys: Arc<StorageKeys>,
) -> Result<Store, StoreError> {
    match settings.migrates_on_start() {
        true => Store::open(url, keys),
        false => Store::open_current(url, keys),
    }
}
