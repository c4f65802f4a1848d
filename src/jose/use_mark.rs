//! A mark that a key was used: setting it costs next to nothing, so that every use can.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// The mark of one key, shared by the key and its descriptions.
#[derive(Debug, Clone, Default)]
pub struct UseMark(Arc<AtomicBool>);

impl UseMark {
    /// The key is used now.
    pub(crate) fn set(&self) {
        // Looked at first: many threads use one key, and a write takes the cache line from the others.
        if !self.0.load(Ordering::Relaxed) {
            self.0.store(true, Ordering::Relaxed);
        }
    }

    /// Whether the key was used since this was last asked.
    pub fn take(&self) -> bool {
        self.0.swap(false, Ordering::Relaxed)
    }

    /// Whether this is the mark of the same loaded key.
    pub fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// Whether the key is gone, and nobody else describes it.
    pub fn is_last(&self) -> bool {
        Arc::strong_count(&self.0) == 1
    }
}
