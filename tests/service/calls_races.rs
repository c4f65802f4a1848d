//! P-03, O-09, O-10: something happens to a card while an answer for it is under way. No cryptogram is
//! ever kept beside another number than its own, or for a card that may not be charged.

use std::time::Duration;

use rstest::rstest;
use serde_json::{Value, json};
use tokenkeep::domain::{CardId, Job, JobKind};
use tokenkeep::sandbox::{CardStatus, Operation, Refresh};

use crate::support::calls::{HOUR, MINUTE, Shop};
use crate::support::{Backend, wait_until};

const ROUNDS: usize = 25;
const CARDS: usize = 40;

/// What overtakes an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Event {
    /// Of which the other side does not know when it answers.
    Refresh,
    /// Of which the other side knows when it answers: the answer brings the new number.
    RefreshKnownThere,
    Suspension,
    Cancellation,
    /// By the merchant.
    Deletion,
}

const EVENTS: [Event; 5] = [
    Event::Refresh,
    Event::RefreshKnownThere,
    Event::Suspension,
    Event::Cancellation,
    Event::Deletion,
];

/// What the races of a run came to.
#[derive(Debug, Default)]
struct Tally {
    races: usize,
    /// Calls whose answer came too late.
    destroyed: usize,
    /// Calls whose answer was kept first.
    kept: usize,
    cryptograms: usize,
}

struct Round<'a> {
    shop: &'a Shop,
    number: usize,
}

impl Round<'_> {
    fn cards(&self) -> impl Iterator<Item = (String, Event)> {
        let round = self.number;
        (0..CARDS).map(move |card| (format!("card-{round}-{card}"), EVENTS[card % EVENTS.len()]))
    }

    fn run(&self, tally: &mut Tally) {
        let shop = self.shop;
        shop.sandbox.hold(Operation::Checkout);
        let (first, mut second) = self.first_refreshes();
        shop.app.deliver(&Shop::together(&first));
        wait_until("all answers are made", || {
            self.cards()
                .all(|(card, _)| shop.sandbox.issued(&card).len() == 1)
        });

        second.extend(self.changes_there());
        // Sometimes everything is decided before the answers come, mostly they meet.
        let lead = Duration::from_millis(15 * (self.number as u64 % 8));
        std::thread::scope(|threads| {
            threads.spawn(move || {
                std::thread::sleep(lead);
                shop.sandbox.release();
            });
            let half = second.len() / 2;
            shop.app.notify(&Shop::together(&second[..half]));
            self.delete();
            shop.app.notify(&Shop::together(&second[half..]));
        });
        shop.settle();
        for (card, event) in self.cards() {
            self.judge(&card, event, tally);
        }
    }

    /// The notifications that make a cryptogram due, a minute old; and those of changes that the other
    /// side knows of already.
    fn first_refreshes(&self) -> (Vec<Value>, Vec<Value>) {
        let shop = self.shop;
        let (mut first, mut second) = (Vec::new(), Vec::new());
        for (card, _) in self.cards() {
            shop.new_card(&card);
            first.push(shop.sandbox.refresh(&card, Refresh::Nothing).unwrap());
        }
        shop.advance(MINUTE);
        for (card, event) in self.cards() {
            if event == Event::RefreshKnownThere {
                let change = Refresh::NumberAndExpiry;
                second.push(shop.sandbox.refresh(&card, change).unwrap());
            }
        }
        (first, second)
    }

    /// Happens at the other side while its answers wait.
    fn changes_there(&self) -> Vec<Value> {
        let sandbox = &self.shop.sandbox;
        let change = |(card, event): (String, Event)| {
            let changed = match event {
                Event::Refresh => sandbox.refresh(&card, Refresh::Number),
                Event::Suspension => sandbox.set_status(&card, CardStatus::Suspended),
                Event::Cancellation => sandbox.set_status(&card, CardStatus::Cancelled),
                Event::RefreshKnownThere | Event::Deletion => return None,
            };
            Some(changed.unwrap())
        };
        self.cards().filter_map(change).collect()
    }

    fn delete(&self) {
        for (card, event) in self.cards() {
            if event == Event::Deletion {
                let reply = self.shop.delete(&card);
                assert_eq!(reply.status, 202, "{}", reply.body);
            }
        }
    }

    fn judge(&self, card: &str, event: Event, tally: &mut Tally) {
        let shop = self.shop;
        let is_kept = shop.assert_pair(card);
        let checkouts = shop.calls(Operation::Checkout, card);
        let row = shop.app.card(card).unwrap().card;
        let told = format!("{card} {event:?} {:?}", shop.app.jobs(card));
        match event {
            Event::Refresh | Event::RefreshKnownThere => {
                assert!(is_kept, "{told}");
                assert_eq!(row.number_version, 2, "{told}");
                let there = shop.sandbox.card(card).unwrap();
                assert!(row.token.unwrap().number == there.number, "{told}");
                let most = 2;
                assert!(checkouts <= most, "{told}: {checkouts} calls");
                assert!(event != Event::Refresh || checkouts == most, "{told}");
            }
            Event::Suspension => {
                assert!(!is_kept && row.status_word() == Some("SUSPENDED"), "{told}");
                assert_eq!(checkouts, 1, "{told}");
            }
            Event::Cancellation | Event::Deletion => {
                assert!(!is_kept && row.token.is_none(), "{told}");
                assert_eq!(row.status_word(), Some("CANCELLED"), "{told}");
                let deletions = shop.calls(Operation::DeleteCard, card);
                let expected = usize::from(event == Event::Deletion);
                assert_eq!((checkouts, deletions), (1, expected), "{told}");
            }
        }
        let mut jobs = shop.app.jobs(card).into_iter();
        let first = jobs.find(|job| job.kind == "cryptogram").unwrap();
        tally.races += 1;
        tally.cryptograms += usize::from(is_kept);
        match first.state.as_str() {
            "done" => tally.kept += 1,
            "discarded" => tally.destroyed += 1,
            state => panic!("{told}: {state}"),
        }
    }
}

