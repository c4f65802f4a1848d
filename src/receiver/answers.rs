//! The time that the other end of a connection may take nothing of what is answered.
//!
//! actix waits for ever until it can write on: whoever asks and never reads would hold a connection,
//! and what is answered, for as long as it likes.

use std::io;
use std::os::fd::AsFd;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use actix_web::rt::time::{Sleep, sleep};
use rustix::net::sockopt::set_socket_send_buffer_size;

/// Something of what waits to be written must be taken in this time.
pub const ANSWER_DEADLINE: Duration = Duration::from_secs(5);

/// Bytes of answers that the system may keep for a connection; it takes twice as much for its own
/// part. Left to itself it keeps megabytes for one that takes nothing, and tells of a slow reader's
/// progress only once a third of them is gone.
const KEPT_BY_SYSTEM: usize = 32 * 1024;

/// Bounds what the system keeps of answers, for every connection that a listener accepts.
pub fn bound_answers(listener: impl AsFd) -> io::Result<()> {
    Ok(set_socket_send_buffer_size(listener, KEPT_BY_SYSTEM)?)
}

/// Ends a connection whose other end takes nothing.
#[derive(Default)]
pub(super) struct AnswerTimer(Option<Pin<Box<Sleep>>>);

impl AnswerTimer {
    /// Whether something waits to be written.
    pub(super) fn is_running(&self) -> bool {
        self.0.is_some()
    }

    /// What came of an attempt to write: an error once nothing could be written for too long.
    pub(super) fn limit<T>(
        &mut self,
        attempt: Poll<io::Result<T>>,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<T>> {
        if attempt.is_ready() {
            self.0 = None;
            return attempt;
        }
        let timer = self
            .0
            .get_or_insert_with(|| Box::pin(sleep(ANSWER_DEADLINE)));
        timer
            .as_mut()
            .poll(context)
            .map(|()| Err(io::ErrorKind::TimedOut.into()))
    }
}
