//! Traffic of its own: cards that change at a rate.

use std::time::{Duration, Instant};

use super::cards::{CardFault, CardStatus, NewCard, Refresh};
use super::control;
use super::random::Random;
use super::shared::Shared;

/// Changes that come at once in a burst.
const BURST: u32 = 20;
/// One change in so many is the end of a card.
const LIFE: usize = 200;

/// Lets cards change, so many times a second, until the sandbox is stopped.
pub(super) fn run(shared: &Shared, rate: u32, in_bursts: bool, mut random: Random) {
    let at_once = if in_bursts { BURST } else { 1 };
    let interval = Duration::from_secs(1) * at_once / rate.max(1);
    let mut living: Vec<String> = shared.book().all().map(|card| card.id.clone()).collect();
    let mut next = Instant::now();
    loop {
        next += interval;
        let left = next.saturating_duration_since(Instant::now());
        if !shared.gate.pause(left) {
            return;
        }
        for _ in 0..at_once {
            if let Err(fault) = change_one(shared, &mut living, &mut random) {
                log::warn!("a card of the sandbox did not change: {fault}");
            }
        }
    }
}

/// Something happens to some card. In the place of one that has ended there comes a new one.
fn change_one(
    shared: &Shared,
    living: &mut Vec<String>,
    random: &mut Random,
) -> Result<(), CardFault> {
    let place = random.below(living.len());
    let id = living.get(place).cloned().unwrap_or_default();
    let status = shared.book().get(&id).map(|card| card.status);
    let Some(status) = status.filter(|status| *status != CardStatus::Cancelled) else {
        // The merchant has deleted it, or somebody has cancelled it.
        let new = control::create(shared, NewCard::default())?;
        replace(living, place, new.id);
        return Ok(());
    };
    if random.one_in(LIFE) {
        control::set_status(shared, &id, CardStatus::Cancelled)?;
        return Ok(());
    }
    match (random.below(10), status) {
        (0..=2, CardStatus::Active) => control::set_status(shared, &id, CardStatus::Suspended),
        (0..=2, _) => control::set_status(shared, &id, CardStatus::Active),
        (3, _) => control::refresh(shared, &id, Refresh::Number),
        (4, _) => control::refresh(shared, &id, Refresh::Expiry),
        (5, _) => control::refresh(shared, &id, Refresh::Nothing),
        _ => control::refresh(shared, &id, Refresh::NumberAndExpiry),
    }?;
    Ok(())
}

fn replace(living: &mut Vec<String>, place: usize, id: String) {
    match living.get_mut(place) {
        Some(ended) => *ended = id,
        None => living.push(id),
    }
}
