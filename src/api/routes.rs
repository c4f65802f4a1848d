//! The one list of routes: method, path, who may call it, and what it may refuse.

use std::collections::BTreeMap;

use actix_web::body::BoxBody;
use actix_web::dev::ServiceRequest;
use actix_web::http::{Method, StatusCode};
use actix_web::middleware::{Next, from_fn};
use actix_web::web::{self, ServiceConfig};
use actix_web::{FromRequest, Handler, HttpResponse, Resource, Responder, ResponseError, Route};

use super::access::AccessRole::{self, App, Ops, Payments};
use super::access::admit;
use super::refusals::{self as r, BODY, LIVING_CARD, PAGES, REPEATABLE, Refusal};
use super::{
    Api, cards, credentials, deletion, docs, events, health, notifications, openapi, outbox,
    readiness, stream, timeline, token_status, transactions,
};
use crate::receiver::problem::Problem;

/// A route of the API.
pub(super) struct ApiRoute {
    pub method: Method,
    pub path: &'static str,
    /// Whose keys may call it; without any, it needs no key.
    pub roles: &'static [AccessRole],
    /// What it may refuse, besides what every route with a key may.
    pub refusals: Vec<Refusal>,
    route: Route,
}

/// Every route.
pub(super) fn all() -> Vec<ApiRoute> {
    let mut all = of_everybody();
    all.extend(of_cards());
    all.extend(of_payments());
    all.extend(of_events());
    all.extend(of_operators());
    all
}

fn of_everybody() -> Vec<ApiRoute> {
    vec![
        on(Method::GET, "/livez", health::alive),
        on(Method::GET, "/readyz", health::ready),
        on(Method::GET, "/metrics", health::metrics),
        on(Method::GET, "/openapi.json", openapi::show),
        on(Method::GET, "/docs", docs::show),
    ]
}

fn of_cards() -> Vec<ApiRoute> {
    let card = "/v1/cards/{id}";
    vec![
        on(Method::GET, "/v1/cards", cards::list)
            .roles(&[App, Ops])
            .refuses(PAGES),
        on(Method::GET, card, cards::show)
            .roles(&[App, Ops])
            .refuses(LIVING_CARD),
        on(Method::PUT, card, cards::register)
            .roles(&[App])
            .refuses(&[r::WRONG_CARD_ID, r::TERMINAL, r::WRONG_REGISTRATION])
            .refuses(BODY)
            .refuses(REPEATABLE),
        on(Method::DELETE, card, deletion::delete)
            .roles(&[App, Ops])
            .refuses(&[r::WRONG_CARD_ID, r::UNKNOWN_CARD])
            .refuses(&[r::WRONG_QUERY, r::PROGRAM_UNKNOWN, r::NOT_OFFERED])
            .refuses(REPEATABLE),
        on(
            Method::PUT,
            "/v1/cards/{id}/token-status",
            token_status::set,
        )
        .roles(&[App, Ops])
        .refuses(LIVING_CARD)
        .refuses(&[r::WRONG_TOKEN_COMMAND, r::UNKNOWN_TOKEN])
        .refuses(&[r::PROGRAM_UNKNOWN, r::NOT_OFFERED, r::ILLEGAL_TRANSITION])
        .refuses(BODY)
        .refuses(REPEATABLE),
        on(
            Method::PUT,
            "/v1/cards/{id}/contract-status",
            token_status::set_contract,
        )
        .roles(&[App, Ops])
        .refuses(LIVING_CARD)
        .refuses(&[r::WRONG_TOKEN_COMMAND, r::PROGRAM_UNKNOWN, r::NOT_OFFERED])
        .refuses(BODY)
        .refuses(REPEATABLE),
        on(
            Method::GET,
            "/v1/cards/{id}/transactions",
            transactions::show,
        )
        .roles(&[App])
        .refuses(LIVING_CARD)
        .refuses(&[r::WRONG_QUERY, r::PROGRAM_UNKNOWN, r::NOT_OFFERED])
        .refuses(&[r::UPSTREAM_REFUSED, r::UPSTREAM_UNAVAILABLE]),
        on(Method::GET, "/v1/cards/{id}/timeline", timeline::show)
            .roles(&[Ops])
            .refuses(&[r::WRONG_CARD_ID, r::UNKNOWN_CARD])
            .refuses(PAGES),
    ]
}

