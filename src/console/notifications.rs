//! Notifications: what came, what became of it and why, and its replay with the difference shown first.

use actix_web::{HttpResponse, web};
use askama::Template;
use chrono::NaiveDateTime;
use serde::Deserialize;
use serde_json::json;

use super::Console;
use super::guard::{Reason, SignedIn, see_other};
use super::page::{Fault, Frame, ROWS, html, wanted};
use crate::api::blocking;
use crate::api::body;
use crate::api::notifications::{rehearse_replay, replay_now};
use crate::api::query::no_control;
use crate::api::refusals::{UNKNOWN_NOTIFICATION, WRONG_QUERY, WRONG_REPLAY};
use crate::api::views::{Job, Notification, Replayed, plain};
use crate::domain::Hold;
use crate::store::{Explained, FoundNotifications, NotificationFilter, Replay};

const SECTION: &str = "Notifications";
/// A page looks through so many at most: nobody waits for a reason that does not occur.
const LOOKED_THROUGH: i64 = 100_000;

/// What a list is filtered by, as the form sends it.
#[derive(Deserialize)]
pub struct Filter {
    verdict: Option<String>,
    reason: Option<String>,
    card: Option<String>,
    since: Option<String>,
    until: Option<String>,
    after: Option<String>,
}

#[derive(Template)]
#[template(path = "notifications.html")]
struct ListPage {
    frame: Frame,
    filter: Filter,
    found: FoundNotifications,
}

/// Those that a filter chooses, the latest arrival first.
pub async fn list(
    signed_in: web::ReqData<SignedIn>,
    filter: web::Query<Filter>,
    console: web::Data<Console>,
) -> Result<HttpResponse, Fault> {
    let filter = filter.into_inner().tidied()?;
    let chosen = NotificationFilter {
        card_id: filter.card.clone(),
        verdict: filter.verdict.clone(),
        reason: filter.reason.clone(),
        since: filter.since.as_deref().map(instant).transpose()?,
        until: filter.until.as_deref().map(instant).transpose()?,
        after: filter.after.clone(),
        limit: ROWS,
        ..NotificationFilter::default()
    };
    let found = console
        .api
        .read(move |tx| tx.search_notifications(&chosen, LOOKED_THROUGH));
    html(&ListPage {
        frame: Frame::new(&signed_in, SECTION, SECTION),
        filter,
        found: found.await?,
    })
}

impl Filter {
    /// Without what was left empty; nothing in it that cannot be asked for.
    fn tidied(self) -> Result<Self, Fault> {
        let tidied = Self {
            verdict: wanted(self.verdict),
            reason: wanted(self.reason),
            card: wanted(self.card),
            since: wanted(self.since),
            until: wanted(self.until),
            after: wanted(self.after),
        };
        let texts = [&tidied.verdict, &tidied.reason, &tidied.card, &tidied.after];
        for text in texts {
            no_control(text.as_deref())?;
        }
        Ok(tidied)
    }
}

/// A time of a form (UTC), as milliseconds since 1970.
fn instant(text: &str) -> Result<i64, Fault> {
    let forms = ["%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S"];
    let mut read = forms
        .iter()
        .map(|form| NaiveDateTime::parse_from_str(text, form));
    let time = read.find_map(Result::ok);
    let wrong = || WRONG_QUERY.because("a time is written like 2026-07-20T10:00");
    Ok(time.ok_or_else(wrong)?.and_utc().timestamp_millis())
}

#[derive(Deserialize)]
pub struct Done {
    replayed: Option<String>,
}

#[derive(Template)]
#[template(path = "notification.html")]
struct NotificationPage<'a> {
    frame: Frame,
    notification: Notification<'a>,
    flags: String,
    /// What helps against what holds it.
    help: Option<&'static str>,
    explained: &'a Explained,
    jobs: Vec<Job<'a>>,
}

/// One of them: which registers it touched, by which rule, and what followed.
pub async fn show(
    signed_in: web::ReqData<SignedIn>,
    id: web::Path<String>,
    done: web::Query<Done>,
    console: web::Data<Console>,
) -> Result<HttpResponse, Fault> {
    let explained = console.explained(id.into_inner()).await?;
    let mut frame = Frame::new(&signed_in, SECTION, "Notification");
    frame.notice = done.replayed.is_some().then_some("It was judged anew.");
    html(&NotificationPage {
        frame,
        notification: Notification::from(&explained.notification),
        flags: match explained.notification.flags.is_empty() {
            true => "none".to_owned(),
            false => plain(&json!(explained.notification.flags)),
        },
        help: explained.notification.hold.as_deref().and_then(Hold::help),
        jobs: explained.jobs.iter().map(Job::from).collect(),
        explained: &explained,
    })
}

#[derive(Template)]
#[template(path = "replay.html")]
struct ReplayPage<'a> {
    frame: Frame,
    before: Notification<'a>,
    after: Replayed<'a>,
}

/// What a replay would come to, and the form that confirms it.
pub async fn rehearse(
    signed_in: web::ReqData<SignedIn>,
    id: web::Path<String>,
    console: web::Data<Console>,
) -> Result<HttpResponse, Fault> {
    let explained = console.explained(id.into_inner()).await?;
    let id = &explained.notification.id;
    let (api, name) = (console.api.clone(), &signed_in.caller.name);
    let asked = Replay::asked(id, api.clock.now(), name, "only to see");
    let replayed = blocking(move || rehearse_replay(&api, asked)).await?;
    html(&ReplayPage {
        frame: Frame::new(&signed_in, SECTION, "Replay a notification"),
        before: Notification::from(&explained.notification),
        after: Replayed::from(&replayed),
    })
}

/// Judges one anew.
pub async fn replay(
    signed_in: web::ReqData<SignedIn>,
    id: web::Path<String>,
    payload: web::Payload,
    console: web::Data<Console>,
) -> Result<HttpResponse, Fault> {
    let id = id.into_inner();
    no_control(Some(&id))?;
    let form: Reason = console.form(&signed_in, payload).await?;
    let reason = form.reason.trim();
    if !body::fits(reason) {
        let detail = "a reason has 1 to 255 bytes and no control characters";
        return Err(WRONG_REPLAY.because(detail).into());
    }
    let api = console.api.by(&signed_in.caller);
    let asked = Replay::asked(&id, api.clock.now(), &signed_in.caller.name, reason);
    let replayed = blocking(move || replay_now(&api, asked)).await?;
    let id = replayed.notification_id;
    Ok(see_other(&format!(
        "/console/notifications/{id}?replayed=yes"
    )))
}

impl Console {
    async fn explained(&self, id: String) -> Result<Explained, Fault> {
        no_control(Some(&id))?;
        let explained = self.api.read(move |tx| tx.explained(&id)).await?;
        Ok(explained.ok_or(UNKNOWN_NOTIFICATION)?)
    }
}
