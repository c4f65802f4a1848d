//! P-02: a cryptogram has one reader, however many ask at the same time and whatever happens to it.

use std::collections::HashSet;
use std::sync::Mutex;

use rstest::rstest;
use serde_json::{Value, json};
use tokenkeep::commands::Service;
use tokenkeep::sandbox::{CardStatus, Operation, Refresh};

use crate::support::Backend;
use crate::support::calls::{HOUR, MINUTE, Shop, clock_of};
use crate::support::raw::{Reply, exchange};

const CARD: &str = "9ajNArkAR66zqYyHCn0rCA000000000000US";
const CALLERS: usize = 100;

fn single() -> Value {
    json!({ "use": "single" })
}

/// What a hundred callers at once are answered.
fn all_at_once(ask: impl Fn(usize) -> Reply + Sync) -> Vec<Reply> {
    let replies = Mutex::new(Vec::new());
    std::thread::scope(|threads| {
        for caller in 0..CALLERS {
            let (ask, replies) = (&ask, &replies);
            threads.spawn(move || {
                let reply = ask(caller);
                replies.lock().unwrap().push(reply);
            });
        }
    });
    replies.into_inner().unwrap()
}

/// Each got a cryptogram of its own, or a clear answer; returns how many got one.
fn assert_each_its_own(shop: &Shop, kept: &str, replies: &[Reply]) -> usize {
    let issued: HashSet<String> = (shop.sandbox.issued(CARD).iter())
        .map(|issued| issued.cryptogram.expose().to_owned())
        .collect();
    let mut given = HashSet::new();
    for reply in replies {
        match reply.status {
            200 => {
                let value = reply.json()["cryptogram"].as_str().unwrap().to_owned();
                assert!(issued.contains(&value), "nobody made it");
                assert!(given.insert(value), "handed out twice");
            }
            503 => {
                assert_eq!(reply.code(), "no-cryptogram");
                assert!(reply.header("retry-after").is_some());
            }
            status => panic!("{status}: {}", reply.body),
        }
    }
    assert!(given.contains(kept), "somebody gets what was kept");
    assert!(!shop.assert_pair(CARD), "nothing is kept any more");
    given.len()
}

#[rstest]
fn p02_one_of_a_hundred_callers_gets_the_kept_cryptogram_and_each_other_its_own(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let shop = Shop::open(backend);
    shop.card_with_cryptogram(CARD);
    let kept = shop.cryptogram(CARD).unwrap().value;

    let replies = all_at_once(|_| shop.credentials(CARD, &single()));

    let given = assert_each_its_own(&shop, kept.expose(), &replies);
    let calls = shop.calls(Operation::Checkout, CARD);
    assert!(given > 1 && calls >= given, "{given} of {calls} calls");
    println!("P-02 on {backend:?}: {CALLERS} callers, {given} cryptograms, 0 twice, {calls} calls");
}

/// Two processes on one database.
#[rstest]
fn p02_callers_of_two_processes_never_get_the_same(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let shop = Shop::open(backend);
    shop.card_with_cryptogram(CARD);
    let kept = shop.cryptogram(CARD).unwrap().value;
    let second = Service::start(&shop.app.settings, clock_of(&shop.app.clock)).unwrap();

    let replies = all_at_once(|caller| match caller % 2 {
        0 => shop.credentials(CARD, &single()),
        _ => exchange(second.api, shop.credentials_request(CARD, &single())).unwrap(),
    });

    let given = assert_each_its_own(&shop, kept.expose(), &replies);
    second.stop().unwrap();
    println!("P-02 on {backend:?}, two processes: {given} cryptograms, 0 twice");
}

/// Each of these destroys what is kept: who comes after it never gets it.
#[rstest]
fn p02_what_was_read_ran_out_or_was_destroyed_is_never_handed_out(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let ends = [
        ("read", 200),
        ("run out", 200),
        ("refreshed", 200),
        ("suspended", 409),
        ("cancelled", 410),
        ("deleted", 410),
    ];
    for (end, status) in ends {
        let shop = Shop::open(backend);
        shop.card_with_cryptogram(CARD);
        let kept = shop.cryptogram(CARD).unwrap().value;
        bring_about(&shop, end);
        for _ in 0..2 {
            let reply = shop.credentials(CARD, &single());
            assert_eq!(reply.status, status, "{end}: {}", reply.body);
            assert!(!reply.body.contains(kept.expose()), "{end}");
        }
    }
    println!(
        "P-02 on {backend:?}: {} ends of a cryptogram, each asked twice after it: 0 readers",
        ends.len()
    );
}

fn bring_about(shop: &Shop, end: &str) {
    let minute_later = |change: &dyn Fn() -> Value| {
        shop.advance(MINUTE);
        shop.app.deliver(&change());
    };
    let status = |status| shop.sandbox.set_status(CARD, status).unwrap();
    match end {
        "read" => assert_eq!(shop.credentials(CARD, &single()).status, 200),
        "run out" => shop.advance(24 * HOUR),
        "refreshed" => minute_later(&|| shop.sandbox.refresh(CARD, Refresh::Number).unwrap()),
        "suspended" => minute_later(&|| status(CardStatus::Suspended)),
        "cancelled" => minute_later(&|| status(CardStatus::Cancelled)),
        _ => assert_eq!(shop.delete(CARD).status, 202),
    }
}
