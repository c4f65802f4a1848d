//! What keeps a worker from its work, for as long as it does.

use std::sync::{Arc, Mutex, PoisonError};

/// Why a worker makes no progress, if it does not: shown by the readiness check. Cheap to clone.
#[derive(Clone)]
pub struct Trouble {
    /// What does not happen meanwhile.
    what: &'static str,
    /// What is told when it is over.
    over: &'static str,
    why: Arc<Mutex<Option<String>>>,
}

impl Trouble {
    /// No trouble so far.
    pub fn new(what: &'static str, over: &'static str) -> Self {
        Self {
            what,
            over,
            why: Arc::default(),
        }
    }

    /// What does not happen now, and why.
    pub fn current(&self) -> Option<String> {
        let why = self.why.lock().unwrap_or_else(PoisonError::into_inner);
        Some(format!("{}: {}", self.what, why.as_ref()?))
    }

    /// Sets or clears the reason, and tells it once.
    pub fn set(&self, why: Option<String>) {
        let mut current = self.why.lock().unwrap_or_else(PoisonError::into_inner);
        match (&*current, &why) {
            (None, Some(new)) => log::error!("{}: {new}", self.what),
            (Some(_), None) => log::info!("{}", self.over),
            _ => {}
        }
        *current = why;
    }
}
