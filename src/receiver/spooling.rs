//! Keeping deliveries while the database is away: what it does not take in time goes into the spool, and from
//! there into the database.
//!
//! A thread of its own waits for the database, so that the intake never does for long. While the spool holds
//! anything, what comes goes there too: the order of arrival stays. A delivery has its id from the beginning, so
//! one that is written twice, because a commit's answer was lost or a process was killed, is there once.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::processor::Wake;
use crate::store::{NewDelivery, Spool, Spooled, Store, StoreError};

/// Deliveries that are moved as one: more than share a commit when they come, so that moving is faster.
const MOVED: i64 = 1000;
/// Between two looks at an empty spool, and between two attempts at a database that is away.
const LOOK_EVERY: Duration = Duration::from_secs(1);
const TRY_EVERY: Duration = Duration::from_millis(250);

/// The spool beside the database, and the thread that moves what is in it.
pub(super) struct Spooling {
    store: Store,
    spool: Spool,
    writes: SyncSender<Write>,
    /// How long the database may take before the spool is used, from when the first delivery came.
    patience: Duration,
    thread: JoinHandle<()>,
}

/// Deliveries for the database, and where to tell what became of them.
struct Write {
    deliveries: Arc<Vec<NewDelivery>>,
    done: SyncSender<Result<(), StoreError>>,
}

struct Mover {
    store: Store,
    spool: Spool,
    wake: Option<Wake>,
    /// How many are moved at once: one, after more of them failed together.
    at_once: i64,
    /// Whether it was told that the database does not take what is in the spool.
    is_told: bool,
}

impl Spooling {
    /// Starts the thread. `patience` is that of the senders: half of it is the database's.
    pub fn start(
        store: Store,
        spool: Spool,
        patience: Duration,
        wake: Option<Wake>,
    ) -> std::io::Result<Self> {
        // One at a time: the intake waits for each, or leaves the next ones to the spool.
        let (writes, received) = sync_channel(1);
        let left = spool.load().deliveries;
        if left > 0 {
            log::warn!("{left} deliveries wait in the spool since before the start");
        }
        let mover = Mover {
            store: store.clone(),
            spool: spool.clone(),
            wake,
            at_once: MOVED,
            is_told: false,
        };
        let thread = std::thread::Builder::new()
            .name("spool".to_owned())
            .spawn(move || mover.run(&received))?;
        Ok(Self {
            store,
            spool,
            writes,
            patience: patience / 2,
            thread,
        })
    }

    /// Keeps deliveries, the first of which came at `since`: in the database if it takes them in time, else in the
    /// spool.
    pub fn keep(&self, deliveries: Vec<NewDelivery>, since: Instant) -> Result<(), StoreError> {
        let until = since + self.patience;
        let deliveries = Arc::new(deliveries);
        if self.spool.load().deliveries > 0 {
            // A disk that fails, or is full, is no reason to refuse what the database may take.
            let kept = self.spool.keep(&deliveries);
            return kept.or_else(|error| self.write(deliveries, until).map_err(|_| error));
        }
        match self.write(deliveries.clone(), until) {
            Err(error) if error.is_passing() => {
                self.spool.keep(&deliveries)?;
                let path = self.spool.path().display();
                log::warn!(
                    "deliveries are kept in the spool {path}, for the database does not take them: {error}"
                );
                Ok(())
            }
            done => done,
        }
    }

    /// Whether deliveries can be kept in one of the two places; an error says why the spool takes none.
    pub fn try_to_write(&self) -> Result<(), StoreError> {
        let tried = self.spool.try_to_write();
        tried.or_else(|error| self.store.try_to_write().map_err(|_| error))
    }

    /// Lets the database have them. It may take them later still: then they are there twice, and are one.
    fn write(&self, deliveries: Arc<Vec<NewDelivery>>, until: Instant) -> Result<(), StoreError> {
        let late = StoreError::Unavailable("no commit in time");
        let (done, written) = sync_channel(1);
        let left = until.saturating_duration_since(Instant::now());
        match self.writes.try_send(Write { deliveries, done }) {
            Ok(()) => written.recv_timeout(left).unwrap_or(Err(late)),
            Err(_) => Err(late),
        }
    }

    /// Ends. What is in the spool stays there for the next start.
    pub fn stop(self) {
        drop(self.writes);
        if self.thread.join().is_err() {
            log::error!("the spool's thread ended with a panic");
        }
        let left = self.spool.load().deliveries;
        if left > 0 {
            log::warn!("{left} deliveries stay in the spool until the next start");
        }
    }
}

impl Mover {
    fn run(mut self, writes: &Receiver<Write>) {
        let mut pause = Duration::ZERO;
        loop {
            match writes.recv_timeout(pause) {
                Ok(write) => {
                    let written = self
                        .insert(|store| store.write(|tx| tx.insert_deliveries(&write.deliveries)));
                    // Nobody waits any more for one that came late.
                    let _ = write.done.send(written);
                }
                Err(RecvTimeoutError::Timeout) => pause = self.go_on(),
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    /// Moves what came first; returns how long to wait before more is moved.
    fn go_on(&mut self) -> Duration {
        match self.move_some() {
            Ok(0) => LOOK_EVERY,
            Ok(moved) => {
                self.at_once = MOVED;
                self.tell_progress(moved);
                Duration::ZERO
            }
            Err(error) => {
                if !self.is_told {
                    log::error!("nothing is moved from the spool: {error}");
                    self.is_told = true;
                }
                TRY_EVERY
            }
        }
    }

    fn move_some(&mut self) -> Result<usize, StoreError> {
        let deliveries = self.spool.first(self.at_once)?;
        if deliveries.is_empty() {
            return Ok(0);
        }
        match self.insert(|store| store.write(|tx| tx.insert_spooled(&deliveries))) {
            Ok(()) => {}
            Err(error) if error.is_passing() => return Err(error),
            Err(error) => return self.set_apart(&deliveries, error),
        }
        // Killed here, they are found in the database when they are moved again.
        self.spool.remove(&deliveries)?;
        if let Some(wake) = &self.wake {
            wake.hint();
        }
        Ok(deliveries.len())
    }

    /// After a failure that does not pass by itself: they are tried one by one, and the one that fails
    /// alone goes behind the others, for it was acknowledged and cannot be dropped.
    fn set_apart(&mut self, of: &[Spooled], error: StoreError) -> Result<usize, StoreError> {
        self.at_once = 1;
        if let [alone] = of {
            self.spool.put_last(alone)?;
        }
        Err(error)
    }

    fn tell_progress(&mut self, moved: usize) {
        let left = self.spool.load().deliveries;
        log::debug!("{moved} deliveries moved from the spool, {left} left");
        if left == 0 {
            log::info!("the spool is empty, the database takes deliveries again");
        }
        self.is_told = false;
    }

    /// A panic must not end the thread: nothing would be moved any more.
    fn insert(
        &self,
        insert: impl FnOnce(&Store) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        catch_unwind(AssertUnwindSafe(|| insert(&self.store)))
            .unwrap_or(Err(StoreError::Damaged("storing panicked")))
    }
}
