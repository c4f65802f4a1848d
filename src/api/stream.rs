//! `GET /v1/events/stream`: the same events with the same ids, as server-sent events.
//!
//! A reader that takes nothing for five seconds while more waits for it is cut off, as on any connection;
//! it comes back and goes on where it was.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use actix_web::body::{BodySize, MessageBody};
use actix_web::http::header::{CACHE_CONTROL, HeaderValue};
use actix_web::web::Bytes;
use actix_web::{HttpRequest, HttpResponse, rt, web};
use serde::Deserialize;
use serde_json::json;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use utoipa::IntoParams;

use super::access::Caller;
use super::refusals::{TOO_MANY_STREAMS, WRONG_QUERY};
use super::{Api, query, views};
use crate::receiver::problem::Problem;
use crate::store::EventRow;

/// Streams that a process keeps open: each reads from the store at every look.
const MOST_STREAMS: usize = 32;
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// Connections that stay silent for longer are cut on their way; a client that is gone is noticed
/// when something is written.
const KEEP_ALIVE_EVERY: Duration = Duration::from_secs(15);
/// Events of one look.
const PAGE: i64 = 100;

/// The open streams of a process: there are never too many, and a stop ends them.
#[derive(Clone)]
pub struct Streams(Arc<Semaphore>);

impl Default for Streams {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(MOST_STREAMS)))
    }
}

impl Streams {
    /// Lets every stream end at its next look, and none begin.
    pub fn end(&self) {
        self.0.close();
    }

    fn place(&self) -> Result<OwnedSemaphorePermit, Problem> {
        let place = self.0.clone().try_acquire_owned();
        place.map_err(|_| Problem::from(TOO_MANY_STREAMS).retry_after(5))
    }
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct StreamQuery {
    /// The id of the last event read, where the header cannot be set.
    after: Option<String>,
}

/// Events as they happen, as server-sent events.
///
/// Behind the one that `Last-Event-ID` (or `after`) names; without it, from now on. Each has its id
/// and as data what `/v1/events` gives. A comment every 15 seconds keeps the connection alive.
#[utoipa::path(
    get, path = "/v1/events/stream", operation_id = "streamEvents",
    tag = "events",
    params(
        StreamQuery,
        ("Last-Event-ID" = Option<String>, Header, description = "The id of the last event read")
    ),
    responses((status = 200, content_type = "text/event-stream", body = String))
)]
pub(super) async fn open(
    request: HttpRequest,
    query: web::Query<StreamQuery>,
    caller: web::ReqData<Caller>,
    api: web::Data<Api>,
) -> Result<HttpResponse, Problem> {
    let named = match request.headers().get("last-event-id") {
        Some(id) => Some(id.to_str().map_err(|_| WRONG_QUERY)?),
        None => query.after.as_deref(),
    };
    let named = query::cursor(named)?;
    let place = api.streams.place()?;
    let (cursor, begin) = match named {
        Some(cursor) => (cursor, ":\n\n".to_owned()),
        // Told at once, so that a client that is cut off before the first event misses none.
        None => {
            let latest = api.read(|tx| tx.latest_event()).await?;
            (latest, format!("id: {latest}\n\n"))
        }
    };
    let (lines, body) = mpsc::channel(1);
    let follower = Follower {
        api,
        caller: caller.into_inner(),
        cursor,
        lines,
        _place: place,
    };
    rt::spawn(follower.run(begin));
    Ok(HttpResponse::Ok()
        .content_type("text/event-stream")
        .insert_header((CACHE_CONTROL, HeaderValue::from_static("no-store")))
        .body(Lines(body)))
}

/// What a stream says, as it is written by its follower.
struct Lines(mpsc::Receiver<Bytes>);

impl MessageBody for Lines {
    type Error = Infallible;

    fn size(&self) -> BodySize {
        BodySize::Stream
    }

    fn poll_next(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Infallible>>> {
        self.0.poll_recv(context).map(|lines| lines.map(Ok))
    }
}

/// Reads on for one stream.
struct Follower {
    api: web::Data<Api>,
    caller: Caller,
    cursor: i64,
    lines: mpsc::Sender<Bytes>,
    _place: OwnedSemaphorePermit,
}

impl Follower {
    /// Until the client is gone, its key is revoked, the store fails or the process stops. Whoever
    /// comes back goes on where it was.
    async fn run(mut self, begin: String) {
        let mut said_at = Instant::now();
        let mut text = begin;
        loop {
            if text.is_empty() && said_at.elapsed() >= KEEP_ALIVE_EVERY {
                text.push_str(":\n\n");
            }
            if !text.is_empty() {
                said_at = Instant::now();
                if self.lines.send(text.into()).await.is_err() {
                    return;
                }
            }
            let Some(rows) = self.look().await else {
                return;
            };
            text = rows.iter().map(lines).collect();
            if rows.is_empty() {
                let gone = rt::time::timeout(LOOK_EVERY, self.lines.closed()).await;
                if gone.is_ok() {
                    return;
                }
            }
        }
    }

    /// The next events, or none at all if the stream is to end.
    async fn look(&mut self) -> Option<Vec<EventRow>> {
        if self.api.streams.0.is_closed() {
            return None;
        }
        let (digest, cursor) = (self.caller.digest.clone(), self.cursor);
        let read = self.api.read(move |tx| {
            let is_valid = tx.api_key_by_digest(&digest)?.is_some();
            Ok(is_valid.then_some(tx.events_after(cursor, PAGE)?))
        });
        let rows = read.await.ok().flatten()?;
        self.cursor = rows.last().map_or(self.cursor, |row| row.sequence);
        Some(rows)
    }
}

/// One event. It has no name, so that a client's one listener hears every kind; JSON has no line
/// breaks.
fn lines(row: &EventRow) -> String {
    format!(
        "id: {}\ndata: {}\n\n",
        row.sequence,
        json!(views::Event::from(row))
    )
}
