//! What has to be looked at from time to time: leases that ended, cryptograms that ran out, idempotency
//! keys that are old, cards not heard of, cards to be erased, tokens that wait to be linked to a replaced
//! card, what seems to have been missed.

use super::calls::Calls;
use super::cryptogram::spend;
use super::erasure::erase_confirmed;
use super::missed;
use crate::domain::{CardId, CryptogramState, Job, JobKind, Policy};
use crate::store::{StoreError, Tx};

/// Milliseconds, as the others.
const EXTEND_EVERY: i64 = 20_000;
const LEASES_EVERY: i64 = 5_000;
const CRYPTOGRAMS_EVERY: i64 = 30_000;
const ERASURES_EVERY: i64 = 5_000;
const SIGNS_EVERY: i64 = 1_000;
const MISSED_EVERY: i64 = 60_000;
const SLOW_EVERY: i64 = 600_000;
/// Rows of one transaction.
const STEP: i64 = 200;
/// Tokens of a replaced card are looked for this often: a plastic card's are linked when it is activated.
const RELINKED_EVERY: i64 = 6 * 3_600_000;
/// No call is told to wait longer: only a clock that was ahead has it wait until later.
const MOST_WAITED: i64 = 3_600_000;
/// Idempotency keys are forgotten after a day.
const FORGET_AFTER: i64 = 24 * 3_600_000;

/// When each was last looked at.
#[derive(Default)]
pub struct Housekeeping {
    extended: Option<i64>,
    leases: Option<i64>,
    cryptograms: Option<i64>,
    erasures: Option<i64>,
    signs: Option<i64>,
    missed: Option<i64>,
    slow: Option<i64>,
    /// By how much the clock was set at the last look.
    drift: i64,
}

impl Housekeeping {
    /// Looks at what it is time for.
    pub(super) fn look(&mut self, calls: &Calls) -> Result<(), StoreError> {
        let now = calls.now();
        let running = calls.running();
        let is_time = |last: &mut Option<i64>, every| is_time(last, running, every);
        let store = calls.store();
        if is_time(&mut self.leases, LEASES_EVERY) {
            end_leases(calls, now)?;
        }
        if is_time(&mut self.cryptograms, CRYPTOGRAMS_EVERY) {
            let expired = store.read(|tx| tx.cards_with_expired_cryptogram(now, STEP))?;
            for id in expired.iter().filter_map(|id| CardId::parse(id).ok()) {
                store.write(|tx| let_run_out(tx, calls.policy(), &id, now))?;
            }
        }
        if is_time(&mut self.erasures, ERASURES_EVERY) {
            erase_confirmed(calls, STEP, now)?;
        }
        if is_time(&mut self.slow, SLOW_EVERY) {
            store.write(|tx| tx.forget_answers(now - FORGET_AFTER))?;
            store.write(|tx| tx.bound_waits(now + MOST_WAITED))?;
            reconcile(calls, now)?;
            let relinking = |tx: &mut Tx<'_>| tx.cards_relinking(now - RELINKED_EVERY, STEP);
            let relinking = store.read(relinking)?;
            ask(calls, JobKind::ReadTokens, &relinking, now)?;
        }
        Ok(())
    }

    /// Does, when it is time, what makes no call and goes on during maintenance: calls that are under way
    /// keep their leases, those that wait follow the clock, and what seems to have been missed is looked for.
    pub(super) fn look_always(&mut self, calls: &Calls) -> Result<(), StoreError> {
        let running = calls.running();
        self.follow_clock(calls)?;
        if is_time(&mut self.extended, running, EXTEND_EVERY) {
            calls.extend_leases();
        }
        if is_time(&mut self.signs, running, SIGNS_EVERY) {
            missed::note_signs(calls, STEP)?;
        }
        if is_time(&mut self.missed, running, MISSED_EVERY) {
            missed::look(calls, calls.now())?;
        }
        Ok(())
    }

    /// Lets waiting calls follow a clock that was set back: they would wait for a time that it had shown already.
    fn follow_clock(&mut self, calls: &Calls) -> Result<(), StoreError> {
        let drift = calls.clock_drift();
        if let Some(back) = calls.was_set_back_from(self.drift) {
            let now = calls.now();
            let count = calls
                .store()
                .write(|tx| tx.set_calls_back(None, back, now))?;
            log::warn!("{count} waiting calls follow the clock, which was set back");
        }
        self.drift = drift;
        Ok(())
    }
}

fn is_time(last: &mut Option<i64>, running: i64, every: i64) -> bool {
    let due = last.is_none_or(|last| running - last >= every);
    if due {
        *last = Some(running);
    }
    due
}

fn end_leases(calls: &Calls, now: i64) -> Result<(), StoreError> {
    let (store, running) = (calls.store(), calls.running());
    let ended = |tx: &mut Tx<'_>| {
        let time = tx.lease_time(running)?;
        tx.any_ended_lease(time)
    };
    if !store.read(ended)? {
        return Ok(());
    }
    let ended = store.write(|tx| {
        let time = tx.lease_time(running)?;
        tx.end_leases(time, now)
    })?;
    if ended > 0 {
        let metrics = calls.metrics();
        metrics.taken_over(u64::try_from(ended).unwrap_or(0));
        log::warn!("{ended} calls are taken over: whoever made them is gone");
    }
    Ok(())
}

/// Destroys a card's cryptogram that has run out; it is not renewed unasked.
pub(super) fn let_run_out(
    tx: &mut Tx<'_>,
    policy: &Policy,
    id: &CardId,
    now: i64,
) -> Result<(), StoreError> {
    tx.lock_cards(&[id.clone()].into())?;
    let expires_at = tx.cryptogram_expiry(id)?;
    match tx
        .card(id)?
        .filter(|_| expires_at.is_some_and(|at| at <= now))
    {
        Some(row) => spend(tx, policy, row.card, CryptogramState::RanOut, now),
        None => Ok(()),
    }
}

/// Asks Mastercard for cards it has not told of for long, if the settings want it: a step at a time.
fn reconcile(calls: &Calls, now: i64) -> Result<(), StoreError> {
    let Some(age) = calls.settings().reconcile_after() else {
        return Ok(());
    };
    for lane in calls.lanes() {
        let silent =
            |tx: &mut Tx<'_>| tx.cards_not_heard_of(&lane.program, now - age, "", true, STEP);
        let cards = calls.store().read(silent)?;
        if cards.is_empty() {
            continue;
        }
        log::info!(
            "program {}: asking for {} silent cards",
            lane.program,
            cards.len()
        );
        let kind = calls.policy().lookup(Some(&lane.program));
        ask(calls, kind, &cards, now)?;
    }
    Ok(())
}

/// Queues a look at each of these cards.
fn ask(calls: &Calls, kind: JobKind, cards: &[String], now: i64) -> Result<(), StoreError> {
    if cards.is_empty() {
        return Ok(());
    }
    calls.store().write(|tx| {
        for id in cards.iter().filter_map(|id| CardId::parse(id).ok()) {
            let job = Job {
                kind,
                not_before: now,
            };
            tx.queue_job(&id, &job, None, now)?;
        }
        Ok(())
    })
}
