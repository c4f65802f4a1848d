//! `backup`: a copy of the database beside a running serve.

use std::fs::File;
use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::json;
use tempfile::NamedTempFile;

use super::Common;
use super::failure::Failure;
use super::tables::print_json;
use crate::audit::Act;
use crate::store::{BackupError, Entry};
use crate::telemetry::Clock;

#[derive(Args)]
pub struct BackupArgs {
    /// Where the copy goes: a file that is not there yet
    file: PathBuf,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub fn run(common: &Common, args: &BackupArgs) -> Result<(), Failure> {
    let (_, store) = common.open()?;
    let shown = args.file.display();
    if store.is_shared() {
        let location = store.location();
        return Err(Failure::wrong(format!(
            "{location} is backed up by PostgreSQL's own tools: as the owner of its tables, with the sslmode of \
             your address, the password from ~/.pgpass:\n\
             (umask 077; pg_dump --format=custom --file={shown} {location})"
        )));
    }
    if args.file.exists() {
        return Err(Failure::wrong(format!("{shown} is there already")));
    }
    let failed = |error: std::io::Error| {
        Failure::unwell(format!("{shown}: cannot be written: {}", error.kind()))
    };
    let folder = match args.file.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    };
    // Its owner's alone; until it is whole it has another name, and goes if this ends before.
    let copy = NamedTempFile::new_in(folder).map_err(failed)?;
    let made = store.back_up(copy.path()).map_err(|error| match error {
        BackupError::Io(error) => failed(error),
        error => Failure::unwell(error),
    })?;
    let name = args.file.file_name().unwrap_or_default().to_string_lossy();
    store.write(|tx| {
        tx.audit(Entry {
            act: Act::BackedUp,
            object: &name,
            outcome: "done",
            details: json!({ "bytes": made.bytes, "schema": made.schema }),
            at: Clock::system().now(),
        })
    })?;
    copy.persist_noclobber(&args.file)
        .map_err(|error| failed(error.error))?;
    File::open(folder)
        .and_then(|folder| folder.sync_all())
        .map_err(failed)?;
    if args.json {
        let file = args.file.to_string_lossy();
        return Ok(print_json(
            &json!({ "file": file, "bytes": made.bytes, "schema": made.schema }),
        )?);
    }
    println!(
        "{shown}: {} bytes, read again and found whole; its numbers are sealed under the storage keys, \
         which are not in it",
        made.bytes
    );
    Ok(())
}
