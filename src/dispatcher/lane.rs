//! The lane of a program: how many of its calls are under way, how fast they begin, whether they are
//! made at all.

use std::num::NonZeroU32;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use governor::clock::{Clock as _, DefaultClock};
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};

use super::attempt::not_made;
use super::breaker::{Admission, Breaker, Signal, Stop};
use super::program_client::ProgramClient;
use crate::settings::ConnectionSettings;
use crate::telemetry::Clock;
use crate::upstream::{CallFailure, FailureClass, LONGEST_WAIT};

/// How long a call of the queue waits before it looks whether callers still wait.
const BEHIND_CALLERS: Duration = Duration::from_millis(5);

/// The calls of one program from this process.
pub struct Lane {
    pub program: String,
    pub client: ProgramClient,
    /// Those of the queue and those of callers who wait, together.
    under_way: AtomicUsize,
    callers: AtomicUsize,
    concurrency: usize,
    limiter: DefaultDirectRateLimiter,
    clock: DefaultClock,
    running: Clock,
    breaker: Mutex<Breaker>,
}

/// A place in a lane, held while a call is under way.
pub struct Place(Arc<Lane>);

/// A lane as it is shown.
#[derive(Debug, Clone)]
pub struct LaneView {
    pub program: String,
    pub under_way: usize,
    pub stop: Option<Stop>,
}

impl Lane {
    /// `running` tells how long the machine has been running: what the breaker goes by.
    pub fn new(
        program: &str,
        client: ProgramClient,
        settings: &ConnectionSettings,
        running: Clock,
    ) -> Self {
        let rate = NonZeroU32::new(settings.rate()).unwrap_or(NonZeroU32::MIN);
        // No burst: the calls of a second are spread over it.
        let quota = Quota::per_second(rate).allow_burst(NonZeroU32::MIN);
        Self {
            program: program.to_owned(),
            client,
            under_way: AtomicUsize::new(0),
            callers: AtomicUsize::new(0),
            concurrency: settings.concurrency(),
            limiter: RateLimiter::direct(quota),
            clock: DefaultClock::default(),
            running,
            breaker: Mutex::new(Breaker::default()),
        }
    }

    /// Calls that may still begin.
    pub fn free(&self) -> usize {
        let under_way = self.under_way.load(Ordering::SeqCst);
        self.concurrency.saturating_sub(under_way)
    }

    /// Takes a place for a call.
    pub fn enter(self: &Arc<Self>) -> Place {
        self.under_way.fetch_add(1, Ordering::SeqCst);
        Place(self.clone())
    }

    /// What may be done now.
    pub fn admit(&self) -> Admission {
        self.breaker().admit(self.running.now())
    }

    /// A probe begins: the next one has to wait.
    pub fn begin_probe(&self) {
        self.breaker().begin_probe(self.running.now());
    }

    /// Waits until the rate allows one more call of the queue; callers who wait go first.
    pub fn wait_for_turn(&self) {
        loop {
            if self.callers.load(Ordering::SeqCst) > 0 {
                std::thread::sleep(BEHIND_CALLERS);
                continue;
            }
            match self.limiter.check() {
                Ok(()) => return,
                Err(until) => std::thread::sleep(until.wait_time_from(self.clock.now())),
            }
        }
    }

    /// Lets a call go that a caller waits for, as soon as the rate allows it.
    ///
    /// # Errors
    /// Calls are held back, or its turn does not come in time.
    pub fn admit_caller(&self, deadline: Instant) -> Result<(), CallFailure> {
        match self.admit() {
            Admission::Open => {}
            Admission::Probe => self.begin_probe(),
            Admission::Stopped(stop) => return Err(not_made(stop.name())),
        }
        match self.wait_for_turn_of_caller(deadline) {
            true => Ok(()),
            false => Err(not_made("rate-limit")),
        }
    }

    /// Whether a caller's turn comes in time.
    fn wait_for_turn_of_caller(&self, deadline: Instant) -> bool {
        self.callers.fetch_add(1, Ordering::SeqCst);
        let came = loop {
            let wait = match self.limiter.check() {
                Ok(()) => break true,
                Err(until) => until.wait_time_from(self.clock.now()),
            };
            if Instant::now() + wait >= deadline {
                break false;
            }
            std::thread::sleep(wait);
        };
        self.callers.fetch_sub(1, Ordering::SeqCst);
        came
    }

    /// Takes in how an attempt ended, and tells once when calls stop or go on.
    pub fn report<T>(&self, answer: &Result<T, CallFailure>) {
        if let Err(failure) = answer
            && failure.retry_after == Some(LONGEST_WAIT)
        {
            let program = &self.program;
            log::warn!(
                "program {program}: it asks for a wait of an hour or more, an hour is waited"
            );
        }
        let signal = match answer.as_ref().map_err(|failure| failure.class) {
            Ok(_) | Err(FailureClass::Refused | FailureClass::NotThere) => Signal::Works,
            Err(FailureClass::Retry) => Signal::Fails,
            Err(FailureClass::Denied) => Signal::Denies,
        };
        let program = &self.program;
        match self.breaker().report(signal, self.running.now()) {
            Some(Some(Stop::Denied)) => {
                log::error!("program {program}: the credential is refused, its calls wait");
            }
            Some(Some(Stop::Failing)) => {
                log::error!("program {program}: every call fails, one is tried every 30 s");
            }
            Some(None) => log::info!("program {program}: calls are made again"),
            None => {}
        }
    }

    /// The lane as it is shown.
    pub fn view(&self) -> LaneView {
        LaneView {
            program: self.program.clone(),
            under_way: self.under_way.load(Ordering::SeqCst),
            stop: self.breaker().stop(),
        }
    }

    fn breaker(&self) -> MutexGuard<'_, Breaker> {
        self.breaker.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.under_way.fetch_sub(1, Ordering::SeqCst);
    }
}
