//! The keys of a service as it starts: loaded, admitted to use, and measured.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::keys::{exposed_files, is_beside_database, private_files};
use super::service::StartError;
use crate::dispatcher::ProgramClient;
use crate::jose::{AnyKey, KeyDescription, KeyError, KeyFolder, StorageKeys};
use crate::receiver::Transport;
use crate::settings::{Environment, ProgramSettings, Role, Settings};
use crate::store::Store;
use crate::telemetry::{Clock, Metrics};

/// The keys of a service.
pub struct Keys {
    pub storage: Arc<StorageKeys>,
    /// For what notifications bring, and for what answers bring.
    pub payload: KeyFolder,
    pub answers: KeyFolder,
}

impl Keys {
    /// Whether a payload key is loaded where deliveries are opened, or else where answers are.
    pub fn any_payload_key(&self, settings: &Settings) -> AnyKey {
        match settings.has_role(Role::Process) {
            true => self.payload.any_key(),
            false => self.answers.any_key(),
        }
    }
}

/// Loads the keys of the key folder, and refuses in production what has no place there.
pub fn load(settings: &Settings) -> Result<Keys, StartError> {
    let storage = Arc::new(StorageKeys::load(&settings.keys)?);
    let processor = &settings.processor;
    let folder = settings.keys.clone();
    let is_production = settings.environment == Environment::Production;
    let load = || {
        let (opening, every) = (processor.opening(), processor.key_reload());
        let keys = KeyFolder::load(folder.clone(), opening, every)?;
        Ok::<_, KeyError>(match is_production {
            true => keys.in_production(private_files(settings)),
            false => keys,
        })
    };
    let (payload, answers) = (load()?, load()?);
    let keyring = payload.keyring();
    if storage.is_demonstration() || keyring.keys().any(|key| key.is_demonstration()) {
        if is_production {
            return Err(StartError::DemonstrationKeys);
        }
        log::warn!("the keys in use are demonstration keys: everybody knows them");
    }
    let exposed = exposed_files(settings)?;
    if let Some(file) = exposed.into_iter().next() {
        if is_production {
            return Err(StartError::ExposedKeys(file));
        }
        log::warn!("{file}");
    }
    if is_production && is_beside_database(settings) {
        return Err(StartError::KeysBesideDatabase);
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

/// Refuses to start with a key that took the place of another and is not approved. Keys that are seen first
/// are recorded.
pub fn admit(
    store: &Store,
    keys: &Keys,
    programs: &[(String, ProgramSettings, ProgramClient)],
    transport: Option<&Transport>,
    clock: &Clock,
    metrics: &Metrics,
) -> Result<(), StartError> {
    let loaded = [
        store.keys().descriptions(),
        keys.payload.keyring().descriptions(),
        keys.answers.keyring().descriptions(),
        programs
            .iter()
            .flat_map(|(.., client)| client.keys())
            .collect(),
        transport.map_or_else(Vec::new, Transport::keys),
    ]
    .concat();
    let admitted = store.admit_keys(&loaded, true, clock.now());
    admitted.map_err(StartError::Database)??;
    for (file, ends_at) in first_ends(&loaded) {
        metrics.certificate(file, ends_at);
    }
    Ok(())
}

/// The files of the programs' certificates, and when the first one in each ends. The listener measures its own.
fn first_ends(keys: &[KeyDescription]) -> BTreeMap<&str, i64> {
    let mut ends = BTreeMap::new();
    for key in keys.iter().filter(|key| !key.program.is_empty()) {
        if let Some(ends_at) = key.ends_at {
            let first = ends.entry(key.file.as_str()).or_insert(ends_at);
            *first = ends_at.min(*first);
        }
    }
    ends
}
