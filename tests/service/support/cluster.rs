//! A PostgreSQL of a test's own, which may be stopped and started as it likes.

use std::fs;
use std::os::unix::fs::{MetadataExt, chown};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::TestDatabase;

pub struct Cluster {
    folder: TempDir,
    programs: PathBuf,
    owner: (u32, u32),
}

/// The data of the server that `tests/run` started.
fn shared() -> PathBuf {
    let shared = std::env::var("TOKENKEEP_TEST_CLUSTER");
    PathBuf::from(shared.expect("this test needs PostgreSQL: run it with tests/run"))
}

/// Where that server's programs are.
pub fn programs() -> PathBuf {
    let process = fs::read_to_string(shared().join("postmaster.pid")).unwrap();
    let program = format!("/proc/{}/exe", process.lines().next().unwrap());
    let program = fs::read_link(program).unwrap();
    program.parent().unwrap().to_owned()
}

impl Cluster {
    /// Like the one that `tests/run` started: the same programs, the same user.
    pub fn start() -> Self {
        let owner = fs::metadata(shared()).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let owner = (owner.uid(), owner.gid());
        chown(folder.path(), Some(owner.0), Some(owner.1)).unwrap();
        let it = Self {
            folder,
            programs: programs(),
            owner,
        };
        it.run(
            "initdb",
            &["-U", "tokenkeep", "-A", "trust", "-E", "UTF8", "--no-sync"],
        );
        it.begin();
        it
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    fn command(&self, program: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(self.programs.join(program));
        command.arg("-D").arg(self.data()).args(arguments);
        command.env("LC_ALL", "C").current_dir("/");
        // PostgreSQL refuses to run as root.
        if fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0) {
            command.uid(self.owner.0).gid(self.owner.1);
        }
        command.stdin(Stdio::null()).stdout(Stdio::null());
        command
    }

    fn run(&self, program: &str, arguments: &[&str]) {
        let status = self.command(program, arguments).status();
        assert!(status.unwrap().success(), "{program} {arguments:?}");
    }

    /// Starts the server; returns once it answers.
    pub fn begin(&self) {
        let folder = self.folder.path().display();
        let options = format!("-c listen_addresses='' -c unix_socket_directories='{folder}'");
        let log = self.folder.path().join("log");
        let log = log.to_str().unwrap();
        self.run("pg_ctl", &["-w", "-s", "-l", log, "-o", &options, "start"]);
    }

    /// Ends the server as a crash would.
    pub fn end(&self) {
        self.run("pg_ctl", &["-w", "-s", "-m", "immediate", "stop"]);
    }

    /// Both, one after the other; returns how long nobody was answered.
    pub fn restart(&self) -> Duration {
        let begun = Instant::now();
        self.end();
        self.begin();
        begun.elapsed()
    }

    /// What it has told so far.
    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap()
    }

    /// A new database in it.
    pub fn database(&self) -> TestDatabase {
        let folder = self.folder.path().display();
        TestDatabase::on(format!("postgres://tokenkeep@/postgres?host={folder}"))
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        let mut stop = self.command("pg_ctl", &["-m", "immediate", "stop"]);
        let _ = stop.stderr(Stdio::null()).status();
    }
}
