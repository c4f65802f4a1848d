//! What seems to have been missed, looked for from time to time: the hours of each program are counted, the
//! findings measured. Each process that calls out does it; what is written is the same from each.

use std::collections::BTreeSet;

use super::calls::Calls;
use crate::domain::CardId;
use crate::store::StoreError;

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
    let counts = store.read(|tx| tx.count_missed(rules, now))?;
    calls
        .metrics()
        .missed(counts.iter().map(|(kind, count)| (kind.name(), *count)));
    let silent = store.read(|tx| tx.silent_programs(rules, now))?;
    let silent = silent.map(|silent| BTreeSet::from_iter(silent.into_iter().map(|it| it.program)));
    calls.metrics().silent(&rules.programs, silent.as_ref());
    Ok(())
}
