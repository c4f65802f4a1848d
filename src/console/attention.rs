//! What needs a human now.

use super::keys::Key;
use super::page::lasting;
use crate::api::LATE_DECISION_MS;
use crate::dispatcher::{LaneView, Stop};
use crate::store::Stuck;

/// A deletion is confirmed within an hour.
const LATE_DELETION_MS: i64 = 60 * 60_000;

/// Something that needs a human.
pub struct Attention {
    pub what: String,
    /// Where it can be looked at.
    pub place: String,
    /// It gets worse by itself.
    pub is_urgent: bool,
}

impl Attention {
    fn urgent(what: String, place: &str) -> Self {
        let place = place.to_owned();
        let is_urgent = true;
        Self {
            what,
            place,
            is_urgent,
        }
    }
}

/// All of it, what is urgent first. `troubles` is what the workers do not do, and why.
pub fn attention(
    troubles: impl Iterator<Item = String>,
    stuck: &Stuck,
    programs: &[LaneView],
    certificates: &[Key],
    missed: Vec<Attention>,
    now: i64,
) -> Vec<Attention> {
    let stopped = |what| Attention::urgent(format!("Stopped: {what}"), "/console/notifications");
    let troubles = troubles.map(stopped);
    let mut all = Vec::from_iter(troubles);
    all.extend(maintenance(stuck, now));
    all.extend(late(stuck, now));
    all.extend(programs.iter().filter_map(held_back));
    let warnings = certificates.iter().filter_map(Key::warning);
    all.extend(warnings.map(|what| Attention::urgent(what, "/console/keys")));
    all.extend(missed);
    all.extend(piles(stuck));
    all.sort_by_key(|attention| !attention.is_urgent);
    all
}

/// Somebody keeps everything from being done.
fn maintenance(stuck: &Stuck, now: i64) -> Option<Attention> {
    let in_force = stuck.maintenance.as_ref().filter(|it| it.is_on())?;
    let since = lasting((now - in_force.at).max(0));
    let what = format!(
        "Maintenance, {since}: nothing that waits is done: {}",
        in_force.reason
    );
    Some(Attention::urgent(what, "/console/notifications"))
}

/// What has waited for too long.
fn late(stuck: &Stuck, now: i64) -> impl Iterator<Item = Attention> {
    let longer = |since: Option<i64>, than| {
        let waits = since.map(|since| now - since);
        waits.filter(|waits| *waits > than).map(lasting)
    };
    let delivery = longer(stuck.waiting_since, LATE_DECISION_MS).map(|waits| {
        let what = format!("A delivery waits to be decided: {waits}");
        Attention::urgent(what, "/console/notifications")
    });
    let deletion = longer(stuck.deleting_since, LATE_DELETION_MS).map(|waits| {
        let what = format!("A deletion is not confirmed: {waits}");
        Attention::urgent(what, "/console/outbox?kind=delete_card")
    });
    delivery.into_iter().chain(deletion)
}

/// A program whose calls are not made.
fn held_back(program: &LaneView) -> Option<Attention> {
    let why = match program.stop? {
        Stop::Failing => "does not work",
        Stop::Denied => "refuses our credential",
    };
    let what = format!("{} {why}: its calls are held back", program.program);
    Some(Attention::urgent(what, "/console/outbox?state=waiting"))
}

/// What lies there until somebody looks at it.
fn piles(stuck: &Stuck) -> impl Iterator<Item = Attention> {
    let held = stuck.held.iter().map(|(verdict, hold, count)| {
        let hold = hold.as_deref().unwrap_or("for no known reason");
        Attention {
            what: format!("Notifications {verdict}, {hold}: {count}"),
            place: format!("/console/notifications?verdict={verdict}"),
            is_urgent: false,
        }
    });
    let calls = stuck.calls.iter().filter(|(_, state, count)| {
        let needs_somebody = ["parked", "dead"].contains(state);
        needs_somebody && *count > 0
    });
    let calls = calls.map(|(kind, state, count)| Attention {
        what: format!("Calls {state}, {kind}: {count}"),
        place: format!("/console/outbox?state={state}&kind={kind}"),
        is_urgent: *state == "dead",
    });
    held.chain(calls)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: i64 = 60 * 60_000;

    fn told(stuck: &Stuck, programs: &[LaneView]) -> Vec<(String, bool)> {
        let all = attention(
            std::iter::empty(),
            stuck,
            programs,
            &[],
            Vec::new(),
            HOUR * 10,
        );
        all.into_iter()
            .map(|attention| (attention.what, attention.is_urgent))
            .collect()
    }

    #[test]
    fn what_is_in_order_needs_nobody() {
        let fresh = Stuck {
            backlog: 3,
            waiting_since: Some(HOUR * 10 - LATE_DECISION_MS),
            calls: vec![("cryptogram", "waiting", 7), ("get_card", "dead", 0)],
            deleting_since: Some(HOUR * 9),
            ..Stuck::default()
        };
        assert_eq!(told(&fresh, &[]), []);
    }

    #[test]
    fn what_gets_worse_comes_first() {
        let stuck = Stuck {
            backlog: 1,
            waiting_since: Some(HOUR * 8),
            held: vec![("parked".to_owned(), Some("unknown-card".to_owned()), 2)],
            calls: vec![("get_card", "parked", 1), ("cryptogram", "dead", 4)],
            deleting_since: Some(HOUR * 7),
            maintenance: None,
        };
        let program = |name: &str, stop| LaneView {
            program: name.to_owned(),
            under_way: 0,
            stop,
        };
        let programs = [
            program("shop", Some(Stop::Failing)),
            program("bank", Some(Stop::Denied)),
            program("issuer", None),
        ];
        let expected = [
            ("A delivery waits to be decided: 2 h", true),
            ("A deletion is not confirmed: 3 h", true),
            ("shop does not work: its calls are held back", true),
            ("bank refuses our credential: its calls are held back", true),
            ("Calls dead, cryptogram: 4", true),
            ("Notifications parked, unknown-card: 2", false),
            ("Calls parked, get_card: 1", false),
        ];
        let expected = expected.map(|(what, is_urgent)| (what.to_owned(), is_urgent));
        assert_eq!(told(&stuck, &programs), expected);
    }
}
