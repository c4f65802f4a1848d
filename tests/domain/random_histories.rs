//! 10,000 random histories: duplicates, batches, replays, equal event times; one end state each, the
//! one the order-free model computes. The seed of a failing history is printed.

use crate::support::model::end_state;
use crate::support::processor::jobs;
use crate::support::random::{self, Random, Spice};
use crate::support::{Arrival, Item, Processor, Register, State};

const HISTORIES: u64 = 10_000;

/// A set of items, and perhaps a registration.
struct History {
    seed: u64,
    items: Vec<Item>,
    registration: Option<Register>,
    checkout_answers: bool,
}

impl History {
    /// While Checkout answers, no unknown status is among the items: an answer that came before it
    /// stays, none is asked for after it, and so the presence of a cryptogram depends on the order.
    fn random(random: &mut Random, seed: u64) -> Self {
        let checkout_answers = random.once_in(2);
        let spice = Spice {
            unknown_status: !checkout_answers,
            ..Spice::ALL
        };
        Self {
            seed,
            items: random::items(random, spice),
            registration: random::registration(random),
            checkout_answers,
        }
    }

    fn processor(&self) -> Processor {
        let mut processor = Processor::new();
        processor.checkout_answers = self.checkout_answers;
        processor
    }

    fn expected(&self, items: &[Item], is_registered: bool) -> State {
        let registration = self.registration.as_ref().filter(|_| is_registered);
        end_state(items, registration, self.checkout_answers)
    }

    fn assert_ends(&self, processor: &Processor, how: &str, arrivals: &[Item]) {
        let expected = self.expected(&self.items, true);
        let seed = self.seed;
        assert_eq!(
            processor.state(),
            expected,
            "seed {seed}, {how}: {arrivals:#?}"
        );
    }

    /// The registration comes before this item. A card that has ended takes no registration any
    /// more, so with a CANCELLED among the items it comes first.
    fn place_of_registration(&self, random: &mut Random, arrivals: &[Item]) -> usize {
        match self.items.iter().any(Item::is_cancelled) {
            true => 0,
            false => random.below(arrivals.len() + 1),
        }
    }

    fn arrive_singly(&self, random: &mut Random, arrivals: &[Item]) -> Processor {
        let place = self.place_of_registration(random, arrivals);
        let mut processor = self.processor();
        for (index, item) in arrivals.iter().enumerate() {
            self.register_at(place, index, &mut processor);
            processor.receive(item);
        }
        self.register_at(place, arrivals.len(), &mut processor);
        processor
    }

    fn register_at(&self, place: usize, index: usize, processor: &mut Processor) {
        let is_due = place == index;
        if let Some(registration) = self.registration.as_ref().filter(|_| is_due) {
            processor.register(registration);
        }
    }

    fn arrive_in_batches(&self, random: &mut Random, arrivals: &[Item]) -> Processor {
        let mut processor = self.processor();
        self.register_at(0, 0, &mut processor);
        let mut rest = arrivals;
        while !rest.is_empty() {
            let (batch, after) = rest.split_at(1 + random.below(rest.len()));
            processor.receive_batch(batch);
            rest = after;
        }
        processor
    }
}

fn for_each_history(check: impl Fn(&mut Random, &History)) {
    for seed in 0..HISTORIES {
        let mut random = Random::seeded(seed);
        let history = History::random(&mut random, seed);
        check(&mut random, &history);
    }
}

/// Also S-18: after every single item the state, and whether the card may be charged, is what the
/// items that have come so far say.
#[test]
fn s18_random_histories_are_after_every_item_where_the_model_is() {
    for_each_history(|_, history| {
        let mut processor = history.processor();
        history.register_at(0, 0, &mut processor);
        for count in 1..=history.items.len() {
            let so_far = &history.items[..count];
            processor.receive(&so_far[count - 1]);
            let expected = history.expected(so_far, true);
            let seed = history.seed;
            assert_eq!(processor.state(), expected, "seed {seed}: {so_far:#?}");
        }
    });
}

#[test]
fn s01_random_histories_end_the_same_in_any_order_with_any_repeats() {
    for_each_history(|random, history| {
        for _ in 0..3 {
            let arrivals = random.shuffled_with_repeats(&history.items);
            let processor = history.arrive_singly(random, &arrivals);
            history.assert_ends(&processor, "shuffled with repeats", &arrivals);
        }
    });
}

