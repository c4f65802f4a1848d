//! Verifies the audit: every record's hash, every chain without a gap, every end that is known of.
//!
//! Purge removes a chain as a whole, perhaps in several steps. Its own record says which, and where it
//! ended: of such a chain nothing needs to be there.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use diesel::prelude::*;

use super::purging::purged_by;
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

/// One chain, as far as it was walked.
struct Chain {
    begin: i64,
    end: (i64, String),
    fault: Option<(i64, FaultKind)>,
}

#[derive(Default)]
pub(super) struct Walk {
    records: u64,
    chains: BTreeMap<String, Chain>,
    /// Where each chain ends, as the database has it beside the records.
    ends: HashMap<String, i64>,
    /// What records, that table and heads kept outside say: all of it must be so, also where two say
    /// something of the same place.
    named: BTreeSet<Head>,
    /// Where purged chains ended, by writer.
    purged: HashMap<String, (i64, String)>,
    /// Chains of which nothing is left, though they were not purged.
    gone: BTreeSet<String>,
}

impl Walk {
    fn name(&mut self, head: Head) {
        self.named.insert(head);
    }

    fn follow(&mut self, record: AuditRecord, what: Option<FaultKind>) {
        let AuditRecord { place, hash, .. } = record;
        let Some(chain) = self.chains.get_mut(&record.writer) else {
            // What an altered first record says is of no interest.
            let chain = Chain {
                begin: place,
                end: (place, hash),
                fault: what.map(|what| (place, what)),
            };
            self.chains.insert(record.writer, chain);
            return;
        };
        if chain.fault.is_none() {
            let (end, before) = &chain.end;
            chain.fault = if place != end + 1 {
                Some((end + 1, FaultKind::Missing))
            } else if what.is_none() && record.previous != *before {
                Some((place, FaultKind::Unchained))
            } else {
                what.map(|what| (place, what))
            };
        }
        chain.end = (place, hash);
    }

    /// Up to where a chain was purged; 0 if it was not.
    fn purged_to(&self, writer: &str) -> i64 {
        self.purged.get(writer).map_or(0, |(place, _)| *place)
    }

    /// A place has another hash than is known of it from elsewhere, or no record.
    fn differs(&mut self, head: &Head, is_there: bool) {
        let Head {
            writer,
            place,
            hash,
        } = head;
        let is_purged = self.purged.get(writer).is_some_and(|(end, last)| {
            // At its end a chain had the one hash that was recorded then.
            place < end || (place == end && hash == last)
        });
        match self.chains.get_mut(writer) {
            _ if is_purged => {}
            None => {
                self.gone.insert(writer.to_owned());
            }
            Some(chain) => {
                let (place, what) = match is_there {
                    true => (*place, FaultKind::Altered),
                    false => ((*place).min(chain.end.0 + 1), FaultKind::Missing),
                };
                if chain.fault.is_none_or(|(earlier, _)| place < earlier) {
                    chain.fault = Some((place, what));
                }
            }
        }
    }

    /// The first record of a chain that is not as it was written. Of what was purged nothing needs to be
    /// there.
    fn fault_of(&self, writer: &str, chain: &Chain) -> Option<(i64, FaultKind)> {
        let purged_to = self.purged_to(writer);
        let is_purged = |what, place| what == FaultKind::Missing && place <= purged_to;
        let inside = chain
            .fault
            .filter(|(place, what)| !is_purged(*what, *place));
        let before = (chain.begin > purged_to.saturating_add(1))
            .then_some((purged_to.saturating_add(1), FaultKind::Missing));
        before
            .into_iter()
            .chain(inside)
            .min_by_key(|(place, _)| *place)
    }

    /// Whether a chain does not begin with its first record.
    pub(super) fn begins_late(&self, writer: &str) -> bool {
        self.chains.get(writer).is_some_and(|chain| chain.begin > 1)
    }

    /// Whether a chain is without fault and ends here; if it was purged in part, up to this end.
    pub(super) fn is_whole_up_to(&self, end: &Head) -> bool {
        let ends_here = |place: i64, hash: &str| place == end.place && hash == end.hash;
        let mut purged = self.purged.get(&end.writer).into_iter();
        let purged = purged.all(|(place, hash)| ends_here(*place, hash));
        self.chains.get(&end.writer).is_some_and(|chain| {
            let fault = self.fault_of(&end.writer, chain);
            purged && fault.is_none() && ends_here(chain.end.0, &chain.end.1)
        })
    }

    fn finish(self) -> Verified {
        let fault = |(writer, chain): (&String, &Chain)| {
            let end = self.ends.get(writer).copied();
            let unlisted = match end {
                Some(end) => (end < chain.end.0).then_some(end),
                None => Some(chain.end.0),
            };
            let unlisted = unlisted.map(|end| (end + 1, FaultKind::EndUnknown));
            let found = self.fault_of(writer, chain).into_iter().chain(unlisted);
            let (place, what) = found.min_by_key(|(place, _)| *place)?;
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
