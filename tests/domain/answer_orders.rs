//! An answer of Mastercard among notifications: wherever it comes, the end state is one.

use rstest::rstest;

use crate::support::answers::{ANSWERED, checkout};
use crate::support::arrangements::orders;
use crate::support::item::Token;
use crate::support::model::end_state;
use crate::support::processor::{jobs, verdict};
use crate::support::random::{self, Random, Spice};
use crate::support::{
    EXPIRY_1, EXPIRY_2, Item, NUMBER_1, NUMBER_2, NUMBER_3, Processor, State, active, cancelled,
    suspended,
};

/// Two statuses, two refreshes, and a changed masked card.
fn five_items() -> [Item; 5] {
    [
        active(100).with("panLastFour", "1111"),
        suspended(300).with("panLastFour", "3333"),
        active(200).refresh(NUMBER_1, EXPIRY_1),
        active(400).refresh(NUMBER_2, EXPIRY_2),
        active(450).with("panLastFour", "4444"),
    ]
}

/// The answer is that of the item's time, so it counts as a notification of that time would.
#[rstest]
#[case::before_everything(active(50).with("panLastFour", "0000").refresh(NUMBER_3, EXPIRY_1))]
#[case::in_the_middle(suspended(350).with("panLastFour", "2222").refresh(NUMBER_1, EXPIRY_1))]
#[case::in_the_middle_without_token(suspended(350).with("panLastFour", "2222"))]
#[case::at_the_time_of_another(suspended(400).refresh(NUMBER_3, EXPIRY_1))]
#[case::after_everything(suspended(500).with("panLastFour", "5555").refresh(NUMBER_3, EXPIRY_2))]
#[case::cancelled(cancelled(350).with("panLastFour", "2222"))]
#[case::unreadable(active(425).unreadable())]
fn a_get_card_answer_at_any_place_of_all_orders_of_five_items_ends_the_same(
    #[case] answer: Item,
    #[values(false, true)] checkout_answers: bool,
) {
    let orders = orders(6);
    let items = five_items();
    let all = [items.to_vec(), vec![answer.clone()]].concat();
    let expected = end_state(&all, None, checkout_answers);
    for order in &orders {
        let mut processor = Processor::new();
        processor.checkout_answers = checkout_answers;
        for place in order {
            match items.get(*place) {
                Some(item) => processor.receive(item),
                None => processor.get_card(&answer),
            };
        }
        assert_eq!(processor.state(), expected, "{order:?}");
    }
    assert_eq!(orders.len(), 720);
}

/// S-01 with answers: some of the items come as answers, some twice, in any order.
#[test]
fn s01_10_000_random_histories_with_get_card_answers_among_them_end_the_same() {
    let mut answers = 0;
    for seed in 0..10_000 {
        let mut random = Random::seeded(seed);
        let checkout_answers = random.once_in(2);
        let spice = Spice {
            unknown_status: !checkout_answers,
            ..Spice::ALL
        };
        let items = random::items(&mut random, spice);
        let is_answer: Vec<bool> = items.iter().map(|_| random.once_in(2)).collect();
        let places: Vec<usize> = (0..items.len()).collect();
        let mut processor = Processor::new();
        processor.checkout_answers = checkout_answers;
        for place in random.shuffled_with_repeats(&places) {
            if is_answer[place] {
                let decision = processor.get_card(&items[place]);
                assert!(!jobs(&decision).contains(&"get_card"), "seed {seed}");
                answers += 1;
            } else {
                processor.receive(&items[place]);
            }
        }
        let expected = end_state(&items, None, checkout_answers);
        assert_eq!(processor.state(), expected, "seed {seed}: {items:#?}");
    }
    println!("S-01: 10000 histories with {answers} Get Card answers, 10000 in the model's state");
}

#[test]
fn not_there_at_any_place_of_all_orders_leaves_the_end_state_as_it_is() {
    let items = five_items();
    let expected = end_state(&items, None, false);
    for order in orders(6) {
        let mut processor = Processor::new();
        for place in &order {
            match items.get(*place) {
                Some(item) => processor.receive(item),
                None => processor.not_there(ANSWERED),
            };
        }
        assert_eq!(processor.state(), expected, "{order:?}");
        assert_eq!(processor.card().not_there_since, Some(ANSWERED));
    }
}