/// D-25: 10,000 histories with `TOKENKEEP_TEST_FULL=1`.
#[test]
fn d25_24_orders_with_repeats_and_batches_of_each_history_end_the_same() {
    let is_full = std::env::var_os("TOKENKEEP_TEST_FULL").is_some_and(|value| value == "1");
    let histories = if is_full { HISTORIES } else { 500 };
    // Others than those of the other tests.
    for seed in HISTORIES..HISTORIES + histories {
        let mut random = Random::seeded(seed);
        let history = History::random(&mut random, seed);
        for _ in 0..12 {
            let arrivals = random.shuffled_with_repeats(&history.items);
            let singly = history.arrive_singly(&mut random, &arrivals);
            history.assert_ends(&singly, "shuffled with repeats", &arrivals);
            let arrivals = random.shuffled_with_repeats(&history.items);
            let in_batches = history.arrive_in_batches(&mut random, &arrivals);
            history.assert_ends(&in_batches, "shuffled, in batches", &arrivals);
        }
    }
    println!("D-25 {histories} histories x 24 orders, all end the same");
}

#[test]
fn s15_random_histories_end_the_same_in_any_batches() {
    for_each_history(|random, history| {
        let arrivals = random.shuffled_with_repeats(&history.items);
        let processor = history.arrive_in_batches(random, &arrivals);
        history.assert_ends(&processor, "in batches", &arrivals);
    });
}

/// A prefix of what has come is delivered again, then the rest, then all of it shuffled.
#[test]
fn s16_random_histories_end_the_same_with_prefixes_replayed() {
    for_each_history(|random, history| {
        let (first, rest) = history
            .items
            .split_at(random.below(history.items.len() + 1));
        let mut all_again = history.items.clone();
        random.shuffle(&mut all_again);
        let arrivals = [first, first, rest, &all_again].concat();
        let mut processor = history.arrive_singly(random, &arrivals);
        history.assert_ends(&processor, "with prefix replayed", &arrivals);

        for item in history.items.iter().filter(|item| !item.is_unreadable) {
            let decision = processor.receive(item);
            assert_eq!(jobs(&decision), [""; 0], "seed {}: {item:#?}", history.seed);
            assert_eq!(decision.changes, [], "seed {}: {item:#?}", history.seed);
        }
    });
}

/// A refresh whose key comes late ends where it would have, had the key been there at once.
#[test]
fn random_histories_end_the_same_when_keys_come_late() {
    for_each_history(|random, history| {
        let history = History {
            items: history.items.iter().cloned().map(Item::opened).collect(),
            registration: history.registration.clone(),
            ..*history
        };
        let mut processor = history.processor();
        history.register_at(0, 0, &mut processor);
        let arrivals = arrivals_of(&random.shuffled_with_repeats(&history.items));
        let mut held = Vec::new();
        for arrival in arrivals {
            let mut now = arrival.clone();
            if arrival.item.refresh.is_some() && random.once_in(2) {
                now.item.is_unreadable = true;
                held.push(arrival);
            }
            processor.process(&now);
        }
        random.shuffle(&mut held);
        for arrival in &held {
            processor.process(arrival);
        }
        history.assert_ends(&processor, "with late keys", &history.items);
    });
}

/// Untimed items among the others: each keeps its place of arrival, whoever processes it when.
#[test]
fn s12_random_histories_with_untimed_items_end_the_same_in_any_order_of_processing() {
    for_each_history(|random, history| {
        let mut items = history.items.clone();
        for item in &mut items {
            if random.once_in(3) {
                item.time = None;
            }
        }
        let mut arrivals = arrivals_of(&items);
        let in_order = process_all(history.processor(), &arrivals);
        for _ in 0..3 {
            random.shuffle(&mut arrivals);
            let state = process_all(history.processor(), &arrivals);
            assert_eq!(state, in_order, "seed {}: {arrivals:#?}", history.seed);
        }
    });
}

/// Receipts amid the event times of random items, some of them equal.
fn arrivals_of(items: &[Item]) -> Vec<Arrival> {
    let places = (1..).zip(items);
    let arrival = |(sequence, item): (i64, &Item)| Arrival {
        item: item.clone(),
        sequence,
        index: 0,
        received_at: 100 * ((sequence + 3) / 2),
    };
    places.map(arrival).collect()
}

fn process_all(mut processor: Processor, arrivals: &[Arrival]) -> State {
    for arrival in arrivals {
        processor.process(arrival);
    }
    processor.state()
}
