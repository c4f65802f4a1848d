//! Whether the process can do its work, and what it has done.

use std::time::Duration;

use actix_web::{HttpResponse, rt, web};
use serde::Serialize;
use utoipa::ToSchema;

use super::Api;
use crate::dispatcher::{LaneView, Stop};
use crate::receiver;
use crate::store::{Spool, StoreError, Tx};

/// A little longer than reading takes where the database is known to be away.
const PATIENCE: Duration = Duration::from_millis(3500);

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
    /// What waits in the spool for the database, where there is a spool.
    #[serde(skip_serializing_if = "Option::is_none")]
    spool: Option<SpoolView>,
    /// The programs that this process calls.
    programs: Vec<Program>,
}

/// Deliveries that were acknowledged and are not in the database yet.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct SpoolView {
    deliveries: u64,
    /// How long the first of them has waited.
    oldest_seconds: i64,
}

impl SpoolView {
    fn of(spool: &Spool, now: i64) -> Self {
        let load = spool.load();
        let waited = load.oldest.map_or(0, |oldest| now.saturating_sub(oldest));
        Self {
            deliveries: load.deliveries,
            oldest_seconds: waited / 1000,
        }
    }
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
pub(super) async fn metrics(api: web::Data<Api>) -> HttpResponse {
    let counts = ask(&api, |tx| Ok((tx.count_waiting()?, tx.count_open_jobs()?)));
    // Without the database the figures of the spool count most.
    let (backlog, jobs) = counts.await.unzip();
    api.metrics.backlog(backlog);
    if let Some(jobs) = jobs {
        api.metrics.jobs(&jobs);
    }
    if let Some(spool) = &api.spool {
        let view = SpoolView::of(spool, api.clock.now());
        api.metrics.spool(view.deliveries, view.oldest_seconds);
    }
    api.metrics.clock_wrong(api.watch.fault().is_some());
    for lane in api.calls.lane_views() {
        api.metrics.program(&lane.program, lane.stop.is_some());
    }
    HttpResponse::Ok()
        .content_type("application/openmetrics-text; version=1.0.0; charset=utf-8")
        .body(api.metrics.text())
}

/// Whether the database answers, the processor makes progress and the clock can be believed. What Mastercard does not answer does
/// not count: notifications are received all the same.
#[utoipa::path(
    get, path = "/readyz", operation_id = "ready",
    tag = "health",
    responses((status = 200, body = Health), (status = 503, body = Health))
)]
pub(super) async fn ready(api: web::Data<Api>) -> HttpResponse {
    let backlog = ask(&api, |tx| tx.count_waiting()).await;
    let mut reasons = Vec::new();
    if backlog.is_none() {
        reasons.push("the database does not answer".to_owned());
    }
    reasons.extend(
        api.trouble
            .current()
            .map(|trouble| format!("nothing is processed: {trouble}")),
    );
    let clock = api.watch.fault();
    reasons.extend(clock.map(|fault| format!("acts are refused: {fault}")));
    let now = api.clock.now();
    let spool = api.spool.as_ref().map(|spool| SpoolView::of(spool, now));
    let mut warnings = api.watch.warnings();
    warnings.extend(spool.as_ref().filter(|it| it.deliveries > 0).map(|it| {
        let SpoolView { deliveries, .. } = it;
        format!("deliveries that wait in the spool for the database: {deliveries}")
    }));
    let mut response = match reasons.is_empty() {
        true => HttpResponse::Ok(),
        false => HttpResponse::ServiceUnavailable(),
    };
    response.json(Health {
        ready: reasons.is_empty(),
        reasons,
        warnings,
        backlog,
        spool,
        programs: api.calls.lane_views().into_iter().map(program).collect(),
    })
}

/// What the database answers, if it does in time: one that is silent keeps its readers waiting.
async fn ask<T: Send + 'static>(
    api: &Api,
    work: impl FnOnce(&mut Tx<'_>) -> Result<T, StoreError> + Send + 'static,
) -> Option<T> {
    rt::time::timeout(PATIENCE, api.read(work)).await.ok()?.ok()
}

fn program(lane: LaneView) -> Program {
    Program {
        name: lane.program,
        calls_under_way: lane.under_way,
        held_back: lane.stop.map(Stop::name),
    }
}
