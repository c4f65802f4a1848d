//! What the audit says of the keys that notifications are opened with.

use serde_json::{Value, json};

use super::Processor;
use crate::audit::Act;
use crate::jose::Keyring;
use crate::store::Entry;

impl Processor {
    /// Records what came of a changed key folder. The keys are in use already, or are not: what cannot
    /// be recorded is logged.
    pub(super) fn record_keys(&self, act: Act, outcome: &str) {
        let entry = Entry {
            act,
            object: "keys",
            outcome,
            details: key_list(&self.keys.keyring()),
            at: self.clock.now(),
        };
        if let Err(error) = self.store.write(|tx| tx.audit(entry)) {
            log::error!("changed keys are not recorded in the audit: {error}");
        }
    }
}

/// The keys in use as the audit names them: kid and fingerprint.
pub fn key_list(keyring: &Keyring) -> Value {
    keyring
        .keys()
        .map(|key| json!({ "kid": key.kid(), "fingerprint": key.spki_sha256_hex() }))
        .collect()
}
