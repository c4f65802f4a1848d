//! Whether calls of a program are made at all: a breaker against a side that is down, and a stop for a
//! credential that is refused.

/// So many failures in a row open the breaker.
const FAILURES: u32 = 20;
/// Between two attempts while it is open, in milliseconds.
const PROBE_EVERY: i64 = 30_000;
/// Between two attempts with a credential that was refused.
const PROBE_DENIED_EVERY: i64 = 300_000;

/// Why calls are held back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// The other side does not work.
    Failing,
    /// It refuses the credential (401, 403).
    Denied,
}

impl Stop {
    /// The stop's name, as shown.
    pub fn name(self) -> &'static str {
        match self {
            Self::Failing => "failing",
            Self::Denied => "denied",
        }
    }
}

/// What an attempt said of the other side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// It works: it answered, be it with a refusal of this one call.
    Works,
    Fails,
    Denies,
}

/// What may be done now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admission {
    Open,
    /// One attempt, to see whether it works again.
    Probe,
    Stopped(Stop),
}

/// The state of one program's calls. Its times are milliseconds that nobody sets.
#[derive(Debug, Default)]
pub struct Breaker {
    failures: u32,
    stop: Option<Stop>,
    next_probe: Option<i64>,
}

impl Breaker {
    /// What may be done at `now`.
    pub fn admit(&self, now: i64) -> Admission {
        match self.stop {
            None => Admission::Open,
            Some(stop) if self.next_probe.is_some_and(|at| now < at) => Admission::Stopped(stop),
            Some(_) => Admission::Probe,
        }
    }

    /// A probe begins: the next one has to wait.
    pub fn begin_probe(&mut self, now: i64) {
        self.next_probe = self.stop.map(|stop| now + pause(stop));
    }

    /// Takes in what an attempt said. Returns the stop if it is new, or `Some(None)` if one ended.
    pub fn report(&mut self, signal: Signal, now: i64) -> Option<Option<Stop>> {
        let before = self.stop;
        match signal {
            Signal::Works => {
                self.failures = 0;
                self.stop = None;
            }
            Signal::Denies => self.stop = Some(Stop::Denied),
            Signal::Fails => {
                self.failures = self.failures.saturating_add(1);
                if self.failures >= FAILURES && self.stop.is_none() {
                    self.stop = Some(Stop::Failing);
                }
            }
        }
        if self.stop == before {
            return None;
        }
        self.next_probe = self.stop.map(|stop| now + pause(stop));
        Some(self.stop)
    }

    /// Why calls are held back, if they are.
    pub fn stop(&self) -> Option<Stop> {
        self.stop
    }
}

fn pause(stop: Stop) -> i64 {
    match stop {
        Stop::Failing => PROBE_EVERY,
        Stop::Denied => PROBE_DENIED_EVERY,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after_failures(count: u32, now: i64) -> Breaker {
        let mut breaker = Breaker::default();
        for _ in 0..count {
            breaker.report(Signal::Fails, now);
        }
        breaker
    }

    #[test]
    fn twenty_failures_in_a_row_open_it() {
        let now = 1_000;
        let mut breaker = after_failures(FAILURES - 1, now);
        assert_eq!(breaker.admit(now), Admission::Open);
        assert_eq!(
            breaker.report(Signal::Fails, now),
            Some(Some(Stop::Failing))
        );
        assert_eq!(breaker.admit(now), Admission::Stopped(Stop::Failing));
    }

    #[test]
    fn a_success_in_between_begins_the_count_anew() {
        let now = 1_000;
        let mut breaker = after_failures(FAILURES - 1, now);
        breaker.report(Signal::Works, now);
        breaker.report(Signal::Fails, now);
        assert_eq!(breaker.admit(now), Admission::Open);
    }

    #[test]
    fn while_open_one_probe_goes_out_every_thirty_seconds() {
        let now = 1_000;
        let mut breaker = after_failures(FAILURES, now);
        let later = now + PROBE_EVERY;
        assert_eq!(breaker.admit(later - 1), Admission::Stopped(Stop::Failing));
        assert_eq!(breaker.admit(later), Admission::Probe);
        breaker.begin_probe(later);
        assert_eq!(breaker.admit(later), Admission::Stopped(Stop::Failing));
        assert_eq!(breaker.report(Signal::Works, later), Some(None));
        assert_eq!(breaker.admit(later), Admission::Open);
    }

    #[test]
    fn a_refused_credential_stops_at_once_and_is_tried_every_five_minutes() {
        let now = 1_000;
        let mut breaker = Breaker::default();
        assert_eq!(
            breaker.report(Signal::Denies, now),
            Some(Some(Stop::Denied))
        );
        assert_eq!(breaker.report(Signal::Denies, now), None, "told once");
        assert_eq!(
            breaker.admit(now + PROBE_EVERY),
            Admission::Stopped(Stop::Denied)
        );
        assert_eq!(breaker.admit(now + PROBE_DENIED_EVERY), Admission::Probe);
    }
}
