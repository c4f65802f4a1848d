//! The steps: each is something that Mastercard, the merchant, an operator, a worker or the clock does.

use tokenkeep::audit::Actor;
use tokenkeep::dispatcher::{
    ClaimedCall, CommandRequest, CredentialsRequest, DeletionRequest, Usage, look, request_command,
    request_deletion, retry_call,
};
use tokenkeep::domain::{CardId, Registration, TokenCommand};
use tokenkeep::processor::{Registering, register, replay_stored};
use tokenkeep::store::{NewDelivery, Replay};

use crate::history::Registered;
use crate::kit::{PROGRAM, WORKERS};
use crate::post::{Sent, number, random_item};
use crate::sim::{CARDS, Kept, Sim};
use crate::support::item::Token;
use crate::support::{EXPIRY_1, EXPIRY_2};

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

    fn some_card(&self) -> (usize, CardId) {
        let card = self.below(CARDS);
        (card, CardId::parse(&format!("card-{card}")).unwrap())
    }

    fn register(&self, place: usize) {
        let (card, card_id) = self.some_card();
        let mut registered = Registered::default();
        registered
            .masked
            .insert("panLastFour".to_owned(), "0000".into());
        if self.once_in(2) {
            let expiry = self.with_random(|random| random.one_of(&[EXPIRY_1, EXPIRY_2]));
            // Never one that a refresh brings: see the model.
            registered.token = Some(Token::new(&number(card, 8), Some(expiry)));
        }
        let at = self.now();
        let key = (card_id.as_str().to_owned(), at);
        self.registered.borrow_mut().insert(key, registered.clone());
        let registering = Registering {
            registration: Registration {
                card_id: card_id.clone(),
                program: Some(PROGRAM.to_owned()),
                consumer_reference: Some("consumer".to_owned()),
                masked: registered.masked,
                token: registered.token.as_ref().map(Token::data),
                tokens: Vec::new(),
                received_at: at,
            },
            token: None,
            tokens: Vec::new(),
        };
        let store = self.workers.borrow()[place].store.clone();
        let done = self.troubled(place, || register(&store, &self.kit.policy(), registering));
        self.note(&format!("{card_id} is registered: {done:?}"));
    }

    fn delete(&self, place: usize) {
        let (_, card_id) = self.some_card();
        let request = DeletionRequest {
            card_id,
            program: None,
            reason: None,
            requestor: None,
        };
        let store = self.workers.borrow()[place].store.clone();
        let (policy, now) = (self.kit.policy(), self.now());
        let done = self.troubled(place, || request_deletion(&store, &policy, &request, now));
        let word = done.map(|done| done.word());
        self.note(&format!("{} is to be deleted: {word:?}", request.card_id));
    }

    fn command(&self, place: usize) {
        let (_, card_id) = self.some_card();
        let commands = [
            TokenCommand::Suspend,
            TokenCommand::Resume,
            TokenCommand::Deactivate,
        ];
        let command = self.with_random(|random| random.one_of(&commands));
        let request = CommandRequest {
            card_id,
            token: None,
            command,
        };
        let store = self.workers.borrow()[place].store.clone();
        let (policy, now) = (self.kit.policy(), self.now());
        let done = self.troubled(place, || request_command(&store, &policy, &request, now));
        let word = done.map(|done| done.word());
        self.note(&format!(
            "{} of {}: {word:?}",
            request.command.word(),
            request.card_id
        ));
    }

    /// A merchant wants to charge a card.
    fn credentials(&self, place: usize) {
        let (_, card_id) = self.some_card();
        // Nobody waits here: who runs the other call is not at work meanwhile.
        if self.oracle.borrow_mut().is_busy(card_id.as_str()) {
            return;
        }
        let (calls, faults) = {
            let worker = &self.workers.borrow()[place];
            (worker.calls.clone(), worker.faults.clone())
        };
        let request = CredentialsRequest {
            card_id: card_id.clone(),
            usage: Usage::Single,
            amount: None,
            series_number_version: None,
            idempotency: None,
            by: Actor::service(),
        };
        self.note(&format!("credentials of {card_id} from worker {place}"));
        self.begin_call(faults, None);
        let given = self.troubled(place, || calls.credentials(&request));
        self.end_callers_call();
        self.check();
        match given {
            Err(_) => self.note("  none"),
            Ok(credentials) => {
                self.count("credentials");
                let value = credentials
                    .cryptogram
                    .as_ref()
                    .map(|c| c.expose().to_owned());
                self.judge(&card_id, credentials.number.expose(), value);
            }
        }
    }

    fn judge(&self, card_id: &CardId, number: &str, cryptogram: Option<String>) {
        if !self.oracle.borrow().may_charge(card_id.as_str()) {
            self.violate(format!("{card_id} was given out, but may not be charged"));
        }
        let Some(value) = cryptogram else {
            return self.violate(format!("{card_id} was given out without a cryptogram"));
        };
        let made = self.cryptogram(&value);
        if made.is_none_or(|made| made.number != number || made.card != card_id.as_str()) {
            self.violate(format!(
                "{card_id} was given out with another number's cryptogram"
            ));
        } else if !self.hand_out(&value) {
            self.violate(format!("a cryptogram of {card_id} was given out twice"));
        }
    }

    /// An operator has a recorded item judged anew, with all keys.
    fn replay(&self, place: usize) {
        let all = self.oracle.borrow_mut().notifications();
        if !all.is_empty() {
            self.replay_this(place, &all[self.below(all.len())]);
        }
    }

    fn replay_this(&self, place: usize, id: &str) {
        let store = self.workers.borrow()[place].store.clone();
        let asked = Replay::asked(id, self.now(), "operator", "simulated");
        let policy = self.kit.policy();
        let replayed = self.troubled(place, || {
            store.write(|tx| replay_stored(tx, &self.kit.all, &self.kit.keys, &policy, asked))
        });
        let verdict = replayed.map(|replayed| replayed.map(|replayed| replayed.verdict));
        self.count("replays");
        self.note(&format!("{id} is replayed: {verdict:?}"));
    }

    fn retry(&self, place: usize) {
        let jobs = self.oracle.borrow_mut().open_jobs();
        if !jobs.is_empty() {
            let job = &jobs[self.below(jobs.len())];
            let store = self.workers.borrow()[place].store.clone();
            let now = self.now();
            let done = self.troubled(place, || retry_call(&store, &job.id, now));
            self.count("retries");
            self.note(&format!(
                "{} of {} is retried: {}",
                job.kind,
                job.card_id,
                done.is_ok()
            ));
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

    pub fn open_what_is_held(&self) {
        let held = self.oracle.borrow_mut().held();
        for id in held {
            self.replay_this(0, &id);
        }
    }

    pub fn retry_everything(&self) {
        let jobs = self.oracle.borrow_mut().open_jobs();
        for job in jobs {
            let now = self.now();
            let _ = retry_call(&self.store, &job.id, now);
        }
    }
}