fn of_payments() -> Vec<ApiRoute> {
    vec![
        on(Method::GET, "/v1/cards/{id}/readiness", readiness::show)
            .roles(&[App, Payments])
            .refuses(LIVING_CARD)
            .refuses(&[r::WRONG_QUERY]),
        on(
            Method::POST,
            "/v1/cards/{id}/credentials",
            credentials::issue,
        )
        .roles(&[Payments])
        .refuses(LIVING_CARD)
        .refuses(&[r::WRONG_CREDENTIALS_REQUEST, r::NOT_CHARGEABLE])
        .refuses(&[r::PROGRAM_UNKNOWN, r::NOT_OFFERED])
        .refuses(&[r::NO_CRYPTOGRAM, r::ALREADY_ISSUED])
        .refuses(BODY)
        .refuses(REPEATABLE),
    ]
}

fn of_events() -> Vec<ApiRoute> {
    vec![
        on(Method::GET, "/v1/events", events::list)
            .roles(&[App])
            .refuses(PAGES),
        on(Method::GET, "/v1/events/stream", stream::open)
            .roles(&[App])
            .refuses(&[r::WRONG_QUERY, r::TOO_MANY_STREAMS]),
    ]
}

fn of_operators() -> Vec<ApiRoute> {
    vec![
        on(Method::GET, "/v1/notifications", notifications::list)
            .roles(&[Ops])
            .refuses(PAGES),
        on(Method::GET, "/v1/notifications/{id}", notifications::show)
            .roles(&[Ops])
            .refuses(&[r::WRONG_QUERY, r::UNKNOWN_NOTIFICATION]),
        on(
            Method::POST,
            "/v1/notifications/{id}/replay",
            notifications::replay,
        )
        .roles(&[Ops])
        .refuses(&[r::WRONG_QUERY, r::UNKNOWN_NOTIFICATION, r::WRONG_REPLAY])
        .refuses(BODY)
        .refuses(REPEATABLE),
        on(Method::GET, "/v1/outbox", outbox::list)
            .roles(&[Ops])
            .refuses(PAGES),
        // Whoever gave a command may see what becomes of it.
        on(Method::GET, "/v1/outbox/{id}", outbox::show)
            .roles(&[App, Ops])
            .refuses(&[r::WRONG_QUERY, r::UNKNOWN_JOB]),
        on(Method::POST, "/v1/outbox/{id}/retry", outbox::retry)
            .roles(&[Ops])
            .refuses(&[r::WRONG_QUERY, r::UNKNOWN_JOB, r::NOT_RETRYABLE])
            .refuses(REPEATABLE),
    ]
}

impl ApiRoute {
    fn roles(self, roles: &'static [AccessRole]) -> Self {
        Self { roles, ..self }
    }

    fn refuses(mut self, refusals: &[Refusal]) -> Self {
        self.refusals.extend(refusals);
        self
    }
}

/// A route that everybody may call and that refuses nothing.
fn on<F, Args>(method: Method, path: &'static str, handler: F) -> ApiRoute
where
    F: Handler<Args>,
    Args: FromRequest + 'static,
    F::Output: Responder + 'static,
{
    ApiRoute {
        route: web::method(method.clone()).to(handler),
        method,
        path,
        roles: &[],
        refusals: Vec::new(),
    }
}

/// Mounts them; each with roles behind the check of the caller's key.
pub(super) fn mount(api: &web::Data<Api>, config: &mut ServiceConfig) {
    let mut resources: BTreeMap<&str, Resource> = BTreeMap::new();
    for ApiRoute {
        path, roles, route, ..
    } in all()
    {
        let route = match roles {
            [] => route,
            roles => guarded(route, roles, api.clone()),
        };
        let resource = resources
            .remove(path)
            .unwrap_or_else(|| web::resource(path).default_service(web::to(not_allowed)));
        resources.insert(path, resource.route(route));
    }
    for resource in resources.into_values() {
        config.service(resource);
    }
    config.default_service(web::to(not_found));
}

fn guarded(route: Route, roles: &'static [AccessRole], api: web::Data<Api>) -> Route {
    route.wrap(from_fn(
        move |request: ServiceRequest, next: Next<BoxBody>| {
            admit(api.clone(), roles, request, next)
        },
    ))
}

async fn not_allowed() -> HttpResponse {
    let detail = "the route does not have this method";
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, "no-such-method", detail).error_response()
}

async fn not_found() -> HttpResponse {
    let detail = "nothing is served here";
    Problem::new(StatusCode::NOT_FOUND, "no-such-route", detail).error_response()
}
