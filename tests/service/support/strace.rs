//! `strace`: what a service asks of the system, and errors that the system is made to answer.

use std::path::Path;
use std::process::{Child, Command, Stdio};

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

/// Errors in place of some system calls of a process, until dropped.
pub struct Faults(Child);

impl Faults {
    /// Makes calls on these files fail. `faults` is as `strace` has it: `fsync:error=EIO:when=3`; each thread
    /// counts for itself.
    pub fn begin(process: u32, files: &[&Path], faults: &str) -> Self {
        let mut strace = Command::new("strace");
        let (calls, _) = faults.split_once(':').unwrap();
        strace.args(["-f", "-e", &format!("trace={calls}")]);
        strace.args(["-e", &format!("inject={faults}")]);
        for file in files {
            strace.arg("-P").arg(file);
        }
        strace.args(["-o", "/dev/null", "-p", &process.to_string()]);
        let child = strace.stderr(Stdio::null()).spawn().unwrap();
        wait_until("all threads are traced", || {
            let tasks = std::fs::read_dir(format!("/proc/{process}/task")).unwrap();
            let mut tasks = tasks.map(|task| task.unwrap().path().join("status"));
            tasks.all(|status| {
                let status = std::fs::read_to_string(status).unwrap_or_default();
                !status.contains("TracerPid:\t0\n")
            })
        });
        Self(child)
    }
}

impl Drop for Faults {
    fn drop(&mut self) {
        // Killed, it could leave a thread stopped.
        let id = self.0.id().to_string();
        let _ = Command::new("kill").args(["-TERM", &id]).status();
        let _ = self.0.wait();
    }
}
