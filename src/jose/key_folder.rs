//! The payload keys in use, followed through changes of the key folder.

use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::{KeyError, Keyring, OpenPolicy, PayloadKey, exposed_files};

/// What came of a look at the folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reload {
    Unchanged,
    /// Other keys are in use now.
    Loaded,
    /// What is there now cannot be used; the keys in use stay.
    Refused,
    /// What is there now must not be used yet; the keys in use stay.
    NotAdmitted,
}

/// Whether keys may be used; why that cannot be told now, if it cannot.
pub type Admission = Result<Result<(), KeyError>, String>;

/// Whether any key is loaded: told without a look at the folder, so that whoever asks waits for nothing.
#[derive(Debug, Clone)]
pub struct AnyKey(Arc<AtomicBool>);

impl AnyKey {
    /// Whether any is.
    pub fn is_loaded(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// The key folder with the keyring last loaded from it.
#[derive(Clone)]
pub struct KeyFolder {
    folder: PathBuf,
    policy: OpenPolicy,
    keyring: Arc<Keyring>,
    any: AnyKey,
    every: Option<Duration>,
    looked_at: Instant,
    seen: Vec<Seen>,
    /// Loaded, but not admitted, and whether nobody was told so yet.
    waiting: Option<(Arc<Keyring>, bool)>,
    /// In production: the private files that lie outside of the folders for them.
    production: Option<Vec<PathBuf>>,
}

impl KeyFolder {
    /// Loads the keys. `every` is the time between two looks at the folder, none for never.
    pub fn load(
        folder: PathBuf,
        policy: OpenPolicy,
        every: Option<Duration>,
    ) -> Result<Self, KeyError> {
        // Before the keys: what changes meanwhile is seen at the next look.
        let seen = listing(&folder);
        let keyring = Keyring::load(&folder, policy.clone())?;
        Ok(Self {
            any: AnyKey(Arc::new(AtomicBool::new(!keyring.is_empty()))),
            keyring: Arc::new(keyring),
            seen,
            waiting: None,
            folder,
            policy,
            every,
            looked_at: Instant::now(),
            production: None,
        })
    }

    /// The same for production: what a start would refuse is refused when it comes later, too. `private`
    /// are the private files that lie outside of the folders for them.
    pub fn in_production(mut self, private: Vec<PathBuf>) -> Self {
        self.production = Some(private);
        self
    }

    /// The keys to open with.
    pub fn keyring(&self) -> Arc<Keyring> {
        self.keyring.clone()
    }

    /// Whether any key is loaded, now and whenever it is asked.
    pub fn any_key(&self) -> AnyKey {
        self.any.clone()
    }

    /// Loads the keys anew if the folder changed, and asks `admit` whether they may be used, and tells it
    /// whether these are asked for the first time. What cannot be loaded leaves the old keys in place; what is
    /// not admitted does too, and is asked for again at each look.
    pub fn reload_if_changed(&mut self, admit: impl FnOnce(&Keyring, bool) -> Admission) -> Reload {
        if self
            .every
            .is_none_or(|every| self.looked_at.elapsed() < every)
        {
            return Reload::Unchanged;
        }
        self.looked_at = Instant::now();
        let listing = listing(&self.folder);
        if listing != self.seen {
            self.seen = listing;
            self.waiting = None;
            match self.load_newer() {
                Ok(newer) => self.waiting = Some((Arc::new(newer), true)),
                Err(error) => {
                    log::error!("the key folder changed, the keys in use stay: {error}");
                    return Reload::Refused;
                }
            }
        }
        let Some((newer, is_first)) = self.waiting.take() else {
            return Reload::Unchanged;
        };
        let is_first = match admit(&newer, is_first) {
            Ok(Ok(())) => {
                log::info!("keys loaded anew: {} payload keys", newer.keys().count());
                self.any.0.store(!newer.is_empty(), Ordering::Relaxed);
                self.keyring = newer;
                return Reload::Loaded;
            }
            Ok(Err(error)) => {
                if is_first {
                    log::error!("the key folder changed, the keys in use stay: {error}");
                }
                false
            }
            Err(reason) => {
                log::error!("the key folder changed, the keys in use stay for now: {reason}");
                is_first
            }
        };
        self.waiting = Some((newer, is_first));
        Reload::NotAdmitted
    }

    fn load_newer(&self) -> Result<Keyring, String> {
        match Keyring::load(&self.folder, self.policy.clone()) {
            Ok(newer) if newer.is_empty() && !self.keyring.is_empty() => {
                Err("it holds no payload key any more".to_owned())
            }
            Ok(newer) => match self.check_production(&newer) {
                Ok(()) => Ok(newer),
                Err(error) => Err(error.to_string()),
            },
            Err(error) => Err(error.to_string()),
        }
    }
}

impl KeyFolder {
    /// Refuses in production what others know or could have changed.
    fn check_production(&self, newer: &Keyring) -> Result<(), KeyError> {
        let Some(private) = &self.production else {
            return Ok(());
        };
        if let Some(key) = newer.keys().find(|key| PayloadKey::is_demonstration(key)) {
            let known = format!("{} is a demonstration key", key.kid());
            return Err(KeyError::NotForProduction(known));
        }
        match exposed_files(&self.folder, private)?.first() {
            Some(exposed) => Err(KeyError::NotForProduction(exposed.to_string())),
            None => Ok(()),
        }
    }
}

/// A file's name with its length and the time of its last change, of content or of access rights.
pub(crate) type Seen = (PathBuf, u64, (i64, i64));

/// What the folder holds, to notice a change.
fn listing(folder: &std::path::Path) -> Vec<Seen> {
    let payload = std::fs::read_dir(folder.join("payload"))
        .into_iter()
        .flatten()
        .flatten();
    let mut files: Vec<_> = payload.map(|entry| entry.path()).collect();
    files.push(folder.join("keys.toml"));
    files.sort();
    seen(files)
}

/// How these files look now; those that are not there are left out.
pub(crate) fn seen(files: Vec<PathBuf>) -> Vec<Seen> {
    let seen = |path: PathBuf| {
        let data = std::fs::metadata(&path).ok()?;
        Some((path, data.len(), (data.ctime(), data.ctime_nsec())))
    };
    files.into_iter().filter_map(seen).collect()
}
