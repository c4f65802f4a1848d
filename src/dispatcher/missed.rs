//! What seems to have been missed, looked for from time to time: the hours of each program are counted, the
//! findings measured. Each process that calls out does it; what is written is the same from each.

use std::collections::BTreeSet;

use super::calls::Calls;
use crate::domain::{CardId, Missed};
use crate::store::{SilentPrograms, StoreError};

/// Hours that are counted at one look: more of them only behind a pause of the service.
const HOURS: usize = 24;

/// Notes the signs of cards from before they were kept: a step at a time.
pub(super) fn note_signs(calls: &Calls, limit: i64) -> Result<(), StoreError> {
    let store = calls.store();
    let ids = store.read(|tx| tx.cards_without_signs(limit))?;
    if ids.is_empty() {
        return Ok(());
    }
    let ids: BTreeSet<CardId> = ids.iter().filter_map(|id| CardId::parse(id).ok()).collect();
    store.write(|tx| tx.note_signs(&ids))
}

/// Counts the hours that are over, then measures what there is.
pub(super) fn look(calls: &Calls, now: i64) -> Result<(), StoreError> {
    let (store, rules) = (calls.store(), calls.missed());
    for _ in 0..HOURS {
        let Some(hour) = store.read(|tx| tx.uncounted_hour(now))? else {
            break;
        };
        // Counted before it is written: whoever else writes does not wait for it.
        let items = store.read(|tx| tx.items_of_hour(hour))?;
        store.write(|tx| tx.keep_hour(hour, &items))?;
    }
    let (metrics, programs) = (calls.metrics(), &rules.programs);
    let asked = |kind: &Missed| rules.time(*kind).is_some();
    for kind in Missed::ALL.into_iter().filter(asked) {
        let counts = store.read(|tx| tx.missed_by_program(kind, rules, now))?;
        let counts = counts
            .iter()
            .map(|(program, count)| (program.as_deref(), *count));
        metrics.missed(programs, kind.name(), counts);
    }
    metrics.unjudged(store.read(|tx| tx.count_unjudged())?);
    let silent = match store.read(|tx| tx.silent_programs(rules, now))? {
        SilentPrograms::Judged(silent) => Some(silent.into_iter().map(|it| it.program).collect()),
        SilentPrograms::NotAsked | SilentPrograms::NotCounted => None,
    };
    metrics.silent(programs, silent.as_ref());
    Ok(())
}
