//! Mastercard's keys that verify Checkout answers: from files of the key folder, and from an address.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use super::ClientError;
use crate::jose::{JwksFault, VerificationKeys, VerifiedJws, VerifyFault, key_files};

const FOLDER: &str = "verification";
/// Milliseconds. Anybody can name a kid that nobody knows: how often that may make us look for it.
const LOOK_AT_MOST_EVERY: u64 = 60_000;

/// The keys in use. Files are read anew, and the address is asked, when an answer names a kid that is
/// not among them.
pub(super) struct Verification {
    root: PathBuf,
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
    /// Reads `root/verification/*.json`.
    pub(super) fn load(root: &Path, program: &str, has_address: bool) -> Result<Self, ClientError> {
        Ok(Self {
            keys: Mutex::new(Arc::new(from_files(root)?)),
            root: root.to_owned(),
            program: program.to_owned(),
            has_address,
            last_look: Mutex::default(),
        })
    }

    /// The keys as they are now.
    pub(super) fn keys(&self) -> Arc<VerificationKeys> {
        Arc::clone(&self.keys.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Whether no answer can be verified, now or later.
    pub(super) fn can_never_verify(&self) -> bool {
        !self.has_address && self.keys().kids().next().is_none()
    }

    /// Verifies an answer that came `now`. For a kid that is not known, `fetch` asks the address.
    pub(super) fn verify(
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
        match self.gathered(&last.fetched, &fetched) {
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
        let mut keys = from_files(&self.root)?;
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

fn from_files(root: &Path) -> Result<VerificationKeys, ClientError> {
    let mut keys = VerificationKeys::default();
    for file in key_files::list(&root.join(FOLDER), "json")? {
        let set = VerificationKeys::parse_jwks(&key_files::read(root, &file.path)?);
        let unfit = |fault| ClientError::KeySet(file.path.clone(), fault);
        keys.merge(set.map_err(unfit)?).map_err(unfit)?;
    }
    Ok(keys)
}
