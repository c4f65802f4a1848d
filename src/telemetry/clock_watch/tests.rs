//! What the watch makes of a clock that is set, and of what the database knows of the time.

use std::sync::atomic::{AtomicI64, Ordering};

use super::*;

const NOW: i64 = EARLIEST + 1_000_000_000_000;
const DAY: i64 = 86_400_000;

/// A machine whose clock and whose running time a test sets.
struct Machine {
    clock: Arc<AtomicI64>,
    running: Arc<AtomicI64>,
    watch: ClockWatch,
}

impl Machine {
    fn start() -> Self {
        let (clock, running) = (Arc::new(AtomicI64::new(NOW)), Arc::default());
        let of = |time: &Arc<AtomicI64>| {
            let time = time.clone();
            Clock::from_fn(move || time.load(Ordering::SeqCst))
        };
        let limits = ClockLimits {
            warn_beyond: 5,
            refuse_beyond: 43_200,
        };
        let watch = ClockWatch::new(of(&clock), of(&running), limits);
        Self {
            clock,
            running,
            watch,
        }
    }

    fn pass(&self, time: i64) {
        self.clock.fetch_add(time, Ordering::SeqCst);
        self.running.fetch_add(time, Ordering::SeqCst);
    }

    fn set_forward(&self, time: i64) {
        self.clock.fetch_add(time, Ordering::SeqCst);
    }

    fn look(&self, database: Option<i64>, newest: Option<i64>) -> bool {
        self.watch.look(KnownTimes { database, newest })
    }
}

#[test]
fn time_that_passes_is_no_jump_however_long_it_takes() {
    let machine = Machine::start();
    for _ in 0..3 {
        machine.pass(40 * DAY);
        assert!(!machine.look(None, Some(NOW)));
        assert_eq!(machine.watch.fault(), None);
    }
    assert!(machine.watch.warnings().is_empty());
}

#[test]
fn d17_a_small_jump_is_told_once_and_shown_for_an_hour_and_refuses_nothing() {
    for jump in [3_600_000, -3_600_000, 6_000, -6_000] {
        let machine = Machine::start();
        machine.set_forward(jump);
        assert!(machine.look(None, None));
        assert!(!machine.look(None, None));
        assert_eq!(machine.watch.fault(), None);
        let told = format!("the clock has jumped by {} s", jump / 1000);
        assert!(machine.watch.warnings()[0].starts_with(&told));
        machine.pass(SHOWN);
        assert!(machine.watch.warnings().is_empty());
    }
}

#[test]
fn d17_a_jump_by_a_day_is_a_fault_at_once_and_until_it_is_undone() {
    for jump in [DAY, -DAY, 3652 * DAY] {
        let machine = Machine::start();
        machine.look(None, None);
        machine.set_forward(jump);
        let fault = Some(ClockFault::Jumped(jump / 1000));
        assert_eq!(machine.watch.fault(), fault);
        machine.look(None, None);
        assert_eq!(machine.watch.fault(), fault, "a look does not heal it");
        machine.set_forward(-jump);
        assert_eq!(machine.watch.fault(), None);
    }
}

#[test]
fn the_databases_clock_decides_where_there_is_one() {
    let machine = Machine::start();
    machine.look(Some(NOW - DAY), None);
    assert_eq!(
        machine.watch.fault(),
        Some(ClockFault::OffDatabase(DAY / 1000))
    );
    machine.set_forward(-DAY);
    assert_eq!(machine.watch.fault(), None, "it was set right");
    machine.look(Some(NOW - DAY), Some(NOW));
    assert_eq!(machine.watch.fault(), None, "a record of a wrong time");
    assert!(!machine.watch.warnings().is_empty());
    machine.set_forward(-DAY);
    assert_eq!(
        machine.watch.fault(),
        Some(ClockFault::OffDatabase(-DAY / 1000))
    );
}

#[test]
fn a_clock_behind_what_was_recorded_or_before_this_program_is_a_fault() {
    let machine = Machine::start();
    machine.look(None, Some(NOW + DAY));
    let behind = ClockFault::BehindRecords(DAY / 1000);
    assert_eq!(machine.watch.fault(), Some(behind));
    machine.set_forward(EARLIEST - 1 - NOW);
    assert_eq!(machine.watch.fault(), Some(ClockFault::TooEarly));
}
