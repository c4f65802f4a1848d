//! The other side, to try and to test against: Mastercard's Checkout and Card APIs with a sender of
//! notifications, Mastercard Processing Digital, and a bank's token API.
//!
//! A [`Sandbox`] has cards and tokens, believes requests only with a right signature, signs and encrypts
//! its answers under the keys of the repository, and tells the merchant what happens to its cards.
//! Every answer says in `X-Sandbox` that it is not Mastercard's. [`Fault`] is what can go wrong.

mod alliance;
mod alliance_errors;
mod alliance_keys;
mod alliance_request;
mod api;
mod authentication;
mod bank_tokens;
mod calls;
mod cards;
mod checkout;
mod connections;
mod contracts;
mod control;
mod delivery;
mod errors;
mod faults;
mod fields;
mod gate;
mod http;
mod keys;
mod notification;
mod opening;
mod processing;
mod random;
mod sender;
mod settings;
mod shared;
#[cfg(test)]
mod tests;
mod token_control;
mod token_programs;
mod traffic;
mod transactions;

use std::collections::VecDeque;
use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::AtomicU64;
use std::sync::mpsc::sync_channel;
use std::sync::{Arc, Mutex};
use std::thread::{Builder, JoinHandle};

use serde_json::Value;

use crate::jose::KeyError;
use alliance_keys::AllianceKeys;
use authentication::Authentication;
use bank_tokens::BankTokens;
use contracts::Contracts;
use keys::Keys;
use notification::Notification;
use random::Random;
use shared::Shared;

pub use calls::{Call, Operation};
pub use cards::{CardFault, CardStatus, NewCard, Refresh, SandboxCard};
pub use faults::{ErrorShape, Fault};
pub use sender::SendingFault;
pub use settings::SandboxSettings;
pub use shared::{Issued, Sent};

/// Notifications that may wait to be sent; who has more waits.
const OUTGOING: usize = 1000;

