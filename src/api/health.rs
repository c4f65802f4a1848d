//! Whether the process can do its work, and what it has done.

use actix_web::{HttpResponse, web};
use serde_json::json;

use super::Api;
use crate::receiver::problem::Problem;

/// `GET /metrics`, for Prometheus. 503 while the backlog cannot be counted.
pub(super) async fn metrics(api: web::Data<Api>) -> Result<HttpResponse, Problem> {
    let backlog = api.read(|tx| tx.count_waiting()).await?;
    Ok(HttpResponse::Ok()
        .content_type("application/openmetrics-text; version=1.0.0; charset=utf-8")
        .body(api.metrics.text(backlog)))
}

/// `GET /readyz`: 200 if the database answers and the processor makes progress, else 503 with the
/// reasons.
pub(super) async fn ready(api: web::Data<Api>) -> HttpResponse {
    let backlog = api.read(|tx| tx.count_waiting()).await;
    let mut reasons = Vec::new();
    if backlog.is_err() {
        reasons.push("the database does not answer".to_owned());
    }
    reasons.extend(
        api.trouble
            .current()
            .map(|trouble| format!("nothing is processed: {trouble}")),
    );
    let mut response = match reasons.is_empty() {
        true => HttpResponse::Ok(),
        false => HttpResponse::ServiceUnavailable(),
    };
    response.json(json!({
        "ready": reasons.is_empty(),
        "reasons": reasons,
        "backlog": backlog.ok(),
    }))
}
