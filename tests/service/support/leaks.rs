//! Everything this process and its children tell, kept for the search that `tests/run` ends with.
//!
//! `TOKENKEEP_TEST_LEAKS` names the folder; without it nothing is kept. Keys that tests make are kept beside it, to be
//! looked for.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::PathBuf;
use std::sync::{LazyLock, Mutex, Once, PoisonError};

use log::kv::{Error, Key, Value, VisitSource};
use log::{LevelFilter, Log, Metadata, Record};
use tempfile::TempDir;

static FOLDER: LazyLock<Option<PathBuf>> =
    LazyLock::new(|| std::env::var_os("TOKENKEEP_TEST_LEAKS").map(PathBuf::from));
static FILES: LazyLock<Mutex<HashMap<&str, File>>> = LazyLock::new(Mutex::default);

/// Keeps a secret that the test made.
pub fn look_for(secret: &str) {
    keep("secrets", secret.as_bytes());
}

/// Keeps what was told, by kind.
pub fn keep(kind: &'static str, told: &[u8]) {
    let Some(folder) = &*FOLDER else { return };
    let mut files = FILES.lock().unwrap_or_else(PoisonError::into_inner);
    let file = files.entry(kind).or_insert_with(|| {
        let path = folder.join(format!("{}.{kind}", std::process::id()));
        OpenOptions::new()
            .create(true)
            .append(true)
            .open(path)
            .unwrap()
    });
    file.write_all(&[told, b"\n"].concat()).unwrap();
}

/// What a child is to log.
pub fn child_level() -> &'static str {
    match *FOLDER {
        Some(_) => "debug,tokenkeep=trace",
        None => "info",
    }
}

/// A folder for a database, which stays if leaks are searched for.
pub fn database_folder() -> TempDir {
    match &*FOLDER {
        Some(folder) => {
            let mut kept = tempfile::Builder::new();
            kept.prefix("database-").disable_cleanup(true);
            kept.tempdir_in(folder).unwrap()
        }
        None => tempfile::tempdir().unwrap(),
    }
}

/// Begins to keep the log of this process: everything of our own, and of others all but the finest.
pub fn start_log() {
    static STARTED: Once = Once::new();
    STARTED.call_once(|| {
        if FOLDER.is_some() && log::set_logger(&Collector).is_ok() {
            log::set_max_level(LevelFilter::Trace);
        }
    });
}

struct Collector;

impl Log for Collector {
    fn enabled(&self, of: &Metadata<'_>) -> bool {
        // The program itself never lets the HTTP client speak.
        let is_own = of.target().starts_with("tokenkeep");
        is_own || (of.level() <= LevelFilter::Debug && !of.target().starts_with("ureq"))
    }

    fn log(&self, record: &Record<'_>) {
        if self.enabled(record.metadata()) {
            let mut line = Line(format!("{} {}", record.target(), record.args()));
            let _ = record.key_values().visit(&mut line);
            keep("log", line.0.as_bytes());
        }
    }

    fn flush(&self) {}
}

struct Line(String);

impl<'kvs> VisitSource<'kvs> for Line {
    fn visit_pair(&mut self, key: Key<'kvs>, value: Value<'kvs>) -> Result<(), Error> {
        self.0 += &format!(" {key}={value}");
        Ok(())
    }
}
