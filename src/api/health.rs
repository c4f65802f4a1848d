//! Whether the process can do its work, and what it has done.

use actix_web::{HttpResponse, web};
use serde::Serialize;
use utoipa::ToSchema;

use super::Api;
use crate::dispatcher::{LaneView, Stop};
use crate::receiver::{self, problem::Problem};
use crate::store::Maintenance;
use crate::telemetry::timestamp;

/// Whether the process can do its work.
#[derive(Serialize, ToSchema)]
pub(super) struct Health {
    ready: bool,
    /// What it lacks.
    reasons: Vec<String>,
    /// What is worth knowing and stops nothing.
    warnings: Vec<String>,
    /// Deliveries that wait to be decided.
    backlog: Option<i64>,
    /// Why waiting deliveries and calls are left alone, or how fast the deliveries drain. It is no lack:
    /// notifications are received and kept all the same.
    maintenance: Option<UnderMaintenance>,
    /// The programs that this process calls.
    programs: Vec<Program>,
}

/// Maintenance, or the draining after it.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct UnderMaintenance {
    reason: String,
    since: String,
    /// It has ended: so many deliveries a second are processed until none waits.
    drain_rate: Option<i32>,
}

/// A program that can be called.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct Program {
    name: String,
    calls_under_way: usize,
    /// Why its calls are held back: `failing` while the other side does not work, `denied` while it
    /// refuses the credential.
    held_back: Option<&'static str>,
}

/// The process answers.
#[utoipa::path(
    get, path = "/livez", operation_id = "alive", tag = "health",
    responses((status = 200, content_type = "text/plain", body = String))
)]
pub(super) async fn alive() -> HttpResponse {
    receiver::alive().await
}

/// What was counted, for Prometheus.
#[utoipa::path(
    get, path = "/metrics", operation_id = "metrics",
    tag = "health",
    responses((
        status = 200,
        content_type = "application/openmetrics-text; version=1.0.0; charset=utf-8",
        body = String
    ))
)]
pub(super) async fn metrics(api: web::Data<Api>) -> Result<HttpResponse, Problem> {
    let counts = api.read(|tx| {
        let counts = (tx.count_waiting()?, tx.count_open_jobs()?);
        Ok((counts, tx.maintenance()?))
    });
    let ((backlog, jobs), maintenance) = counts.await?;
    api.metrics.jobs(&jobs);
    api.metrics.clock_wrong(api.watch.fault().is_some());
    api.metrics
        .maintenance(maintenance.is_some_and(|in_force| in_force.is_on()));
    for lane in api.calls.lane_views() {
        api.metrics.program(&lane.program, lane.stop.is_some());
    }
    Ok(HttpResponse::Ok()
        .content_type("application/openmetrics-text; version=1.0.0; charset=utf-8")
        .body(api.metrics.text(backlog)))
}

/// Whether the database answers, the processor makes progress and the clock can be believed. What Mastercard does not answer does
/// not count: notifications are received all the same.
#[utoipa::path(
    get, path = "/readyz", operation_id = "ready",
    tag = "health",
    responses((status = 200, body = Health), (status = 503, body = Health))
)]
pub(super) async fn ready(api: web::Data<Api>) -> HttpResponse {
    let found = api.read(|tx| Ok((tx.count_waiting()?, tx.maintenance()?)));
    let found = found.await;
    let mut reasons = Vec::new();
    if found.is_err() {
        reasons.push("the database does not answer".to_owned());
    }
    reasons.extend(
        api.trouble
            .current()
            .map(|trouble| format!("nothing is processed: {trouble}")),
    );
    let clock = api.watch.fault();
    reasons.extend(clock.map(|fault| format!("acts are refused: {fault}")));
    let mut response = match reasons.is_empty() {
        true => HttpResponse::Ok(),
        false => HttpResponse::ServiceUnavailable(),
    };
    let (backlog, maintenance) = found.map_or((None, None), |(backlog, in_force)| {
        (Some(backlog), in_force)
    });
    response.json(Health {
        ready: reasons.is_empty(),
        reasons,
        warnings: api.watch.warnings(),
        backlog,
        maintenance: maintenance.map(under_maintenance),
        programs: api.calls.lane_views().into_iter().map(program).collect(),
    })
}

fn under_maintenance(in_force: Maintenance) -> UnderMaintenance {
    UnderMaintenance {
        since: timestamp(in_force.at),
        reason: in_force.reason,
        drain_rate: in_force.drain_rate,
    }
}

fn program(lane: LaneView) -> Program {
    Program {
        name: lane.program,
        calls_under_way: lane.under_way,
        held_back: lane.stop.map(Stop::name),
    }
}