#[rstest]
fn p03_o09_o10_a_thousand_overtaken_answers_leave_no_mismatched_pair(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let shop = Shop::open_with(backend, &json!({ "concurrency": 64 }), |_| {});
    let mut tally = Tally::default();
    for number in 0..ROUNDS {
        let shop = &shop;
        Round { shop, number }.run(&mut tally);
    }
    let mismatched = shop.app.database.number(
        "SELECT count(*) AS number FROM cryptograms c JOIN cards k ON k.id = c.card_id \
         WHERE k.status IS NULL OR k.status <> 'ACTIVE'",
    );
    assert_eq!(mismatched, 0, "kept for cards that may not be charged");
    assert_eq!(tally.races, 1_000);
    // Both must have happened, or nothing raced.
    assert!(tally.kept >= 50 && tally.destroyed >= 50, "{tally:?}");
    println!("P-03 on {backend:?}: {tally:?}, 0 mismatched pairs");
    println!("O-09 on {backend:?}: of 1000 overtaken answers 0 were kept for an older number");
    println!("O-10 on {backend:?}: of 1000 overtaken answers 0 were kept for an ended card");
}

/// The call for the old number has not begun: it never is made.
#[rstest]
fn o09_a_waiting_call_is_replaced_by_that_for_the_newer_number(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let shop = Shop::open(backend);
    shop.new_card("card");
    let first = shop.sandbox.refresh("card", Refresh::Nothing).unwrap();
    shop.advance(HOUR);
    let second = shop.sandbox.refresh("card", Refresh::Number).unwrap();
    shop.app.deliver(&Shop::together(&[first, second]));
    shop.settle();

    assert_eq!(shop.calls(Operation::Checkout, "card"), 1);
    assert!(shop.assert_pair("card"));
    assert_eq!(shop.cryptogram("card").unwrap().number_version, 2);
    let jobs = shop.app.jobs("card");
    let states: Vec<_> = jobs
        .iter()
        .map(|j| (j.number_version, j.state.as_str()))
        .collect();
    assert_eq!(states, [(Some(1), "discarded"), (Some(2), "done")]);
}

/// Suspended and active again while one answer is under way: that answer is still for the number.
#[rstest]
fn an_answer_that_comes_after_suspension_and_its_end_is_kept(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let shop = Shop::open(backend);
    shop.new_card("card");
    shop.sandbox.hold(Operation::Checkout);
    shop.app
        .deliver(&shop.sandbox.refresh("card", Refresh::Nothing).unwrap());
    wait_until("the answer is made", || {
        shop.sandbox.issued("card").len() == 1
    });
    for status in [CardStatus::Suspended, CardStatus::Active] {
        shop.advance(1_000);
        shop.app
            .deliver(&shop.sandbox.set_status("card", status).unwrap());
    }
    shop.sandbox.release();
    shop.settle();
    assert!(shop.assert_pair("card"));
    assert_eq!(shop.calls(Operation::Checkout, "card"), 1);
    shop.app.assert_rebuilt();
}

/// A deletion goes first: it waits for the call under way, and for nothing else.
#[rstest]
fn o10_a_deletion_replaces_what_waits_and_is_the_next_call_of_its_card(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let shop = Shop::open_with(backend, &json!({ "concurrency": 1 }), |_| {});
    for card in ["one", "two", "three"] {
        shop.new_card(card);
    }
    shop.sandbox.hold(Operation::Checkout);
    let refresh = |card: &str| shop.sandbox.refresh(card, Refresh::Nothing).unwrap();
    shop.app.deliver(&Shop::together(&[
        refresh("one"),
        refresh("two"),
        refresh("three"),
    ]));
    shop.wait_for_calls(Operation::Checkout, 1);
    let three = CardId::parse("three").unwrap();
    let (kind, not_before) = (JobKind::GetCard, shop.now());
    let job = Job { kind, not_before };
    let queued = (shop.app.store()).write(|tx| tx.queue_job(&three, &job, None, not_before));
    queued.unwrap();
    assert_eq!(shop.delete("three").status, 202);
    assert!(!shop.may_charge("three"));
    shop.sandbox.release();
    shop.settle();

    let calls = shop.sandbox.calls();
    let of: Vec<_> = calls
        .iter()
        .map(|c| (c.operation, c.card_id.as_deref()))
        .collect();
    assert_eq!(of[1], (Operation::DeleteCard, Some("three")));
    for (operation, kind) in [
        (Operation::Checkout, "cryptogram"),
        (Operation::GetCard, "get_card"),
    ] {
        assert_eq!(shop.calls(operation, "three"), 0);
        assert_eq!(shop.job("three", kind).state, "discarded");
    }
    wait_until("it is confirmed", || {
        let card = shop.app.card("three").unwrap().card;
        card.status_word() == Some("CANCELLED")
    });
    shop.app.assert_rebuilt();
}
