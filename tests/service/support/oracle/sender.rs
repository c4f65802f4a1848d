//! Senders that bring each notification until it is acknowledged, and what they wrote down of it.

use std::collections::HashMap;
use std::fs::File;
use std::io::Write;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tempfile::TempDir;
use tokenkeep::sandbox::Sandbox;

use super::notifications::{BLOCK, Notification};
use crate::support::{Client, wait_until};

const SENDERS: usize = 8;
/// Before a sender comes again.
const PAUSE: Duration = Duration::from_millis(20);

/// The other sides at which the cards of the notifications are to be known.
pub type Sandboxes = Arc<[Sandbox]>;

/// An answer, or none (0), and how long it took.
#[derive(Debug, Clone, Copy)]
pub struct Answered {
    pub status: u16,
    pub took: Duration,
}

/// What senders wrote down, in files of their own: `SENT mark` before, `ACK mark status` after the whole answer, each
/// line synced. They are threads of the test and no process: what is killed is the service, never the test.
#[derive(Default)]
pub struct Told(Vec<TempDir>);

impl Told {
    /// Together with what others wrote down.
    pub fn and(mut self, other: Self) -> Self {
        self.0.extend(other.0);
        self
    }

    /// The mark of each delivery that was sent, and whether it was acknowledged.
    pub fn read(&self) -> HashMap<String, bool> {
        let mut told = HashMap::new();
        let folders = self.0.iter().map(|folder| folder.path());
        for file in folders.flat_map(|folder| std::fs::read_dir(folder).unwrap()) {
            for line in std::fs::read_to_string(file.unwrap().path())
                .unwrap()
                .lines()
            {
                match *Vec::from_iter(line.split(' ')) {
                    ["SENT", mark] => assert!(told.insert(mark.to_owned(), false).is_none()),
                    ["ACK", mark, "204"] => *told.get_mut(mark).unwrap() = true,
                    ["ACK", ..] => {}
                    _ => panic!("{line}"),
                }
            }
        }
        told
    }
}

/// The number of the notification that a mark stands for.
pub fn number_of(mark: &str) -> usize {
    mark.rsplit('-').next().unwrap().parse().unwrap()
}

struct Shared {
    /// What the marks of these senders begin with.
    name: String,
    url: Mutex<String>,
    sandboxes: Sandboxes,
    /// None: one number after the other, three of ten twice.
    numbers: Option<Vec<usize>>,
    next: AtomicUsize,
    /// No block is begun any more.
    stop: AtomicBool,
    /// A check has failed: nobody waits for what is under way.
    is_abandoned: AtomicBool,
    acknowledged: AtomicUsize,
    answers: Mutex<Vec<Answered>>,
    folder: TempDir,
}

/// Senders at work.
pub struct Load {
    shared: Arc<Shared>,
    senders: Vec<JoinHandle<()>>,
}

impl Load {
    /// Starts senders that together bring so many notifications a second at most, without end.
    pub fn start(url: &str, rate: u32) -> Self {
        Self::start_with(&Sandboxes::from([]), url, rate)
    }

    /// The same with cards that can be asked for.
    pub fn start_with(sandboxes: &Sandboxes, url: &str, rate: u32) -> Self {
        Self::begin(
            sandboxes,
            url,
            Duration::from_secs(SENDERS as u64) / rate,
            None,
        )
    }

    /// Starts senders that bring these, in this order, as fast as they can.
    pub fn bring(sandboxes: &Sandboxes, url: &str, numbers: Vec<usize>) -> Self {
        Self::begin(sandboxes, url, Duration::ZERO, Some(numbers))
    }

    fn begin(
        sandboxes: &Sandboxes,
        url: &str,
        pace: Duration,
        numbers: Option<Vec<usize>>,
    ) -> Self {
        static LOADS: AtomicUsize = AtomicUsize::new(0);
        let shared = Arc::new(Shared {
            name: LOADS.fetch_add(1, Ordering::SeqCst).to_string(),
            url: Mutex::new(url.to_owned()),
            sandboxes: sandboxes.clone(),
            numbers,
            next: AtomicUsize::new(0),
            stop: AtomicBool::new(false),
            is_abandoned: AtomicBool::new(false),
            acknowledged: AtomicUsize::new(0),
            answers: Mutex::default(),
            folder: tempfile::tempdir().unwrap(),
        });
        let sender = |number: usize| {
            let shared = shared.clone();
            std::thread::spawn(move || shared.send(number, pace))
        };
        Self {
            senders: (0..SENDERS).map(sender).collect(),
            shared,
        }
    }

