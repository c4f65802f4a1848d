//! From the spool into the table.

use diesel::prelude::*;

use super::Spooled;
use crate::jose::sealed_with;
use crate::store::connection::on_backend;
use crate::store::deliveries::NewRow;
use crate::store::schema::deliveries;
use crate::store::{DeliveryState, StoreError, Tx};

impl Tx<'_> {
    /// Keeps deliveries of a spool, in this order. One that is there already is the same: whoever kept it was not
    /// told so, or ended before it could forget it.
    pub fn insert_spooled(&mut self, spooled: &[Spooled]) -> Result<(), StoreError> {
        let mut rows = Vec::with_capacity(spooled.len());
        for delivery in spooled {
            rows.push(NewRow {
                id: &delivery.id,
                received_at: delivery.received_at,
                source: &delivery.source,
                response_host: delivery.response_host.as_deref(),
                body: Some(self.under_active_key(delivery)?),
                state: DeliveryState::Waiting.name(),
            });
        }
        on_backend!(self.connection, c => {
            diesel::insert_into(deliveries::table)
                .values(&rows)
                .on_conflict(deliveries::id)
                .do_nothing()
                .execute(c)
        })?;
        Ok(())
    }

    /// The sealed body, under the active key where it can be opened: `keys reseal` may have been here before.
    fn under_active_key(&self, delivery: &Spooled) -> Result<Vec<u8>, StoreError> {
        if sealed_with(&delivery.body) == Some(self.keys().active_id()) {
            return Ok(delivery.body.clone());
        }
        match self.open(&delivery.body, "deliveries", "body", &delivery.id) {
            Ok(body) => self.seal(&body, "deliveries", "body", &delivery.id),
            // It is quarantined like any other that cannot be opened, and opens when its key is back.
            Err(_) => Ok(delivery.body.clone()),
        }
    }
}
