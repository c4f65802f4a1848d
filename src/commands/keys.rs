//! `keys`: list, generate, check, approve, reseal.

use std::path::{Path, PathBuf};

use clap::Subcommand;
use serde_json::json;

use super::failure::Failure;
use super::inventory::Inventory;
use super::keys_approve::{ApproveArgs, approve, store_to_look, waiting};
use super::{Common, open_store, reseal};
use crate::audit::Act;
use crate::jose::{
    self, Exposed, KeyError, Keyring, MissingKey, OpenPolicy, PayloadKey, StorageKeys,
    missing_keys, public_key_pem,
};
use crate::settings::{DatabaseUrl, Environment, KindSettings, Role, Settings};
use crate::store::{Entry, LastUses, Store, StoreError};
use crate::telemetry::Clock;

#[derive(Subcommand)]
pub enum KeysCommand {
    /// Lists all keys and certificates with fingerprint, size, days left and last use; the listeners' TLS; every algorithm
    List {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Makes whatever is missing: a payload key, a storage key; never overwrites
    Generate {
        /// Makes a payload key of this kid, unless it is there
        #[arg(long)]
        kid: Option<String>,
        /// Size of a new payload key: 2048 or 4096
        #[arg(long, default_value_t = 4096)]
        bits: u32,
    },
    /// Loads every key and says what is wrong and where
    Check,
    /// Lets another key stand for a known name, after its file was replaced
    ///
    /// The first key that is seen under a name is recorded. Another one under it is refused, at a start and at a
    /// reload, until it is approved here. Compare its fingerprint with the one that whoever made it tells you.
    Approve(ApproveArgs),
    /// Seals everything in the database anew under the active storage key, beside a running serve
    ///
    /// To change the storage key: put the new key beside the old one (storage/ID.key), make it the active one
    /// (storage = "ID" in keys.toml) and restart serve; then run this. Where several serve processes share a
    /// database, all of them are restarted with both keys first, and again when the new one is made active.
    /// It may be stopped at any time and run again. It removes no key: it says when the old one is needed no
    /// more. Backups made before still need it.
    Reseal(reseal::ResealArgs),
}

pub fn run(common: &Common, command: KeysCommand) -> Result<(), Failure> {
    match command {
        KeysCommand::List { json } => list(common, json),
        KeysCommand::Generate { kid, bits } => generate(common, kid.as_deref(), bits),
        KeysCommand::Check => check(common),
        KeysCommand::Approve(args) => approve(common, &args),
        KeysCommand::Reseal(args) => reseal::run(common, &args),
    }
}

fn list(common: &Common, as_json: bool) -> Result<(), Failure> {
    let settings = common.settings(Vec::new())?;
    Keyring::load(&settings.keys, OpenPolicy::default()).map_err(Failure::unwell)?;
    let inventory = Inventory::load(&settings).used(last_uses(&settings));
    match as_json {
        true => inventory.print_json()?,
        false => inventory.print()?,
    }
    Ok(())
}

/// When keys were last used, as far as there is a database that tells it.
fn last_uses(settings: &Settings) -> LastUses {
    let uses = store_to_look(settings).and_then(|store| match store {
        None => Ok(LastUses::default()),
        Some(store) => Ok(store.read(|tx| tx.last_uses())?),
    });
    uses.unwrap_or_else(|failure| {
        log::warn!("when keys were last used is not known: {failure}");
        LastUses::default()
    })
}

fn generate(common: &Common, kid: Option<&str>, bits: u32) -> Result<(), Failure> {
    let settings = common.settings(Vec::new())?;
    let folder = &settings.keys;
    // The very first keys are made before there can be a database: its audit begins with them.
    let store = match StorageKeys::load(folder) {
        Ok(_) => Some(open_store(&settings)?),
        Err(KeyError::NoStorageKey { .. }) => None,
        Err(error) => return Err(Failure::wrong(error)),
    };
    let today = chrono::Utc::now().format("%Y-%m-%d").to_string();
    let missing = missing_keys(folder, kid, bits, &today).map_err(Failure::wrong)?;
    if missing.is_empty() {
        println!("Nothing is missing in {}.", folder.display());
        return Ok(());
    }
    // A key that nobody could tell the origin of is not made: the record comes first.
    record_made(store.as_ref(), "begun", &missing)?;
    for key in &missing {
        key.make().map_err(Failure::wrong)?;
        println!("made {}", key.file().display());
    }
    record_made(store.as_ref(), "done", &missing)?;
    let keyring = Keyring::load(folder, OpenPolicy::default()).map_err(Failure::unwell)?;
    for key in keyring
        .keys()
        .filter(|key| missing.iter().any(|made| is_of(made.file(), key.kid())))
    {
        println!(
            "\nUpload this public key to Mastercard under the Key ID {}:",
            key.kid()
        );
        print!("{}", public_key_pem(key).map_err(Failure::unwell)?);
    }
    Ok(())
}

fn record_made(
    store: Option<&Store>,
    outcome: &'static str,
    keys: &[MissingKey],
) -> Result<(), StoreError> {
    let Some(store) = store else {
        return Ok(());
    };
    let files: Vec<String> = (keys.iter())
        .map(|key| key.file().display().to_string())
        .collect();
    let entry = Entry {
        act: Act::KeysGenerated,
        object: "keys",
        outcome,
        details: json!({ "files": files }),
        at: Clock::system().now(),
    };
    store.write(|tx| tx.audit(entry))
}

fn is_of(file: &std::path::Path, kid: &str) -> bool {
    file.parent()
        .is_some_and(|parent| parent.ends_with("payload"))
        && file.file_stem().is_some_and(|stem| stem == kid)
}

fn check(common: &Common) -> Result<(), Failure> {
    let settings = common.settings(Vec::new())?;
    let mut findings = findings(&settings);
    match waiting(&settings, &Inventory::load(&settings).keys()) {
        Ok(waiting) => findings.wrong.extend(waiting),
        Err(failure) => println!("What waits for approval is not known: {failure}"),
    }
    for remark in &findings.remarks {
        println!("not for production: {remark}");
    }
    if findings.wrong.is_empty() {
        println!("The keys in {} can be used.", settings.keys.display());
        return Ok(());
    }
    Err(Failure::unwell(findings.wrong.join("\ntokenkeep: ")))
}

/// What is wrong with the keys, and what is only wrong in production.
#[derive(Default)]
pub(super) struct Findings {
    pub wrong: Vec<String>,
    pub remarks: Vec<String>,
}

/// The private files that may lie anywhere in the key folder: the listener's key, and those of programs.
pub(super) fn private_files(settings: &Settings) -> Vec<PathBuf> {
    let tls = &settings.receiver.tls;
    let listener = settings.has_role(Role::Receive).then_some(&tls.private_key);
    let programs = settings.programs.values();
    let of_programs = programs.flat_map(|program| match &program.kind {
        KindSettings::MastercardCheckout(of) => {
            vec![&of.signing_key, &of.signing_key_password_file]
        }
        KindSettings::MastercardProcessing(of) => {
            vec![&of.signing_key, &of.signing_key_password_file]
        }
        KindSettings::Alliance(of) => vec![&of.signing_key],
    });
    let files = listener.into_iter().chain(of_programs);
    let files = files.filter(|name| !name.is_empty());
    files.map(|name| settings.keys.join(name)).collect()
}

/// What of the key folder others could read or change.
///
/// # Errors
/// [`KeyError::Io`] where a folder or a file cannot be looked at.
pub(super) fn exposed_files(settings: &Settings) -> Result<Vec<Exposed>, KeyError> {
    jose::exposed_files(&settings.keys, &private_files(settings))
}

/// Whether the key folder lies in the folder of the database's file or of the spool, or that one in the key
/// folder: a copy of the one would hold the other.
pub(super) fn is_beside_database(settings: &Settings) -> bool {
    let file = match DatabaseUrl::parse(&settings.database_url) {
        Ok(DatabaseUrl::Sqlite(file)) => Some(file),
        _ => None,
    };
    let spool = settings.receiver.spool();
    let mut files = file.as_deref().into_iter().chain(spool);
    files.any(|file| lies_beside(&settings.keys, file))
}

fn lies_beside(keys: &Path, file: &Path) -> bool {
    let folder = match file.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    };
    // One that is not there yet holds nothing.
    let Ok((data, keys)) = folder
        .canonicalize()
        .and_then(|data| Ok((data, keys.canonicalize()?)))
    else {
        return false;
    };
    data.starts_with(&keys) || keys.starts_with(&data)
}

