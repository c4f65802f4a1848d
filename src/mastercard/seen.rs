//! The ids of signed answers that were believed before.

use std::collections::{HashSet, VecDeque};
use std::sync::{Mutex, PoisonError};

use openssl::sha::sha256;

/// As many are remembered; a captured answer older than that fails by its time.
const REMEMBERED: usize = 10_000;

/// A memory of bounded size: ids of any length are kept as their hashes.
#[derive(Default)]
pub(super) struct SeenIds(Mutex<Ids>);

#[derive(Default)]
struct Ids {
    known: HashSet<[u8; 32]>,
    order: VecDeque<[u8; 32]>,
}

impl SeenIds {
    /// Remembers an id; false if it is known already.
    pub(super) fn remember(&self, id: &str) -> bool {
        let hash = sha256(id.as_bytes());
        let mut ids = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !ids.known.insert(hash) {
            return false;
        }
        ids.order.push_back(hash);
        if ids.order.len() > REMEMBERED
            && let Some(oldest) = ids.order.pop_front()
        {
            ids.known.remove(&oldest);
        }
        true
    }
}
