//! What must hold of the calls that are not over.

use std::collections::BTreeSet;

use crate::oracle::{Oracle, ensure};
use crate::tables::Job;

impl Oracle {
    /// One call of a kind (and number version) is open, one of a card runs, fences only rise.
    pub fn check_calls(&mut self) -> Result<String, String> {
        let mut line = String::new();
        let (mut open, mut running) = (BTreeSet::new(), BTreeSet::new());
        for job in self.open_jobs() {
            let count = self.names.len();
            let name = *self.names.entry(job.id.clone()).or_insert(count);
            let Job {
                kind,
                card_id,
                state,
                attempts,
                fence,
                next_at,
                ..
            } = &job;
            line += &format!("; {name} {kind} {card_id} {state} {attempts} {fence} {next_at}");
            let before = self.fences.insert(job.id.clone(), *fence);
            ensure(before.is_none_or(|before| before <= *fence), || {
                format!("a fence of {card_id} went back to {fence}")
            })?;
            if state == "running" {
                ensure(running.insert(card_id.clone()), || {
                    format!("two calls of {card_id} run")
                })?;
            }
            let is_of_queue = kind != "credentials" && state != "dead";
            if is_of_queue {
                let key = (card_id.clone(), kind.clone(), job.number_version);
                ensure(open.insert(key), || {
                    format!("two calls {kind} of {card_id} are open")
                })?;
                let has_ended = self
                    .cards
                    .get(card_id)
                    .is_some_and(|seen| seen.history.state().is_terminal);
                // What an operator wants is made once more all the same.
                let is_wanted = job.priority < 0;
                let may_be = !has_ended || is_wanted || state == "running" || kind == "delete_card";
                ensure(may_be, || {
                    format!("{kind} of {card_id} is {state}, but the card has ended")
                })?;
            }
        }
        Ok(line)
    }
}
