//! What the merchant's systems call: cards and notifications, on a listener of their own.
//!
//! Every route but the health checks needs an API key (`Authorization: Bearer KEY`) whose role fits.
//! Errors are RFC 9457 problem documents with a stable `code`. No answer here holds a full number.

pub mod access;
pub mod body;
mod cards;
mod health;
mod notifications;
pub mod views;

use std::collections::BTreeSet;

use actix_web::error::InternalError;
use actix_web::http::StatusCode;
use actix_web::{HttpResponse, ResponseError, web};

use crate::domain::Policy;
use crate::processor::{Trouble, Wake};
use crate::receiver::{self, problem::Problem};
use crate::store::{Store, StoreError, Tx};
use crate::telemetry::{Clock, Metrics};

/// What the handlers work with.
#[derive(Clone)]
pub struct Api {
    pub store: Store,
    pub policy: Policy,
    /// Programs a card may be registered under; with none configured, any name is taken.
    pub programs: BTreeSet<String>,
    pub clock: Clock,
    /// The processor of this process, if it has one.
    pub wake: Option<Wake>,
    pub trouble: Trouble,
    pub metrics: Metrics,
}

impl Api {
    /// Mounts the routes.
    pub fn configure(&self, config: &mut web::ServiceConfig) {
        config
            .app_data(web::Data::new(self.clone()))
            .app_data(web::QueryConfig::default().error_handler(|_, _| wrong_query()))
            .route("/livez", web::get().to(receiver::alive))
            .route("/readyz", web::get().to(health::ready))
            .route("/metrics", web::get().to(health::metrics))
            .service(resource("/v1/cards").route(web::get().to(cards::list)))
            .service(
                resource("/v1/cards/{id}")
                    .route(web::get().to(cards::show))
                    .route(web::put().to(cards::register)),
            )
            .service(resource("/v1/notifications").route(web::get().to(notifications::list)))
            .service(resource("/v1/notifications/{id}").route(web::get().to(notifications::show)))
            .default_service(web::to(not_found));
    }

    /// Reads from the store beside the event loop.
    async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Tx<'_>) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, Problem> {
        let store = self.store.clone();
        blocking(move || store.read(work)).await
    }
}

/// A resource whose other methods are refused as everything else is.
fn resource(path: &str) -> actix_web::Resource {
    web::resource(path).default_service(web::to(not_allowed))
}

/// Runs storage work beside the event loop; a failure becomes a 503, or a 500 for a damaged row,
/// and is logged once, here.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, Problem> {
    match web::block(work).await {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => {
            log::error!("a request could not be answered: {error}");
            match error {
                StoreError::Damaged(_) | StoreError::Sealed(_) => Err(damaged()),
                _ => Err(storage_down()),
            }
        }
        Err(_) => Err(storage_down()),
    }
}

fn damaged() -> Problem {
    let detail = "what is stored of this cannot be read; the log says what";
    Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "damaged-row", detail)
}

fn storage_down() -> Problem {
    let status = StatusCode::SERVICE_UNAVAILABLE;
    Problem::new(
        status,
        "storage-unavailable",
        "the database does not answer",
    )
    .retry_after(1)
}

/// Said without the parser's message, which quotes what was sent.
fn wrong_query() -> actix_web::Error {
    let detail = "a query parameter is not of the right form";
    let problem = Problem::new(StatusCode::BAD_REQUEST, "wrong-query", detail);
    InternalError::from_response("wrong query", problem.error_response()).into()
}

async fn not_allowed() -> HttpResponse {
    let detail = "the route does not have this method";
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, "no-such-method", detail).error_response()
}

async fn not_found() -> HttpResponse {
    Problem::new(
        StatusCode::NOT_FOUND,
        "no-such-route",
        "nothing is served here",
    )
    .error_response()
}
