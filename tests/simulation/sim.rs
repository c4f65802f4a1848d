//! One seed: a world of cards, a store, two workers, and the steps that chance chooses.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokenkeep::dispatcher::Jitter;
use tokenkeep::settings::DatabaseUrl;
use tokenkeep::store::{FaultPoint, Store};

use crate::calls::{Made, UnderWay};
use crate::faults::{self, Effect};
use crate::history::Registered;
use crate::kit::{Kit, WORKERS};
use crate::mastercard::Truth;
use crate::oracle::Oracle;
use crate::post::{Sent, number};
use crate::support::EXPIRY_1;
use crate::support::model::Told;
use crate::support::random::Random;
use crate::worker::Worker;

pub const CARDS: usize = 3;
/// 2026-07-20T10:00:00Z.
const START: i64 = 1_784_541_600_000;

thread_local! {
    static CURRENT: RefCell<Option<Rc<Sim>>> = const { RefCell::new(None) };
}

/// The seed that runs on this thread.
pub fn current() -> Rc<Sim> {
    CURRENT.with_borrow(|sim| sim.clone().unwrap())
}

/// A delivery that is in the store.
pub struct Kept {
    pub items: Vec<Sent>,
    pub received_at: i64,
}

/// What a seed came to.
pub struct Outcome {
    pub violation: Option<String>,
    pub trace: u64,
    pub counts: BTreeMap<String, u64>,
}

pub struct Sim {
    pub kit: Rc<Kit>,
    pub store: Store,
    random: RefCell<Random>,
    pub workers: RefCell<Vec<Worker>>,
    pub oracle: RefCell<Oracle>,
    jitter: Arc<AtomicU64>,
    pub truths: RefCell<BTreeMap<String, Truth>>,
    /// What Mastercard answered, by card and the time that counts.
    pub answers: RefCell<BTreeMap<(String, i64), Told>>,
    pub registered: RefCell<BTreeMap<(String, i64), Registered>>,
    pub kept: RefCell<BTreeMap<String, Kept>>,
    /// Deliveries that Mastercard has yet to bring, or bring again.
    pub mail: RefCell<Vec<Vec<Sent>>>,
    pub sent: RefCell<Vec<Sent>>,
    pub deliveries: Cell<usize>,
    pub made: RefCell<BTreeMap<String, Made>>,
    pub under_way: RefCell<Vec<UnderWay>>,
    pub depth: Cell<usize>,
    is_healed: Cell<bool>,
    /// Mastercard is down.
    pub is_down: Cell<bool>,
    violation: RefCell<Option<String>>,
    trace: RefCell<DefaultHasher>,
    is_told: bool,
    counts: RefCell<BTreeMap<String, u64>>,
}

/// Runs a seed.
pub fn run(kit: &Rc<Kit>, seed: u64, steps: usize, is_told: bool) -> Outcome {
    kit.wall.store(START + 1, Ordering::SeqCst);
    kit.running.store(0, Ordering::SeqCst);
    let path = kit.new_database();
    let url = DatabaseUrl::Sqlite(path.clone());
    let store = Store::open_current(&url, kit.keys.clone()).unwrap();
    let truth = |card: usize| {
        (
            format!("card-{card}"),
            Truth::new(&number(card, 0), EXPIRY_1),
        )
    };
    let sim = Rc::new(Sim {
        kit: kit.clone(),
        oracle: RefCell::new(Oracle::new(&path, store.clone())),
        store,
        random: RefCell::new(Random::seeded(seed)),
        workers: RefCell::default(),
        jitter: Arc::new(AtomicU64::new(seed)),
        truths: RefCell::new((0..CARDS).map(truth).collect()),
        answers: RefCell::default(),
        registered: RefCell::default(),
        kept: RefCell::default(),
        mail: RefCell::default(),
        sent: RefCell::default(),
        deliveries: Cell::new(0),
        made: RefCell::default(),
        under_way: RefCell::default(),
        depth: Cell::new(0),
        is_healed: Cell::new(false),
        is_down: Cell::new(false),
        violation: RefCell::default(),
        trace: RefCell::default(),
        is_told,
        counts: RefCell::default(),
    });
    CURRENT.set(Some(sim.clone()));
    for _ in 0..WORKERS {
        let worker = sim.new_worker();
        sim.workers.borrow_mut().push(worker);
    }
    for _ in 0..steps {
        sim.step();
        if sim.is_over() {
            break;
        }
    }
    sim.heal();
    CURRENT.set(None);
    for worker in sim.workers.take() {
        worker.stop();
    }
    let mut counts = sim.counts.take();
    for verdict in sim.oracle.borrow_mut().verdicts() {
        *counts.entry(verdict).or_default() += 1;
    }
    Outcome {
        violation: sim.violation.take(),
        trace: sim.trace.borrow().finish(),
        counts,
    }
}

