//! The steps: each is something that Mastercard, the merchant, an operator, a worker or the clock does.

use tokenkeep::dispatcher::{ClaimedCall, look};
use tokenkeep::store::NewDelivery;

use crate::kit::WORKERS;
use crate::post::{Sent, random_item};
use crate::sim::{CARDS, Kept, Sim};

const MINUTE: i64 = 60_000;
const HOUR: i64 = 60 * MINUTE;

impl Sim {
    /// One step of any kind, and a look at everything.
    pub fn step(&self) {
        self.pass(1 + 7 * self.below(100) as i64);
        let place = self.below(WORKERS);
        match self.below(100) {
            0..=22 => self.mail(place),
            23..=41 => self.process(place),
            42..=66 => self.dispatch(place),
            67..=72 => self.make_one_in_hand(place),
            73..=75 => self.register(place),
            76 if self.once_in(3) => self.delete(place),
            77 if self.once_in(2) => self.command(place),
            76..=82 => self.credentials(place),
            83..=86 => self.replay(place),
            87..=88 => self.retry(place),
            89..=95 => self.let_time_pass(),
            96..=97 => self.go_down_or_up(),
            _ => self.crash(place),
        }
        self.bury();
        if !self.is_over() {
            self.check();
        }
    }

    /// Mastercard tells something new, something old again, or what it has held back.
    fn mail(&self, place: usize) {
        let now = self.now();
        let batch: Vec<Sent> = match self.below(10) {
            0 | 1 => {
                let sent = self.sent.borrow();
                match sent.is_empty() {
                    true => return,
                    // Again, in other company, encrypted anew.
                    false => (0..=self.below(3))
                        .map(|_| sent[self.below(sent.len())].clone())
                        .collect(),
                }
            }
            2..=4 if !self.mail.borrow().is_empty() => {
                let mut mail = self.mail.borrow_mut();
                let which = self.below(mail.len());
                mail.swap_remove(which)
            }
            _ => {
                let batch: Vec<Sent> = (0..=self.below(3)).map(|_| self.new_item(now)).collect();
                if self.once_in(3) {
                    self.note(&format!("{} items are held back", batch.len()));
                    self.count("held back");
                    self.mail.borrow_mut().push(batch);
                    return;
                }
                batch
            }
        };
        self.deliver(place, batch);
    }

    fn new_item(&self, now: i64) -> Sent {
        let card = self.below(CARDS);
        let id = format!("card-{card}");
        let earlier = {
            let sent = self.sent.borrow();
            let of_card = sent.iter().rfind(|sent| sent.card == id);
            of_card.and_then(|sent| sent.item.time)
        };
        let new = self.with_random(|random| random_item(random, card, now, earlier));
        self.truths.borrow_mut().get_mut(&id).unwrap().tells(&new);
        self.sent.borrow_mut().push(new.clone());
        new
    }

    /// A delivery comes to a worker; without its acknowledgement it comes again.
    fn deliver(&self, place: usize, items: Vec<Sent>) {
        let is_encrypted = self.once_in(3);
        let id = format!("delivery-{}", self.next_delivery());
        let received_at = self.now();
        self.note(&format!(
            "{id} of {} items to worker {place}{}",
            items.len(),
            if is_encrypted { ", encrypted" } else { "" }
        ));
        for sent in &items {
            self.note(&format!("  {}", sent.line()));
        }
        self.count("deliveries");
        let new = NewDelivery {
            id: id.clone(),
            received_at,
            source: "simulated".to_owned(),
            response_host: None,
            body: self.kit.body(&items, is_encrypted),
        };
        let intake = self.workers.borrow()[place].intake.handle();
        let kept = self.troubled(place, || {
            actix_web::rt::System::new().block_on(async { intake.keep(new).await })
        });
        let is_kept = self.oracle.borrow_mut().is_kept(&id);
        if kept.is_ok() && !is_kept {
            self.violate(format!("{id} was acknowledged, but is not there"));
        }
        if kept.is_err() {
            self.note("  not acknowledged");
            self.count("not acknowledged");
            self.mail.borrow_mut().push(items.clone());
        }
        if is_kept {
            self.kept
                .borrow_mut()
                .insert(id, Kept { items, received_at });
        }
    }

    fn next_delivery(&self) -> usize {
        let next = self.deliveries.get() + 1;
        self.deliveries.set(next);
        next
    }

    pub fn process(&self, place: usize) {
        self.note(&format!("worker {place} decides"));
        let processor = self.workers.borrow()[place].processor.clone();
        let decided = self.troubled(place, || processor.run_until_idle());
        match decided {
            Ok(count) => self.note(&format!("  {count} deliveries")),
            Err(error) => self.note(&format!("  {error}")),
        }
    }

    /// A look at the outbox: what is claimed is made now, or later, or never.
    pub fn dispatch(&self, place: usize) {
        self.note(&format!("worker {place} looks for calls"));
        let (calls, mut housekeeping) = {
            let worker = &mut self.workers.borrow_mut()[place];
            (
                worker.calls.clone(),
                std::mem::take(&mut worker.housekeeping),
            )
        };
        let mut claimed: Vec<ClaimedCall> = Vec::new();
        let looked = self.troubled(place, || {
            look(&calls, &mut housekeeping, |call| claimed.push(call))
        });
        self.workers.borrow_mut()[place].housekeeping = housekeeping;
        if let Err(error) = looked {
            self.note(&format!("  {error}"));
        }
        for call in claimed {
            let is_gone = self.workers.borrow()[place].faults.is_gone();
            if is_gone || self.is_over() {
                return;
            }
            match self.is_healed() || !self.once_in(4) {
                true => self.troubled(place, || self.make(place, call)),
                false => {
                    self.count("claimed and put off");
                    self.workers.borrow_mut()[place].in_hand.push(call);
                }
            }
        }
    }

    fn make_one_in_hand(&self, place: usize) {
        let call = self.workers.borrow_mut()[place].in_hand.pop();
        if let Some(call) = call {
            self.note(&format!("worker {place} comes to a call it claimed before"));
            self.troubled(place, || self.make(place, call));
        }
    }

    fn let_time_pass(&self) {
        let some = |most: i64| 7 * self.below(usize::try_from(most / 7).unwrap()) as i64;
        match self.below(20) {
            0..=7 => self.pass(some(30_000)),
            8..=13 => self.pass(some(3 * MINUTE)),
            14 | 15 => self.pass(some(20 * MINUTE)),
            16 => self.pass(some(30 * HOUR)),
            17 => {
                self.count("clock set forwards");
                self.set_clock(some(15 * MINUTE));
            }
            _ => {
                self.count("clock set back");
                self.set_clock(-some(15 * MINUTE));
            }
        }
        self.note(&format!("it is {}", self.now()));
    }

    fn go_down_or_up(&self) {
        let is_down = !self.is_down.get() && self.once_in(3);
        self.is_down.set(is_down);
        self.note(&format!(
            "Mastercard is {}",
            if is_down { "down" } else { "up" }
        ));
    }

    fn crash(&self, place: usize) {
        self.note(&format!("worker {place} dies"));
        self.workers.borrow()[place].faults.kill();
    }

    pub fn deliver_the_rest(&self) {
        loop {
            let Some(items) = self.mail.borrow_mut().pop() else {
                return;
            };
            self.deliver(0, items);
        }
    }
}
