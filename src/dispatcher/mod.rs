//! The outbox worker: claims calls, makes them, and applies what they answer.
//!
//! A [`Dispatcher`] claims due calls with a lease and a fence and makes each on a thread of its own; the
//! answer and everything that follows from it are one transaction, which only the holder of the last
//! claim may write. [`Calls`] is what every process has: it makes the calls that a caller of the API
//! waits for. A call that fails goes back with a later time; nothing here forgets one.

mod attempt;
mod backoff;
mod breaker;
mod calls;
mod command_calls;
mod commands;
mod contract_status;
mod credentials;
mod cryptogram;
mod deletion;
mod erasure;
mod housekeeping;
mod lane;
mod lookup;
mod missed;
mod operating;
mod program_client;
mod token_intake;
mod token_reads;
mod token_records;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Receiver;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::store::{ClaimedJob, StoreError};
use breaker::Admission;
use lane::{Lane, Place};

pub use backoff::Jitter;
pub use breaker::Stop;
pub use calls::{Calls, CallsSettings};
pub use commands::{CommandRequest, Commanded, request_command};
pub use contract_status::{ContractTold, tell_contract_status};
pub use credentials::{Credentials, CredentialsRequest, IdempotencyKey, NoCredentials, Usage};
pub use deletion::{Deletion, DeletionRequest, request_deletion};
pub use erasure::{Erasure, request_erasure};
pub use housekeeping::Housekeeping;
pub use lane::LaneView;
pub use lookup::NoTransactions;
pub use operating::{NOT_OVER, Operated, discard_call, fit_reason, rehearse_retry, retry_call};
pub use program_client::ProgramClient;

/// The longest wait between two looks at the outbox.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// Time that calls under way have to end when the process stops.
const STOP_DEADLINE: Duration = Duration::from_secs(5);

/// Makes the calls of the outbox, on threads of its own.
pub struct Dispatcher {
    calls: Calls,
    stopping: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl Dispatcher {
    /// Starts it. `hints` come from whoever queues calls.
    pub fn start(calls: Calls, hints: Receiver<()>) -> std::io::Result<Self> {
        let stopping = Arc::new(AtomicBool::new(false));
        let (its_calls, its_stopping) = (calls.clone(), stopping.clone());
        let thread = std::thread::Builder::new()
            .name("dispatcher".to_owned())
            .spawn(move || run(&its_calls, &hints, &its_stopping))?;
        Ok(Self {
            calls,
            stopping,
            thread,
        })
    }

    /// Stops claiming, lets what is under way end, and hands back what does not end in time.
    pub fn stop(self) {
        self.stopping.store(true, Ordering::SeqCst);
        self.calls.hint();
        if self.thread.join().is_err() {
            log::error!("the dispatcher ended with a panic");
        }
        let deadline = Instant::now() + STOP_DEADLINE;
        while !self.calls.under_way().is_empty() && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(10));
        }
        if let Err(error) = self.calls.release_all() {
            log::warn!("calls under way are not handed back, their leases will end: {error}");
        }
    }
}

fn run(calls: &Calls, hints: &Receiver<()>, stopping: &AtomicBool) {
    let mut housekeeping = Housekeeping::default();
    let mut is_well = true;
    while !stopping.load(Ordering::SeqCst) {
        let look = || look(calls, &mut housekeeping, |call| start(calls, call));
        // A panic counts as a failure of this look: there is no other thread to take the next one.
        let claimed = catch_unwind(AssertUnwindSafe(look))
            .unwrap_or(Err(StoreError::Damaged("looking for calls panicked")));
        is_well = tell_once(is_well, &claimed);
        if claimed.unwrap_or(0) == 0 {
            // A disconnected end means the same as a hint; the pause keeps the loop from spinning.
            let _ = hints.recv_timeout(LOOK_EVERY);
        }
    }
}

fn tell_once(was_well: bool, claimed: &Result<usize, StoreError>) -> bool {
    match (was_well, claimed) {
        (true, Err(error)) => log::error!("no calls are claimed: {error}"),
        (false, Ok(_)) => log::info!("calls are claimed again"),
        _ => {}
    }
    claimed.is_ok()
}

/// One look of a dispatcher: does what it is time for, claims what each lane has room for and hands
/// each claimed call to `begin`, before the next lane may fail; returns how many. During maintenance
/// and while the clock cannot be believed nothing is claimed; what callers of the API wait for is done even then.
pub fn look(
    calls: &Calls,
    housekeeping: &mut Housekeeping,
    mut begin: impl FnMut(ClaimedCall),
) -> Result<usize, StoreError> {
    housekeeping.look_always(calls)?;
    let in_force = calls.store().read(|tx| tx.maintenance())?;
    if in_force.is_some_and(|in_force| in_force.is_on()) || !calls.has_good_clock() {
        return Ok(0);
    }
    housekeeping.look(calls)?;
    let mut count = 0;
    for lane in calls.lanes() {
        let free = lane.free();
        if free == 0 {
            continue;
        }
        let admission = lane.admit();
        let claimed = match admission {
            Admission::Open => calls.claim(lane, free, false)?,
            Admission::Probe => calls.claim(lane, 1, false)?,
            Admission::Stopped(_) => calls.claim(lane, 1, true)?,
        };
        if admission == Admission::Probe && !claimed.is_empty() {
            lane.begin_probe();
        }
        count += claimed.len();
        for job in claimed {
            begin(ClaimedCall {
                job,
                place: lane.enter(),
                lane: lane.clone(),
            });
        }
    }
    Ok(count)
}

/// A claimed call, with its place in the lane.
pub struct ClaimedCall {
    job: ClaimedJob,
    lane: Arc<Lane>,
    place: Place,
}

impl ClaimedCall {
    /// The claim.
    pub fn job(&self) -> &ClaimedJob {
        &self.job
    }

    /// Makes the call and writes what follows. Blocks meanwhile.
    pub fn make(self, calls: &Calls) {
        // What follows a panic may panic as well: then the lease ends, and is not extended.
        let work = || attempt::attempt(calls, &self.lane, &self.job);
        if catch_unwind(AssertUnwindSafe(work)).is_err() {
            log::error!("call {} is not ended: it panicked twice", self.job.id);
        }
        drop(self.place);
        calls.ended(&self.job);
        calls.hint();
    }
}

/// Makes a call on a thread of its own; there are never more than the lanes have places.
fn start(calls: &Calls, call: ClaimedCall) {
    let (its_calls, job) = (calls.clone(), call.job.clone());
    let work = move || call.make(&its_calls);
    let thread = std::thread::Builder::new().name("call".to_owned());
    if thread.spawn(work).is_err() {
        log::error!("no thread can be started for a call: its lease will end");
        calls.ended(&job);
    }
}
