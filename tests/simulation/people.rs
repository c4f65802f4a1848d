//! What the merchant and operators do.

use tokenkeep::audit::Actor;
use tokenkeep::dispatcher::{
    CommandRequest, CredentialsRequest, DeletionRequest, Usage, request_command, request_deletion,
    retry_call,
};
use tokenkeep::domain::{CardId, Registration, TokenCommand};
use tokenkeep::processor::{Registering, register, replay_stored};
use tokenkeep::store::Replay;

use crate::history::Registered;
use crate::kit::PROGRAM;
use crate::post::number;
use crate::sim::{CARDS, Sim};
use crate::support::item::Token;
use crate::support::{EXPIRY_1, EXPIRY_2};

impl Sim {
    fn some_card(&self) -> (usize, CardId) {
        let card = self.below(CARDS);
        (card, CardId::parse(&format!("card-{card}")).unwrap())
    }

    pub fn register(&self, place: usize) {
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

    pub fn delete(&self, place: usize) {
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

    pub fn command(&self, place: usize) {
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
    pub fn credentials(&self, place: usize) {
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
    pub fn replay(&self, place: usize) {
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

    pub fn retry(&self, place: usize) {
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
