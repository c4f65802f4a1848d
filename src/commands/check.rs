//! `check`: loads settings, keys and database, and says what is wrong and where.

use super::failure::Failure;
use super::{Common, keys, open_store};
use crate::jose::StorageKeys;

pub fn run(common: &Common) -> Result<(), Failure> {
    // Wrong settings end here, with their place: nothing else can be looked at without them.
    let settings = common.settings(Vec::new())?;
    println!("settings: in order");
    let mut wrong = Vec::new();
    let found = keys::findings(&settings);
    match found.wrong.is_empty() {
        true => println!("keys: {} can be used", settings.keys.display()),
        false => wrong.extend(found.wrong.iter().map(|what| format!("keys: {what}"))),
    }
    for remark in &found.remarks {
        println!("keys: not for production: {remark}");
    }
    // Told already among the keys, and nothing opens the database without it.
    if StorageKeys::load(&settings.keys).is_err() {
        wrong.push("database: not looked at, for want of a storage key".to_owned());
        return Err(Failure::unwell(wrong.join("\ntokenkeep: ")));
    }
    let backlog = open_store(&settings).and_then(|store| {
        let waiting = store.read(|tx| tx.count_waiting())?;
        Ok((store.location(), waiting))
    });
    match backlog {
        Ok((location, waiting)) => {
            println!("database: {location} can be used, deliveries that wait: {waiting}");
        }
        Err(failure) => wrong.push(format!("database: {failure}")),
    }
    match wrong.is_empty() {
        true => Ok(()),
        false => Err(Failure::unwell(wrong.join("\ntokenkeep: "))),
    }
}
