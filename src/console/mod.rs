//! `/console`: what merchant operations look at, in a browser, when something is stuck or about to break.
//!
//! Pages are made here and need nothing from outside; without scripts they work the same. Whoever signs
//! in with an API key of the role `ops` sees what that key may see through the API, by the same views, so
//! no full number; and does what it may do there, by the same functions. Everything is recorded under
//! the key's name, or not answered.

mod attention;
mod cards;
mod guard;
mod keys;
mod missed;
mod notifications;
mod outbox;
mod overview;
mod page;
mod plot;
mod sessions;
mod sign_in;

use std::sync::Arc;

use actix_web::error::InternalError;
use actix_web::http::StatusCode;
use actix_web::http::header::CONTENT_TYPE;
use actix_web::middleware::from_fn;
use actix_web::web::{self, ServiceConfig};
use actix_web::{HttpResponse, ResponseError, Route};

use crate::api::Api;
use crate::receiver::Transport;
use crate::receiver::problem::Problem;
use page::Fault;
use sessions::Sessions;

/// What the pages work with.
#[derive(Clone)]
pub struct Console {
    pub api: Api,
    sessions: Sessions,
    /// The certificates of the public listener, if this process has it.
    transport: Option<Arc<Transport>>,
}

impl Console {
    /// A console where nobody is signed in yet.
    pub fn new(api: Api, transport: Option<Arc<Transport>>) -> Self {
        Self {
            api,
            sessions: Sessions::default(),
            transport,
        }
    }

    /// Mounts the pages.
    pub fn configure(&self, config: &mut ServiceConfig) {
        let wrong_query = web::QueryConfig::default().error_handler(|_, _| wrong_query());
        let console = web::scope("/console")
            .app_data(wrong_query)
            .app_data(web::Data::new(self.clone()))
            .wrap(from_fn(guard::protect))
            .route("/style.css", web::get().to(style))
            .route("/script.js", web::get().to(script))
            .route("/icon.svg", web::get().to(icon))
            .route("/sign-in", web::get().to(sign_in::form))
            .route("/sign-in", web::post().to(sign_in::enter))
            .route("/sign-out", signed_in(web::post().to(sign_in::leave)))
            .route("", signed_in(web::get().to(overview::show)))
            .route("/", signed_in(web::get().to(overview::show)))
            .route("/cards", signed_in(web::get().to(cards::list)))
            .route("/cards/{id}", signed_in(web::get().to(cards::show)))
            .route(
                "/notifications",
                signed_in(web::get().to(notifications::list)),
            )
            .route(
                "/notifications/{id}",
                signed_in(web::get().to(notifications::show)),
            )
            .route(
                "/notifications/{id}/replay",
                signed_in(web::get().to(notifications::rehearse)),
            )
            .route(
                "/notifications/{id}/replay",
                signed_in(web::post().to(notifications::replay)),
            )
            .route("/outbox", signed_in(web::get().to(outbox::list)))
            .route("/outbox/{id}", signed_in(web::get().to(outbox::show)))
            .route(
                "/outbox/{id}/retry",
                signed_in(web::post().to(outbox::retry)),
            )
            .route(
                "/outbox/{id}/discard",
                signed_in(web::post().to(outbox::discard)),
            )
            .route("/keys", signed_in(web::get().to(keys::show)))
            .default_service(signed_in(web::to(nothing_here)));
        config.service(console);
    }
}

/// A route for those who are signed in.
fn signed_in(route: Route) -> Route {
    route.wrap(from_fn(guard::admit))
}

async fn style() -> HttpResponse {
    file("text/css; charset=utf-8", include_str!("style.css"))
}

async fn script() -> HttpResponse {
    file("text/javascript; charset=utf-8", include_str!("script.js"))
}

async fn icon() -> HttpResponse {
    file("image/svg+xml", include_str!("icon.svg"))
}

fn file(kind: &'static str, content: &'static str) -> HttpResponse {
    HttpResponse::Ok()
        .insert_header((CONTENT_TYPE, kind))
        .body(content)
}

async fn nothing_here() -> Result<HttpResponse, Fault> {
    let detail = "there is no such page, or it takes no such request";
    Err(Problem::new(StatusCode::NOT_FOUND, "no-such-page", detail).into())
}

/// Said without the parser's message, which quotes what was sent.
fn wrong_query() -> actix_web::Error {
    let detail = "the address asks for something that is not of the right form";
    let fault = Fault::from(Problem::new(StatusCode::BAD_REQUEST, "wrong-query", detail));
    InternalError::from_response("wrong query", fault.error_response()).into()
}
