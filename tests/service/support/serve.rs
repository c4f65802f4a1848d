//! A `serve` process of its own, on free ports.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use super::{TestDatabase, keys, leaks};

pub struct Serve {
    child: Child,
    /// URL of the notification path.
    pub url: String,
}

impl Serve {
    pub fn start(database: &TestDatabase) -> Self {
        Self::start_with(database, &[])
    }

    /// Starts with more variables in its environment.
    pub fn start_with(database: &TestDatabase, variables: &[(&str, &str)]) -> Self {
        Self::start_on(database, &keys(), variables)
    }

    /// The same with a key folder of the test's own.
    pub fn start_on(database: &TestDatabase, keys: &Path, variables: &[(&str, &str)]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_tokenkeep"))
            .args([
                "serve",
                "--listen",
                "127.0.0.1:0",
                "--api-listen",
                "127.0.0.1:0",
            ])
            .arg("--keys")
            .arg(keys)
            .env("DATABASE_URL", database.url())
            .env("RUST_LOG", leaks::child_level())
            .envs(variables.iter().copied())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let url = loop {
            let line = lines.next().expect("the service listens").unwrap();
            leaks::keep("serve", line.as_bytes());
            if let Some((_, url)) = line.split_once("receiving on ") {
                break url.to_owned();
            }
        };
        // Nobody may be blocked by a full pipe.
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                leaks::keep("serve", line.as_bytes());
            }
        });
        Self { child, url }
    }

    /// The public listener.
    pub fn address(&self) -> SocketAddr {
        let host = self.url.split('/').nth(2);
        host.unwrap().parse().unwrap()
    }

    /// Resident memory, now or at its highest (`VmRSS`, `VmHWM`), in bytes.
    pub fn memory(&self, which: &str) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let mut lines = status.lines().filter_map(|line| line.split_once(':'));
        let (_, value) = lines.find(|(name, _)| *name == which).unwrap();
        let kilobytes = value.trim().trim_end_matches(" kB");
        kilobytes.parse::<u64>().unwrap() * 1024
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// SIGTERM; returns how it ended, and how long that took.
    pub fn terminate(&mut self) -> (ExitStatus, Duration) {
        let begun = Instant::now();
        let id = self.child.id().to_string();
        let asked = Command::new("kill").args(["-TERM", &id]).status().unwrap();
        assert!(asked.success());
        (self.child.wait().unwrap(), begun.elapsed())
    }

    /// SIGKILL: no handler runs, nothing is flushed.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Serve {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
