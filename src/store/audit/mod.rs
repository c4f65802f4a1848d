//! The audit's records: written in the transaction of the act, chained, never changed.
//!
//! Each start of a process writes a chain of its own, so that processes do not wait for each other. A
//! record's hash is keyed and goes over all its columns and the hash before it: whoever has only the
//! database cannot change, remove or add one unseen. A chain's first record names the ends of the
//! chains written to last: what is cut off a chain's end is missed where a later one named it, and
//! else by the heads that were kept outside ([`Head`]).

mod purging;
mod verifying;
mod walk;

pub use purging::AUDIT;
pub use verifying::{Fault, FaultKind, Verified};

use diesel::prelude::*;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::connection::on_backend;
use super::notifications::{from_json, to_json};
use super::schema::{audit, audit_writers};
use super::{StoreError, Tx};
use crate::audit::Act;
use crate::domain::with_numbers_masked;

/// An act to be recorded.
pub struct Entry<'a> {
    pub act: Act,
    /// What it was done to. What could be a full number is recorded masked.
    pub object: &'a str,
    /// `done`, or why not.
    pub outcome: &'a str,
    /// What else is worth knowing. Never a secret.
    pub details: Value,
    /// Milliseconds since 1970, UTC.
    pub at: i64,
}

/// A record as it is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Queryable, Selectable, Insertable)]
#[diesel(table_name = audit)]
pub struct AuditRecord {
    /// The start of a process that wrote it.
    pub writer: String,
    /// Its place in the chain of its writer, from 1.
    pub place: i64,
    pub at: i64,
    pub actor: String,
    pub origin: String,
    pub act: String,
    pub object: String,
    pub outcome: String,
    /// JSON.
    pub details: String,
    /// The hash of the record before it; empty for the first one.
    pub previous: String,
    pub hash: String,
}

/// Where a chain ends, or ended.
#[derive(
    Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, Queryable, QueryableByName,
)]
#[diesel(table_name = audit)]
pub struct Head {
    pub writer: String,
    pub place: i64,
    pub hash: String,
}

/// Which records to list.
#[derive(Debug, Default, Clone)]
pub struct AuditFilter {
    pub act: Option<String>,
    pub actor: Option<String>,
    pub object: Option<String>,
    /// Only those of this time or later.
    pub since: Option<i64>,
    pub limit: i64,
}

/// Longest object, in characters.
const LONGEST_OBJECT: usize = 200;
/// Characters of the digest that tells masked objects apart.
const LONGEST_DIGEST: usize = 16;

/// Chains that a first record names: more than ever write at once.
const NAMED: i64 = 32;

/// The heads that a record names.
fn heads_in(named: Option<&Value>) -> Vec<Head> {
    let heads = named.cloned().map(serde_json::from_value);
    heads.and_then(Result::ok).unwrap_or_default()
}

impl AuditRecord {
    /// All that the hash goes over.
    fn parts(&self) -> [Vec<u8>; 10] {
        let text = |text: &str| text.as_bytes().to_vec();
        [
            text(&self.writer),
            self.place.to_be_bytes().to_vec(),
            self.at.to_be_bytes().to_vec(),
            text(&self.actor),
            text(&self.origin),
            text(&self.act),
            text(&self.object),
            text(&self.outcome),
            text(&self.details),
            text(&self.previous),
        ]
    }

    fn details(&self) -> Result<Value, StoreError> {
        from_json(&self.details)
    }
}

