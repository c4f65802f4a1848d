//! The spool of the settings: opened for the service, looked into by `check`.

use std::sync::Arc;

use super::StartError;
use super::failure::Failure;
use crate::jose::StorageKeys;
use crate::settings::Settings;
use crate::store::{Spool, look_into_spool};

/// Opens the spool, if the settings name one.
pub fn open(settings: &Settings, keys: Arc<StorageKeys>) -> Result<Option<Spool>, StartError> {
    let receiver = &settings.receiver;
    let opened = receiver
        .spool()
        .map(|path| Spool::open(path, receiver.spool_bytes, keys));
    opened.transpose().map_err(StartError::Spool)
}

/// Tells what waits in the spool; returns what is wrong.
pub fn check(settings: &Settings) -> Option<String> {
    let path = settings.receiver.spool()?;
    let looked = StorageKeys::load(&settings.keys)
        .map_err(Failure::wrong)
        .and_then(|keys| Ok(look_into_spool(path, &keys)?));
    let path = path.display();
    match looked {
        Ok(None) => println!("spool: {path} will be made"),
        Ok(Some((load, _))) => {
            let waiting = load.deliveries;
            println!("spool: {path} can be used, deliveries that wait in it: {waiting}");
        }
        Err(failure) => return Some(format!("spool: {path}: {failure}")),
    }
    None
}
