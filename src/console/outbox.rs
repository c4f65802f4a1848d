//! The outbox: the calls that wait, run, are parked or were given up; another try, or none any more.

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, web};
use askama::Template;
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::Console;
use super::guard::{Reason, SignedIn, see_other};
use super::page::{Fault, Frame, ROWS, html, wanted};
use crate::api::outbox::retry_now;
use crate::api::query::no_control;
use crate::api::refusals::UNKNOWN_JOB;
use crate::api::views::{self, Job};
use crate::api::{Api, blocking, storage_failed};
use crate::dispatcher::{NOT_OVER, Operated, discard_call, fit_reason};
use crate::receiver::problem::Problem;
use crate::store::{JobFilter, JobState, JobView, KINDS, OPEN};

const SECTION: &str = "Outbox";

/// What a list is filtered by, as the form sends it.
#[derive(Deserialize)]
pub struct Filter {
    state: Option<String>,
    kind: Option<String>,
    card: Option<String>,
    after: Option<String>,
}

#[derive(Template)]
#[template(path = "outbox.html")]
struct ListPage {
    frame: Frame,
    filter: Filter,
    /// The states that are not over, each with how many calls there are.
    counts: Vec<(&'static str, i64)>,
    rows: Vec<JobView>,
    /// The cursor of the next page, if there is one.
    next: Option<String>,
}

/// Those that a filter chooses, in the order they became necessary.
pub async fn list(
    signed_in: web::ReqData<SignedIn>,
    filter: web::Query<Filter>,
    console: web::Data<Console>,
) -> Result<HttpResponse, Fault> {
    let filter = filter.into_inner().tidied()?;
    let chosen = JobFilter {
        state: filter.state.clone(),
        is_open: filter.state.is_none(),
        kind: filter.kind.clone(),
        card_id: filter.card.clone(),
        after: filter.after.clone(),
        limit: ROWS,
    };
    let read = console
        .api
        .read(move |tx| Ok((tx.list_jobs(&chosen)?, tx.count_open_jobs()?)));
    let (rows, open) = read.await?;
    let count = |state: JobState| {
        let of_state = open.iter().filter(|(_, name, _)| *name == state.name());
        (state.name(), of_state.map(|(.., count)| count).sum())
    };
    html(&ListPage {
        frame: Frame::new(&signed_in, SECTION, SECTION),
        filter,
        counts: OPEN.map(count).to_vec(),
        next: views::next(&rows, ROWS, |row| row.id.clone()),
        rows,
    })
}

const STATES: [&str; 6] = ["waiting", "running", "parked", "dead", "done", "discarded"];

impl Filter {
    /// Without what was left empty; nothing in it that cannot be asked for.
    fn tidied(self) -> Result<Self, Fault> {
        let tidied = Self {
            state: wanted(self.state),
            kind: wanted(self.kind),
            card: wanted(self.card),
            after: wanted(self.after),
        };
        for text in [&tidied.state, &tidied.kind, &tidied.card, &tidied.after] {
            no_control(text.as_deref())?;
        }
        Ok(tidied)
    }
}

#[derive(Deserialize)]
pub struct Done {
    retried: Option<String>,
    discarded: Option<String>,
}

#[derive(Template)]
#[template(path = "call.html")]
struct CallPage<'a> {
    frame: Frame,
    job: &'a JobView,
    view: Job<'a>,
    /// Whether it can be tried again or discarded.
    is_open: bool,
}

/// One of them, with what can be done about it.
pub async fn show(
    signed_in: web::ReqData<SignedIn>,
    id: web::Path<String>,
    done: web::Query<Done>,
    console: web::Data<Console>,
) -> Result<HttpResponse, Fault> {
    let id = id.into_inner();
    no_control(Some(&id))?;
    let job = console.api.read(move |tx| tx.job(&id)).await?;
    let job = job.ok_or(UNKNOWN_JOB)?;
    let mut frame = Frame::new(&signed_in, SECTION, "Call");
    frame.notice = match (&done.retried, &done.discarded) {
        (Some(_), _) => Some("It is due now."),
        (_, Some(_)) => Some("It was discarded."),
        _ => None,
    };
    html(&CallPage {
        frame,
        is_open: NOT_OVER.map(JobState::name).contains(&&*job.state),
        view: Job::from(&job),
        job: &job,
    })
}

/// Lets one be made at once.
pub async fn retry(
    signed_in: web::ReqData<SignedIn>,
    id: web::Path<String>,
    payload: web::Payload,
    console: web::Data<Console>,
) -> Result<HttpResponse, Fault> {
    let id = id.into_inner();
    no_control(Some(&id))?;
    let _: IgnoredAny = console.form(&signed_in, payload).await?;
    let api = console.api.by(&signed_in.caller);
    let job = blocking(move || retry_now(&api, &id)).await?;
    Ok(see_other(&format!(
        "/console/outbox/{}?retried=yes",
        job.id
    )))
}

/// Gives one up for good.
pub async fn discard(
    signed_in: web::ReqData<SignedIn>,
    id: web::Path<String>,
    payload: web::Payload,
    console: web::Data<Console>,
) -> Result<HttpResponse, Fault> {
    let id = id.into_inner();
    no_control(Some(&id))?;
    let form: Reason = console.form(&signed_in, payload).await?;
    let wrong = |what| Problem::new(StatusCode::BAD_REQUEST, "wrong-discard", what);
    let reason = fit_reason(form.reason.trim()).map_err(wrong)?;
    let api = console.api.by(&signed_in.caller);
    let job = blocking(move || discard_now(&api, &id, &reason)).await?;
    Ok(see_other(&format!(
        "/console/outbox/{}?discarded=yes",
        job.id
    )))
}

fn discard_now(api: &Api, id: &str, reason: &str) -> Result<JobView, Problem> {
    let discarded = discard_call(&api.store, id, reason, api.clock.now());
    match discarded.map_err(storage_failed)? {
        Operated::Done(job) => Ok(job),
        Operated::Refused(_) => {
            let detail = "only a waiting, parked or dead call can be discarded";
            Err(Problem::new(
                StatusCode::CONFLICT,
                "not-discardable",
                detail,
            ))
        }
        Operated::Unknown => Err(UNKNOWN_JOB.into()),
    }
}
