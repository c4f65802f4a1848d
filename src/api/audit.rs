//! What the API records of itself: what persons read, and the keys that it refuses. Changes are recorded
//! where they are made.

use std::net::SocketAddr;
use std::time::Instant;

use actix_web::http::StatusCode;
use actix_web::web;
use serde_json::json;

use super::access::Caller;
use super::{Api, blocking, storage_failed};
use crate::audit::{Act, Actor};
use crate::receiver::problem::Problem;
use crate::store::Entry;

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

    /// Counts a refused key, and records it if the like was not for a minute: before it is answered.
    pub(super) async fn record_refusal(
        &self,
        peer: Option<SocketAddr>,
        key: Option<String>,
        problem: &Problem,
    ) -> Result<(), Problem> {
        let is_refusal =
            [StatusCode::UNAUTHORIZED, StatusCode::FORBIDDEN].contains(&problem.status);
        let key = key.as_deref();
        if !is_refusal
            || !self
                .rejections
                .count(peer, key, problem.code, Instant::now())
        {
            return Ok(());
        }
        let (actor, object) = (Actor::api(key, peer), "api".to_owned());
        let details = json!({ "count": 1 });
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
        self.check_clock()?;
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
