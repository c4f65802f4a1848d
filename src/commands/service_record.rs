//! What the audit says of the service itself, and the heads of its chains as they are kept outside.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::JoinHandle;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::audit::Act;
use crate::jose::Keyring;
use crate::processor::key_list;
use crate::settings::Settings;
use crate::store::{Entry, Head, Store, StoreError};
use crate::telemetry::{Clock, timestamp};

/// One line of the file: the ends of the chains that were written to last.
#[derive(Serialize, Deserialize)]
pub(super) struct Checkpoint {
    at: String,
    pub heads: Vec<Head>,
}

/// Chains of one line. Those further back are in earlier lines.
const HEADS: i64 = 100;

/// Records start and stop of a service.
pub struct ServiceRecord {
    store: Store,
    clock: Clock,
    checkpoints: Option<(Sender<()>, JoinHandle<()>)>,
}

impl ServiceRecord {
    /// Records the start with the settings and keys in force: without a record there is no service.
    pub fn start(
        store: &Store,
        settings: &Settings,
        keyring: &Keyring,
        clock: &Clock,
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
        let checkpoints = settings.audit.checkpoints();
        let checkpoints = checkpoints.map(|(file, every)| {
            let store = store.clone();
            let clock = clock.clone();
            keep_checkpoints(store, clock, file, every)
        });
        Ok(Self {
            store: store.clone(),
            clock: clock.clone(),
            checkpoints: checkpoints.transpose()?,
        })
    }

    /// Records the stop. The service ends in any case: what cannot be recorded is logged.
    pub fn stop(self) {
        let stopped = entry(
            Act::ServiceStopped,
            "service",
            Value::Null,
            self.clock.now(),
        );
        if let Err(error) = self.store.write(|tx| tx.audit(stopped)) {
            log::error!("the stop is not recorded in the audit: {error}");
        }
        if let Some((stop, thread)) = self.checkpoints {
            drop(stop);
            if thread.join().is_err() {
                log::error!("the thread that writes the audit's heads panicked");
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

/// Writes what is new, from time to time and at the end.
fn keep_checkpoints(
    store: Store,
    clock: Clock,
    file: PathBuf,
    every: Duration,
) -> io::Result<(Sender<()>, JoinHandle<()>)> {
    let (stop, stopped) = mpsc::channel::<()>();
    let thread = std::thread::Builder::new().name("checkpoints".to_owned());
    let thread = thread.spawn(move || {
        let mut last = Vec::new();
        loop {
            let is_over = stopped.recv_timeout(every) == Err(RecvTimeoutError::Disconnected);
            match store.read(|tx| tx.latest_heads(HEADS)) {
                Err(error) => log::error!("the audit's heads cannot be read: {error}"),
                Ok(heads) if heads == last => {}
                Ok(heads) => match append(&file, &heads, clock.now()) {
                    Ok(()) => last = heads,
                    Err(error) => {
                        let file = file.display();
                        log::error!(
                            "{file}: the audit's heads are not written: {}",
                            error.kind()
                        );
                    }
                },
            }
            if is_over {
                return;
            }
        }
    })?;
    Ok((stop, thread))
}

fn append(file: &Path, heads: &[Head], now: i64) -> io::Result<()> {
    let line = Checkpoint {
        at: timestamp(now),
        heads: heads.to_vec(),
    };
    let mut text = serde_json::to_string(&line)?;
    text.push('\n');
    let mut file = OpenOptions::new().create(true).append(true).open(file)?;
    // One write: a line is whole or missing.
    file.write_all(text.as_bytes())?;
    file.sync_data()
}
