//! Whether the process can do its work, and what it has done.

use std::time::Duration;

use actix_web::{HttpResponse, rt, web};
use serde::Serialize;
use utoipa::ToSchema;

use super::Api;
use crate::dispatcher::{LaneView, Stop};
use crate::receiver;
use crate::store::{Maintenance, Spool, StoreError, Tx};
use crate::telemetry::timestamp;

/// A little longer than reading takes where the database is known to be away.
const PATIENCE: Duration = Duration::from_millis(3500);
/// Deliveries are decided within seconds.
pub(crate) const LATE_DECISION_MS: i64 = 60_000;

/// Whether the process can do its work.
#[derive(Serialize, ToSchema)]
pub(super) struct Health {
    ready: bool,
    /// What it lacks.
    reasons: Vec<String>,
    /// Everything that was looked at.
    checks: Vec<Check>,
    /// What is worth knowing and stops nothing.
    warnings: Vec<String>,
    /// Deliveries that wait to be decided.
    backlog: Option<i64>,
    /// Why waiting deliveries and calls are left alone, or how fast the deliveries drain. It is no lack:
    /// notifications are received and kept all the same.
    maintenance: Option<UnderMaintenance>,
    /// What waits in the spool for the database, where there is a spool.
    #[serde(skip_serializing_if = "Option::is_none")]
    spool: Option<SpoolView>,
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

/// Something that was looked at.
#[derive(Serialize, ToSchema)]
struct Check {
    /// `database`, `receiving`, `processing` (each where the process has this role), `clock`, `backlog`,
    /// `calls` or `payload-keys`.
    name: &'static str,
    ok: bool,
    /// Whether the process is not ready without it.
    required: bool,
    /// What is wrong.
    reason: Option<String>,
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

/// What the database said of the deliveries that wait.
struct Waiting {
    count: i64,
    /// When the first of them was received.
    since: Option<i64>,
    maintenance: Option<Maintenance>,
}

/// The process answers.
#[utoipa::path(
    get, path = "/livez", operation_id = "alive", tag = "health",
    responses((status = 200, content_type = "text/plain", body = String))
)]
pub(super) async fn alive() -> HttpResponse {
    receiver::alive().await
}

/// What was counted, for Prometheus. While the database does not answer, what is read there is left out.
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
    let (metrics, now) = (&api.metrics, api.clock.now());
    let found = ask(&api, |tx| Ok((tx.stuck()?, tx.maintenance()?))).await;
    let seconds = |since: Option<i64>| since.map_or(0, |since| (now - since).max(0) / 1000);
    let waiting = match found {
        Some((stuck, maintenance)) => {
            metrics.jobs(&stuck.calls);
            metrics.held(&stuck.held);
            metrics.backlog(stuck.backlog, seconds(stuck.waiting_since));
            metrics.oldest_deletion(seconds(stuck.deleting_since));
            metrics.maintenance(maintenance.as_ref().is_some_and(Maintenance::is_on));
            Some(Waiting {
                count: stuck.backlog,
                since: stuck.waiting_since,
                maintenance,
            })
        }
        None => {
            metrics.database_unknown();
            None
        }
    };
    if let Some(spool) = &api.spool {
        let view = SpoolView::of(spool, now);
        metrics.spool(view.deliveries, view.oldest_seconds);
    }
    let (busy, free) = api.store.connections();
    metrics.connections(busy, free);
    metrics.sqlite_log(api.store.log_bytes());
    metrics.clock_wrong(api.watch.fault().is_some());
    for lane in api.calls.lane_views() {
        metrics.program(&lane.program, lane.stop.map(Stop::name));
    }
    for check in checks(&api, waiting.as_ref()) {
        metrics.ready(check.name, check.ok);
    }
    HttpResponse::Ok()
        .content_type("application/openmetrics-text; version=1.0.0; charset=utf-8")
        .body(metrics.text())
}

