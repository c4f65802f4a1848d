//! Writes down when keys were last used, while the service runs and once more when it stops.

use std::io;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::dispatcher::Calls;
use crate::store::Store;
use crate::telemetry::Clock;

/// How often the keys' marks are looked at: how exact the times are.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// Milliseconds between two times that what was noted is written.
const WRITE_EVERY: u64 = 60_000;

/// Goes on writing until it is stopped.
pub struct KeyUseWriter {
    stop: Sender<()>,
    thread: JoinHandle<()>,
}

impl KeyUseWriter {
    /// Begins to look and to write.
    pub fn start(store: Store, calls: Calls, clock: Clock) -> io::Result<Self> {
        let (stop, stopped) = mpsc::channel::<()>();
        let thread = std::thread::Builder::new().name("key-uses".to_owned());
        let thread = thread.spawn(move || run(&store, &calls, &clock, &stopped))?;
        Ok(Self { stop, thread })
    }

    /// Writes what is left, and ends it.
    pub fn stop(self) {
        drop(self.stop);
        if self.thread.join().is_err() {
            log::error!("the thread that writes when keys were used panicked");
        }
    }
}

fn run(store: &Store, calls: &Calls, clock: &Clock, stopped: &Receiver<()>) {
    // At the first look at once: whoever has just begun with it sees its keys at work.
    let mut written_at = None;
    loop {
        let is_over = stopped.recv_timeout(LOOK_EVERY) == Err(RecvTimeoutError::Disconnected);
        let now = clock.now();
        // A key set that was fetched anew has brought new keys.
        store.follow_keys(&calls.program_keys());
        // Where nothing is opened for long nobody else looks whether a key was added.
        calls.keyring();
        store.note_key_uses(now);
        let is_due = |at: i64| now.abs_diff(at) >= WRITE_EVERY;
        if is_over || written_at.is_none_or(is_due) {
            written_at = Some(now);
            if let Err(error) = store.write_key_uses() {
                log::warn!("when keys were last used is not written: {error}");
            }
        }
        if is_over {
            return;
        }
    }
}
