//! When each key was last used: noted in memory, and written from time to time.
//!
//! A use of a key waits for nothing and fails for nothing here. What cannot be written is kept for the next time;
//! a process that is killed loses what it noted since it wrote last.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use diesel::prelude::*;

use super::connection::on_backend;
use super::schema::key_uses;
use super::{Store, StoreError, Tx};
use crate::jose::KeyDescription;

/// The purpose under which API keys stand beside the keys of the key folder.
const API: &str = "api";

/// A key as its uses are noted.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct UsedKey {
    purpose: String,
    program: String,
    kid: String,
    fingerprint: String,
}

impl UsedKey {
    fn described(key: &KeyDescription) -> Self {
        Self {
            purpose: key.purpose.word().to_owned(),
            program: key.program.clone(),
            kid: key.kid.clone(),
            fingerprint: key.fingerprint.clone(),
        }
    }

    fn api(name: &str) -> Self {
        Self {
            purpose: API.to_owned(),
            program: String::new(),
            kid: name.to_owned(),
            fingerprint: String::new(),
        }
    }
}

/// What this process notes of the uses of keys.
#[derive(Default)]
pub(super) struct Noted {
    /// The keys in use, whose marks are looked at.
    followed: Mutex<Vec<KeyDescription>>,
    /// What is not written yet.
    uses: Mutex<BTreeMap<UsedKey, i64>>,
}

/// When each key was last used, in milliseconds since 1970.
#[derive(Default)]
pub struct LastUses(BTreeMap<UsedKey, i64>);

impl LastUses {
    /// Of a key of the key folder.
    pub fn of(&self, key: &KeyDescription) -> Option<i64> {
        self.0.get(&UsedKey::described(key)).copied()
    }

    /// Of an API key, by its name.
    pub fn of_api_key(&self, name: &str) -> Option<i64> {
        self.0.get(&UsedKey::api(name)).copied()
    }
}

impl Store {
    /// Looks at the marks of these keys from now on, as long as they are in use.
    pub fn follow_keys(&self, keys: &[KeyDescription]) {
        let mut followed = lock(&self.inner.noted.followed);
        for key in keys {
            if !followed.iter().any(|known| known.used.is_same(&key.used)) {
                followed.push(key.clone());
            }
        }
    }

    /// Notes that an API key was used.
    pub fn note_api_key(&self, name: &str, now: i64) {
        note(&mut lock(&self.inner.noted.uses), UsedKey::api(name), now);
    }

    /// Notes which of the followed keys were used since this was last done.
    pub fn note_key_uses(&self, now: i64) {
        let mut followed = lock(&self.inner.noted.followed);
        let mut uses = lock(&self.inner.noted.uses);
        followed.retain(|key| {
            let is_gone = key.used.is_last();
            if key.used.take() {
                note(&mut uses, UsedKey::described(key), now);
            }
            !is_gone
        });
    }

    /// Writes what was noted.
    ///
    /// # Errors
    /// It stays noted.
    pub fn write_key_uses(&self) -> Result<(), StoreError> {
        let noted = lock(&self.inner.noted.uses).clone();
        if noted.is_empty() {
            return Ok(());
        }
        self.write(|tx| noted.iter().try_for_each(|(key, at)| tx.key_used(key, *at)))?;
        lock(&self.inner.noted.uses).retain(|key, at| noted.get(key) != Some(at));
        Ok(())
    }
}

impl Tx<'_> {
    /// When each key was last used, as far as it is written.
    pub fn last_uses(&mut self) -> Result<LastUses, StoreError> {
        let rows: Vec<(String, String, String, String, i64)> =
            key_uses::table.load(self.connection)?;
        let uses = rows
            .into_iter()
            .map(|(purpose, program, kid, fingerprint, at)| {
                let key = UsedKey {
                    purpose,
                    program,
                    kid,
                    fingerprint,
                };
                (key, at)
            });
        Ok(LastUses(uses.collect()))
    }

    /// The latest time counts: processes that share the database write in any order.
    fn key_used(&mut self, key: &UsedKey, at: i64) -> Result<(), StoreError> {
        let row = (
            key_uses::purpose.eq(&key.purpose),
            key_uses::program.eq(&key.program),
            key_uses::kid.eq(&key.kid),
            key_uses::fingerprint.eq(&key.fingerprint),
            key_uses::used_at.eq(at),
        );
        let added = on_backend!(self.connection, c => {
            diesel::insert_into(key_uses::table)
                .values(row)
                .on_conflict_do_nothing()
                .execute(c)?
        });
        if added == 0 {
            let known = (&key.purpose, &key.program, &key.kid, &key.fingerprint);
            let earlier = key_uses::table.find(known).filter(key_uses::used_at.lt(at));
            diesel::update(earlier)
                .set(key_uses::used_at.eq(at))
                .execute(self.connection)?;
        }
        Ok(())
    }
}

fn note(uses: &mut BTreeMap<UsedKey, i64>, key: UsedKey, now: i64) {
    let noted = uses.entry(key).or_insert(now);
    *noted = now.max(*noted);
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
