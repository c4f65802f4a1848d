//! P-18: two processes write the audit and are killed again and again: no chain breaks, and no act that
//! was answered is missing.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use rstest::rstest;
use tokenkeep::api::access::{AccessRole, digest, new_key};
use tokenkeep::store::ApiKey;

use crate::support::audit::{records, store};
use crate::support::serve::Serve;
use crate::support::{Backend, Client, START, SetOnDrop, TestDatabase, is_full, wait_until};

const SENDERS: usize = 4;

/// How often each process is killed, and how many cards are registered from one kill to the next at
/// least: more in the full run, 10,000 in all.
fn kills() -> (usize, usize) {
    if is_full() { (20, 250) } else { (4, 5) }
}

/// Registers cards until told to stop; returns those that were answered.
fn register(
    sender: usize,
    key: &str,
    api: &Mutex<SocketAddr>,
    stop: &AtomicBool,
    answered: &AtomicUsize,
) -> Vec<String> {
    let client = Client::new();
    let mut done = Vec::new();
    for number in 0.. {
        if stop.load(Ordering::SeqCst) {
            break;
        }
        let card = format!("card-{sender}-{number}");
        let address = *api.lock().unwrap();
        let url = format!("http://{address}/v1/cards/{card}");
        match client.try_put(&url, key, r#"{"program":"shop"}"#) {
            Ok(answer) if answer.status == 201 => {
                answered.fetch_add(1, Ordering::SeqCst);
                done.push(card);
            }
            // Not answered: it may be done or not.
            Ok(_) | Err(_) => std::thread::sleep(Duration::from_millis(5)),
        }
    }
    done
}

#[rstest]
fn p18_kills_of_two_processes_break_no_chain_and_lose_no_record(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let database = TestDatabase::new(backend);
    let key = new_key(AccessRole::App).unwrap();
    let kept = ApiKey {
        name: "app".to_owned(),
        role: "app".to_owned(),
        digest: digest(&key),
        created_at: START,
        revoked_at: None,
    };
    store(&database)
        .write(|tx| tx.insert_api_key(&kept))
        .unwrap();
    let (kills, between) = kills();
    let mut processes = [Serve::start(&database), Serve::start(&database)];
    let addresses = processes.each_ref().map(|serve| Mutex::new(serve.api));
    let stop = AtomicBool::new(false);
    let answered = AtomicUsize::new(0);
    let done: Vec<String> = std::thread::scope(|threads| {
        let ends = SetOnDrop(&stop);
        let (key, stop, answered, addresses) = (&key, &stop, &answered, &addresses);
        let senders: Vec<_> = (0..SENDERS)
            .map(|sender| {
                let api = &addresses[sender % 2];
                threads.spawn(move || register(sender, key, api, stop, answered))
            })
            .collect();
        for kill in 0..kills * 2 {
            let enough = answered.load(Ordering::SeqCst) + between + kill * 7 % 30;
            wait_until("cards are registered", || {
                answered.load(Ordering::SeqCst) >= enough
            });
            let process = &mut processes[kill % 2];
            process.kill();
            *process = Serve::start(&database);
            *addresses[kill % 2].lock().unwrap() = process.api;
        }
        drop(ends);
        senders
            .into_iter()
            .flat_map(|sender| sender.join().unwrap())
            .collect()
    });
    processes.iter_mut().for_each(Serve::kill);

    let judge = store(&database);
    let verified = judge.snapshot(|tx| tx.verify_audit(&[])).unwrap();
    assert!(verified.faults.is_empty(), "{:?}", verified.faults);
    let recorded = records(&judge);
    let registered = recorded
        .iter()
        .filter(|record| record.act == "card.register");
    let registered: BTreeSet<&str> = registered.map(|record| &*record.object).collect();
    let missing = done
        .iter()
        .filter(|card| !registered.contains(&***card))
        .count();
    assert_eq!(missing, 0);
    assert!(done.len() >= kills * 2 * between);
    let cards = crate::support::sql::sql(&database).count("cards");
    assert_eq!(registered.len(), cards, "as many acts as were done");
    println!(
        "P-18 {} kills, {} records in {} chains, {} acts answered, 0 missing",
        kills * 2,
        verified.records,
        verified.chains,
        done.len()
    );
}
