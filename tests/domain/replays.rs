//! S-16: replaying everything, forwards and shuffled, changes nothing and calls nobody.

use serde_json::Value;

use crate::support::processor::verdict;
use crate::support::random::{self, Random, Spice};
use crate::support::{Arrival, Item, Processor};

/// The whole inbox of a card, each item a delivery of its own.
fn inbox(random: &mut Random) -> Vec<Arrival> {
    let spice = Spice {
        unreadable: false,
        ..Spice::ALL
    };
    let arrival = |(sequence, item): (i64, Item)| Arrival {
        item,
        sequence,
        index: 0,
        received_at: 1_000 * sequence,
    };
    (1..)
        .zip(random::items(random, spice))
        .map(arrival)
        .collect()
}

/// Everything that is kept of the card but the count of inputs and the place of the latest one:
/// ranks, versions and receipts as well.
fn kept(processor: &Processor) -> (Value, Option<(String, i64, i64)>) {
    let mut card = serde_json::to_value(processor.card()).unwrap();
    let fields = card.as_object_mut().unwrap();
    fields.remove("inputs_decided").unwrap();
    fields.remove("latest_item").unwrap();
    let token = processor.card().token.as_ref();
    let token = token.map(|t| (t.number.expose().to_owned(), t.received_at, t.refreshed_at));
    (card, token)
}

#[test]
fn s16_a_replay_of_everything_forwards_and_shuffled_is_duplicates_only() {
    for seed in 0..2_000 {
        let mut random = Random::seeded(seed);
        let mut inbox = inbox(&mut random);
        let mut processor = Processor::new();
        for arrival in &inbox {
            processor.process(arrival);
        }
        let before = kept(&processor);
        for _ in 0..2 {
            for arrival in &inbox {
                let decision = processor.process(arrival);
                assert_eq!(
                    verdict(&decision),
                    ("duplicate", "same-identity"),
                    "seed {seed}"
                );
                assert!(
                    decision.changes.is_empty() && decision.jobs.is_empty(),
                    "seed {seed}"
                );
            }
            assert_eq!(kept(&processor), before, "seed {seed}");
            random.shuffle(&mut inbox);
        }
    }
}

/// The same, sent again by the other side: new deliveries, later receipts, no event.
#[test]
fn s02_items_that_are_sent_up_to_five_times_take_effect_once() {
    for seed in 0..500 {
        let mut random = Random::seeded(seed);
        let inbox = inbox(&mut random);
        let mut sent = Vec::new();
        for arrival in &inbox {
            for _ in 0..=random.below(5) {
                sent.push(arrival.item.clone());
            }
        }
        random.shuffle(&mut sent);
        let mut processor = Processor::new();
        let decisions: Vec<_> = sent.iter().map(|item| processor.receive(item)).collect();
        let effective = decisions.iter().filter(|d| d.verdict.name() != "duplicate");
        assert_eq!(effective.count(), inbox.len(), "seed {seed}");
    }
}
