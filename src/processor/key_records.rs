//! What the audit says of payload keys that are not taken.

use super::Processor;
use crate::audit::Act;
use crate::store::{Entry, key_list};

impl Processor {
    /// Records that a changed key folder cannot be used, with the keys that stay in use. What cannot be
    /// recorded is logged: nothing has changed.
    pub(super) fn record_refused_keys(&self) {
        let entry = Entry {
            act: Act::KeysRefused,
            object: "keys",
            outcome: "refused",
            details: key_list(&self.keys.keyring()),
            at: self.clock.now(),
        };
        if let Err(error) = self.store.write(|tx| tx.audit(entry)) {
            log::error!("refused keys are not recorded in the audit: {error}");
        }
    }
}
