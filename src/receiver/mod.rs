//! `POST /notifications/card`: what Mastercard sends is kept durably, then acknowledged.
//!
//! Nothing is decrypted here, so neither answer nor latency depends on a key. A refusal is nearly a
//! loss, for the sender retries little: only what cannot be kept is refused, everything else is
//! kept and judged later.

mod answers;
mod body;
mod connection;
mod heads;
mod intake;
pub mod problem;
mod rejections;
mod spooling;
mod transport;

use std::sync::Arc;
use std::time::Instant;

use actix_web::guard::{GuardContext, fn_guard};
use actix_web::http::{StatusCode, header};
use actix_web::{HttpRequest, HttpResponse, ResponseError, web};
use log::Level;
use uuid::Uuid;

use crate::domain::WireForm;
use crate::notification::Envelope;
use crate::settings::ReceiverSettings;
use crate::store::NewDelivery;
use crate::telemetry::{Clock, Metrics};

use body::Unread;
use problem::Problem;

pub use answers::bound_answers;
pub use body::read as read_body;
pub use connection::Connection;
pub use heads::{HEAD_DEADLINE, watch as watch_heads};
pub use intake::{Intake, IntakeHandle, Refused};
pub use rejections::{Rejections, counted_as};
pub use transport::{DatedFile, Loaded as LoadedTls, OfferedVersion, Transport, close_outdated};

/// What the handler works with.
#[derive(Clone)]
pub struct Receiver {
    pub settings: ReceiverSettings,
    pub wire: WireForm,
    pub intake: IntakeHandle,
    pub transport: Arc<Transport>,
    pub clock: Clock,
    pub metrics: Metrics,
}

impl Receiver {
    /// Mounts the public listener's routes: the notification path, the sibling paths and `/livez`,
    /// nothing else.
    pub fn configure(&self, config: &mut web::ServiceConfig) {
        let only_get = |unread: Unread| async { other_method("GET", unread) };
        let only_post = |unread: Unread| async { other_method("POST", unread) };
        // An address with a host in it is for a proxy: it does not get past one to here.
        let is_path = |request: &GuardContext<'_>| request.head().uri.authority().is_none();
        let at = |path: &str| {
            let resource = web::resource(path).guard(fn_guard(is_path));
            resource.default_service(web::to(only_post))
        };
        config
            .app_data(web::Data::new(self.clone()))
            .app_data(web::Data::from(self.transport.clone()))
            .service(at(&self.settings.path).route(web::post().to(receive)))
            .service(
                web::resource("/livez")
                    .route(web::get().to(alive))
                    .default_service(web::to(only_get)),
            )
            .default_service(web::to(nothing_here));
        for path in &self.settings.sibling_paths {
            config.service(at(path).route(web::post().to(acknowledge)));
        }
    }
}

/// Other notifications may come to the same base URL: they are to be refused on purpose.
async fn nothing_here(unread: Unread) -> HttpResponse {
    body::hold(unread, body::LEFTOVER);
    let detail = "nothing is received at this path";
    let problem = Problem::new(StatusCode::NOT_FOUND, "not-found", detail);
    problem.closing().error_response()
}

fn other_method(allowed: &'static str, unread: Unread) -> HttpResponse {
    body::hold(unread, body::LEFTOVER);
    let detail = format!("the method must be {allowed}");
    let problem = Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed", detail);
    let mut response = problem.closing().error_response();
    let allowed = header::HeaderValue::from_static(allowed);
    response.headers_mut().insert(header::ALLOW, allowed);
    response
}

/// A sibling notification: nothing of it is kept, and nothing of it is logged but its size.
async fn acknowledge(
    request: HttpRequest,
    unread: Unread,
    receiver: web::Data<Receiver>,
) -> Result<HttpResponse, Problem> {
    let settings = &receiver.settings;
    if let Err(problem) = receiver.transport.admit(&request) {
        body::hold(unread, body::LEFTOVER);
        return Err(problem);
    }
    let body = body::read(unread, settings.max_body, settings.body_deadline()).await?;
    let path = request.match_pattern().unwrap_or_default();
    log::info!(path, bytes = body.bytes.len(); "sibling notification acknowledged, not kept");
    Ok(HttpResponse::new(success(settings)))
}

fn success(settings: &ReceiverSettings) -> StatusCode {
    StatusCode::from_u16(settings.success_status).unwrap_or(StatusCode::NO_CONTENT)
}

/// `GET /livez`, on both listeners: the process answers.
pub async fn alive() -> HttpResponse {
    HttpResponse::Ok()
        .content_type("text/plain")
        .body("alive\n")
}

async fn receive(
    request: HttpRequest,
    unread: Unread,
    receiver: web::Data<Receiver>,
) -> HttpResponse {
    let id = Uuid::now_v7().to_string();
    let begun = Instant::now();
    match keep(&id, &request, unread, &receiver).await {
        Ok(status) => {
            receiver.metrics.acknowledged(begun.elapsed().as_secs_f64());
            log::debug!(delivery:% = id; "delivery kept");
            HttpResponse::new(status)
        }
        Err(problem) => {
            receiver
                .metrics
                .refused(problem.code, begun.elapsed().as_secs_f64());
            let status = problem.status.as_u16();
            // Senders that are not known were told already, and could fill the log.
            let level = match problem.status {
                StatusCode::UNAUTHORIZED => Level::Debug,
                _ => Level::Warn,
            };
            log::log!(level, delivery:% = id, status, code = problem.code; "delivery refused: {status} {}", problem.code);
            problem.error_response()
        }
    }
}

async fn keep(
    id: &str,
    request: &HttpRequest,
    unread: Unread,
    receiver: &Receiver,
) -> Result<StatusCode, Problem> {
    let settings = &receiver.settings;
    let admitted = receiver.transport.admit(request);
    let fit = admitted.and_then(|source| {
        body::check_headers(request, settings)?;
        Ok(source)
    });
    let source = match fit {
        Ok(source) => source,
        Err(problem) => {
            body::hold(unread, settings.max_body + body::LEFTOVER);
            return Err(problem);
        }
    };
    let body = body::read(unread, settings.max_body, settings.body_deadline()).await?;
    let received_at = receiver.clock.now();
    let envelope = Envelope::parse(&body.bytes, &receiver.wire)
        .map_err(|fault| Problem::new(StatusCode::BAD_REQUEST, "not-a-notification", fault))?;
    if envelope.visible_items() > settings.max_items {
        let limit = format!("a delivery holds at most {} items", settings.max_items);
        return Err(Problem::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "too-many-items",
            limit,
        ));
    }
    let delivery = NewDelivery {
        id: id.to_owned(),
        received_at,
        source,
        response_host: body::response_host(request),
        // Its place among the large ones is kept until the delivery is stored.
        body: body.bytes,
    };
    let kept = receiver.intake.keep(delivery).await;
    kept.map_err(|refused| {
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, refused.code(), refused)
            .retry_after(settings.retry_after)
    })?;
    Ok(success(settings))
}
