//! `migrate`: brings the database's schema up to date.

use serde_json::json;

use super::failure::Failure;
use super::{Common, open_store};
use crate::audit::Act;
use crate::store::{DatabaseUrl, Entry, Store};
use crate::telemetry::Clock;

pub fn run(common: &Common) -> Result<(), Failure> {
    let settings = common.settings(Vec::new())?;
    let url = DatabaseUrl::parse(&settings.database_url).map_err(Failure::wrong)?;
    let steps = Store::migrate(&url)?;
    let store = open_store(&settings)?;
    if steps > 0 {
        let entry = Entry {
            act: Act::SchemaMigrated,
            object: "schema",
            outcome: "done",
            details: json!({ "steps": steps, "version": env!("CARGO_PKG_VERSION") }),
            at: Clock::system().now(),
        };
        store.write(|tx| tx.audit(entry))?;
    }
    println!("{} is up to date; steps taken: {steps}", store.location());
    Ok(())
}
