//! Verifies the audit: every record's hash, every chain without a gap, every end that is known of.
//!
//! Purge removes a chain as a whole, perhaps in several steps. Its own record says which, and where it
//! ended: of such a chain nothing needs to be there.

use diesel::prelude::*;

use super::purging::purged_by;
use super::walk::Walk;
use super::{AuditRecord, Head};
use crate::store::schema::{audit, audit_writers};
use crate::store::{StoreError, Tx};

/// What is wrong with the audit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    pub writer: String,
    pub place: i64,
    pub what: FaultKind,
}

/// In what way a record is not as it was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FaultKind {
    /// It was altered, or not written by a service that has the key.
    Altered,
    Missing,
    /// It does not follow from the record before it.
    Unchained,
    /// The table of the chains' ends does not name the end of this one: what came here cannot be told.
    EndUnknown,
    /// The storage key that it was written with is not loaded: nothing can be said.
    KeyMissing,
}

impl FaultKind {
    /// The fault in words.
    pub fn word(self) -> &'static str {
        match self {
            Self::Altered => "altered",
            Self::Missing => "missing",
            Self::Unchained => "unchained",
            Self::EndUnknown => "end-unknown",
            Self::KeyMissing => "key-missing",
        }
    }
}

/// What verifying came to.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Verified {
    pub records: u64,
    pub chains: u64,
    /// The first bad record of each chain that has one, in the order of the chains.
    pub faults: Vec<Fault>,
}

/// Records of one look.
const PAGE: i64 = 2000;

impl Tx<'_> {
    /// Verifies every chain, and that none ends before a head that was kept outside. Reads one state of
    /// the database ([`crate::store::Store::snapshot`]).
    pub fn verify_audit(&mut self, kept: &[Head]) -> Result<Verified, StoreError> {
        let mut walk = Walk::default();
        kept.iter().for_each(|head| walk.name(head.clone()));
        let ends: Vec<Head> = audit_writers::table
            .select((
                audit_writers::writer,
                audit_writers::place,
                audit_writers::head,
            ))
            .load(self.connection)?;
        for head in ends {
            walk.ends.insert(head.writer.clone(), head.place);
            walk.name(head);
        }
        self.walk_through(&mut walk, None)?;
        for head in std::mem::take(&mut walk.named) {
            let there: Option<String> = audit::table
                .find((&head.writer, head.place))
                .select(audit::hash)
                .first(self.connection)
                .optional()?;
            if there.as_ref() != Some(&head.hash) {
                walk.differs(&head, there.is_some());
            }
        }
        Ok(walk.finish())
    }

    /// Walks through all chains, or through one.
    pub(super) fn walk_through(
        &mut self,
        walk: &mut Walk,
        chain: Option<&str>,
    ) -> Result<(), StoreError> {
        let mut after = (chain.unwrap_or_default().to_owned(), i64::MIN);
        loop {
            let page = self.audit_after(&after, chain)?;
            let Some(last) = page.last() else {
                return Ok(());
            };
            after = (last.writer.clone(), last.place);
            for record in page {
                walk.records += 1;
                let what = self.learn_from(&record, walk)?;
                walk.follow(record, what);
            }
        }
    }

    fn audit_after(
        &mut self,
        (writer, place): &(String, i64),
        chain: Option<&str>,
    ) -> Result<Vec<AuditRecord>, StoreError> {
        let same = audit::writer.eq(writer).and(audit::place.gt(place));
        let records = match chain {
            Some(_) => audit::table.filter(same).into_boxed(),
            None => audit::table
                .filter(audit::writer.gt(writer).or(same))
                .into_boxed(),
        };
        Ok(records
            .order((audit::writer, audit::place))
            .limit(PAGE)
            .select(AuditRecord::as_select())
            .load(self.connection)?)
    }

    /// Checks a record's hash; remembers what a genuine one says of other chains. Returns what is wrong.
    pub(super) fn learn_from(
        &self,
        record: &AuditRecord,
        walk: &mut Walk,
    ) -> Result<Option<FaultKind>, StoreError> {
        let parts = record.parts();
        let parts = parts.each_ref().map(Vec::as_slice);
        match self.keys().is_audit_digest(&record.hash, &parts) {
            Some(false) => return Ok(Some(FaultKind::Altered)),
            None => return Ok(Some(FaultKind::KeyMissing)),
            Some(true) => {}
        }
        if record.place == 1 {
            let chains = record.details()?;
            for head in super::heads_in(chains.get("chains")) {
                walk.name(head);
            }
        }
        for head in purged_by(record)? {
            let of_writer = walk.purged.entry(head.writer).or_default();
            *of_writer = (head.place, head.hash).max(std::mem::take(of_writer));
        }
        Ok(None)
    }
}
