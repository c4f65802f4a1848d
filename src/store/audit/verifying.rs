//! Verifies the audit: every record's hash, every chain without a gap, every end that is known of.
//!
//! Purge removes a chain as a whole, perhaps in several steps. Its own record says which, and where it
//! ended: of such a chain nothing needs to be there.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use diesel::prelude::*;
use serde_json::Value;

use super::{AuditRecord, Head};
use crate::audit::Act;
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
    /// Verifies every chain, and that none ends before a head that was kept outside.
    pub fn verify_audit(&mut self, kept: &[Head]) -> Result<Verified, StoreError> {
        let mut walk = Walk::default();
        kept.iter().for_each(|head| walk.name(head.clone()));
        // Before the records: what is written meanwhile lies behind these.
        let ends: Vec<Head> = audit_writers::table
            .select((
                audit_writers::writer,
                audit_writers::place,
                audit_writers::head,
            ))
            .load(self.connection)?;
        ends.into_iter().for_each(|head| walk.name(head));
        let mut after = (String::new(), 0);
        loop {
            let page = self.audit_after(&after)?;
            let Some(last) = page.last() else { break };
            after = (last.writer.clone(), last.place);
            for record in page {
                self.look_at(record, &mut walk)?;
            }
        }
        for (writer, heads) in std::mem::take(&mut walk.named) {
            for (place, hash) in heads {
                let there: Option<String> = audit::table
                    .find((&writer, place))
                    .select(audit::hash)
                    .first(self.connection)
                    .optional()?;
                if there.as_ref() != Some(&hash) {
                    walk.differs(&writer, place, there.is_some());
                }
            }
        }
        Ok(walk.finish())
    }

    fn audit_after(&mut self, after: &(String, i64)) -> Result<Vec<AuditRecord>, StoreError> {
        let (writer, place) = after;
        let same = audit::writer.eq(writer).and(audit::place.gt(place));
        Ok(audit::table
            .filter(audit::writer.gt(writer).or(same))
            .order((audit::writer, audit::place))
            .limit(PAGE)
            .select(AuditRecord::as_select())
            .load(self.connection)?)
    }

    fn look_at(&mut self, record: AuditRecord, walk: &mut Walk) -> Result<(), StoreError> {
        walk.records += 1;
        let parts = record.parts();
        let parts = parts.each_ref().map(Vec::as_slice);
        let what = match self.keys().is_audit_digest(&record.hash, &parts) {
            Some(true) => None,
            Some(false) => Some(FaultKind::Altered),
            None => Some(FaultKind::KeyMissing),
        };
        if what.is_none() {
            walk.remember(&record)?;
        }
        walk.follow(record, what);
        Ok(())
    }
}

/// One chain, as far as it was walked.
struct Chain {
    end: (i64, String),
    fault: Option<(i64, FaultKind)>,
}

#[derive(Default)]
struct Walk {
    records: u64,
    chains: BTreeMap<String, Chain>,
    /// Hashes by writer and place, as records name them and as they were kept outside.
    named: BTreeMap<String, BTreeMap<i64, String>>,
    /// Where purged chains ended, by writer.
    purged: HashMap<String, i64>,
    /// Chains of which nothing is left, though they were not purged.
    gone: BTreeSet<String>,
}

impl Walk {
    fn name(&mut self, head: Head) {
        let of_writer = self.named.entry(head.writer).or_default();
        of_writer.insert(head.place, head.hash);
    }

    /// Remembers what a genuine record says of other chains.
    fn remember(&mut self, record: &AuditRecord) -> Result<(), StoreError> {
        let heads = |value: Option<&Value>| -> Vec<Head> {
            let heads = value.cloned().map(serde_json::from_value);
            heads.and_then(Result::ok).unwrap_or_default()
        };
        let details = match record.place {
            1 => {
                let details = record.details()?;
                for head in heads(details.get("chains")) {
                    self.name(head);
                }
                details.get("of").cloned().unwrap_or_default()
            }
            _ if record.act == Act::Purged.word() => record.details()?,
            _ => return Ok(()),
        };
        if record.act == Act::Purged.word() {
            for head in heads(details.get("upTo")) {
                self.purged.insert(head.writer, head.place);
            }
        }
        Ok(())
    }

    fn follow(&mut self, record: AuditRecord, what: Option<FaultKind>) {
        let AuditRecord { place, hash, .. } = record;
        let Some(chain) = self.chains.get_mut(&record.writer) else {
            // What an altered first record says is of no interest.
            let chain = Chain {
                fault: match place {
                    1 => what.map(|what| (1, what)),
                    _ => Some((1, FaultKind::Missing)),
                },
                end: (place, hash),
            };
            self.chains.insert(record.writer, chain);
            return;
        };
        if chain.fault.is_some() {
            return;
        }
        let (end, before) = &chain.end;
        chain.fault = if place != end + 1 {
            Some((end + 1, FaultKind::Missing))
        } else if what.is_none() && record.previous != *before {
            Some((place, FaultKind::Unchained))
        } else {
            what.map(|what| (place, what))
        };
        chain.end = (place, hash);
    }

    /// A place has another hash than is known of it from elsewhere, or no record.
    fn differs(&mut self, writer: &str, place: i64, is_there: bool) {
        match self.chains.get_mut(writer) {
            _ if self.purged.get(writer).is_some_and(|end| place <= *end) => {}
            None => {
                self.gone.insert(writer.to_owned());
            }
            Some(chain) => {
                let (place, what) = match is_there {
                    true => (place, FaultKind::Altered),
                    false => (place.min(chain.end.0 + 1), FaultKind::Missing),
                };
                if chain.fault.is_none_or(|(earlier, _)| place < earlier) {
                    chain.fault = Some((place, what));
                }
            }
        }
    }

    fn finish(self) -> Verified {
        let fault = |(writer, chain): (&String, &Chain)| {
            let is_purged = self
                .purged
                .get(writer)
                .is_some_and(|end| chain.end.0 <= *end);
            let (place, what) = chain.fault.filter(|_| !is_purged)?;
            Some(Fault {
                writer: writer.clone(),
                place,
                what,
            })
        };
        let mut faults: Vec<Fault> = self.chains.iter().filter_map(fault).collect();
        faults.extend(self.gone.into_iter().map(|writer| Fault {
            writer,
            place: 1,
            what: FaultKind::Missing,
        }));
        faults.sort_by(|one, other| one.writer.cmp(&other.writer));
        Verified {
            records: self.records,
            chains: self.chains.len() as u64,
            faults,
        }
    }
}
