//! `strace`: what a service asks of the system, and errors that the system is made to answer.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use tempfile::NamedTempFile;

use super::wait_until;

/// Whether `strace` is there and may trace. Where `tests/run` found that it may, it must.
pub fn can_trace() -> bool {
    let tried = Command::new("strace")
        .args(["-o", "/dev/null", "true"])
        .output();
    let can = tried.is_ok_and(|tried| tried.status.success());
    let must = std::env::var_os("TOKENKEEP_TEST_STRACE").is_some_and(|value| value == "1");
    assert!(can || !must, "strace must be able to trace here");
    can
}

/// The system calls that change files or say that they are to stay, and what is sent.
pub const CHANGES: &str = "openat,pwrite64,ftruncate,fsync,fdatasync,rename,unlink,sendto";

/// As a grandchild, so that the service itself is what is stopped. Data in hexadecimal, descriptors with
/// what they stand for.
pub fn recording(trace: &Path) -> Command {
    let mut strace = Command::new("strace");
    strace.args([
        "-D",
        "-f",
        "-qq",
        "--seccomp-bpf",
        "-xx",
        "-yy",
        "-s",
        "1048576",
        "-e",
        "signal=none",
        "-e",
    ]);
    strace.arg(format!("trace={CHANGES}")).arg("-o").arg(trace);
    strace
}

/// The first, second … of a thread's calls of one name: `strace` counts them for each thread and each name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Nth {
    pub call: String,
    pub nth: usize,
}

impl Nth {
    /// What makes `strace` kill the process of whoever comes to begin this call.
    pub fn kill(&self) -> String {
        format!("inject={}:signal=KILL:when={}", self.call, self.nth)
    }
}

/// The program under `strace` with these arguments.
pub fn traced(arguments: &[&str]) -> Command {
    let mut strace = Command::new("strace");
    strace.args(["-f", "-qq", "-e", "signal=none"]);
    strace.args(arguments).arg(env!("CARGO_BIN_EXE_tokenkeep"));
    strace
}

/// Every call of a trace with numbers of threads, as often as the thread that makes the most of its name.
pub fn calls_in(trace: &str) -> Vec<Nth> {
    let mut of_threads = BTreeMap::<(&str, &str), usize>::new();
    for line in trace.lines() {
        let (thread, call) = line.split_once(' ').unwrap();
        if let Some((call, _)) = call.trim_start().split_once('(')
            && !call.contains(' ')
        {
            *of_threads.entry((call, thread)).or_default() += 1;
        }
    }
    let mut most = BTreeMap::<&str, usize>::new();
    for ((call, _), count) in of_threads {
        let most = most.entry(call).or_default();
        *most = count.max(*most);
    }
    let all = |(call, most): (&str, usize)| {
        let call = call.to_owned();
        (1..=most)
            .map(move |nth| Nth {
                call: call.clone(),
                nth,
            })
            .collect::<Vec<_>>()
    };
    most.into_iter().flat_map(all).collect()
}

/// Whose calls are looked at.
#[derive(Debug, Clone)]
pub enum Of {
    Threads(Vec<u32>),
    /// All threads, also those to come.
    Process,
}

/// Attaches to a running process; returns once everything that is to be traced is.
fn attach(mut strace: Command, process: u32, of: Of) -> Child {
    let traced = match &of {
        Of::Threads(threads) => threads.clone(),
        Of::Process => {
            strace.arg("-f");
            vec![process]
        }
    };
    for id in &traced {
        strace.args(["-p", &id.to_string()]);
    }
    let child = strace.stderr(Stdio::null()).spawn().unwrap();
    let tasks = format!("/proc/{process}/task");
    wait_until("all threads are traced", || {
        let all = std::fs::read_dir(&tasks).unwrap();
        let mut looked_at = all.map(|task| task.unwrap()).filter(|task| match &of {
            Of::Threads(threads) => threads
                .iter()
                .any(|thread| *task.file_name() == *thread.to_string()),
            Of::Process => true,
        });
        looked_at.all(|task| {
            let status = std::fs::read_to_string(task.path().join("status"));
            !status.unwrap_or_default().contains("TracerPid:\t0\n")
        })
    });
    child
}

/// Lets go. Killed, it could leave a thread stopped.
fn detach(strace: &mut Child) {
    if strace.try_wait().is_ok_and(|ended| ended.is_some()) {
        return;
    }
    let id = strace.id().to_string();
    let mut kill = Command::new("kill");
    let _ = kill.args(["-TERM", &id]).stderr(Stdio::null()).status();
    let _ = strace.wait();
}

/// Threads whose calls are written down, data in hexadecimal.
pub struct Watched {
    strace: Child,
    trace: NamedTempFile,
}

impl Watched {
    /// Begins with some calls of a running process, which may be killed at one of them.
    pub fn begin(process: u32, of: Of, calls: &str, kill: Option<&Nth>) -> Self {
        let trace = NamedTempFile::new().unwrap();
        let mut strace = Command::new("strace");
        strace.args(["-qq", "-xx", "-s", "80", "-e", "signal=none"]);
        strace.args(["-e", &format!("trace={calls}")]);
        if let Some(kill) = kill {
            strace.args(["-e", &kill.kill()]);
        }
        strace.arg("-o").arg(trace.path());
        Self {
            strace: attach(strace, process, of),
            trace,
        }
    }

    /// What was asked of the system since.
    pub fn end(mut self) -> String {
        detach(&mut self.strace);
        std::fs::read_to_string(self.trace.path()).unwrap()
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        detach(&mut self.strace);
    }
}

/// Errors in place of some system calls of a process, until dropped.
pub struct Faults(Child);

impl Faults {
    /// Makes calls on these files fail. `faults` is as `strace` has it: `fsync:error=EIO:when=3`; each thread
    /// counts for itself.
    pub fn begin(process: u32, files: &[&Path], faults: &str) -> Self {
        let mut strace = Command::new("strace");
        let (calls, _) = faults.split_once(':').unwrap();
        strace.args(["-e", &format!("trace={calls}")]);
        strace.args(["-e", &format!("inject={faults}")]);
        for file in files {
            strace.arg("-P").arg(file);
        }
        strace.args(["-o", "/dev/null"]);
        Self(attach(strace, process, Of::Process))
    }
}

impl Drop for Faults {
    fn drop(&mut self) {
        detach(&mut self.0);
    }
}
