//! Group commit: deliveries that wait share one durable commit, and are answered after it.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use actix_web::rt;

use tokio::sync::oneshot;

use crate::processor::Wake;
use crate::settings::ReceiverSettings;
use crate::store::{NewDelivery, Spool, Store, StoreError};
use crate::telemetry::{Metrics, Trouble};

use super::spooling::Spooling;

/// Bodies that share one commit: more would make all of them wait too long.
const COMMIT_BYTES: usize = 4 << 20;
/// While nothing can be stored, this is how often it is tried without a delivery.
const TRY_EVERY: Duration = Duration::from_secs(1);

/// The thread that writes deliveries.
pub struct Intake {
    handle: IntakeHandle,
    trouble: Trouble,
    thread: JoinHandle<()>,
}

/// Hands deliveries to the intake. Cheap to clone.
#[derive(Clone)]
pub struct IntakeHandle {
    queue: SyncSender<Option<Waiting>>,
    /// How long a request waits for its commit.
    patience: Duration,
}

/// Why a delivery was not kept. The sender should come again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    #[error("too many deliveries wait to be stored")]
    QueueFull,
    #[error("the delivery could not be stored")]
    StorageDown,
}

impl Refused {
    /// Stable name for programs.
    pub fn code(self) -> &'static str {
        match self {
            Self::QueueFull => "queue-full",
            Self::StorageDown => "storage-unavailable",
        }
    }
}

struct Waiting {
    delivery: NewDelivery,
    since: Instant,
    answer: oneshot::Sender<Result<(), Refused>>,
}

impl Intake {
    /// Starts the thread. `wake` hints to the processor of this process, if it has one; the spool is for what the
    /// database does not take.
    pub fn start(
        store: Store,
        spool: Option<Spool>,
        settings: &ReceiverSettings,
        wake: Option<Wake>,
        metrics: Metrics,
    ) -> std::io::Result<Self> {
        let (queue, receiver) = sync_channel(settings.queue);
        let batch = settings.commit_batch;
        let place = match spool {
            None => Keeping::InDatabase(store),
            Some(spool) => {
                let (patience, wake) = (settings.commit_patience(), wake.clone());
                Keeping::WithSpool(Spooling::start(store, spool, patience, wake)?)
            }
        };
        let trouble = Trouble::new(
            "notifications are refused",
            "notifications can be stored again",
        );
        let its_trouble = trouble.clone();
        let thread = std::thread::Builder::new()
            .name("intake".to_owned())
            .spawn(move || {
                let wake = wake.as_ref();
                run(place, &receiver, batch, wake, &its_trouble, &metrics);
            })?;
        Ok(Self {
            handle: IntakeHandle {
                queue,
                patience: settings.commit_patience(),
            },
            trouble,
            thread,
        })
    }

    /// For the request handlers.
    pub fn handle(&self) -> IntakeHandle {
        self.handle.clone()
    }

    /// What it suffers from.
    pub fn trouble(&self) -> Trouble {
        self.trouble.clone()
    }

    /// Stores what still waits and ends. What is handed in afterwards is refused.
    pub fn stop(self) {
        // Behind everything that waits; an error means that the thread is gone already.
        let _ = self.handle.queue.send(None);
        if self.thread.join().is_err() {
            log::error!("the intake ended with a panic");
        }
    }
}

impl IntakeHandle {
    /// Keeps a delivery; returns after the commit that holds it.
    pub async fn keep(&self, delivery: NewDelivery) -> Result<(), Refused> {
        let (answer, kept) = oneshot::channel();
        self.queue
            .try_send(Some(Waiting {
                delivery,
                since: Instant::now(),
                answer,
            }))
            .map_err(|error| match error {
                TrySendError::Full(_) => Refused::QueueFull,
                TrySendError::Disconnected(_) => Refused::StorageDown,
            })?;
        // The sender gives up sooner or later; when the delivery is stored after all, its repeat is
        // recognised.
        match rt::time::timeout(self.patience, kept).await {
            Ok(answer) => answer.unwrap_or(Err(Refused::StorageDown)),
            Err(_) => Err(Refused::StorageDown),
        }
    }
}

