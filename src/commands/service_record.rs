//! What the audit says of the service itself, and the heads of its chains as they are kept outside.

use std::collections::BTreeSet;
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::audit::Act;
use crate::jose::Keyring;
use crate::receiver::Rejections;
use crate::settings::Settings;
use crate::store::{Entry, Head, Store, StoreError, key_list};
use crate::telemetry::{Clock, timestamp};

/// One line of the file: the ends of the chains that were written to since the line before.
#[derive(Serialize, Deserialize)]
pub(super) struct Checkpoint {
    at: String,
    pub heads: Vec<Head>,
}

/// Chains that are looked at for a line. Those further back are in earlier lines.
const HEADS: i64 = 100;

/// How often it is looked whether refusals are to be recorded.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// Records start and stop of a service, and whom it refuses meanwhile.
pub struct ServiceRecord {
    keeper: Keeper,
    stop: Sender<()>,
    thread: JoinHandle<()>,
}

/// What is done from time to time.
#[derive(Clone)]
struct Keeper {
    store: Store,
    clock: Clock,
    rejections: Vec<Rejections>,
    checkpoints: Option<(PathBuf, Duration)>,
}

impl ServiceRecord {
    /// Records the start with the settings and keys in force: without a record there is no service.
    pub fn start(
        store: &Store,
        settings: &Settings,
        keyring: &Keyring,
        clock: &Clock,
        rejections: Vec<Rejections>,
    ) -> Result<Self, StartFault> {
        let shown = format!("{settings:?}");
        let fingerprint = store.keys().digest(&[b"settings", shown.as_bytes()]).text;
        let version = json!({ "version": env!("CARGO_PKG_VERSION") });
        let keys = json!({ "payload": key_list(keyring), "storage": store.keys().active_id() });
        let at = clock.now();
        let acts = [
            (Act::ServiceStarted, "service", version),
            (
                Act::SettingsLoaded,
                "settings",
                json!({ "fingerprint": fingerprint }),
            ),
            (Act::KeysLoaded, "keys", keys),
        ];
        store.write(|tx| {
            for (act, object, details) in acts {
                tx.audit(entry(act, object, details, at))?;
            }
            Ok(())
        })?;
        let keeper = Keeper {
            store: store.clone(),
            clock: clock.clone(),
            rejections,
            checkpoints: settings.audit.checkpoints(),
        };
        let (stop, stopped) = mpsc::channel();
        let thread = std::thread::Builder::new().name("audit".to_owned());
        let kept = keeper.clone();
        let thread = thread.spawn(move || kept.run(&stopped))?;
        Ok(Self {
            keeper,
            stop,
            thread,
        })
    }

    /// Records the stop. The service ends in any case: what cannot be recorded is logged.
    pub fn stop(self) {
        let Keeper { store, clock, .. } = &self.keeper;
        self.keeper.record_rejections(true);
        let stopped = entry(Act::ServiceStopped, "service", Value::Null, clock.now());
        if let Err(error) = store.write(|tx| tx.audit(stopped)) {
            log::error!("the stop is not recorded in the audit: {error}");
        }
        drop(self.stop);
        if self.thread.join().is_err() {
            log::error!("the thread that keeps the audit panicked");
        }
    }
}

impl Keeper {
    /// Works until told to stop, and writes the heads once more then.
    fn run(&self, stopped: &Receiver<()>) {
        let every = self.checkpoints.as_ref().map(|(_, every)| *every);
        let look_every = every.map_or(LOOK_EVERY, |every| every.min(LOOK_EVERY));
        let (mut last, mut written) = (BTreeSet::new(), Instant::now());
        loop {
            let is_over = stopped.recv_timeout(look_every) == Err(RecvTimeoutError::Disconnected);
            if !is_over {
                self.record_rejections(false);
            }
            if is_over || every.is_some_and(|every| written.elapsed() >= every) {
                self.write_heads(&mut last);
                written = Instant::now();
            }
            if is_over {
                return;
            }
        }
    }

    fn record_rejections(&self, is_over: bool) {
        for rejections in &self.rejections {
            if let Err(error) = rejections.record(&self.store, self.clock.now(), is_over) {
                log::error!("refusals are not recorded in the audit: {error}");
            }
        }
    }

    /// Writes the heads that are not written yet.
    fn write_heads(&self, last: &mut BTreeSet<Head>) {
        let Some((file, _)) = &self.checkpoints else {
            return;
        };
        let heads = match self.store.read(|tx| tx.latest_heads(HEADS)) {
            Ok(heads) => heads,
            Err(error) => {
                log::error!("the audit's heads cannot be read: {error}");
                return;
            }
        };
        let new: Vec<Head> = heads
            .iter()
            .filter(|head| !last.contains(*head))
            .cloned()
            .collect();
        if new.is_empty() {
            return;
        }
        match append(file, new, self.clock.now()) {
            Ok(()) => *last = heads.into_iter().collect(),
            Err(error) => {
                let file = file.display();
                log::error!(
                    "{file}: the audit's heads are not written: {}",
                    error.kind()
                );
            }
        }
    }
}

/// Why a service is not recorded.
#[derive(Debug, thiserror::Error)]
pub enum StartFault {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Io(#[from] io::Error),
}

fn entry(act: Act, object: &'static str, details: Value, at: i64) -> Entry<'static> {
    Entry {
        act,
        object,
        outcome: "done",
        details,
        at,
    }
}

fn append(file: &Path, heads: Vec<Head>, now: i64) -> io::Result<()> {
    let line = Checkpoint {
        at: timestamp(now),
        heads,
    };
    let mut text = serde_json::to_string(&line)?;
    text.push('\n');
    let mut file = OpenOptions::new().create(true).append(true).open(file)?;
    // One write: a line is whole or missing.
    file.write_all(text.as_bytes())?;
    file.sync_data()
}
