//! The service: receiver, processor, dispatcher and API of one process, started and stopped as one.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread::JoinHandle;

use tokio::sync::oneshot;

use super::check::check_networks;
use super::clock_check::{self, ClockCheck};
use super::key_use_writer::KeyUseWriter;
use super::service_record::{ServiceRecord, StartFault};
use super::signals::Signals;
use super::{open_database, programs, servers, service_keys, spool};
use crate::api::{Api, Failures, Streams};
use crate::console::Console;
use crate::dispatcher::{Calls, CallsSettings, Dispatcher, Jitter};
use crate::jose::{Exposed, KeyError};
use crate::processor::{Processor, Running};
use crate::receiver::{Intake, Receiver, Rejections, Transport};
use crate::settings::{DatabaseUrl, Environment, Role, Settings};
use crate::store::{Store, StoreError};
use crate::telemetry::{Clock, Hint, Metrics};

/// A running service.
pub struct Service {
    /// Where notifications are received, if this process does.
    pub public: Option<SocketAddr>,
    pub api: SocketAddr,
    pub store: Store,
    stop: oneshot::Sender<()>,
    servers: JoinHandle<io::Result<()>>,
    intake: Option<Intake>,
    processor: Option<Running>,
    dispatcher: Option<Dispatcher>,
    record: ServiceRecord,
    clock_check: ClockCheck,
    key_uses: KeyUseWriter,
}

/// Why the service does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error(transparent)]
    Keys(#[from] KeyError),
    #[error("the keys in use are the repository's demonstration keys: not in production")]
    DemonstrationKeys,
    #[error("{0}: not in production")]
    ExposedKeys(Exposed),
    #[error(
        "the key folder and the data lie in one another: not in production, for whoever has a copy of the data would have its keys"
    )]
    KeysBesideDatabase,
    #[error("not in production: {0}")]
    InClear(&'static str),
    #[error(
        "nobody knows who delivers: receiver.tls.client_authorities or receiver.proxy.trusted must be set in production"
    )]
    OpenListener,
    #[error("{0}")]
    Program(String),
    #[error("{0}")]
    Database(String),
    /// Somebody must bring the schema up to date, or take another version of the program.
    #[error("{0}")]
    Schema(String),
    #[error("receiver.spool: {0}")]
    Spool(StoreError),
    #[error("cannot listen on {0}: {1}")]
    Listen(String, io::ErrorKind),
    #[error("the service cannot start: {0}")]
    Io(#[from] io::Error),
}

impl From<StartFault> for StartError {
    fn from(fault: StartFault) -> Self {
        match fault {
            StartFault::Store(error) => error.into(),
            StartFault::Io(error) => error.into(),
        }
    }
}

impl From<StoreError> for StartError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Schema(_) => Self::Schema(error.to_string()),
            _ => Self::Database(error.to_string()),
        }
    }
}

