//! The keys that verify another side's signed answers: from files of the key folder, and from an
//! address.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use super::ClientError;
use crate::jose::{
    JwksFault, KeyDescription, KeyError, VerificationKeys, VerifiedJws, VerifyFault, key_files,
};

/// Milliseconds. Anybody can name a kid that nobody knows: how often that may make us look for it.
const LOOK_AT_MOST_EVERY: u64 = 60_000;

/// Where in the key folder a program's key sets are.
pub(crate) enum KeySetFiles {
    /// Every `*.json` of a folder.
    Folder(&'static str),
    /// One file; an empty path names none.
    File(PathBuf),
}

/// The keys in use. Files are read anew, and the address is asked, when an answer names a kid that is
/// not among them.
pub(crate) struct Verification {
    root: PathBuf,
    files: KeySetFiles,
    program: String,
    has_address: bool,
    keys: Mutex<Arc<VerificationKeys>>,
    /// Held while somebody looks, so that the others wait for what is found.
    last_look: Mutex<LastLook>,
}

#[derive(Default)]
struct LastLook {
    /// Milliseconds since 1970, UTC.
    at: Option<i64>,
    /// The set that the address gave last.
    fetched: Vec<u8>,
}

impl Verification {
    /// Reads the key sets of a program from the key folder `root`.
    pub(crate) fn load(
        root: &Path,
        files: KeySetFiles,
        program: &str,
        has_address: bool,
    ) -> Result<Self, ClientError> {
        Ok(Self {
            keys: Mutex::new(Arc::new(files.load(root)?)),
            root: root.to_owned(),
            files,
            program: program.to_owned(),
            has_address,
            last_look: Mutex::default(),
        })
    }

    /// The keys as they are now.
    pub(crate) fn keys(&self) -> Arc<VerificationKeys> {
        Arc::clone(&self.keys.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// What an inventory tells of the keys as they are now.
    pub(crate) fn descriptions(&self) -> Vec<KeyDescription> {
        self.keys().descriptions(&self.program)
    }

    /// Whether no answer can be verified, now or later.
    pub(crate) fn can_never_verify(&self) -> bool {
        !self.has_address && self.keys().kids().next().is_none()
    }

    /// Verifies an answer that came `now`. For a kid that is not known, `fetch` asks the address.
    pub(crate) fn verify(
        &self,
        compact: &str,
        now: i64,
        fetch: impl FnOnce() -> Option<Vec<u8>>,
    ) -> Result<VerifiedJws, VerifyFault> {
        let known = self.keys();
        match known.verify(compact) {
            Err(VerifyFault::UnknownKid) => {
                self.look(&known, now, fetch);
                self.keys().verify(compact)
            }
            verified => verified,
        }
    }

    /// Looks for keys beyond those `known`, unless somebody has just done so.
    fn look(
        &self,
        known: &Arc<VerificationKeys>,
        now: i64,
        fetch: impl FnOnce() -> Option<Vec<u8>>,
    ) {
        let mut last = self
            .last_look
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let is_recent = |at: i64| now.abs_diff(at) < LOOK_AT_MOST_EVERY;
        if last.at.is_some_and(is_recent) || !Arc::ptr_eq(known, &self.keys()) {
            return;
        }
        last.at = Some(now);
        let program = &self.program;
        let fetched = fetch().unwrap_or_else(|| last.fetched.clone());
        let gathered = self.gathered(&last.fetched, &fetched);
        let agreeing = gathered.and_then(|keys| match known.contradicts(&keys) {
            // Another key for a kid in use is approved by hand, and taken at the next start.
            true => Err(JwksFault::Substituted.into()),
            false => Ok(keys),
        });
        match agreeing {
            Ok(keys) => {
                *self.keys.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(keys);
                last.fetched = fetched;
            }
            Err(fault) => {
                log::warn!("programs.{program}: the verification keys stay as they were: {fault}");
            }
        }
    }

    /// The files' keys and those of the set fetched now. A kid must not change its key from one fetch
    /// to the next.
    fn gathered(&self, before: &[u8], fetched: &[u8]) -> Result<VerificationKeys, ClientError> {
        parsed(before)?.merge(parsed(fetched)?)?;
        let mut keys = self.files.load(&self.root)?;
        keys.merge(parsed(fetched)?)?;
        Ok(keys)
    }
}

/// A set as it was fetched; nothing fetched is an empty one.
fn parsed(set: &[u8]) -> Result<VerificationKeys, JwksFault> {
    match set {
        [] => Ok(VerificationKeys::default()),
        set => VerificationKeys::parse_jwks(set),
    }
}

impl KeySetFiles {
    fn load(&self, root: &Path) -> Result<VerificationKeys, ClientError> {
        let mut keys = VerificationKeys::default();
        for file in self.paths(root)? {
            let set = VerificationKeys::parse_jwks(&key_files::read(root, &file)?);
            let unfit = |fault| ClientError::KeySet(file.clone(), fault);
            keys.merge(set.map_err(unfit)?).map_err(unfit)?;
        }
        Ok(keys)
    }

    fn paths(&self, root: &Path) -> Result<Vec<PathBuf>, KeyError> {
        match self {
            Self::Folder(folder) => {
                let files = key_files::list(&root.join(folder), "json")?;
                Ok(files.into_iter().map(|file| file.path).collect())
            }
            Self::File(file) if file.as_os_str().is_empty() => Ok(Vec::new()),
            Self::File(file) => Ok(vec![root.join(file)]),
        }
    }
}
