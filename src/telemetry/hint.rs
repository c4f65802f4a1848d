//! Hints between threads: there is something to do. Never needed, only faster than the next look.

use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};

/// Hints to a worker. Cheap to clone.
#[derive(Clone)]
pub struct Hint(SyncSender<()>);

impl Hint {
    /// A hint with the end on which its worker waits.
    pub fn channel() -> (Self, Receiver<()>) {
        let (sender, receiver) = sync_channel(1);
        (Self(sender), receiver)
    }

    /// Hints. One that is waiting already is enough.
    pub fn give(&self) {
        if let Err(TrySendError::Disconnected(())) = self.0.try_send(()) {
            log::debug!("a worker has stopped; what there is to do waits for the next one");
        }
    }
}