/// Whether the database answers, notifications can be stored, the processor makes progress and the clock can be
/// believed. What Mastercard does not answer does not count: notifications are received all the same. Nor does the
/// database of a process that has a spool.
#[utoipa::path(
    get, path = "/readyz", operation_id = "ready",
    tag = "health",
    responses((status = 200, body = Health), (status = 503, body = Health))
)]
pub(super) async fn ready(api: web::Data<Api>) -> HttpResponse {
    let waiting = ask(&api, |tx| {
        Ok(Waiting {
            count: tx.count_waiting()?,
            since: tx.waiting_since()?,
            maintenance: tx.maintenance()?,
        })
    });
    let waiting = waiting.await;
    let checks = checks(&api, waiting.as_ref());
    let lacking = checks.iter().filter(|check| check.required);
    let reasons: Vec<String> = lacking.filter_map(|check| check.reason.clone()).collect();
    let backlog = waiting.as_ref().map(|waiting| waiting.count);
    let maintenance = waiting.and_then(|waiting| waiting.maintenance);
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
        checks,
        warnings,
        backlog,
        maintenance: maintenance.map(under_maintenance),
        spool,
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

/// What the database answers, if it does in time: one that is silent keeps its readers waiting.
async fn ask<T: Send + 'static>(
    api: &Api,
    work: impl FnOnce(&mut Tx<'_>) -> Result<T, StoreError> + Send + 'static,
) -> Option<T> {
    rt::time::timeout(PATIENCE, api.read(work)).await.ok()?.ok()
}

/// Looks at everything: first what the process is not ready without.
fn checks(api: &Api, waiting: Option<&Waiting>) -> Vec<Check> {
    let check = |name, required| {
        move |reason: Option<String>| Check {
            name,
            ok: reason.is_none(),
            required,
            reason,
        }
    };
    let unanswered = waiting.is_none();
    let unanswered = unanswered.then(|| "the database does not answer".to_owned());
    let fault = api.watch.fault();
    // With a spool notifications are received all the same, and that nothing is processed says the same once more.
    let is_away = unanswered.is_some() && api.spool.is_some();
    let mut checks = vec![check("database", api.spool.is_none())(unanswered)];
    let workers = [
        ("receiving", &api.receiving, true),
        ("processing", &api.processing, !is_away),
    ];
    for (name, trouble, required) in workers {
        if let Some(trouble) = trouble {
            checks.push(check(name, required)(trouble.current()));
        }
    }
    let refused = fault.map(|fault| format!("acts are refused: {fault}"));
    let keyless = !api.payload_keys.is_loaded();
    let keyless =
        keyless.then(|| "no payload key is loaded: nothing encrypted is opened".to_owned());
    checks.extend([
        check("clock", true)(refused),
        check("backlog", false)(late(api, waiting)),
        check("calls", false)(held_back(api)),
        check("payload-keys", false)(keyless),
    ]);
    checks
}

/// What is wrong if a delivery has waited for too long.
fn late(api: &Api, waiting: Option<&Waiting>) -> Option<String> {
    let since = waiting?.since?;
    let waits = api.clock.now() - since;
    let is_late = waits > LATE_DECISION_MS;
    is_late.then(|| format!("a delivery has waited to be decided for {} s", waits / 1000))
}

/// The programs whose calls are held back.
fn held_back(api: &Api) -> Option<String> {
    let stopped = |lane: LaneView| Some(format!("{} ({})", lane.program, lane.stop?.name()));
    let stopped: Vec<String> = api
        .calls
        .lane_views()
        .into_iter()
        .filter_map(stopped)
        .collect();
    let are_stopped = !stopped.is_empty();
    are_stopped.then(|| format!("calls are held back: {}", stopped.join(", ")))
}

fn program(lane: LaneView) -> Program {
    Program {
        name: lane.program,
        calls_under_way: lane.under_way,
        held_back: lane.stop.map(Stop::name),
    }
}
