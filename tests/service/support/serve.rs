//! A `serve` process of its own, on free ports.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::{TestDatabase, keys, leaks, strace, wait_until};

/// Where it listens.
const HERE: &str = "127.0.0.1";
const PROGRAM: &str = env!("CARGO_BIN_EXE_tokenkeep");

pub struct Serve {
    child: Child,
    /// URL of the notification path.
    pub url: String,
    pub api: SocketAddr,
    /// What it has logged.
    log: Arc<Mutex<Vec<String>>>,
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
        Self::spawn(Command::new(PROGRAM), (database, keys), variables, HERE)
    }

    /// Starts in a network of its own, where it listens at this address.
    pub fn start_in(
        network: &str,
        address: &str,
        database: &TestDatabase,
        variables: &[(&str, &str)],
    ) -> Self {
        let mut ip = Command::new("ip");
        // It becomes the service itself.
        ip.args(["netns", "exec", network, PROGRAM]);
        Self::spawn(ip, (database, &keys()), variables, address)
    }

    /// Starts with so many file descriptors at most.
    pub fn start_with_descriptors(database: &TestDatabase, most: u32) -> Self {
        Self::start_within(database, &format!("-n {most}"))
    }

    /// Starts within a limit, as `ulimit` has it.
    pub fn start_within(database: &TestDatabase, limit: &str) -> Self {
        let mut shell = Command::new("sh");
        shell.args(["-c", &format!("ulimit {limit}; exec \"$0\" \"$@\"")]);
        shell.arg(PROGRAM);
        Self::spawn(shell, (database, &keys()), &[], HERE)
    }

    /// Starts under `strace`, which writes its system calls on files and what it sends on sockets.
    pub fn start_traced(database: &TestDatabase, trace: &Path) -> Self {
        let mut strace = Command::new("strace");
        // As a grandchild, so that the service itself is what is stopped.
        strace.args(["-D", "-f", "-qq", "-s", "65536"]);
        strace.args(["-e", "trace=%file,sendto,sendmsg", "-o"]);
        strace.arg(trace).arg(PROGRAM);
        Self::spawn(strace, (database, &keys()), &[], HERE)
    }

    /// Starts under a `strace` that records what it does to files and what it answers.
    pub fn start_recorded(database: &TestDatabase, trace: &Path) -> Self {
        let mut strace = strace::recording(trace);
        strace.arg(PROGRAM);
        Self::spawn(strace, (database, &keys()), &[], HERE)
    }

    fn spawn(
        mut program: Command,
        (database, keys): (&TestDatabase, &Path),
        variables: &[(&str, &str)],
        host: &str,
    ) -> Self {
        let listen = format!("{host}:0");
        let mut child = program
            .args(["serve", "--listen", &listen, "--api-listen", &listen])
            .arg("--keys")
            .arg(keys)
            .env("DATABASE_URL", database.url())
            .env("TOKENKEEP_CLOCK__REFUSE_BEYOND", "0")
            .env("RUST_LOG", leaks::child_level())
            .envs(variables.iter().copied())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        for what in ["environ", "cmdline"] {
            let told = std::fs::read(format!("/proc/{}/{what}", child.id()));
            leaks::keep("processes", &told.unwrap_or_default());
        }
        let log = Arc::new(Mutex::new(Vec::new()));
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let mut told = |what: &str| loop {
            let line = lines.next().expect("the service listens").unwrap();
            log.lock().unwrap().push(line.clone());
            leaks::keep("serve", line.as_bytes());
            if let Some((_, rest)) = line.split_once(what) {
                break rest.split('"').next().unwrap_or_default().to_owned();
            }
        };
        let url = told("receiving on ");
        let api = told("the API is on http://").parse().unwrap();
        // Nobody may be blocked by a full pipe.
        let kept = log.clone();
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                leaks::keep("serve", line.as_bytes());
                kept.lock().unwrap().push(line);
            }
        });
        Self {
            child,
            url,
            api,
            log,
        }
    }

    /// The lines logged so far that hold this text.
    pub fn logged(&self, text: &str) -> Vec<String> {
        let log = self.log.lock().unwrap();
        let lines = log.iter().filter(|line| line.contains(text));
        lines.cloned().collect()
    }

    /// The lines it has logged so far.
    pub fn log(&self) -> Vec<String> {
        self.log.lock().unwrap().clone()
    }

    /// Open file descriptors.
    pub fn descriptors(&self) -> usize {
        let folder = format!("/proc/{}/fd", self.child.id());
        std::fs::read_dir(folder).unwrap().count()
    }

    /// Those that are connections: its databases' files come and go by themselves.
    pub fn sockets(&self) -> usize {
        let folder = format!("/proc/{}/fd", self.child.id());
        let links = std::fs::read_dir(folder).unwrap().flatten();
        // One that was closed meanwhile is none.
        let links = links.filter_map(|entry| std::fs::read_link(entry.path()).ok());
        let is_socket = |link: &std::path::PathBuf| link.to_string_lossy().starts_with("socket:");
        links.filter(is_socket).count()
    }

    /// Processor time it has used so far.
    pub fn processor_time(&self) -> Duration {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap();
        // The name in parentheses may hold spaces; user and system time stand 11 fields behind it.
        let (_, fields) = stat.rsplit_once(") ").unwrap();
        let ticks = fields.split(' ').skip(11).take(2);
        let ticks: u64 = ticks.map(|ticks| ticks.parse::<u64>().unwrap()).sum();
        Duration::from_millis(ticks * 10)
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

    fn signal(&self, signal: &str) {
        let id = self.child.id().to_string();
        let asked = Command::new("kill").args([signal, &id]).status().unwrap();
        assert!(asked.success());
    }

    /// SIGSTOP; returns once it stands still.
    pub fn pause(&self) {
        self.signal("-STOP");
        let stat = format!("/proc/{}/stat", self.child.id());
        wait_until("it stands still", || {
            let stat = std::fs::read_to_string(&stat).unwrap();
            stat.rsplit_once(") ").unwrap().1.starts_with('T')
        });
    }

    /// Lets it go on.
    pub fn resume(&self) {
        self.signal("-CONT");
    }

    /// SIGTERM; returns how it ended, and how long that took.
    pub fn terminate(&mut self) -> (ExitStatus, Duration) {
        let begun = Instant::now();
        self.signal("-TERM");
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
