//! The service: receiver, processor, dispatcher and API of one process, started and stopped as one.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread::JoinHandle;

use actix_web::rt::System;
use tokio::sync::oneshot;

use super::keys::exposed_files;
use super::service_record::{ServiceRecord, StartFault};
use super::{programs, servers};
use crate::api::{Api, Failures, Refused, Streams};
use crate::console::Console;
use crate::dispatcher::{Calls, CallsSettings, Dispatcher};
use crate::jose::{KeyError, KeyFolder, StorageKeys};
use crate::processor::{Processor, Running, Trouble};
use crate::receiver::{Intake, Receiver, Transport};
use crate::settings::{Environment, Role, Settings};
use crate::store::{DatabaseUrl, Store, StoreError};
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
}

/// Why the service does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error(transparent)]
    Keys(#[from] KeyError),
    #[error("the keys in use are the repository's demonstration keys: not in production")]
    DemonstrationKeys,
    #[error("{0} may be read or written by others: not in production (chmod 0600)")]
    ExposedKeys(String),
    #[error(
        "nobody knows who delivers: receiver.tls.client_authorities or receiver.proxy.trusted must be set in production"
    )]
    OpenListener,
    #[error("{0}")]
    Program(String),
    #[error("{0}")]
    Database(String),
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
        Self::Database(error.to_string())
    }
}

impl Service {
    /// Starts everything the settings ask for and returns once it listens.
    pub fn start(settings: &Settings, clock: Clock) -> Result<Self, StartError> {
        let keys = load_keys(settings)?;
        let callable = programs::all_callable(settings, &clock)?;
        let url = DatabaseUrl::parse(&settings.database_url)
            .map_err(|error| StartError::Database(error.to_string()))?;
        let store = Store::open(&url, Arc::new(keys.storage))?;
        let record = ServiceRecord::start(&store, settings, &keys.payload.keyring(), &clock)?;
        let metrics = Metrics::new();
        let receives = settings.has_role(Role::Receive);
        let transport = match receives {
            true => Some(Arc::new(load_transport(settings, &metrics)?)),
            false => None,
        };
        // Listening comes before anything starts: a port that is taken stops nothing half-way.
        let public = receives.then(|| listen(&settings.listen)).transpose()?;
        let api = listen(&settings.api_listen)?;

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
            metrics: metrics.clone(),
            keys: keys.answers,
            dispatcher: settings.dispatcher.clone(),
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
                Some(Intake::start(store.clone(), receiver, wake, metrics)?)
            }
            false => None,
        };
        let api_state = Api {
            store: store.clone(),
            policy: settings.policy(),
            programs: settings.programs.keys().cloned().collect(),
            clock: clock.clone(),
            wake,
            trouble: processor
                .as_ref()
                .map_or_else(Trouble::default, Running::trouble),
            metrics: metrics.clone(),
            calls,
            streams: Streams::default(),
            failures: Failures::default(),
            refused: Refused::default(),
        };
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
        })
    }

    /// Stops: answers what was accepted, stores what waits, finishes the batch at hand and the
    /// calls under way.
    pub fn stop(self) -> io::Result<()> {
        // An error means that the servers have stopped by themselves.
        let _ = self.stop.send(());
        let served = finish(self.servers, self.intake, self.processor, self.dispatcher);
        self.record.stop();
        served
    }

    /// Waits until the process is asked to stop (SIGTERM, SIGINT), then stops as [`Self::stop`].
    pub fn run_until_signalled(self) -> io::Result<()> {
        let stop = self.stop;
        let waiter = std::thread::Builder::new().name("signals".to_owned());
        waiter.spawn(move || {
            if let Err(error) = System::new().block_on(servers::signalled()) {
                log::error!("signals cannot be received: {error}");
            }
            log::info!("stopping");
            let _ = stop.send(());
        })?;
        let served = finish(self.servers, self.intake, self.processor, self.dispatcher);
        self.record.stop();
        served
    }
}

struct Keys {
    storage: StorageKeys,
    /// For what notifications bring, and for what answers bring.
    payload: KeyFolder,
    answers: KeyFolder,
}

fn load_keys(settings: &Settings) -> Result<Keys, StartError> {
    let storage = StorageKeys::load(&settings.keys)?;
    let processor = &settings.processor;
    let folder = settings.keys.clone();
    let load = || KeyFolder::load(folder.clone(), processor.opening(), processor.key_reload());
    let (payload, answers) = (load()?, load()?);
    let keyring = payload.keyring();
    if storage.is_demonstration() || keyring.keys().any(|key| key.is_demonstration()) {
        if settings.environment == Environment::Production {
            return Err(StartError::DemonstrationKeys);
        }
        log::warn!("the keys in use are demonstration keys: everybody knows them");
    }
    let exposed = exposed_files(settings)?;
    if let Some(file) = exposed.first() {
        if settings.environment == Environment::Production {
            return Err(StartError::ExposedKeys(file.display().to_string()));
        }
        log::warn!("{} may be read or written by others", file.display());
    }
    if keyring.is_empty() {
        log::warn!("no payload key is loaded: encrypted notifications are kept but not opened");
    }
    Ok(Keys {
        storage,
        payload,
        answers,
    })
}

/// What the public listener needs to know its sender, and that it does where it must.
fn load_transport(settings: &Settings, metrics: &Metrics) -> Result<Transport, StartError> {
    if !settings.receiver.is_authenticated() {
        if settings.environment == Environment::Production {
            return Err(StartError::OpenListener);
        }
        log::warn!(
            "whoever reaches the public listener may deliver: see receiver.tls and receiver.proxy"
        );
    }
    let (keys, receiver) = (&settings.keys, &settings.receiver);
    Ok(Transport::load(keys, receiver, metrics.clone())?)
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
