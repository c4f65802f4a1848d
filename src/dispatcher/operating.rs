//! What operators do with a single call: have it made at once, or give it up.

use serde_json::{Value, json};

use crate::audit::Act;
use crate::store::{Entry, JobState, JobView, Store, StoreError, Tx};

/// The states in which a call can be retried or discarded.
pub const NOT_OVER: [JobState; 3] = [JobState::Parked, JobState::Dead, JobState::Waiting];

/// Longest reason of a discarded call, in bytes.
const LONGEST_REASON: usize = 200;

/// What became of what an operator wanted.
pub enum Operated {
    /// It is done; the call as it is now.
    Done(JobView),
    /// The state that the call is in does not allow it, or another call takes its place.
    Refused(JobView),
    /// There is no such call.
    Unknown,
}

/// Lets a call be made at once that waits, is parked or was given up.
pub fn retry_call(store: &Store, id: &str, now: i64) -> Result<Operated, StoreError> {
    store.write(|tx| retry(tx, id, now))
}

/// What [`retry_call`] would come to; changes and records nothing.
pub fn rehearse_retry(store: &Store, id: &str, now: i64) -> Result<Operated, StoreError> {
    store.rehearse(|tx| retry(tx, id, now))
}

fn retry(tx: &mut Tx<'_>, id: &str, now: i64) -> Result<Operated, StoreError> {
    let is_done = tx.retry_job(id, now)?;
    operated(tx, id, (Act::CallRetried, Value::Null), is_done, now)
}

/// Gives a call up for good, for a reason that [`fit_reason`] has let pass.
pub fn discard_call(
    store: &Store,
    id: &str,
    reason: &str,
    now: i64,
) -> Result<Operated, StoreError> {
    let act = (Act::CallDiscarded, json!({ "reason": reason }));
    store.write(|tx| {
        let is_done = tx.discard_job(id, reason, now)?;
        operated(tx, id, act, is_done, now)
    })
}

/// Whether a reason may be stored and shown; says what is wrong with it otherwise.
pub fn fit_reason(text: &str) -> Result<String, String> {
    let is_fit = (1..=LONGEST_REASON).contains(&text.len()) && !text.contains(char::is_control);
    match is_fit {
        true => Ok(text.to_owned()),
        false => Err(format!(
            "a reason has 1 to {LONGEST_REASON} bytes and no control characters"
        )),
    }
}

/// Records what was done or refused, in its transaction.
fn operated(
    tx: &mut Tx<'_>,
    id: &str,
    (act, details): (Act, Value),
    is_done: bool,
    at: i64,
) -> Result<Operated, StoreError> {
    tx.audit(Entry {
        act,
        object: id,
        outcome: if is_done { "done" } else { "refused" },
        details,
        at,
    })?;
    Ok(match (tx.job(id)?, is_done) {
        (Some(job), true) => Operated::Done(job),
        (Some(job), false) => Operated::Refused(job),
        (None, _) => Operated::Unknown,
    })
}
