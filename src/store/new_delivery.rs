//! What the receiver hands over, for the table or for the spool.

use super::StoreError;
use crate::jose::{Place, StorageKeys};

/// A delivery to be kept. Its id is made by the receiver: the body is sealed for that row.
pub struct NewDelivery {
    pub id: String,
    /// Milliseconds since 1970, UTC.
    pub received_at: i64,
    /// Who brought it: the subject or the address of its sender, or `replay`.
    pub source: String,
    /// `X-Src-Response-Host`, as it came. Sender-controlled: never a URL to call.
    pub response_host: Option<String>,
    pub body: Vec<u8>,
}

impl NewDelivery {
    /// The body, sealed for the delivery's row.
    pub(super) fn sealed_body(&self, keys: &StorageKeys) -> Result<Vec<u8>, StoreError> {
        let place = Place {
            table: "deliveries",
            column: "body",
            row: &self.id,
        };
        Ok(keys.seal(&self.body, &place)?)
    }
}
