//! `keys approve`: lets another key stand for a known name. What waits for that.

use std::collections::BTreeSet;

use clap::Args;
use serde_json::json;

use super::failure::Failure;
use super::inventory::Inventory;
use super::tables::print_json;
use super::{Common, connect};
use crate::audit::Act;
use crate::dispatcher::fit_reason;
use crate::jose::{KeyDescription, named_keys};
use crate::settings::Settings;
use crate::store::{DatabaseUrl, Entry, OtherKey, Store, StoreError};
use crate::telemetry::Clock;

#[derive(Args)]
pub struct ApproveArgs {
    /// The key: its kid, the file of a program's key, or the subject of an authority
    #[arg(value_name = "KID", allow_hyphen_values = true)]
    kid: String,
    /// Only the key with this fingerprint, as whoever made it has told it
    #[arg(long, value_name = "HEX")]
    fingerprint: Option<String>,
    /// Why, for those who ask later
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true, value_parser = fit_reason)]
    reason: String,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Why nothing is approved.
enum Refusal {
    UnknownKey,
    NothingToApprove,
    OtherFingerprint,
    Several,
    /// Somebody else was faster.
    Changed,
}

impl Refusal {
    /// It as the audit tells it.
    fn word(&self) -> &'static str {
        match self {
            Self::UnknownKey => "unknown-key",
            Self::NothingToApprove => "no_change",
            Self::OtherFingerprint => "other-fingerprint",
            Self::Several => "ambiguous",
            Self::Changed => "changed-meanwhile",
        }
    }

    fn text(&self) -> &'static str {
        match self {
            Self::UnknownKey => "no key of this name is loaded: see keys list",
            Self::NothingToApprove => {
                "nothing to approve: under this name is the key that is known by it, or one that is new"
            }
            Self::OtherFingerprint => "the key under this name has another fingerprint: see check",
            Self::Several => {
                "different keys wait under this name: choose one with --fingerprint (see check)"
            }
            Self::Changed => "the name was approved for another key meanwhile: see check",
        }
    }
}

pub fn approve(common: &Common, args: &ApproveArgs) -> Result<(), Failure> {
    let settings = common.settings(Vec::new())?;
    let store = connect(&settings)?;
    let loaded = Inventory::load(&settings).keys();
    match decide(&store, &loaded, args)? {
        Err(refusal) => Err(Failure::unwell(refusal.text())),
        Ok(approved) if args.json => {
            let approved: Vec<_> = approved.iter().map(OtherKey::view).collect();
            Ok(print_json(&json!({ "approved": approved }))?)
        }
        Ok(approved) => {
            for key in &approved {
                let (of, found) = (described(key), &key.found.fingerprint);
                println!("{of}\n  until now  {}\n  approved   {found}", key.known);
            }
            println!(
                "A running serve takes payload keys and authorities at its next look, all others when it starts."
            );
            Ok(())
        }
    }
}

/// Approves what the arguments choose, and records it, or why not.
fn decide(
    store: &Store,
    loaded: &[KeyDescription],
    args: &ApproveArgs,
) -> Result<Result<Vec<OtherKey>, Refusal>, StoreError> {
    let named = named_keys(loaded);
    let is_known = named.iter().any(|key| key.kid == args.kid);
    let now = Clock::system().now();
    // A refusal is recorded too, so it must not undo the transaction: nothing is written before it is certain.
    store.write(|tx| {
        let chosen = match tx.other_keys(&named)? {
            _ if !is_known => Err(Refusal::UnknownKey),
            waiting => choose(waiting, &args.kid, args.fingerprint.as_deref()),
        };
        let mut approved = Vec::new();
        let mut refusal = None;
        match chosen {
            Err(why) => refusal = Some(why),
            Ok(chosen) => {
                for key in chosen {
                    match tx.approve_key(&key, &args.reason, now)? {
                        true => approved.push(key),
                        false => refusal = Some(Refusal::Changed),
                    }
                }
            }
        }
        let views: Vec<_> = approved.iter().map(OtherKey::view).collect();
        tx.audit(Entry {
            act: Act::KeysApproved,
            object: &args.kid,
            outcome: refusal.as_ref().map_or("done", Refusal::word),
            details: json!({ "reason": args.reason, "keys": views }),
            at: now,
        })?;
        Ok(refusal.map_or(Ok(approved), Err))
    })
}

/// The keys that wait under this name. Several programs may share one, and it may have aliases: where the same
/// key takes the place of the same key, it is approved for all of its names at once.
fn choose(
    waiting: Vec<OtherKey>,
    kid: &str,
    fingerprint: Option<&str>,
) -> Result<Vec<OtherKey>, Refusal> {
    let mut under_name: Vec<&OtherKey> =
        waiting.iter().filter(|key| key.found.kid == kid).collect();
    if under_name.is_empty() {
        return Err(Refusal::NothingToApprove);
    }
    if let Some(fingerprint) = fingerprint {
        under_name.retain(|key| key.found.fingerprint.eq_ignore_ascii_case(fingerprint));
    }
    let change = |key: &OtherKey| (key.known.clone(), key.found.fingerprint.clone());
    let changes: BTreeSet<_> = under_name.into_iter().map(change).collect();
    match changes.len() {
        0 => Err(Refusal::OtherFingerprint),
        1 => Ok(waiting
            .into_iter()
            .filter(|key| changes.contains(&change(key)))
            .collect()),
        _ => Err(Refusal::Several),
    }
}

fn described(key: &OtherKey) -> String {
    let found = &key.found;
    match found.program.as_str() {
        "" => format!("{} key {}", found.purpose, found.kid),
        program => format!("{} key {} of {program}", found.purpose, found.kid),
    }
}

/// Which of these keys wait for approval, told with both fingerprints.
///
/// # Errors
/// Why that is not known.
pub fn waiting(settings: &Settings, loaded: &[KeyDescription]) -> Result<Vec<String>, Failure> {
    let Some(store) = store_to_look(settings)? else {
        return Ok(Vec::new());
    };
    let others = store.read(|tx| tx.other_keys(&named_keys(loaded)))?;
    Ok(others
        .iter()
        .map(|other| other.fault().to_string())
        .collect())
}

/// The database, unless looking at it would make one where there is none.
///
/// # Errors
/// Why it cannot be opened.
pub fn store_to_look(settings: &Settings) -> Result<Option<Store>, Failure> {
    if let Ok(DatabaseUrl::Sqlite(path)) = DatabaseUrl::parse(&settings.database_url)
        && !path.exists()
    {
        return Ok(None);
    }
    connect(settings).map(Some)
}
