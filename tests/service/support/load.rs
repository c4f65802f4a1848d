//! Senders that bring each notification until it is acknowledged, and the judgement of what was kept of it.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokenkeep::jose::StorageKeys;
use tokenkeep::settings::Settings;
use tokenkeep::store::{CardFilter, DatabaseUrl, NotificationFilter, Store};

use super::build::{NUMBER_1, plain, refresh, status};
use super::commands::tokenkeep;
use super::rebuilt::assert_rebuilt;
use super::{Client, START, TestDatabase, keys, wait_until};

const SENDERS: usize = 8;
/// Before a sender comes again.
const PAUSE: Duration = Duration::from_millis(20);

/// What a sender knows of a card's notification.
#[derive(Debug, Default, Clone, Copy)]
pub struct Told {
    pub sent: usize,
    pub acknowledged: usize,
}

/// An answer, or none (0), and how long it took.
#[derive(Debug, Clone, Copy)]
pub struct Answered {
    pub status: u16,
    pub took: Duration,
}

#[derive(Default)]
struct Shared {
    url: Mutex<String>,
    stop: AtomicBool,
    acknowledged: AtomicUsize,
    answers: Mutex<Vec<Answered>>,
}

/// Senders at work.
pub struct Load {
    shared: Arc<Shared>,
    senders: Vec<JoinHandle<HashMap<String, Told>>>,
}

impl Load {
    /// Starts senders that together bring so many notifications a second at most.
    pub fn start(url: &str, rate: u32) -> Self {
        let shared = Arc::new(Shared {
            url: Mutex::new(url.to_owned()),
            ..Shared::default()
        });
        let pace = Duration::from_secs(SENDERS as u64) / rate;
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

    /// Lets the senders end; returns what each card's was told, and all answers.
    pub fn end(mut self) -> (HashMap<String, Told>, Vec<Answered>) {
        self.shared.stop.store(true, Ordering::SeqCst);
        let senders = std::mem::take(&mut self.senders).into_iter();
        let told = senders.flat_map(|sender| sender.join().unwrap()).collect();
        let answers = std::mem::take(&mut *self.shared.answers.lock().unwrap());
        (told, answers)
    }
}

/// They end also where a check fails.
impl Drop for Load {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::SeqCst);
    }
}

impl Shared {
    /// Every fifth is a refresh, every third is sent twice.
    fn send(&self, sender: usize, pace: Duration) -> HashMap<String, Told> {
        let mut told = HashMap::new();
        let (client, begun) = (Client::new(), Instant::now());
        for number in 0_u32.. {
            if self.stop.load(Ordering::SeqCst) {
                break;
            }
            std::thread::sleep((pace * number).saturating_sub(begun.elapsed()));
            let card = format!("card-{sender}-{number}");
            let element = match number % 5 {
                0 => refresh(&card, START, NUMBER_1, ("12", "2031")),
                _ => status(&card, Some(START), "ACTIVE"),
            };
            let body = plain(&[element]).to_string();
            let of_card: &mut Told = told.entry(card).or_default();
            for _ in 0..1 + usize::from(number % 3 == 0) {
                while !self.bring(&client, &body, of_card) && !self.stop.load(Ordering::SeqCst) {
                    std::thread::sleep(PAUSE);
                }
            }
        }
        told
    }

    /// Brings a body once; returns whether it was acknowledged.
    fn bring(&self, client: &Client, body: &str, told: &mut Told) -> bool {
        let url = self.url.lock().unwrap().clone();
        told.sent += 1;
        let asked = Instant::now();
        let status = client
            .try_post(&url, body)
            .map_or(0, |answer| answer.status);
        let took = asked.elapsed();
        self.answers.lock().unwrap().push(Answered { status, took });
        let is_kept = status == 204;
        told.acknowledged += usize::from(is_kept);
        self.acknowledged
            .fetch_add(usize::from(is_kept), Ordering::SeqCst);
        is_kept
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

/// Waits until everything kept is decided, reads the database beside the service, and compares: what was acknowledged
/// is there as often, nothing is there oftener than it was sent, and each notification had its effect once. Returns
/// the figures.
pub fn judge(database: &TestDatabase, told: &HashMap<String, Told>) -> String {
    let storage = Arc::new(StorageKeys::load(&keys()).unwrap());
    let url = DatabaseUrl::parse(&database.url()).unwrap();
    let store = Store::open_current(&url, storage).unwrap();
    wait_until_decided(&store);
    let mut kept: HashMap<String, (usize, usize)> = HashMap::new();
    let all = NotificationFilter {
        limit: i64::MAX,
        ..NotificationFilter::default()
    };
    for item in store.read(|tx| tx.list_notifications(&all)).unwrap() {
        let (kept, applied) = kept.entry(item.card_id.unwrap()).or_default();
        *kept += 1;
        *applied += usize::from(item.verdict == "applied");
    }
    let (mut lost, mut doubled) = (0, 0);
    for (card, told) in told {
        let (kept, applied) = kept.remove(card).unwrap_or_default();
        lost += told.acknowledged.saturating_sub(kept);
        doubled += kept.saturating_sub(told.sent);
        doubled += usize::from(applied != kept.min(1));
    }
    // What is left was never sent.
    doubled += kept.len() + wrong_effects(&store);
    let acknowledged: usize = told.values().map(|told| told.acknowledged).sum();
    let sent: usize = told.values().map(|told| told.sent).sum();
    let figures =
        format!("{sent} sent, {acknowledged} acknowledged, {lost} lost, {doubled} doubled");
    assert_eq!((lost, doubled), (0, 0), "{figures}");
    assert_rebuilt(&store, Settings::defaults().unwrap().policy());
    let audit = tokenkeep(database, &["audit", "verify"]);
    assert_eq!(audit.code, 0, "{}{}", audit.stdout, audit.stderr);
    figures
}

/// However much there is: as long as it becomes less.
fn wait_until_decided(store: &Store) {
    let (mut least, mut progress) = (i64::MAX, Instant::now());
    while least > 0 {
        let waiting = store.read(|tx| tx.count_waiting()).unwrap_or(i64::MAX);
        if waiting < least {
            (least, progress) = (waiting, Instant::now());
        }
        assert!(
            progress.elapsed() < Duration::from_secs(30),
            "{least} wait to be decided"
        );
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Cards whose token changed oftener than once, or with other than one call for a cryptogram of it.
fn wrong_effects(store: &Store) -> usize {
    let all = CardFilter {
        limit: i64::MAX,
        ..CardFilter::default()
    };
    let cards = store.read(|tx| tx.list_cards(&all)).unwrap();
    let is_wrong = |row: &&tokenkeep::store::CardRow| {
        let once = u32::from(row.card.token.is_some());
        let jobs = store.read(|tx| tx.jobs_of_card(&row.card.id)).unwrap();
        (row.card.version, row.card.number_version, jobs.len() as u32) != (once, once, once)
    };
    cards.iter().filter(is_wrong).count()
}