impl Tx<'_> {
    /// Records an act, as the last thing of the transaction that does it: if it cannot be recorded, it
    /// is not done.
    pub fn audit(&mut self, entry: Entry<'_>) -> Result<(), StoreError> {
        let mut details = self.with_sudo(entry.details);
        let before = match self.take_place(entry.at)? {
            Some(before) => before,
            None => {
                let chains = self.latest_heads(NAMED)?;
                details = json!({ "chains": chains, "of": details });
                self.begin_chain(entry.at)?;
                (0, String::new())
            }
        };
        let (place, previous) = before;
        let mut record = AuditRecord {
            writer: self.audit_writer.to_owned(),
            place: place + 1,
            at: entry.at,
            actor: self.actor.name().to_owned(),
            origin: self.actor.origin().to_owned(),
            act: entry.act.word().to_owned(),
            object: self.recorded_object(entry.object),
            outcome: entry.outcome.to_owned(),
            details: to_json(&details)?,
            previous,
            hash: String::new(),
        };
        let parts = record.parts();
        record.hash = self
            .keys()
            .audit_digest(&parts.each_ref().map(Vec::as_slice));
        diesel::insert_into(audit::table)
            .values(&record)
            .execute(self.connection)?;
        let own = audit_writers::table.find(&record.writer);
        diesel::update(own)
            .set(audit_writers::head.eq(&record.hash))
            .execute(self.connection)?;
        Ok(())
    }

    /// The details with for whom `sudo` was used, if it was.
    fn with_sudo(&self, details: Value) -> Value {
        match (self.actor.sudo(), details) {
            (Some(sudo), Value::Null) => json!({ "sudo": sudo }),
            (Some(sudo), Value::Object(mut details)) => {
                details.insert("sudo".to_owned(), sudo.into());
                details.into()
            }
            (_, details) => details,
        }
    }

    /// An object as it is recorded: cut, and with numbers masked. Then a keyed digest stands behind it, by
    /// which two acts on the same object are still known as such.
    fn recorded_object(&self, object: &str) -> String {
        let cut = |text: &str| -> String {
            let plain = text.chars().filter(|c| !c.is_control());
            plain.take(LONGEST_OBJECT).collect()
        };
        let Some(masked) = with_numbers_masked(object) else {
            return cut(object);
        };
        let digest = self
            .keys()
            .digest(&[b"audit-object", object.as_bytes()])
            .text;
        let digest = digest.rsplit(':').next().unwrap_or_default();
        let digest: String = digest.chars().take(LONGEST_DIGEST).collect();
        format!("{} ({digest})", cut(&masked))
    }

    /// Takes the next place of this writer's chain and holds it until the transaction ends. Returns the
    /// place and hash before it; none if the chain has not begun.
    fn take_place(&mut self, at: i64) -> Result<Option<(i64, String)>, StoreError> {
        let next = (
            audit_writers::place.eq(audit_writers::place + 1),
            audit_writers::at.eq(at),
        );
        let own = audit_writers::table.find(self.audit_writer);
        let taken: Option<(i64, String)> = on_backend!(self.connection, c => {
            diesel::update(own)
                .set(next)
                .returning((audit_writers::place, audit_writers::head))
                .get_result(c)
                .optional()
        })?;
        Ok(taken.map(|(place, head)| (place - 1, head)))
    }

    fn begin_chain(&mut self, at: i64) -> Result<(), StoreError> {
        diesel::insert_into(audit_writers::table)
            .values((
                audit_writers::writer.eq(self.audit_writer),
                audit_writers::place.eq(1),
                audit_writers::head.eq(""),
                audit_writers::at.eq(at),
            ))
            .execute(self.connection)?;
        Ok(())
    }

    /// The ends of the chains that were written to last.
    pub fn latest_heads(&mut self, limit: i64) -> Result<Vec<Head>, StoreError> {
        Ok(audit_writers::table
            .order((audit_writers::at.desc(), audit_writers::writer.desc()))
            .limit(limit)
            .select((
                audit_writers::writer,
                audit_writers::place,
                audit_writers::head,
            ))
            .load(self.connection)?)
    }

    /// Records, the latest first.
    pub fn list_audit(&mut self, filter: &AuditFilter) -> Result<Vec<AuditRecord>, StoreError> {
        let mut query = audit::table.into_boxed();
        if let Some(act) = &filter.act {
            query = query.filter(audit::act.eq(act));
        }
        if let Some(actor) = &filter.actor {
            query = query.filter(audit::actor.eq(actor));
        }
        if let Some(object) = &filter.object {
            query = query.filter(audit::object.eq(self.recorded_object(object)));
        }
        if let Some(since) = filter.since {
            query = query.filter(audit::at.ge(since));
        }
        Ok(query
            .order((audit::at.desc(), audit::writer.desc(), audit::place.desc()))
            .limit(filter.limit)
            .select(AuditRecord::as_select())
            .load(self.connection)?)
    }
}
