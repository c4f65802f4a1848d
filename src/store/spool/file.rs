//! The file of a spool: made, recognised, measured.

use std::fs::{self, File, OpenOptions, Permissions};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::{SqliteConnection, sql_query, sql_types};

use super::{ROW_BYTES, SpoolLoad};
use crate::jose::StorageKeys;
use crate::store::StoreError;
use crate::store::connection::open_sqlite;

/// Marks a file as a spool of this layout: "tkS" and its number.
const MARK: i64 = 0x746b_5301;
const LAYOUT: &str = "
    CREATE TABLE spool (
        sequence INTEGER PRIMARY KEY AUTOINCREMENT,
        id TEXT NOT NULL UNIQUE,
        received_at BIGINT NOT NULL,
        source TEXT NOT NULL,
        response_host TEXT,
        body BLOB NOT NULL -- SEALED, as deliveries.body
    );
    CREATE INDEX spool_by_receipt ON spool (received_at);";

/// What waits in the spool of another process, and how much of it is sealed under another key than the active one.
/// None where there is no such file.
pub fn look_into_spool(
    path: &Path,
    keys: &StorageKeys,
) -> Result<Option<(SpoolLoad, u64)>, StoreError> {
    if !path.exists() {
        let folder = folder_of(path);
        return match folder.is_dir() {
            true => Ok(None),
            false => Err(StoreError::Connect(format!(
                "{} is no folder",
                folder.display()
            ))),
        };
    }
    let mut connection = open_sqlite(path)?;
    if mark_of(&mut connection)? != MARK {
        return Err(not_ours());
    }
    let head = keys.active_head();
    let query = format!(
        "SELECT count(*) AS n FROM spool WHERE substr(body, 1, {}) <> $1",
        head.len()
    );
    let stale: Number = sql_query(query)
        .bind::<sql_types::Binary, _>(head)
        .get_result(&mut connection)?;
    Ok(Some((measure(&mut connection)?, stale.n.unsigned_abs())))
}

#[derive(QueryableByName)]
struct Number {
    #[diesel(sql_type = sql_types::BigInt)]
    n: i64,
}

#[derive(QueryableByName)]
struct Measured {
    #[diesel(sql_type = sql_types::BigInt)]
    deliveries: i64,
    #[diesel(sql_type = sql_types::BigInt)]
    bytes: i64,
    #[diesel(sql_type = sql_types::Nullable<sql_types::BigInt>)]
    oldest: Option<i64>,
}

/// Makes the table in a new file; refuses one that is something else.
pub(super) fn lay_out(c: &mut SqliteConnection) -> Result<(), StoreError> {
    if mark_of(c)? == MARK {
        return Ok(());
    }
    let tables: Number = sql_query("SELECT count(*) AS n FROM sqlite_master").get_result(c)?;
    if tables.n > 0 {
        return Err(not_ours());
    }
    Ok(c.batch_execute(&format!("{LAYOUT} PRAGMA application_id = {MARK}"))?)
}

fn mark_of(c: &mut SqliteConnection) -> Result<i64, StoreError> {
    let query = "SELECT CAST(application_id AS BIGINT) AS n FROM pragma_application_id";
    Ok(sql_query(query).get_result::<Number>(c)?.n)
}

fn not_ours() -> StoreError {
    StoreError::Unfit("the file is not a spool of this version".to_owned())
}

pub(super) fn measure(c: &mut SqliteConnection) -> Result<SpoolLoad, StoreError> {
    let query = format!(
        "SELECT count(*) AS deliveries, coalesce(sum(length(body) + {ROW_BYTES}), 0) AS bytes, \
         min(received_at) AS oldest FROM spool"
    );
    let measured: Measured = sql_query(query).get_result(c)?;
    Ok(SpoolLoad {
        deliveries: measured.deliveries.unsigned_abs(),
        bytes: measured.bytes.unsigned_abs(),
        oldest: measured.oldest,
    })
}

pub(super) fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    name.into()
}

/// Opens a file that nobody but its owner may read, or makes it. SQLite gives its log the same mode.
pub(super) fn own(path: &Path) -> Result<File, StoreError> {
    let mut options = OpenOptions::new();
    let made = options.create(true).truncate(false).write(true).mode(0o600);
    let failed = |_| StoreError::Connect(format!("{} cannot be written", path.display()));
    let file = made.open(path).map_err(failed)?;
    fs::set_permissions(path, Permissions::from_mode(0o600)).map_err(failed)?;
    Ok(file)
}

/// Makes the name of a new file as durable as what will be in it.
pub(super) fn keep_name(path: &Path) -> Result<(), StoreError> {
    let folder = folder_of(path);
    let synced = File::open(folder).and_then(|folder| folder.sync_all());
    synced.map_err(|_| StoreError::Unfit(format!("{} cannot be synced", folder.display())))
}

fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    }
}