/// Why a sandbox does not start.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    #[error(transparent)]
    Keys(#[from] KeyError),
    #[error(transparent)]
    Cards(#[from] CardFault),
    #[error("cannot listen on {0}: {1}")]
    Listen(String, io::ErrorKind),
    #[error("the sandbox cannot start: {0}")]
    Io(#[from] io::Error),
}

/// A running sandbox. It stops when it is dropped.
pub struct Sandbox {
    shared: Arc<Shared>,
    address: SocketAddr,
    seed: u64,
    threads: Vec<JoinHandle<()>>,
}

impl Sandbox {
    /// Starts a sandbox; returns once it listens.
    ///
    /// # Errors
    /// [`SandboxError`] if a key, the address or the system is not as it must be.
    pub fn start(settings: SandboxSettings) -> Result<Self, SandboxError> {
        let keys = Keys::load(&settings.keys, &settings.signing_key)?;
        let alliance = AllianceKeys::load(
            &settings.keys,
            &settings.alliance_signing_key,
            &settings.alliance_kid,
        )?;
        let listener = TcpListener::bind(&settings.listen)
            .map_err(|error| SandboxError::Listen(settings.listen.clone(), error.kind()))?;
        let address = listener.local_addr()?;
        let seed = settings.seed.map_or_else(random::new_seed, Ok);
        let seed = seed.map_err(io::Error::other)?;
        let mut random = Random::new(seed);
        let (outgoing, queue) = sync_channel(OUTGOING);
        let shared = Arc::new(Shared {
            authentication: Authentication::new(keys.merchant.clone()),
            keys,
            alliance,
            contracts: Mutex::new(Contracts::seeded(settings.clock.now())),
            bank_tokens: Mutex::new(BankTokens::seeded(random.clone())),
            clock: settings.clock,
            gives_tokens: settings.gives_tokens,
            calls: Default::default(),
            faults: Default::default(),
            gate: Default::default(),
            book: Mutex::new(cards::Book::new(&settings.service_id, random.fork())),
            issued: Mutex::default(),
            last_answer: Mutex::default(),
            receiver: Mutex::new(settings.send_to),
            outgoing,
            accepted: AtomicU64::new(0),
            given_up: AtomicU64::new(0),
        });
        for _ in 0..settings.cards {
            control::create(&shared, NewCard::default())?;
        }
        let mut sandbox = Self {
            shared: shared.clone(),
            address,
            seed,
            threads: Vec::new(),
        };
        let in_bursts = settings.sending_faults.contains(&SendingFault::Bursts);
        let sender = sender::Sender {
            shared: shared.clone(),
            faults: settings.sending_faults,
            random: random.fork(),
            retry_pause: settings.retry_pause,
            held_back: VecDeque::new(),
        };
        let of_listener = shared.clone();
        sandbox.spawn(move || connections::accept(&listener, &of_listener))?;
        sandbox.spawn(move || sender.run(&queue))?;
        if let Some(rate) = settings.rate {
            sandbox.spawn(move || traffic::run(&shared, rate, in_bursts, random))?;
        }
        Ok(sandbox)
    }

    fn spawn(&mut self, run: impl FnOnce() + Send + 'static) -> io::Result<()> {
        let thread = Builder::new().name("sandbox".to_owned()).spawn(run)?;
        self.threads.push(thread);
        Ok(())
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The `base_url` of a program that is to call it.
    pub fn base_url(&self) -> String {
        format!("http://{}{}", self.address, api::BASE_PATH)
    }

    /// The `verification_url` of a program that is to call it.
    pub fn verification_url(&self) -> String {
        format!("http://{}{}", self.address, api::KEYS_PATH)
    }

    /// What all its choices followed from.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// Stops it. Answers under way are not finished.
    pub fn stop(self) {}

    /// Sends further notifications there, or nowhere.
    pub fn send_to(&self, url: Option<String>) {
        *self.shared.receiver() = url;
    }

    /// What became of the notifications so far.
    pub fn sent(&self) -> Sent {
        self.shared.sent()
    }

    /// Creates a card, in the place of one of the same id if there is one.
    ///
    /// # Errors
    /// [`CardFault`] if its id cannot be one.
    pub fn create_card(&self, new: NewCard) -> Result<SandboxCard, CardFault> {
        control::create(&self.shared, new)
    }

    /// The card as it is now; none if it was deleted.
    pub fn card(&self, id: &str) -> Option<SandboxCard> {
        self.shared.book().get(id).cloned()
    }

    /// All cards, by id.
    pub fn cards(&self) -> Vec<SandboxCard> {
        self.shared.book().all().cloned().collect()
    }

    /// Changes a card's token. Returns the body of the notification, which is sent if there is somewhere to send it.
    ///
    /// # Errors
    /// [`CardFault`] if there is no such card, or it was cancelled.
    pub fn refresh(&self, id: &str, refresh: Refresh) -> Result<Value, CardFault> {
        self.told(control::refresh(&self.shared, id, refresh)?)
    }

    /// Changes a card's status. Returns the body of the notification, as [`Self::refresh`] does.
    ///
    /// # Errors
    /// [`CardFault`] if there is no such card, or it was cancelled.
    pub fn set_status(&self, id: &str, status: CardStatus) -> Result<Value, CardFault> {
        self.told(control::set_status(&self.shared, id, status)?)
    }

    fn told(&self, notification: Notification) -> Result<Value, CardFault> {
        let body = notification.body(&self.shared.keys, false);
        body.map_err(|_| CardFault::UsedUp)
    }

    /// The cryptograms that true answers held, in order.
    pub fn issued(&self, card_id: &str) -> Vec<Issued> {
        self.shared.issued_for(card_id)
    }

    /// The calls that came, in order.
    pub fn calls(&self) -> Vec<Call> {
        self.shared.calls.all()
    }

    /// How many calls of an operation came, for one card or for all.
    pub fn count(&self, operation: Operation, card_id: Option<&str>) -> usize {
        self.shared.calls.count(operation, card_id)
    }

    /// Spoils the next answer that has no fault planned yet.
    pub fn answer_next(&self, operation: Operation, fault: Fault) {
        self.shared.faults.answer_next(operation, fault);
    }

    /// Spoils all further answers, or none any more.
    pub fn set_fault(&self, operation: Operation, fault: Option<Fault>) {
        self.shared.faults.set(operation, fault);
    }

    /// From now on answers to this operation are made but not sent.
    pub fn hold(&self, operation: Operation) {
        self.shared.gate.hold(operation);
    }

    /// Sends what is held, and holds nothing any more.
    pub fn release(&self) {
        self.shared.gate.release();
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        self.shared.gate.stop();
        // The listener waits for a connection, and looks only then whether it is to stop.
        drop(TcpStream::connect(self.address));
        for thread in self.threads.drain(..) {
            if thread.join().is_err() {
                log::error!("a thread of the sandbox panicked");
            }
        }
    }
}
