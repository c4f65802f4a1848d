//! Which key stands for which name: recorded when a name is first seen, changed by approval alone.
//!
//! Whoever can put a file into the key folder could else exchange a key unnoticed, at the latest with the
//! next restart.

use std::collections::BTreeMap;

use diesel::prelude::*;
use serde_json::{Value, json};

use super::connection::AnyConnection;
use super::schema::approved_keys;
use super::{Entry, Store, StoreError, Tx};
use crate::audit::Act;
use crate::jose::{Admission, KeyDescription, KeyError, KeyPurpose, Keyring, NamedKey, named_keys};

/// A key that stands under a name which is known for another one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OtherKey {
    pub found: NamedKey,
    /// The fingerprint that the name is known for.
    pub known: String,
}

impl OtherKey {
    /// It as the audit tells it.
    pub fn view(&self) -> Value {
        let found = &self.found;
        json!({
            "purpose": found.purpose,
            "program": found.program,
            "kid": found.kid,
            "known": self.known,
            "found": found.fingerprint,
        })
    }

    /// It as the fault that keeps it from being used.
    pub fn fault(&self) -> KeyError {
        KeyError::Substituted {
            purpose: self.found.purpose,
            kid: self.found.kid.clone(),
            known: self.known.clone(),
            found: self.found.fingerprint.clone(),
        }
    }
}

impl Store {
    /// Whether these keys may be used, as [`Tx::admit_keys`] has it. Without `is_recorded` a refusal is not
    /// recorded: it was before.
    pub fn admit_keys(&self, keys: &[KeyDescription], is_recorded: bool, now: i64) -> Admission {
        self.admit(keys, is_recorded, |_| Ok(()), now)
    }

    /// Whether these payload keys may take the place of those in use, as [`Self::admit_keys`] has it. That they
    /// do is recorded with it: without a record they may not.
    pub fn admit_keyring(&self, keyring: &Keyring, is_recorded: bool, now: i64) -> Admission {
        let loaded = |tx: &mut Tx<'_>| {
            tx.audit(Entry {
                act: Act::KeysLoaded,
                object: "keys",
                outcome: "done",
                details: key_list(keyring),
                at: now,
            })
        };
        self.admit(&keyring.descriptions(), is_recorded, loaded, now)
    }

    fn admit(
        &self,
        keys: &[KeyDescription],
        is_recorded: bool,
        record: impl FnOnce(&mut Tx<'_>) -> Result<(), StoreError>,
        now: i64,
    ) -> Admission {
        let named = named_keys(keys);
        let others = match is_recorded {
            true => Ok(Vec::new()),
            false => self.read(|tx| tx.other_keys(&named)),
        };
        let admitted = others.and_then(|others| match others.first() {
            Some(first) => Ok(Err(first.fault())),
            None => self.write(|tx| {
                let admitted = tx.admit_keys(&named, now)?;
                if admitted.is_ok() {
                    record(tx)?;
                }
                Ok(admitted)
            }),
        });
        if let Ok(Ok(())) = admitted {
            self.follow_keys(keys);
        }
        admitted.map_err(|error| error.to_string())
    }
}

/// Payload keys as the audit names them: kid and fingerprint.
pub fn key_list(keyring: &Keyring) -> Value {
    keyring
        .keys()
        .map(|key| json!({ "kid": key.kid(), "fingerprint": key.spki_sha256_hex() }))
        .collect()
}

