//! D-07: the disk answers with errors. Nothing is acknowledged that is not kept, and nothing has to be restarted.
//!
//! `strace` makes the N-th call of a kind fail, once or from then on, in the running service and only on the
//! database's files. Seen to fail: without the intake's report to `/readyz` the process stays ready while it refuses
//! everything.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::support::marked::{Sender, nothing_is_lost};
use crate::support::serve::Serve;
use crate::support::strace::{Faults, can_trace};
use crate::support::{Backend, Client, TestDatabase, is_full, slack, wait_until};

/// What fails, and how.
const KINDS: [&str; 6] = [
    "fsync,fdatasync:error=EIO",
    "pwrite64:error=EIO",
    "pwrite64:error=ENOSPC",
    "pread64:error=EIO",
    "openat:error=EIO",
    "mmap:error=ENOMEM",
];
/// Every commit syncs and writes: from these nothing gets through that should not.
const OF_EACH_COMMIT: usize = 3;
/// How soon it is ready once the disk is well again.
const HEALED_WITHIN: Duration = Duration::from_secs(5);

/// How the errors were met.
#[derive(Default)]
struct Sweep {
    rounds: usize,
    refused: usize,
    slowest: Duration,
}

impl Sweep {
    /// One fault: it begins, deliveries come, it ends, and the service is well again.
    fn round(
        &mut self,
        serve: &Serve,
        files: &[&Path],
        sender: &mut Sender,
        (kind, nth): (usize, &str),
    ) {
        let ready = || Client::new().get(&format!("http://{}/readyz", serve.api), "");
        let faults = Faults::begin(serve.id(), files, &format!("{}:when={nth}", KINDS[kind]));
        let is_lasting = nth.ends_with('+');
        let first: usize = nth.trim_end_matches('+').parse().unwrap();
        let mut refused = 0;
        // The first that is refused shows a fault of a commit; the others may pass unnoticed.
        for _ in 0..if kind < OF_EACH_COMMIT { first + 3 } else { 3 } {
            let reply = sender.send();
            match reply.status {
                204 => {}
                503 => {
                    assert_eq!(reply.code(), "storage-unavailable");
                    assert_eq!(reply.header("retry-after"), Some("1"));
                    refused += 1;
                    if is_lasting {
                        let ready = ready();
                        assert!(
                            ready.status == 503 && ready.text.contains("notifications are refused")
                        );
                    }
                    break;
                }
                other => panic!("{}:when={nth}: {other}", KINDS[kind]),
            }
        }
        let must_refuse = kind < OF_EACH_COMMIT && is_lasting;
        assert!(
            refused > 0 || !must_refuse,
            "{}:when={nth}: all was acknowledged",
            KINDS[kind]
        );
        drop(faults);
        let healed = Instant::now();
        wait_until("it is ready again", || ready().status == 200);
        assert_eq!(sender.send().status, 204, "{}:when={nth}", KINDS[kind]);
        self.slowest = self.slowest.max(healed.elapsed());
        self.refused += refused;
        self.rounds += 1;
    }
}

#[test]
fn d07_whatever_call_on_the_database_fails_nothing_is_lost_and_it_heals_by_itself() {
    if !can_trace() {
        println!("D-07 SKIPPED: no strace that may trace");
        return;
    }
    let nths = if is_full() { 1..=300 } else { 1..=12 };
    let database = TestDatabase::new(Backend::Sqlite);
    let mut serve = Serve::start(&database);
    let mut sender = Sender::new(serve.address(), "one");
    assert_eq!(sender.send().status, 204);
    let file = database.file().into_os_string().into_string().unwrap();
    let files = ["", "-wal", "-shm"].map(|end| PathBuf::from(format!("{file}{end}")));
    let files = files.each_ref().map(PathBuf::as_path);
    let mut sweep = Sweep::default();
    for nth in nths {
        let kind = nth % KINDS.len();
        sweep.round(&serve, &files, &mut sender, (kind, &format!("{nth}")));
        sweep.round(&serve, &files, &mut sender, (kind, &format!("{nth}+")));
        assert!(serve.is_running());
    }
    // What could not be read was set aside; a start looks at it again.
    serve.terminate();
    let serve = Serve::start(&database);
    let acknowledged = nothing_is_lost(&database, serve, &[sender]);
    println!(
        "D-07 {} of {0} faults survived: {} deliveries refused, 0 of {acknowledged} acknowledged lost, ready \
         again within {} ms",
        sweep.rounds,
        sweep.refused,
        sweep.slowest.as_millis()
    );
    assert!(
        sweep.slowest < HEALED_WITHIN + slack(),
        "{:?}",
        sweep.slowest
    );
}