/// Loads every key and looks at its file.
pub(super) fn findings(settings: &Settings) -> Findings {
    let folder = &settings.keys;
    let mut found = Findings::default();
    match Keyring::load(folder, OpenPolicy::default()) {
        Err(error) => found.wrong.push(error.to_string()),
        Ok(keyring) => {
            if keyring.is_empty() {
                let none = "there is no payload key: nothing encrypted can be opened";
                found.wrong.push(none.to_owned());
            }
            if keyring.keys().any(PayloadKey::is_demonstration) {
                let known = "a payload key is a demonstration key: everybody knows it";
                found.remarks.push(known.to_owned());
            }
        }
    }
    match StorageKeys::load(folder) {
        Err(error) => found.wrong.push(error.to_string()),
        Ok(keys) if keys.is_demonstration() => {
            let known = "the storage key is the demonstration key: everybody knows it";
            found.remarks.push(known.to_owned());
        }
        Ok(_) => {}
    }
    match exposed_files(settings) {
        Err(error) => found.wrong.push(error.to_string()),
        Ok(files) => found.remarks.extend(files.iter().map(Exposed::to_string)),
    }
    if is_beside_database(settings) {
        let beside = "the key folder and the data lie in one another: a copy of the data would hold its keys";
        found.remarks.push(beside.to_owned());
    }
    if settings.environment == Environment::Production {
        found.wrong.append(&mut found.remarks);
    }
    found
}