impl Tx<'_> {
    /// Those of these keys whose name is known for another key.
    pub fn other_keys(&mut self, keys: &[NamedKey]) -> Result<Vec<OtherKey>, StoreError> {
        let known = self.known_fingerprints()?;
        let other = |key: &NamedKey| {
            let known = known.get(&name_of(key))?;
            (*known != key.fingerprint).then(|| OtherKey {
                found: key.clone(),
                known: known.clone(),
            })
        };
        Ok(keys.iter().filter_map(other).collect())
    }

    /// Admits these keys to use, all or none: names that are new are recorded with their keys. The first
    /// one whose name is known for another key is returned as a fault, and all such ones are recorded as
    /// refused.
    pub fn admit_keys(
        &mut self,
        keys: &[NamedKey],
        now: i64,
    ) -> Result<Result<(), KeyError>, StoreError> {
        self.lock_approved_keys()?;
        let others = self.other_keys(keys)?;
        if let Some(first) = others.first() {
            self.record_refusal(&others, now)?;
            return Ok(Err(first.fault()));
        }
        let known = self.known_fingerprints()?;
        let new: Vec<&NamedKey> = keys
            .iter()
            .filter(|key| !known.contains_key(&name_of(key)))
            .collect();
        for key in &new {
            self.insert_approved_key(key, now)?;
        }
        if !new.is_empty() {
            let view = |key: &&NamedKey| {
                json!({
                    "purpose": key.purpose,
                    "program": key.program,
                    "kid": key.kid,
                    "fingerprint": key.fingerprint,
                })
            };
            self.audit(Entry {
                act: Act::KeysTrusted,
                object: "keys",
                outcome: "done",
                details: new.iter().map(view).collect(),
                at: now,
            })?;
        }
        Ok(Ok(()))
    }

    /// Lets a key stand for its name from now on. Returns whether the name was still known for the key
    /// that was shown.
    pub fn approve_key(
        &mut self,
        key: &OtherKey,
        reason: &str,
        now: i64,
    ) -> Result<bool, StoreError> {
        let found = &key.found;
        let row = approved_keys::table
            .find((found.purpose, &found.program, &found.kid))
            .filter(approved_keys::fingerprint.eq(&key.known));
        let approved = diesel::update(row)
            .set((
                approved_keys::fingerprint.eq(&found.fingerprint),
                approved_keys::approved_at.eq(now),
                approved_keys::approved_by.eq(self.actor.name()),
                approved_keys::reason.eq(reason),
            ))
            .execute(self.connection)?;
        Ok(approved > 0)
    }

    /// Of two processes that see a name first at the same time, one is first.
    fn lock_approved_keys(&mut self) -> Result<(), StoreError> {
        if let AnyConnection::Postgres(c) = self.connection {
            diesel::sql_query("LOCK TABLE approved_keys IN SHARE ROW EXCLUSIVE MODE").execute(c)?;
        }
        Ok(())
    }

    fn known_fingerprints(&mut self) -> Result<BTreeMap<Name, String>, StoreError> {
        let rows: Vec<(String, String, String, String)> = approved_keys::table
            .select((
                approved_keys::purpose,
                approved_keys::program,
                approved_keys::kid,
                approved_keys::fingerprint,
            ))
            .load(self.connection)?;
        let known = rows
            .into_iter()
            .map(|(purpose, program, kid, fingerprint)| ((purpose, program, kid), fingerprint));
        Ok(known.collect())
    }

    fn insert_approved_key(&mut self, key: &NamedKey, now: i64) -> Result<(), StoreError> {
        let row = (
            approved_keys::purpose.eq(key.purpose),
            approved_keys::program.eq(&key.program),
            approved_keys::kid.eq(&key.kid),
            approved_keys::fingerprint.eq(&key.fingerprint),
            approved_keys::first_seen_at.eq(now),
        );
        diesel::insert_into(approved_keys::table)
            .values(row)
            .execute(self.connection)?;
        Ok(())
    }

    fn record_refusal(&mut self, others: &[OtherKey], now: i64) -> Result<(), StoreError> {
        // What another key than the known one hashes would be found bad once the known one is back.
        let active = self.keys().active_id();
        let is_active =
            |key: &NamedKey| key.purpose == KeyPurpose::Storage.word() && key.kid == active;
        if others.iter().any(|other| is_active(&other.found)) {
            return Ok(());
        }
        self.audit(Entry {
            act: Act::KeysRefused,
            object: "keys",
            outcome: "not-approved",
            details: others.iter().map(OtherKey::view).collect(),
            at: now,
        })
    }
}

/// Purpose, program and kid.
type Name = (String, String, String);

fn name_of(key: &NamedKey) -> Name {
    (key.purpose.to_owned(), key.program.clone(), key.kid.clone())
}
