//! The sender of notifications, with the habits of a real one: it repeats, mixes up and encrypts anew.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use super::notification::Notification;
use super::random::Random;
use super::shared::Shared;

/// Tries after the first one.
const RETRIES: usize = 3;
const ANSWER: Duration = Duration::from_secs(10);
/// With nothing to send for so long, what was held back is sent.
const QUIET: Duration = Duration::from_millis(100);
/// A fault comes over one notification in so many.
const ONE_IN: usize = 5;

/// What the sender gets wrong now and then.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum SendingFault {
    /// Sends the same bytes twice
    Duplicates,
    /// Sends a notification after later ones
    Reordering,
    /// Sends the same once more, encrypted anew
    Reencryption,
    /// Encrypts under a kid nobody has a key for
    WrongKid,
    /// Sends many at once, then none for a while
    Bursts,
}

pub(super) struct Sender {
    pub(super) shared: Arc<Shared>,
    pub(super) faults: Vec<SendingFault>,
    pub(super) random: Random,
    pub(super) retry_pause: Duration,
    /// Held back, to be sent out of order.
    pub(super) held_back: VecDeque<Notification>,
}

impl Sender {
    /// Sends what comes until the sandbox is stopped.
    pub(super) fn run(mut self, outgoing: &Receiver<Notification>) {
        let config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(ANSWER));
        let agent: ureq::Agent = config.build().into();
        while !self.shared.gate.is_stopped() {
            match outgoing.recv_timeout(QUIET) {
                Ok(notification) if self.happens(SendingFault::Reordering) => {
                    self.held_back.push_back(notification);
                }
                Ok(notification) => {
                    self.send(&agent, &notification);
                    if self.random.one_in(2) {
                        self.send_held_back(&agent, 1);
                    }
                }
                Err(RecvTimeoutError::Timeout) => self.send_held_back(&agent, usize::MAX),
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    fn send_held_back(&mut self, agent: &ureq::Agent, most: usize) {
        let count = self.held_back.len().min(most);
        for notification in self.held_back.drain(..count).collect::<Vec<_>>() {
            self.send(agent, &notification);
        }
    }

    /// Sends a notification, and again where a fault has it so.
    fn send(&mut self, agent: &ureq::Agent, notification: &Notification) {
        let under_wrong_kid = self.happens(SendingFault::WrongKid);
        let encrypted = || notification.body(&self.shared.keys, under_wrong_kid);
        let Ok(body) = encrypted() else {
            log::error!("a notification is not sent: it cannot be encrypted");
            return;
        };
        let anew = encrypted().ok();
        self.post(agent, &body.to_string());
        if self.happens(SendingFault::Duplicates) {
            self.post(agent, &body.to_string());
        }
        if let Some(anew) = anew.filter(|_| self.happens(SendingFault::Reencryption)) {
            self.post(agent, &anew.to_string());
        }
    }

    /// Tries until it is acknowledged, a few times at most.
    fn post(&self, agent: &ureq::Agent, body: &str) {
        let count = |of: &AtomicU64| of.fetch_add(1, Ordering::Relaxed);
        let Some(url) = self.shared.receiver().clone() else {
            return;
        };
        for attempt in 0..=RETRIES {
            let request = agent.post(&url).header("content-type", "application/json");
            match request.send(body) {
                Ok(answer) if answer.status().is_success() => {
                    count(&self.shared.accepted);
                    return;
                }
                Ok(answer) => {
                    let status = answer.status().as_u16();
                    log::warn!(attempt, status; "a notification was answered {status}");
                }
                Err(error) => log::warn!(attempt; "a notification was not answered: {error}"),
            }
            if attempt < RETRIES && !self.shared.gate.pause(self.retry_pause) {
                return;
            }
        }
        count(&self.shared.given_up);
        log::warn!("a notification is given up after {} attempts", RETRIES + 1);
    }

    fn happens(&mut self, fault: SendingFault) -> bool {
        self.faults.contains(&fault) && self.random.one_in(ONE_IN)
    }
}