/// What Checkout may be told of the token while refreshes are on their way: at any moment it answers
/// with the token of that moment. A cryptogram is then there or due, and never of another number.
#[rstest]
#[case::before_any_refresh_was_heard_of(checkout(250, NUMBER_1, EXPIRY_1), &[NUMBER_1])]
#[case::after_the_second_refresh(checkout(475, NUMBER_2, EXPIRY_2), &[NUMBER_2])]
fn a_checkout_answer_at_any_place_of_all_orders_ends_with_the_newest_token(
    #[case] answer: crate::support::answers::Checkout,
    #[case] of: &[&str],
) {
    let items = five_items();
    let expected = without_cryptogram(end_state(&items, None, false));
    let (mut places, mut taken) = (0, 0);
    for order in orders(6) {
        let mut processor = Processor::new();
        let mut number_of_cryptogram = None;
        for place in &order {
            let had = processor.card.is_some() && processor.state().has_cryptogram;
            match items.get(*place) {
                Some(item) => processor.receive(item),
                None => processor.checkout(&answer),
            };
            let state = processor.state();
            if state.has_cryptogram && !had {
                number_of_cryptogram = Some(answer.token.number.clone());
                taken += 1;
            }
            if state.has_cryptogram {
                let held = state.token.map(|token| token.number);
                assert_eq!(held, number_of_cryptogram, "{order:?}");
                assert!(of.contains(&&*number_of_cryptogram.clone().unwrap()));
            }
        }
        let state = processor.state();
        assert!(state.has_cryptogram ^ state.is_cryptogram_due, "{order:?}");
        assert_eq!(without_cryptogram(state), expected, "{order:?}");
        places += 1;
    }
    assert!(taken > 0, "in some orders the answer comes in time");
    println!("Checkout among five items: {places} orders, taken in {taken}, 0 mismatched");
}

/// Whether it came in time is no matter of the end state.
fn without_cryptogram(state: State) -> State {
    State {
        has_cryptogram: false,
        is_cryptogram_due: false,
        ..state
    }
}

/// P-03 in the rules: a refresh, a suspension or an end comes between the call and its answer, at
/// random; no cryptogram stays with another number than its own, or on a card that may not be charged.
#[test]
fn p03_an_answer_that_was_overtaken_never_leaves_a_mismatched_pair() {
    let (mut kept, mut destroyed) = (0, 0);
    for seed in 0..10_000 {
        let mut random = Random::seeded(seed);
        let mut processor = Processor::after(&[active(100).refresh(NUMBER_1, EXPIRY_1)]);
        let asked_for = processor.card().number_version;
        for _ in 0..random.below(4) {
            processor.receive(&random::item(&mut random, Spice::ALL));
        }
        // The other side answers with a token it has or had, as of before or after those items.
        let number = random.one_of(&[NUMBER_1, NUMBER_2, NUMBER_3]);
        let as_of = 50 + 100 * random.below(6) as i64;
        let mut answer = checkout(as_of, number, EXPIRY_1).asked_for(asked_for);
        answer.is_consistent = random.once_in(2);
        let decision = processor.checkout(&answer);

        let state = processor.state();
        if state.has_cryptogram {
            kept += 1;
            let expected = Token::new(number, Some(EXPIRY_1));
            assert_eq!(state.token, Some(expected), "seed {seed}");
            assert_eq!(state.status, Some("ACTIVE"), "seed {seed}");
            assert_eq!(decision.verdict.name(), "applied", "seed {seed}");
        } else {
            destroyed += 1;
            assert_eq!(verdict(&decision).0, "stale", "seed {seed}");
        }
    }
    assert!(kept > 500 && destroyed > 500);
    println!("P-03: 10000 overtaken answers, {kept} kept, {destroyed} destroyed, 0 mismatched");
}