/// Where deliveries are kept.
enum Keeping {
    InDatabase(Store),
    WithSpool(Spooling),
}

impl Keeping {
    /// Keeps deliveries, the first of which came at `since`.
    fn keep(&self, deliveries: Vec<NewDelivery>, since: Instant) -> Result<(), StoreError> {
        match self {
            Self::InDatabase(store) => store.write(|tx| tx.insert_deliveries(&deliveries)),
            Self::WithSpool(spooling) => spooling.keep(deliveries, since),
        }
    }

    fn try_to_write(&self) -> Result<(), StoreError> {
        match self {
            Self::InDatabase(store) => store.try_to_write(),
            Self::WithSpool(spooling) => spooling.try_to_write(),
        }
    }
}

fn run(
    place: Keeping,
    queue: &Receiver<Option<Waiting>>,
    limit: usize,
    wake: Option<&Wake>,
    trouble: &Trouble,
    metrics: &Metrics,
) {
    let mut batch = Batch::default();
    while !batch.is_last
        && let Some(first) = first(&place, queue, trouble)
    {
        let since = first.since;
        batch.fill(first, queue, limit);
        if let Some(wake) = wake {
            wake.commit_wanted();
        }
        // A panic must not end the thread: everything after it would be refused.
        let count = batch.deliveries.len();
        let deliveries = std::mem::take(&mut batch.deliveries);
        let kept = catch_unwind(AssertUnwindSafe(|| place.keep(deliveries, since)))
            .unwrap_or(Err(StoreError::Damaged("storing panicked")));
        trouble.set(kept.as_ref().err().map(ToString::to_string));
        let kept = kept.map_err(|error| {
            log::error!("{} deliveries are not stored: {error}", batch.answers.len());
            Refused::StorageDown
        });
        metrics.committed(count);
        for answer in batch.answers.drain(..) {
            // A sender that has gone away comes again: the repeat is recognised.
            let _ = answer.send(kept);
        }
        if let Some(wake) = wake {
            wake.committed(count);
        }
    }
    if let Keeping::WithSpool(spooling) = place {
        spooling.stop();
    }
}

/// Waits for the first delivery of a batch; none is to come once this is `None`. In trouble it tries by itself
/// whether it is over: those who send may have been led away from a process that is not ready.
fn first(place: &Keeping, queue: &Receiver<Option<Waiting>>, trouble: &Trouble) -> Option<Waiting> {
    while trouble.current().is_some() {
        match queue.recv_timeout(TRY_EVERY) {
            Ok(waiting) => return waiting,
            Err(RecvTimeoutError::Disconnected) => return None,
            Err(RecvTimeoutError::Timeout) => {
                let tried = place.try_to_write();
                trouble.set(tried.err().map(|error| error.to_string()));
            }
        }
    }
    queue.recv().ok().flatten()
}

/// What shares one commit.
#[derive(Default)]
struct Batch {
    deliveries: Vec<NewDelivery>,
    answers: Vec<oneshot::Sender<Result<(), Refused>>>,
    is_last: bool,
}

impl Batch {
    /// Takes along what else waits by now.
    fn fill(&mut self, first: Waiting, queue: &Receiver<Option<Waiting>>, limit: usize) {
        let mut bytes = 0;
        let mut next = Some(first);
        while let Some(waiting) = next {
            bytes += waiting.delivery.body.len();
            self.deliveries.push(waiting.delivery);
            self.answers.push(waiting.answer);
            if self.deliveries.len() >= limit || bytes >= COMMIT_BYTES {
                return;
            }
            match queue.try_recv() {
                Ok(waiting) => next = waiting,
                Err(_) => return,
            }
        }
        self.is_last = true;
    }
}
