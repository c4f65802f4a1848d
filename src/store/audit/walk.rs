//! A walk through the audit's chains, record by record in order: what is missing, altered or out of chain.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::verifying::{Fault, FaultKind, Verified};
use super::{AuditRecord, Head};

/// One chain, as far as it was walked.
struct Chain {
    begin: i64,
    end: (i64, String),
    fault: Option<(i64, FaultKind)>,
}

/// What a walk through chains has seen, and what it knows of them from elsewhere.
#[derive(Default)]
pub struct Walk {
    pub records: u64,
    chains: BTreeMap<String, Chain>,
    /// Where each chain ends, as the database has it beside the records.
    pub ends: HashMap<String, i64>,
    /// What records, that table and heads kept outside say: all of it must be so, also where two say
    /// something of the same place.
    pub named: BTreeSet<Head>,
    /// Where purged chains ended, by writer.
    pub purged: HashMap<String, (i64, String)>,
    /// Chains of which nothing is left, though they were not purged.
    gone: BTreeSet<String>,
}

impl Walk {
    /// Something says of a place that this record is there.
    pub fn name(&mut self, head: Head) {
        self.named.insert(head);
    }

    /// Takes the next record, and what is wrong with its hash.
    pub fn follow(&mut self, record: AuditRecord, what: Option<FaultKind>) {
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
    pub fn differs(&mut self, head: &Head, is_there: bool) {
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
    pub fn begins_late(&self, writer: &str) -> bool {
        self.chains.get(writer).is_some_and(|chain| chain.begin > 1)
    }

    /// Whether a chain is without fault and ends here; if it was purged in part, up to this end.
    pub fn is_whole_up_to(&self, end: &Head) -> bool {
        let ends_here = |place: i64, hash: &str| place == end.place && hash == end.hash;
        let mut purged = self.purged.get(&end.writer).into_iter();
        let purged = purged.all(|(place, hash)| ends_here(*place, hash));
        self.chains.get(&end.writer).is_some_and(|chain| {
            let fault = self.fault_of(&end.writer, chain);
            purged && fault.is_none() && ends_here(chain.end.0, &chain.end.1)
        })
    }

    /// What the walk came to.
    pub fn finish(self) -> Verified {
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
