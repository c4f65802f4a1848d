//! The time that the head of a further request may take on a connection that stays open.
//!
//! actix watches the first head only: half of a second one would hold its connection for good.

use std::cell::Cell;
use std::pin::Pin;
use std::rc::Rc;
use std::task::Context;
use std::time::Duration;

use actix_web::Error;
use actix_web::body::{BodySize, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::middleware::Next;
use actix_web::rt::time::{Instant, Sleep, sleep_until};

/// A request's head must have arrived in this time.
pub const HEAD_DEADLINE: Duration = Duration::from_secs(5);

/// What a connection and its handlers know of its next head. Cheap to clone.
#[derive(Clone, Default)]
pub struct Heads(Rc<State>);

#[derive(Default)]
struct State {
    /// None while a request is at hand, and before the first one.
    deadline: Cell<Option<Instant>>,
    /// Whether nothing has come since the last answer.
    is_idle: Cell<bool>,
}

impl Heads {
    /// A head is whole: its request has all the time it needs.
    fn end_wait(&self) {
        self.0.deadline.set(None);
        self.0.is_idle.set(false);
    }

    /// The request is answered. Something of the next head may have come with it already.
    fn await_next(&self) {
        self.0.deadline.set(Some(Instant::now() + HEAD_DEADLINE));
        self.0.is_idle.set(true);
    }

    /// The time begins anew: until now it was for the other end to take its answers.
    pub(super) fn wait_anew(&self) {
        if self.0.deadline.get().is_some() {
            self.0.deadline.set(Some(Instant::now() + HEAD_DEADLINE));
        }
    }

    /// Something has come. The time runs from the beginning of a head, not from its last byte.
    pub(super) fn note_arrival(&self) {
        if self.0.is_idle.take() {
            self.0.deadline.set(Some(Instant::now() + HEAD_DEADLINE));
        }
    }
}

/// Wakes a connection when its next head is overdue.
#[derive(Default)]
pub(super) struct HeadTimer(Option<Pin<Box<Sleep>>>);

impl HeadTimer {
    /// Whether the next head is overdue; if it is not yet, the task is woken when it will be.
    pub(super) fn is_overdue(&mut self, heads: &Heads, context: &mut Context<'_>) -> bool {
        let Some(deadline) = heads.0.deadline.get() else {
            return false;
        };
        let sleep = self
            .0
            .get_or_insert_with(|| Box::pin(sleep_until(deadline)));
        if sleep.deadline() != deadline {
            sleep.as_mut().reset(deadline);
        }
        sleep.as_mut().poll(context).is_ready()
    }
}

/// Tells a connection when a request of it begins and when it is answered.
pub async fn watch(
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    let heads = request.conn_data::<Heads>().cloned().unwrap_or_default();
    heads.end_wait();
    let answered = next.call(request).await;
    // A stream goes on for as long as its reader likes.
    let is_stream = answered
        .as_ref()
        .is_ok_and(|answer| matches!(answer.response().body().size(), BodySize::Stream));
    if !is_stream {
        heads.await_next();
    }
    answered
}