impl Service {
    /// Starts everything the settings ask for and returns once it listens.
    pub fn start(settings: &Settings, clock: Clock) -> Result<Self, StartError> {
        check_networks(settings)?;
        let keys = service_keys::load(settings)?;
        let callable = programs::all_callable(settings, &clock)?;
        let url = DatabaseUrl::parse(&settings.database_url)
            .map_err(|error| StartError::Database(error.to_string()))?;
        let store = open_database(settings, &url, keys.storage.clone())?;
        let watch = clock_check::first_look(&store, settings, clock.clone())?;
        if let Some(fault) = watch.fault() {
            log::error!("acts are refused and no calls are made: {fault}");
        }
        let metrics = Metrics::new();
        let receives = settings.has_role(Role::Receive);
        let transport = match receives {
            true => Some(Arc::new(load_transport(
                settings, &metrics, &store, &clock,
            )?)),
            false => None,
        };
        let spool = match receives {
            true => spool::open(settings, keys.storage.clone())?,
            false => None,
        };
        service_keys::admit(
            &store,
            &keys,
            &callable,
            transport.as_deref(),
            &clock,
            &metrics,
        )?;
        // Listening comes before anything starts: a port that is taken stops nothing half-way.
        let public = receives.then(|| listen(&settings.listen)).transpose()?;
        let api = listen(&settings.api_listen)?;
        let rejections = Rejections::at_api();
        let senders = transport
            .as_ref()
            .map(|transport| transport.rejections().clone());
        let recorded = std::iter::once(rejections.clone()).chain(senders).collect();
        // A start that is refused is none: nothing is served before this is recorded.
        let keyring = keys.payload.keyring();
        let record = ServiceRecord::start(&store, settings, &keyring, &clock, recorded)?;

        let payload_keys = keys.any_payload_key(settings);
        let (hint, hints) = Hint::channel();
        let processor = Processor {
            store: store.clone(),
            keys: keys.payload,
            policy: settings.policy(),
            settings: settings.processor.clone(),
            clock: clock.clone(),
            metrics: metrics.clone(),
            calls: Some(hint.clone()),
        };
        let processor = match settings.has_role(Role::Process) {
            true => Some(processor.start()?),
            false => None,
        };
        let calls = Calls::new(CallsSettings {
            store: store.clone(),
            policy: settings.policy(),
            clock: clock.clone(),
            running: Clock::running(),
            watch: watch.clone(),
            jitter: Jitter::random(),
            metrics: metrics.clone(),
            keys: keys.answers,
            dispatcher: settings.dispatcher.clone(),
            missed: settings.missed_rules(),
            programs: callable,
            hint,
        });
        let dispatcher = match settings.has_role(Role::Dispatch) {
            true => Some(Dispatcher::start(calls.clone(), hints)?),
            false => None,
        };
        let wake = processor.as_ref().map(Running::wake);
        let receiver = &settings.receiver;
        let intake = match receives {
            true => {
                let (wake, metrics) = (wake.clone(), metrics.clone());
                let (store, spool) = (store.clone(), spool.clone());
                Some(Intake::start(store, spool, receiver, wake, metrics)?)
            }
            false => None,
        };
        let key_uses = KeyUseWriter::start(store.clone(), calls.clone(), clock.clone())?;
        let api_state = Api {
            store: store.clone(),
            policy: settings.policy(),
            missed: settings.missed_rules(),
            programs: settings.programs.keys().cloned().collect(),
            clock: clock.clone(),
            watch: watch.clone(),
            wake,
            processing: processor.as_ref().map(Running::trouble),
            receiving: intake.as_ref().map(Intake::trouble),
            metrics: metrics.clone(),
            calls,
            payload_keys,
            streams: Streams::default(),
            failures: Failures::default(),
            rejections,
            spool,
        };
        let clock_metrics = metrics.clone();
        let console = Console::new(api_state, transport.clone());
        let receiver_state = intake
            .as_ref()
            .zip(transport)
            .map(|(intake, transport)| Receiver {
                settings: receiver.clone(),
                wire: settings.notification.clone(),
                intake: intake.handle(),
                transport,
                clock,
                metrics,
            });
        let public_address = public.as_ref().map(TcpListener::local_addr).transpose()?;
        let api_address = api.local_addr()?;
        let listeners = (receiver_state.zip(public), (console, api));
        let (stop, servers) = servers::start(listeners)?;
        let clock_check = ClockCheck::start(store.clone(), watch, clock_metrics)?;
        Ok(Self {
            public: public_address,
            api: api_address,
            store,
            stop,
            servers,
            intake,
            processor,
            dispatcher,
            record,
            clock_check,
            key_uses,
        })
    }

    /// Stops: answers what was accepted, stores what waits, finishes the batch at hand and the
    /// calls under way.
    pub fn stop(self) -> io::Result<()> {
        // An error means that the servers have stopped by themselves.
        let _ = self.stop.send(());
        let served = finish(self.servers, self.intake, self.processor, self.dispatcher);
        self.clock_check.stop();
        self.key_uses.stop();
        self.record.stop();
        served
    }

    /// Waits until the process is asked to stop (SIGTERM, SIGINT), then stops as [`Self::stop`].
    pub fn run_until_signalled(self, signals: Signals) -> io::Result<()> {
        let stop = self.stop;
        let waiter = std::thread::Builder::new().name("stop".to_owned());
        waiter.spawn(move || {
            signals.wait();
            log::info!("stopping");
            let _ = stop.send(());
        })?;
        let served = finish(self.servers, self.intake, self.processor, self.dispatcher);
        self.clock_check.stop();
        self.key_uses.stop();
        self.record.stop();
        served
    }
}

/// What the public listener needs to know its sender, and that it does where it must.
fn load_transport(
    settings: &Settings,
    metrics: &Metrics,
    store: &Store,
    clock: &Clock,
) -> Result<Transport, StartError> {
    if !settings.receiver.is_authenticated() {
        if settings.environment == Environment::Production {
            return Err(StartError::OpenListener);
        }
        log::warn!(
            "whoever reaches the public listener may deliver: see receiver.tls and receiver.proxy"
        );
    }
    let (keys, receiver) = (&settings.keys, &settings.receiver);
    let (metrics, store, clock) = (metrics.clone(), store.clone(), clock.clone());
    Ok(Transport::load(keys, receiver, metrics, store, clock)?)
}

fn listen(address: &str) -> Result<TcpListener, StartError> {
    TcpListener::bind(address).map_err(|e| StartError::Listen(address.to_owned(), e.kind()))
}

/// Waits for the servers, then lets the intake, the processor and the dispatcher finish, in this order:
/// nothing is accepted that the next one does not see.
fn finish(
    servers: JoinHandle<io::Result<()>>,
    intake: Option<Intake>,
    processor: Option<Running>,
    dispatcher: Option<Dispatcher>,
) -> io::Result<()> {
    let served = servers
        .join()
        .unwrap_or_else(|_| Err(io::Error::other("a server panicked")));
    if let Some(intake) = intake {
        intake.stop();
    }
    if let Some(processor) = processor {
        processor.stop();
    }
    if let Some(dispatcher) = dispatcher {
        dispatcher.stop();
    }
    served
}
