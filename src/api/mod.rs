//! What the merchant's systems call: cards, credentials, events, notifications and the outbox, on a
//! listener of their own.
//!
//! Every route but the health checks and the description needs an API key (`Authorization: Bearer
//! KEY`) whose role fits. Errors are RFC 9457 problem documents with a stable `code`. No answer but
//! that of `credentials` holds a full number.
//!
//! `routes` is the one list of routes, with their roles and refusals: it is what is mounted, and
//! what the description at `/openapi.json` is completed from.

pub mod access;
pub(crate) mod audit;
pub mod body;
mod cards;
mod credentials;
mod deletion;
mod docs;
mod events;
mod failures;
mod health;
mod idempotency;
pub(crate) mod notifications;
mod openapi;
pub(crate) mod outbox;
pub(crate) mod query;
pub(crate) mod readiness;
pub(crate) mod refusals;
mod routes;
mod stream;
#[cfg(test)]
mod tests;
pub(crate) mod timeline;
mod token_status;
mod transactions;
pub mod views;

use std::collections::BTreeSet;

use actix_web::error::InternalError;
use actix_web::{ResponseError, web};

use crate::dispatcher::Calls;
use crate::domain::{MissedRules, Policy};
use crate::jose::AnyKey;
use crate::processor::Wake;
use crate::receiver::Rejections;
use crate::receiver::problem::Problem;
use crate::store::{Spool, Store, StoreError, Tx};
use crate::telemetry::{Clock, ClockWatch, Metrics, Trouble};
use refusals::{CLOCK_WRONG, DAMAGED_ROW, STORAGE_UNAVAILABLE, WRONG_QUERY};

pub use failures::Failures;
pub(crate) use health::LATE_DECISION_MS;
pub use stream::Streams;

/// What the handlers work with.
#[derive(Clone)]
pub struct Api {
    pub store: Store,
    pub policy: Policy,
    /// What counts as missed.
    pub missed: MissedRules,
    /// Programs a card may be registered under; with none configured, any name is taken.
    pub programs: BTreeSet<String>,
    pub clock: Clock,
    /// Whether that clock can be believed.
    pub watch: ClockWatch,
    /// The processor of this process, if it has one, and what it suffers from.
    pub wake: Option<Wake>,
    pub processing: Option<Trouble>,
    /// What the intake suffers from, if this process receives.
    pub receiving: Option<Trouble>,
    pub metrics: Metrics,
    pub calls: Calls,
    /// Whether what is encrypted to us can be opened here.
    pub payload_keys: AnyKey,
    pub streams: Streams,
    pub failures: Failures,
    pub rejections: Rejections,
    /// That of the receiver of this process, if it has one.
    pub spool: Option<Spool>,
}

impl Api {
    /// Mounts the routes.
    pub fn configure(&self, config: &mut web::ServiceConfig) {
        let api = web::Data::new(self.clone());
        config
            .app_data(web::QueryConfig::default().error_handler(|_, _| wrong_query()))
            .app_data(api.clone());
        routes::mount(&api, config);
    }

    /// Reads from the store beside the event loop.
    pub(crate) async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Tx<'_>) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, Problem> {
        let store = self.store.clone();
        blocking(move || store.read(work).map_err(storage_failed)).await
    }
}

impl Api {
    /// Refuses what would be recorded with a wrong time.
    fn check_clock(&self) -> Result<(), Problem> {
        match self.watch.fault() {
            Some(fault) => Err(CLOCK_WRONG.because(fault).retry_after(60)),
            None => Ok(()),
        }
    }
}

/// Runs work that blocks beside the event loop.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Problem> + Send + 'static,
) -> Result<T, Problem> {
    match web::block(work).await {
        Ok(outcome) => outcome,
        Err(_) => Err(storage_down()),
    }
}

/// A storage failure is a 503, or a 500 for a damaged row; it is logged once, here.
pub(crate) fn storage_failed(error: StoreError) -> Problem {
    log::error!("a request could not be answered: {error}");
    match error {
        StoreError::Damaged(_) | StoreError::Sealed(_) => DAMAGED_ROW.into(),
        _ => storage_down(),
    }
}

fn storage_down() -> Problem {
    Problem::from(STORAGE_UNAVAILABLE).retry_after(1)
}

/// Said without the parser's message, which quotes what was sent.
fn wrong_query() -> actix_web::Error {
    let problem = Problem::from(WRONG_QUERY);
    InternalError::from_response("wrong query", problem.error_response()).into()
}
