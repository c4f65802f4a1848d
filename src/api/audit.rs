//! What the API records of itself: what persons read, and the keys that it refuses. Changes are recorded
//! where they are made.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use actix_web::dev::ServiceRequest;
use actix_web::http::StatusCode;
use actix_web::web;
use serde_json::json;
use uuid::Uuid;

use super::access::Caller;
use super::{Api, blocking, storage_failed};
use crate::audit::{Act, Actor};
use crate::receiver::problem::Problem;
use crate::store::Entry;
use crate::upstream::could_hold_a_number;

/// One address is recorded this often.
const EVERY: Duration = Duration::from_secs(60);
/// Addresses that are told apart; what is refused beyond counts as of one address.
const ADDRESSES: usize = 10_000;
/// Longest path that is recorded, in bytes.
const LONGEST_PATH: usize = 200;

/// The refusals that are not recorded yet, by address. Cheap to clone.
#[derive(Clone, Default)]
pub struct Refused(Arc<Mutex<HashMap<Option<IpAddr>, Refusals>>>);

/// When the last record was written, and how many refusals there were since.
struct Refusals {
    recorded: Instant,
    since: u64,
}

impl Refused {
    /// Counts a refusal. Returns how many are to be recorded now, if it is time to.
    fn count(&self, from: Option<IpAddr>, now: Instant) -> Option<u64> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= ADDRESSES {
            known.retain(|_, refusals| now.duration_since(refusals.recorded) < EVERY);
        }
        let from = from.filter(|_| known.len() < ADDRESSES || known.contains_key(&from));
        let Some(refusals) = known.get_mut(&from) else {
            let (recorded, since) = (now, 0);
            known.insert(from, Refusals { recorded, since });
            return Some(1);
        };
        refusals.since += 1;
        if now.duration_since(refusals.recorded) < EVERY {
            return None;
        }
        refusals.recorded = now;
        Some(std::mem::take(&mut refusals.since))
    }
}

/// The path of a request, as it is recorded; only its route where a full number could stand in it.
pub(crate) fn path(request: &ServiceRequest) -> String {
    let path = request.uri().path();
    // Our own ids are UUIDs, an item's with a dot and a number behind it.
    let is_ours = |segment: &str| {
        let id = segment.split('.').next().unwrap_or_default();
        Uuid::parse_str(id).is_ok()
    };
    let mut segments = path.split('/').filter(|segment| !is_ours(segment));
    match segments.any(could_hold_a_number) {
        true => request.match_pattern().unwrap_or_default(),
        false => path.chars().take(LONGEST_PATH).collect(),
    }
}

impl Api {
    /// The same API, on behalf of its caller.
    pub(crate) fn by(&self, caller: &Caller) -> web::Data<Self> {
        let store = self.store.acting(caller.actor.clone());
        web::Data::new(Self {
            store,
            ..self.clone()
        })
    }

    /// Records what a person has read, before it is answered.
    pub(crate) async fn record_read(
        &self,
        actor: Actor,
        path: String,
        status: StatusCode,
    ) -> Result<(), Problem> {
        let outcome = if status.is_success() {
            "done"
        } else {
            "refused"
        };
        let details = json!({ "status": status.as_u16() });
        self.record(actor, Act::Read, path, outcome, details).await
    }

    /// Records a refused key: of one address one record a minute at most, with how many it stands for.
    pub(super) async fn record_refusal(
        &self,
        peer: Option<SocketAddr>,
        key: Option<String>,
        problem: &Problem,
    ) -> Result<(), Problem> {
        let is_refusal =
            [StatusCode::UNAUTHORIZED, StatusCode::FORBIDDEN].contains(&problem.status);
        let count = is_refusal.then(|| {
            self.refused
                .count(peer.map(|peer| peer.ip()), Instant::now())
        });
        let Some(count) = count.flatten() else {
            return Ok(());
        };
        let actor = Actor::api(key.as_deref(), peer);
        let object = "api".to_owned();
        let details = json!({ "count": count });
        self.record(actor, Act::AccessRefused, object, problem.code, details)
            .await
    }

    /// Records an act that changes nothing in the database.
    pub(crate) async fn record(
        &self,
        actor: Actor,
        act: Act,
        object: String,
        outcome: &'static str,
        details: serde_json::Value,
    ) -> Result<(), Problem> {
        let store = self.store.acting(actor);
        let at = self.clock.now();
        let write = move || {
            let entry = Entry {
                act,
                object: &object,
                outcome,
                details,
                at,
            };
            store.write(|tx| tx.audit(entry)).map_err(storage_failed)
        };
        blocking(write).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_one_address_one_record_a_minute_is_due_and_counts_what_came_between() {
        let refused = Refused::default();
        let (one, other) = (IpAddr::from([192, 0, 2, 1]), IpAddr::from([192, 0, 2, 2]));
        let begun = Instant::now();
        let at = |seconds| begun + Duration::from_secs(seconds);
        assert_eq!(refused.count(Some(one), at(0)), Some(1));
        assert_eq!(refused.count(Some(one), at(1)), None);
        assert_eq!(refused.count(Some(one), at(59)), None);
        assert_eq!(refused.count(Some(other), at(59)), Some(1));
        assert_eq!(refused.count(Some(one), at(60)), Some(3));
        assert_eq!(refused.count(Some(one), at(61)), None);
    }

    #[test]
    fn more_addresses_than_are_told_apart_count_as_one() {
        let refused = Refused::default();
        let begun = Instant::now();
        for number in 0..ADDRESSES as u32 + 5 {
            refused.count(Some(IpAddr::from(number.to_be_bytes())), begun);
        }
        assert_eq!(refused.0.lock().unwrap().len(), ADDRESSES + 1);
    }
}
