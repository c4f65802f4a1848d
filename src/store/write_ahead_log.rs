//! SQLite's write-ahead log, looked at before SQLite does.
//!
//! SQLite takes a log whose header is not valid for an empty one: what was committed last would be gone, and
//! nobody told. No power cut leaves such a log: SQLite syncs the header before it writes anything behind it.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::StoreError;

const HEADER: usize = 32;
/// Its last digit says how the checksum reads its words: 1 as big-endian.
const MAGIC: u32 = 0x377f_0682;
/// Another process may be writing it just now.
const PAUSE: Duration = Duration::from_millis(20);

/// Fails if there is a log with something in it and without a valid header.
pub fn check(database: &Path) -> Result<(), StoreError> {
    let log = of(database);
    if is_usable(&log) {
        return Ok(());
    }
    std::thread::sleep(PAUSE);
    match is_usable(&log) {
        true => Ok(()),
        false => Err(StoreError::Corrupt(
            "its write-ahead log does not begin as SQLite writes it",
        )),
    }
}

/// The bytes of the log, as far as it can be looked at: while somebody reads, it only grows.
pub fn bytes(database: &Path) -> u64 {
    std::fs::metadata(of(database)).map_or(0, |log| log.len())
}

fn of(database: &Path) -> PathBuf {
    let mut log = database.as_os_str().to_owned();
    log.push("-wal");
    log.into()
}

/// Whether the log is not there, holds nothing behind its header, or has a valid one. One that cannot be read
/// SQLite cannot read either, and says so.
fn is_usable(log: &Path) -> bool {
    let mut start = Vec::with_capacity(HEADER + 1);
    let read =
        File::open(log).and_then(|file| file.take(HEADER as u64 + 1).read_to_end(&mut start));
    read.is_err() || start.len() <= HEADER || is_valid(&start)
}

fn is_valid(start: &[u8]) -> bool {
    let words = start.chunks_exact(4);
    let words: Vec<[u8; 4]> = words.filter_map(|word| word.try_into().ok()).collect();
    let [magic, version, page, sequence, salt_1, salt_2, sum_1, sum_2] = words[..] else {
        return false;
    };
    let magic = u32::from_be_bytes(magic);
    if magic & !1 != MAGIC {
        return false;
    }
    let read = match magic & 1 {
        1 => u32::from_be_bytes,
        _ => u32::from_le_bytes,
    };
    let (mut first, mut second) = (0_u32, 0_u32);
    for (one, other) in [
        (magic.to_be_bytes(), version),
        (page, sequence),
        (salt_1, salt_2),
    ] {
        first = first.wrapping_add(read(one)).wrapping_add(second);
        second = second.wrapping_add(read(other)).wrapping_add(first);
    }
    [first, second] == [sum_1, sum_2].map(u32::from_be_bytes)
}
