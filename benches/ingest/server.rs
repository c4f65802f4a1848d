//! The server of a measurement, in a process of its own.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::ceilings::BARE_SERVER;
use crate::place::Place;

/// A running server; killed when dropped.
pub struct Server {
    child: Child,
    pub address: SocketAddr,
    /// Of the API, where it has one.
    pub api: Option<SocketAddr>,
}

/// The repository's demonstration keys.
pub fn keys() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("keys")
}

/// Seconds of CPU a process has spent, by its name in /proc.
pub fn cpu_of(process: &str) -> f64 {
    ticks(process, [11, 12])
}

/// The sum of two fields of proc(5)'s stat, counted from its third, in seconds; 0 of a process that is gone.
pub fn ticks(process: &str, fields: [usize; 2]) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    let rest = stat.rsplit(") ").next().unwrap_or_default();
    let values: Vec<&str> = rest.split(' ').collect();
    let tick = |place: usize| values.get(place)?.parse::<f64>().ok();
    // A tick is 10 ms.
    fields.into_iter().filter_map(tick).sum::<f64>() / 100.0
}

impl Server {
    /// `serve` with these roles, and more variables in its environment.
    pub fn start(roles: &str, place: &Place<'_>, variables: &[(&str, &str)]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tokenkeep"));
        let (here, keys) = ("127.0.0.1:0", keys());
        command
            .args(["serve", "--listen", here, "--api-listen", here])
            .args(["--roles", roles])
            .arg("--keys")
            .arg(keys)
            .env("DATABASE_URL", place.url())
            .env("RUST_LOG", "info,actix_server=warn")
            .envs(variables.iter().copied());
        Self::spawn(command, roles.contains("receive"), true)
    }

    /// The same server library answering 204 without a store.
    pub fn bare() -> Self {
        let mut command = Command::new(std::env::current_exe().expect("this program"));
        command.env(BARE_SERVER, "1");
        Self::spawn(command, true, false)
    }

    fn spawn(mut command: Command, receives: bool, has_api: bool) -> Self {
        let mut child = command.stderr(Stdio::piped()).spawn().expect("a server");
        let mut lines = BufReader::new(child.stderr.take().expect("its log")).lines();
        let mut told = |marker: &str| -> SocketAddr {
            loop {
                let line = lines.next().expect("the server starts").expect("its log");
                if let Some((_, rest)) = line.split_once(marker) {
                    let address = rest.split('/').next().unwrap_or_default();
                    break address.trim().parse().expect("an address");
                }
            }
        };
        let address = receives.then(|| told("receiving on http://"));
        let api = has_api.then(|| told("the API is on http://"));
        std::thread::spawn(move || lines.for_each(drop));
        Self {
            child,
            address: address.or(api).expect("an address"),
            api,
        }
    }

    /// Lets it end as an operator does: it hands its calls back.
    pub fn stop(mut self) {
        let its = Pid::from_child(&self.child);
        kill_process(its, Signal::TERM).expect("a running server");
        self.child.wait().expect("its end");
    }

    /// Seconds of CPU it has spent.
    pub fn cpu(&self) -> f64 {
        cpu_of(&self.child.id().to_string())
    }

    /// The most memory it ever held.
    pub fn peak_memory_mb(&self) -> f64 {
        self.memory_mb("VmHWM:")
    }

    /// The memory it holds.
    pub fn memory_now_mb(&self) -> f64 {
        self.memory_mb("VmRSS:")
    }

    fn memory_mb(&self, what: &str) -> f64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()));
        let status = status.expect("a running server");
        let line = status.lines().find_map(|line| line.strip_prefix(what));
        let kilobytes = line.and_then(|line| line.trim().strip_suffix(" kB"));
        kilobytes
            .and_then(|kb| kb.trim().parse::<f64>().ok())
            .unwrap_or(f64::NAN)
            / 1024.0
    }
}

/// Waits until nothing waits to be decided; returns how long that took.
pub fn wait_until_drained(place: &Place<'_>) -> Duration {
    let begun = Instant::now();
    while place.is_waiting() {
        std::thread::sleep(Duration::from_millis(10));
    }
    begun.elapsed()
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
