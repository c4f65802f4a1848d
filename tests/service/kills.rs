//! Killed under load: whatever got 204 is in the store after the restart, and applied once.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rstest::rstest;
use tokenkeep::jose::StorageKeys;
use tokenkeep::settings::Settings;
use tokenkeep::store::{CardFilter, DatabaseUrl, NotificationFilter, Store};

use crate::support::build::{NUMBER_1, plain, refresh, status};
use crate::support::rebuilt::assert_rebuilt;
use crate::support::serve::Serve;
use crate::support::{Backend, Client, START, TestDatabase, keys, wait_until};

const KILLS: usize = 20;
const SENDERS: usize = 8;

/// Sends notifications of cards of its own until told to stop; returns how often each card's
/// notification was acknowledged. Every fifth is a refresh, some are sent twice.
fn send(
    sender: usize,
    url: &Mutex<String>,
    stop: &AtomicBool,
    acknowledged: &AtomicUsize,
) -> HashMap<String, usize> {
    let client = Client::new();
    let mut acks = HashMap::new();
    for number in 0.. {
        if stop.load(Ordering::SeqCst) {
            break;
        }
        let card = format!("card-{sender}-{number}");
        let element = match number % 5 {
            0 => refresh(&card, START, NUMBER_1, ("12", "2031")),
            _ => status(&card, Some(START), "ACTIVE"),
        };
        let body = plain(&[element]).to_string();
        for _ in 0..1 + usize::from(number % 3 == 0) {
            let url = url.lock().unwrap().clone();
            match client.try_post(&url, &body) {
                Ok(answer) if answer.status == 204 => {
                    acknowledged.fetch_add(1, Ordering::SeqCst);
                    *acks.entry(card.clone()).or_default() += 1;
                }
                // Not acknowledged: it may be there or not.
                Ok(_) | Err(_) => std::thread::sleep(Duration::from_millis(5)),
            }
        }
    }
    acks
}

#[rstest]
fn d01_d02_twenty_kills_under_load_lose_nothing_and_apply_nothing_twice(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let database = TestDatabase::new(backend);
    let mut serve = Serve::start(&database);
    let url = Arc::new(Mutex::new(serve.url.clone()));
    let stop = Arc::new(AtomicBool::new(false));
    let acknowledged = Arc::new(AtomicUsize::new(0));
    let senders: Vec<_> = (0..SENDERS)
        .map(|sender| {
            let (url, stop, count) = (url.clone(), stop.clone(), acknowledged.clone());
            std::thread::spawn(move || send(sender, &url, &stop, &count))
        })
        .collect();
    for kill in 0..KILLS {
        // The kill falls at another moment each time, always with answers under way.
        let enough = acknowledged.load(Ordering::SeqCst) + 10 + kill * 13 % 90;
        wait_until("answers come", || {
            acknowledged.load(Ordering::SeqCst) >= enough
        });
        serve.kill();
        serve = Serve::start(&database);
        url.lock().unwrap().clone_from(&serve.url);
    }
    stop.store(true, Ordering::SeqCst);
    let mut acks = HashMap::new();
    for sender in senders {
        acks.extend(sender.join().unwrap());
    }

    let keys = Arc::new(StorageKeys::load(&keys()).unwrap());
    let store = Store::open(&DatabaseUrl::parse(&database.url()).unwrap(), keys).unwrap();
    wait_until("everything kept is decided", || {
        store
            .read(|tx| tx.count_waiting())
            .is_ok_and(|waiting| waiting == 0)
    });
    serve.kill();
    judge(&store, &acks);
}

/// Reads the store and compares it with what was acknowledged.
fn judge(store: &Store, acks: &HashMap<String, usize>) {
    let all = NotificationFilter {
        limit: i64::MAX,
        ..NotificationFilter::default()
    };
    let mut items: HashMap<String, (usize, usize)> = HashMap::new();
    for item in store.read(|tx| tx.list_notifications(&all)).unwrap() {
        let (kept, applied) = items.entry(item.card_id.unwrap()).or_default();
        *kept += 1;
        *applied += usize::from(item.verdict == "applied");
    }
    for (card, acknowledged) in acks {
        let (kept, _) = items.get(card).copied().unwrap_or_default();
        assert!(
            kept >= *acknowledged,
            "{card}: {acknowledged} acknowledged, {kept} kept"
        );
    }
    for (card, (_, applied)) in &items {
        assert_eq!(*applied, 1, "{card}");
    }
    let filter = CardFilter {
        limit: i64::MAX,
        ..CardFilter::default()
    };
    let cards = store.read(|tx| tx.list_cards(&filter)).unwrap();
    assert_eq!(cards.len(), items.len());
    for row in &cards {
        let expected = u32::from(row.card.token.is_some());
        assert_eq!(
            (row.card.version, row.card.number_version),
            (expected, expected)
        );
        let jobs = store.read(|tx| tx.jobs_of_card(&row.card.id)).unwrap();
        assert_eq!(jobs.len() as u32, expected, "{}", row.card.id);
    }
    assert_rebuilt(store, Settings::defaults().unwrap().policy());
    println!(
        "{} acknowledged, {} cards, {KILLS} kills",
        acks.values().sum::<usize>(),
        cards.len()
    );
}
