//! `api-keys`: create, list, revoke.

use clap::Subcommand;
use serde_json::{Value, json};

use super::Common;
use super::failure::Failure;
use super::tables::{print_json, print_table};
use crate::api::access::{AccessRole, digest, new_key};
use crate::audit::Act;
use crate::store::{ApiKey, Entry, StoreError};
use crate::telemetry::{Clock, timestamp};

#[derive(Subcommand)]
pub enum ApiKeysCommand {
    /// Makes a key, valid at once, and prints it: it cannot be shown again
    Create {
        /// What it may be used for
        #[arg(long)]
        role: AccessRole,
        /// Whose it is; a name is used once
        #[arg(long)]
        name: String,
    },
    /// Lists the keys' names and roles, and when each was last used
    List {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Makes a key invalid at once
    Revoke {
        #[arg(allow_hyphen_values = true)]
        name: String,
    },
}

pub fn run(common: &Common, command: ApiKeysCommand) -> Result<(), Failure> {
    match command {
        ApiKeysCommand::Create { role, name } => create(common, role, name),
        ApiKeysCommand::List { json } => list(common, json),
        ApiKeysCommand::Revoke { name } => revoke(common, &name),
    }
}

fn create(common: &Common, role: AccessRole, name: String) -> Result<(), Failure> {
    if name.is_empty() || name.len() > 64 || name.chars().any(char::is_control) {
        return Err(Failure::wrong(
            "a name has 1 to 64 characters and no control characters",
        ));
    }
    let (_, store) = common.open()?;
    let key = new_key(role).map_err(Failure::unwell)?;
    let kept = ApiKey {
        name,
        role: role.name().to_owned(),
        digest: digest(&key),
        created_at: Clock::system().now(),
        revoked_at: None,
    };
    store
        .write(|tx| {
            tx.insert_api_key(&kept)?;
            tx.audit(Entry {
                act: Act::ApiKeyCreated,
                object: &kept.name,
                outcome: "done",
                details: json!({ "role": kept.role }),
                at: kept.created_at,
            })
        })
        .map_err(|error| match error {
            StoreError::Conflict => Failure::wrong("a key of this name exists, or existed"),
            other => other.into(),
        })?;
    println!("{key}");
    Ok(())
}

fn list(common: &Common, as_json: bool) -> Result<(), Failure> {
    let store = common.open_to_read("api-keys")?;
    let (keys, uses) = store.read(|tx| Ok((tx.list_api_keys()?, tx.last_uses()?)))?;
    let last_used = |key: &ApiKey| uses.of_api_key(&key.name).map(timestamp);
    if as_json {
        let key = |key: &ApiKey| {
            json!({
                "name": key.name,
                "role": key.role,
                "createdAt": timestamp(key.created_at),
                "revokedAt": key.revoked_at.map(timestamp),
                "lastUsedAt": last_used(key),
            })
        };
        let keys: Vec<Value> = keys.iter().map(key).collect();
        return Ok(print_json(&json!({ "apiKeys": keys }))?);
    }
    let cells = |key: &ApiKey| {
        let revoked = key.revoked_at.map(timestamp).unwrap_or_default();
        vec![
            key.name.clone(),
            key.role.clone(),
            timestamp(key.created_at),
            last_used(key).unwrap_or_default(),
            revoked,
        ]
    };
    Ok(print_table(
        &["NAME", "ROLE", "CREATED", "LAST USED", "REVOKED"],
        keys.iter().map(cells),
    )?)
}

fn revoke(common: &Common, name: &str) -> Result<(), Failure> {
    let (_, store) = common.open()?;
    let now = Clock::system().now();
    let revoked = store.write(|tx| {
        let revoked = tx.revoke_api_key(name, now)?;
        tx.audit(Entry {
            act: Act::ApiKeyRevoked,
            object: name,
            outcome: if revoked { "done" } else { "unknown-key" },
            details: Value::Null,
            at: now,
        })?;
        Ok(revoked)
    })?;
    match revoked {
        true => Ok(()),
        false => Err(Failure::unwell("no valid key of this name is known")),
    }
}