impl Sim {
    pub fn now(&self) -> i64 {
        self.kit.wall.load(Ordering::SeqCst)
    }

    /// Time passes, by every clock.
    pub fn pass(&self, milliseconds: i64) {
        self.kit.wall.fetch_add(milliseconds, Ordering::SeqCst);
        self.kit.running.fetch_add(milliseconds, Ordering::SeqCst);
    }

    /// Somebody sets the clock.
    pub fn set_clock(&self, by: i64) {
        self.kit.wall.fetch_add(by, Ordering::SeqCst);
    }

    pub fn below(&self, end: usize) -> usize {
        self.random.borrow_mut().below(end)
    }

    pub fn once_in(&self, odds: usize) -> bool {
        self.random.borrow_mut().once_in(odds)
    }

    pub fn with_random<T>(&self, draw: impl FnOnce(&mut Random) -> T) -> T {
        draw(&mut self.random.borrow_mut())
    }

    pub fn note(&self, line: &str) {
        line.hash(&mut *self.trace.borrow_mut());
        if self.is_told {
            println!("{}{line}", "    ".repeat(self.depth.get()));
        }
    }

    pub fn count(&self, what: &str) {
        *self.counts.borrow_mut().entry(what.to_owned()).or_default() += 1;
    }

    pub fn violate(&self, what: String) {
        self.note(&format!("VIOLATION {what}"));
        self.violation.borrow_mut().get_or_insert(what);
    }

    pub fn is_over(&self) -> bool {
        self.violation.borrow().is_some()
    }

    pub fn is_healed(&self) -> bool {
        self.is_healed.get()
    }

    pub fn check(&self) {
        let checked = self.oracle.borrow_mut().check(self);
        match checked {
            Ok(line) => self.note(&format!("  = {line}")),
            Err(violation) => self.violate(violation),
        }
    }

    fn new_worker(&self) -> Worker {
        let jitter = self.jitter.clone();
        // SplitMix64 moves on by this constant.
        let share = move || {
            let state = jitter.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::SeqCst);
            (state >> 11) as f64 / (1_u64 << 53) as f64
        };
        Worker::start(&self.kit, &self.store, Jitter::from_fn(share))
    }

    /// The process is gone, and another one starts.
    pub fn restart(&self, place: usize) {
        let new = self.new_worker();
        let old = std::mem::replace(&mut self.workers.borrow_mut()[place], new);
        old.faults.kill();
        old.stop();
    }

    /// Starts those anew whose process is gone.
    pub fn bury(&self) {
        for place in 0..WORKERS {
            let is_gone = self.workers.borrow()[place].faults.is_gone();
            if is_gone {
                self.note(&format!("  worker {place} starts anew"));
                self.count("crashes");
                self.restart(place);
            }
        }
    }

    /// Plans perhaps a fault for what a worker does next, and takes it back afterwards.
    pub fn troubled<T>(&self, place: usize, act: impl FnOnce() -> T) -> T {
        if self.is_healed() || !self.once_in(5) {
            return act();
        }
        let faults = self.workers.borrow()[place].faults.clone();
        let points = [
            FaultPoint::Read,
            FaultPoint::Begin,
            FaultPoint::Commit,
            FaultPoint::Committed,
        ];
        let is_row = self.once_in(3);
        if is_row {
            let row = 1 + self.below(12) as u32;
            faults::fail_row(&mut self.oracle.borrow_mut().sql, row);
            self.note(&format!("  the row {row} that is written fails"));
        } else {
            let point = self.with_random(|random| random.one_of(&points));
            let effect = self.with_random(|r| r.one_of(&[Effect::Error, Effect::Crash]));
            faults.plan_one(point, self.below(3) as u32, effect);
        }
        let done = act();
        if is_row {
            faults::fail_row(&mut self.oracle.borrow_mut().sql, 0);
        }
        if let Some((point, effect)) = faults.settle() {
            self.note(&format!("  {effect:?} at {point:?}"));
            self.count(&format!("{effect:?} at {point:?}"));
            self.count("store errors");
        }
        done
    }

    /// Everything works again: what is under way ends, and what was held is opened.
    fn heal(&self) {
        self.note("healed");
        self.is_healed.set(true);
        self.is_down.set(false);
        for place in 0..WORKERS {
            self.restart(place);
        }
        self.deliver_the_rest();
        for round in 0..60 {
            if self.is_over() {
                return;
            }
            if round == 3 {
                self.open_what_is_held();
            }
            if round % 8 == 4 {
                self.retry_everything();
            }
            self.process(0);
            self.dispatch(0);
            self.pass(200_000);
            self.check();
            let is_left = self.oracle.borrow_mut().unfinished() > 0;
            if !is_left && round > 12 {
                let ended = self.oracle.borrow_mut().check_end();
                if let Err(violation) = ended {
                    self.violate(violation);
                }
                return;
            }
        }
        self.violate("something is never done".to_owned());
    }
}
