//! Looks at the clock, when a process starts and every minute.

use std::io;
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::settings::Settings;
use crate::store::{Store, StoreError};
use crate::telemetry::{Clock, ClockWatch, Metrics};

const EVERY: Duration = Duration::from_secs(60);

/// Goes on looking until it is stopped.
pub struct ClockCheck {
    stop: Sender<()>,
    thread: JoinHandle<()>,
}

/// Looks for the first time.
pub fn first_look(
    store: &Store,
    settings: &Settings,
    clock: Clock,
) -> Result<ClockWatch, StoreError> {
    let watch = ClockWatch::new(clock, Clock::running(), settings.clock);
    watch.look(store.read(|tx| tx.known_times())?);
    Ok(watch)
}

impl ClockCheck {
    /// Begins to look every minute.
    pub fn start(store: Store, watch: ClockWatch, metrics: Metrics) -> io::Result<Self> {
        let (stop, stopped) = mpsc::channel::<()>();
        let thread = std::thread::Builder::new().name("clock".to_owned());
        let thread = thread.spawn(move || {
            while stopped.recv_timeout(EVERY) == Err(RecvTimeoutError::Timeout) {
                match store.read(|tx| tx.known_times()) {
                    Ok(known) if watch.look(known) => metrics.clock_jumped(),
                    Ok(_) => {}
                    Err(error) => log::warn!("the clock cannot be compared: {error}"),
                }
                if let Some(fault) = watch.fault() {
                    log::error!("acts are refused and no calls are made: {fault}");
                }
            }
        })?;
        Ok(Self { stop, thread })
    }

    /// Ends it.
    pub fn stop(self) {
        drop(self.stop);
        if self.thread.join().is_err() {
            log::error!("the thread that looks at the clock panicked");
        }
    }
}
