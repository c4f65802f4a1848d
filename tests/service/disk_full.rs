//! D-08: the disk is full. Notifications are refused and come again, everything else goes on, and once there is
//! room nothing has to be restarted.
//!
//! Seen to fail: without the intake's report to `/readyz` the process stays ready; without the handler of SIGXFSZ
//! the one whose files may grow no more is killed.

use std::fs;
use std::io::Write;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::support::commands::tokenkeep;
use crate::support::marked::{Sender, nothing_is_lost};
use crate::support::serve::Serve;
use crate::support::{Backend, Client, TestDatabase, leaks, slack, wait_until};

/// How soon it is ready once there is room.
const HEALED_WITHIN: Duration = Duration::from_secs(5);

/// A database on a disk of 16 MB, which is no longer there when this is dropped.
struct SmallDisk {
    database: TestDatabase,
    folder: PathBuf,
}

impl SmallDisk {
    /// None where nothing may be mounted. Where `tests/run` found that it may, it must.
    fn new() -> Option<Self> {
        let database = TestDatabase::new(Backend::Sqlite);
        let folder = database.file().parent().unwrap().to_owned();
        let disk = Self { database, folder };
        let is_mounted = disk.mount("size=16m");
        let must = std::env::var_os("TOKENKEEP_TEST_MOUNT").is_some_and(|value| value == "1");
        assert!(is_mounted || !must, "a disk must be mounted here");
        is_mounted.then_some(disk)
    }

    fn mount(&self, options: &str) -> bool {
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", options, "tokenkeep-test"]);
        let done = mount.arg(&self.folder).output();
        done.is_ok_and(|done| done.status.success())
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.folder).output();
    }
}

/// A service whose database runs out of room.
struct Cramped {
    serve: Serve,
    sender: Sender,
    key: String,
}

impl Cramped {
    fn start(database: &TestDatabase, start: impl FnOnce(&TestDatabase) -> Serve) -> Self {
        let arguments = ["api-keys", "create", "--role", "app", "--name", "shop"];
        let key = tokenkeep(database, &arguments).stdout.trim().to_owned();
        leaks::look_for(&key);
        let serve = start(database);
        let mut sender = Sender::new(serve.address(), "one");
        assert_eq!(sender.send().status, 204);
        Self { serve, sender, key }
    }

    fn ask(&self, path: &str) -> crate::support::Answer {
        Client::new().get(&format!("http://{}{path}", self.serve.api), &self.key)
    }

    /// Sends deliveries of 100 kB until one is refused.
    fn send_until_refused(&mut self) {
        let refused = (0..1_000).map(|_| self.sender.send_padded(100_000));
        let refused = refused
            .into_iter()
            .find(|reply| reply.status != 204)
            .unwrap();
        assert_eq!(
            (refused.status, &*refused.code()),
            (503, "storage-unavailable")
        );
        assert_eq!(refused.header("retry-after"), Some("1"));
    }

    /// While there is no room: refused and said so, and all that only reads goes on.
    fn is_refusing(&mut self, why: &str) {
        for _ in 0..20 {
            let reply = self.sender.send_padded(100_000);
            assert_eq!((reply.status, &*reply.code()), (503, "storage-unavailable"));
            let ready = self.ask("/readyz");
            let reason = format!("notifications are refused: the database cannot write now: {why}");
            assert!(
                ready.status == 503 && ready.text.contains(&reason),
                "{ready:?}"
            );
        }
        assert_eq!(self.ask("/livez").status, 200);
        assert_eq!(self.ask("/v1/cards/card-one-0").status, 200);
        assert!(self.serve.is_running());
    }

    /// There is room again: ready without a restart, and nothing is lost.
    fn heals(mut self, database: &TestDatabase, what: &str) {
        let begun = Instant::now();
        wait_until("it is ready again", || self.ask("/readyz").status == 200);
        assert_eq!(self.sender.send_padded(100_000).status, 204);
        let healed = begun.elapsed();
        let acknowledged = nothing_is_lost(database, self.serve, &[self.sender]);
        println!(
            "D-08 {what}: 503 while full, reads answered, ready again after {} ms, 0 of {acknowledged} lost",
            healed.as_millis()
        );
        assert!(healed < HEALED_WITHIN + slack(), "{healed:?}");
    }
}

#[test]
fn d08_a_disk_that_traffic_fills_means_503_until_there_is_room() {
    let Some(disk) = SmallDisk::new() else {
        println!("D-08 filled by traffic SKIPPED: nothing may be mounted");
        return;
    };
    let mut cramped = Cramped::start(&disk.database, Serve::start);
    cramped.send_until_refused();
    cramped.is_refusing("database or disk is full");
    assert!(disk.mount("remount,size=64m"));
    cramped.heals(&disk.database, "filled by traffic");
}

#[test]
fn d08_a_disk_that_a_foreign_file_fills_means_503_until_it_is_gone() {
    let Some(disk) = SmallDisk::new() else {
        println!("D-08 filled by a foreign file SKIPPED: nothing may be mounted");
        return;
    };
    let mut cramped = Cramped::start(&disk.database, Serve::start);
    let foreign = disk.folder.join("foreign");
    let mut file = fs::File::create(&foreign).unwrap();
    while file.write_all(&[0; 4096]).is_ok() {}
    drop(file);
    cramped.send_until_refused();
    cramped.is_refusing("database or disk is full");
    fs::remove_file(foreign).unwrap();
    cramped.heals(&disk.database, "filled by a foreign file");
}

#[test]
fn d08_a_process_whose_files_may_grow_no_more_refuses_and_is_not_killed() {
    let database = TestDatabase::new(Backend::Sqlite);
    // Of 512 bytes: 4 MB.
    let limited = |database: &TestDatabase| Serve::start_within(database, "-S -f 8192");
    let mut cramped = Cramped::start(&database, limited);
    cramped.send_until_refused();
    cramped.is_refusing("disk I/O error");
    let process = cramped.serve.id().to_string();
    let lifted = Command::new("prlimit")
        .args(["--fsize=unlimited", "--pid", &process])
        .status();
    assert!(lifted.unwrap().success());
    cramped.heals(&database, "files at their limit");
}
