//! The server of a measurement, in a process of its own.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use diesel::connection::SimpleConnection;
use diesel::sql_types::BigInt;
use diesel::{Connection, QueryableByName, RunQueryDsl, SqliteConnection, sql_query};
use tempfile::TempDir;

use crate::ceilings::BARE_SERVER;

/// A running server; killed when dropped.
pub struct Server {
    child: Child,
    pub address: SocketAddr,
    pub path: &'static str,
    folder: TempDir,
}

/// The repository's demonstration keys.
pub fn keys() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("keys")
}

/// Seconds of CPU a process has spent, by its name in /proc.
pub fn cpu_of(process: &str) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).expect("a running process");
    let fields: Vec<&str> = stat
        .rsplit(')')
        .next()
        .unwrap_or_default()
        .split(' ')
        .collect();
    // utime and stime are fields 14 and 15 of proc(5), in ticks of 10 ms.
    let ticks = |place: usize| fields[place].parse::<f64>().unwrap_or(0.0);
    (ticks(12) + ticks(13)) / 100.0
}

impl Server {
    /// `serve` with these roles, on a new database or on the one in `folder`.
    pub fn start(roles: &str, folder: Option<TempDir>) -> Self {
        let folder = folder.unwrap_or_else(|| tempfile::tempdir().expect("a folder"));
        let mut command = Command::new(env!("CARGO_BIN_EXE_tokenkeep"));
        command
            .args([
                "serve",
                "--listen",
                "127.0.0.1:0",
                "--api-listen",
                "127.0.0.1:0",
            ])
            .args(["--roles", roles])
            .arg("--keys")
            .arg(keys())
            .arg("--database-url")
            .arg(folder.path().join("bench.db"))
            .env("RUST_LOG", "info,actix_server=warn");
        let marker = if roles.contains("receive") {
            "receiving on http://"
        } else {
            "API is on http://"
        };
        Self::spawn(command, marker, "/notifications/card", folder)
    }

    /// The same server library answering 204 without a store.
    pub fn bare() -> Self {
        let mut command = Command::new(std::env::current_exe().expect("this program"));
        command.env(BARE_SERVER, "1");
        let folder = tempfile::tempdir().expect("a folder");
        Self::spawn(
            command,
            "receiving on http://",
            "/notifications/card",
            folder,
        )
    }

    fn spawn(mut command: Command, marker: &str, path: &'static str, folder: TempDir) -> Self {
        let mut child = command.stderr(Stdio::piped()).spawn().expect("a server");
        let mut lines = BufReader::new(child.stderr.take().expect("its log")).lines();
        let address = loop {
            let line = lines.next().expect("the server starts").expect("its log");
            if let Some((_, rest)) = line.split_once(marker) {
                let address = rest.split('/').next().unwrap_or_default();
                break address.parse().expect("an address");
            }
        };
        std::thread::spawn(move || lines.for_each(drop));
        Self {
            child,
            address,
            path,
            folder,
        }
    }

    /// Stops the server and hands its database on.
    pub fn into_folder(mut self) -> TempDir {
        self.stop();
        std::mem::replace(&mut self.folder, tempfile::tempdir().expect("a folder"))
    }

    fn stop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Seconds of CPU it has spent.
    pub fn cpu(&self) -> f64 {
        cpu_of(&self.child.id().to_string())
    }

    /// The most memory it ever held.
    pub fn peak_memory_mb(&self) -> f64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()));
        let status = status.expect("a running server");
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kilobytes = line.and_then(|line| line.trim().strip_suffix(" kB"));
        kilobytes
            .and_then(|kb| kb.trim().parse::<f64>().ok())
            .unwrap_or(f64::NAN)
            / 1024.0
    }

    fn database(&self) -> SqliteConnection {
        let path = self.folder.path().join("bench.db");
        let mut c = SqliteConnection::establish(&path.to_string_lossy()).expect("its database");
        c.batch_execute("PRAGMA busy_timeout = 5000")
            .expect("its database");
        c
    }

    /// Waits until nothing waits to be decided.
    pub fn wait_until_drained(&self) {
        let mut c = self.database();
        let query = "SELECT count(*) AS value FROM deliveries WHERE state = 'waiting'";
        while sql_query(query)
            .get_result::<Row>(&mut c)
            .expect("a count")
            .value
            > 0
        {
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// Milliseconds from the receipt of each item to its verdict.
    pub fn milliseconds_to_applied(&self) -> Vec<f64> {
        let query = "SELECT decided_at - received_at AS value FROM notifications";
        let rows = sql_query(query)
            .load::<Row>(&mut self.database())
            .expect("times");
        rows.into_iter().map(|row| row.value as f64).collect()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
    }
}

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = BigInt)]
    value: i64,
}
