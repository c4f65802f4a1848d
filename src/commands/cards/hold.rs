//! `cards hold`, `cards release`, `cards erase`.

use crate::audit::Act;
use crate::commands::Common;
use crate::commands::failure::Failure;
use crate::dispatcher::{Erasure, request_erasure};
use crate::domain::CardId;
use crate::store::Entry;
use crate::telemetry::Clock;
use serde_json::{Value, json};

const UNKNOWN: &str = "no card of this id is known";

/// Keeps a card from purge and erasure.
pub fn hold(common: &Common, id: &str, reason: &str) -> Result<(), Failure> {
    let (_, store) = common.open()?;
    let id = CardId::parse(id).map_err(Failure::wrong)?;
    let now = Clock::system().now();
    let is_known = store.write(|tx| {
        let is_known = tx.hold_card(&id, reason, now)?;
        tx.audit(Entry {
            act: Act::CardHeld,
            object: id.as_str(),
            outcome: if is_known { "done" } else { "unknown-card" },
            details: json!({ "reason": reason }),
            at: now,
        })?;
        Ok(is_known)
    })?;
    match is_known {
        true => Ok(()),
        false => Err(Failure::unwell(UNKNOWN)),
    }
}

/// Ends a hold.
pub fn release(common: &Common, id: &str) -> Result<(), Failure> {
    let (_, store) = common.open()?;
    let id = CardId::parse(id).map_err(Failure::wrong)?;
    let was_held = store.write(|tx| {
        let was_held = tx.release_card(&id)?;
        tx.audit(Entry {
            act: Act::CardReleased,
            object: id.as_str(),
            outcome: if was_held { "done" } else { "no_change" },
            details: Value::Null,
            at: Clock::system().now(),
        })?;
        Ok(was_held)
    })?;
    match was_held {
        true => Ok(()),
        false => Err(Failure::unwell("the card is not on hold")),
    }
}

/// Erases a card, now or once its deletion is confirmed.
pub fn erase(common: &Common, id: &str, program: Option<&str>) -> Result<(), Failure> {
    let (settings, store) = common.open()?;
    let id = CardId::parse(id).map_err(Failure::wrong)?;
    let now = Clock::system().now();
    let refused = |why: &str| Err(Failure::unwell(why));
    match request_erasure(&store, &settings.policy(), &id, program, now)? {
        Erasure::Erased => {
            store.read(|tx| tx.shorten_log())?;
            println!("erased: only its id, its state and the time are left");
        }
        Erasure::ErasedBefore => println!("erased before"),
        Erasure::Waiting => println!(
            "unusable here; a running serve deletes it there, and erases it once that is confirmed"
        ),
        Erasure::Held => return refused("the card is on hold: cards release ID"),
        Erasure::UnknownCard => return refused(UNKNOWN),
        Erasure::ProgramUnknown => {
            return refused("it is not known where to delete it first: name it with --program");
        }
        Erasure::Refused => return refused("its tokens cannot be deactivated: see cards show"),
    }
    Ok(())
}