    /// The service listens elsewhere now.
    pub fn go_to(&self, url: &str) {
        url.clone_into(&mut self.shared.url.lock().unwrap());
    }

    pub fn acknowledged(&self) -> usize {
        self.shared.acknowledged.load(Ordering::SeqCst)
    }

    /// Waits until so many more are acknowledged.
    pub fn wait_for(&self, more: usize) {
        let enough = self.acknowledged() + more;
        wait_until("answers come", || self.acknowledged() >= enough);
    }

    /// Waits until everything that was to be brought is acknowledged, as long as more and more is.
    pub fn wait_until_over(&self) {
        let is_over = || self.senders.iter().all(JoinHandle::is_finished);
        while !is_over() {
            let before = self.acknowledged();
            wait_until("answers come", || is_over() || self.acknowledged() > before);
        }
    }

    /// Lets the senders end once what they have begun is acknowledged; returns what they wrote down, and all answers.
    pub fn end(mut self) -> (Told, Vec<Answered>) {
        self.shared.stop.store(true, Ordering::SeqCst);
        let senders = std::mem::take(&mut self.senders).into_iter();
        senders.for_each(|sender| sender.join().unwrap());
        let answers = std::mem::take(&mut *self.shared.answers.lock().unwrap());
        let shared = self.shared.clone();
        drop(self);
        let shared = Arc::into_inner(shared).unwrap();
        (Told(vec![shared.folder]), answers)
    }
}

/// They end also where a check fails.
impl Drop for Load {
    fn drop(&mut self) {
        self.shared.is_abandoned.store(true, Ordering::SeqCst);
    }
}

impl Shared {
    fn is_abandoned(&self) -> bool {
        self.is_abandoned.load(Ordering::SeqCst)
    }

    /// The number of a notification, and how often to send it; none when all are taken.
    fn take(&self) -> Option<(usize, usize)> {
        // A block is told whole: the other side knows the last number of its cards from the beginning.
        let is_last =
            |next: usize| self.stop.load(Ordering::SeqCst) && next.is_multiple_of(BLOCK.len());
        let after = |next| (!is_last(next)).then_some(next + 1);
        let order = Ordering::SeqCst;
        let next = self.next.fetch_update(order, order, after).ok()?;
        match &self.numbers {
            Some(numbers) => numbers.get(next).map(|number| (*number, 1)),
            None => Some((next, 1 + usize::from(next % 10 < 3))),
        }
    }

    fn send(&self, sender: usize, pace: Duration) {
        let name = format!("{}-{sender}", self.name);
        let mut log = File::create(self.folder.path().join(&name)).unwrap();
        let mut write_down = |line: String| {
            log.write_all(line.as_bytes()).unwrap();
            log.sync_data().unwrap();
        };
        let (client, begun) = (Client::new(), Instant::now());
        let (mut taken, mut sent) = (0, 0);
        while let Some((number, copies)) = self.take().filter(|_| !self.is_abandoned()) {
            std::thread::sleep((pace * taken).saturating_sub(begun.elapsed()));
            taken += 1;
            let notification = Notification::numbered(number);
            if notification.item.refresh.is_some() {
                let sandboxes = self.sandboxes.iter();
                sandboxes.for_each(|sandbox| notification.make_card_at(sandbox));
            }
            for _ in 0..copies {
                loop {
                    let mark = format!("{name}-{sent}-{number}");
                    sent += 1;
                    write_down(format!("SENT {mark}\n"));
                    let status = self.bring_once(&client, &notification, &mark);
                    if let Some(status) = status {
                        write_down(format!("ACK {mark} {status}\n"));
                    }
                    if status == Some(204) || self.is_abandoned() {
                        break;
                    }
                    std::thread::sleep(PAUSE);
                }
            }
        }
    }

    /// Brings a notification once; returns what was answered, if anything.
    fn bring_once(&self, client: &Client, notification: &Notification, mark: &str) -> Option<u16> {
        let (url, body) = (self.url.lock().unwrap().clone(), notification.body());
        let asked = Instant::now();
        let answer = client.try_post_marked(&url, &body, mark);
        let status = answer.ok().map(|answer| answer.status);
        let answered = Answered {
            status: status.unwrap_or_default(),
            took: asked.elapsed(),
        };
        self.answers.lock().unwrap().push(answered);
        let is_kept = status == Some(204);
        self.acknowledged
            .fetch_add(usize::from(is_kept), Ordering::SeqCst);
        status
    }
}

/// The slowest of these answers.
pub fn slowest(answers: &[Answered], status: u16) -> Duration {
    let of_status = answers.iter().filter(|answered| answered.status == status);
    of_status
        .map(|answered| answered.took)
        .max()
        .unwrap_or_default()
}
