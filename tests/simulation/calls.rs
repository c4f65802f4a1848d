//! Calls as the simulation makes them: what happens while one is under way, and who may finish it.

use tokenkeep::dispatcher::ClaimedCall;

use crate::faults::Faults;
use crate::sim::Sim;
use crate::tables::Job;
use crate::trouble::{Trouble, random_trouble};

/// A step may happen while a call is under way, and another within it, but no deeper.
const DEPTH: usize = 2;

/// A cryptogram that Checkout made.
#[derive(Clone)]
pub struct Made {
    pub card: String,
    pub number: String,
    is_handed_out: bool,
}

/// A call that a worker makes.
pub struct UnderWay {
    faults: Faults,
    job: Option<String>,
    /// How the call and its card stood when the answer came.
    at_answer: Option<(Option<Job>, String)>,
    requests: usize,
}

impl Sim {
    /// Makes a claimed call. Whatever happens meanwhile happens inside.
    pub fn make(&self, place: usize, call: ClaimedCall) {
        let job = call.job().clone();
        let (calls, faults) = {
            let worker = &self.workers.borrow()[place];
            (worker.calls.clone(), worker.faults.clone())
        };
        self.note(&format!(
            "  worker {place} makes {} of {}, fence {}",
            job.kind, job.card_id, job.fence
        ));
        self.count("calls");
        self.begin_call(faults, Some(job.id.clone()));
        call.make(&calls);
        let under_way = self.end_call();
        if under_way.requests > 1 {
            self.violate(format!(
                "{} of {} was made twice under one claim",
                job.kind, job.card_id
            ));
        }
        let Some((Some(before), card)) = under_way.at_answer else {
            return;
        };
        if before.fence == job.fence && before.state == "running" {
            return;
        }
        self.count("late completions");
        let mut oracle = self.oracle.borrow_mut();
        let after = (oracle.job(&job.id), oracle.card_state(&job.card_id));
        drop(oracle);
        if after != (Some(before), card) {
            self.violate(format!(
                "{} of {} was finished by a claim that was lost",
                job.kind, job.card_id
            ));
        }
    }

    pub fn begin_call(&self, faults: Faults, job: Option<String>) {
        self.under_way.borrow_mut().push(UnderWay {
            faults,
            job,
            at_answer: None,
            requests: 0,
        });
    }

    fn end_call(&self) -> UnderWay {
        self.under_way.borrow_mut().pop().unwrap()
    }

    /// The same for a call that a caller waits for.
    pub fn end_callers_call(&self) {
        self.end_call();
    }

    /// The process that calls Mastercard just now.
    pub fn caller(&self) -> Faults {
        let mut under_way = self.under_way.borrow_mut();
        let call = under_way.last_mut().unwrap();
        call.requests += 1;
        call.faults.clone()
    }

    /// The answer reaches the caller now.
    pub fn answer_is_there(&self) {
        let mut under_way = self.under_way.borrow_mut();
        let call = under_way.last_mut().unwrap();
        if let Some(id) = &call.job {
            let mut oracle = self.oracle.borrow_mut();
            let job = oracle.job(id);
            let card = job.as_ref().map(|job| job.card_id.clone());
            let card = card.map(|card| oracle.card_state(&card));
            call.at_answer = Some((job, card.unwrap_or_default()));
        }
    }

    /// What happens between a call and its answer.
    pub fn meanwhile(&self) {
        if self.is_healed() || self.depth.get() >= DEPTH || !self.once_in(3) {
            return;
        }
        self.depth.set(self.depth.get() + 1);
        for _ in 0..=self.below(4) {
            if !self.is_over() {
                self.count("steps during a call");
                self.step();
            }
        }
        self.depth.set(self.depth.get() - 1);
    }

    pub fn trouble(&self) -> Trouble {
        if self.is_healed() {
            return Trouble::None;
        }
        match self.is_down.get() {
            true => Trouble::Refused,
            false => self.with_random(random_trouble),
        }
    }

    pub fn new_cryptogram(&self, card: &str, number: &str) -> String {
        let mut made = self.made.borrow_mut();
        let value = format!("SIMULATED-CRYPTOGRAM-{:06}", made.len());
        let new = Made {
            card: card.to_owned(),
            number: number.to_owned(),
            is_handed_out: false,
        };
        made.insert(value.clone(), new);
        value
    }

    pub fn cryptogram(&self, value: &str) -> Option<Made> {
        self.made.borrow().get(value).cloned()
    }

    /// A merchant has it now; false if somebody had it before.
    pub fn hand_out(&self, value: &str) -> bool {
        let mut made = self.made.borrow_mut();
        let made = made.get_mut(value).unwrap();
        !std::mem::replace(&mut made.is_handed_out, true)
    }
}
