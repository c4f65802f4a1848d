//! S-01 and S-15: every order of arrival, with and without a doubled item, gives one end state.

use rstest::rstest;

use crate::support::arrangements::{orders, with_a_late_retry, with_a_retry_anywhere};
use crate::support::item::Token;
use crate::support::model::end_state;
use crate::support::{
    EXPIRY_1, EXPIRY_2, Item, NUMBER_1, NUMBER_2, Processor, State, active, cancelled, suspended,
};

/// ACTIVE, SUSPENDED, two refreshes, a changed masked card, and CANCELLED: older than most.
fn six_items() -> Vec<Item> {
    let five = [
        active(100).with("panLastFour", "1111"),
        suspended(300).with("panLastFour", "1111"),
        active(200)
            .with("panLastFour", "1111")
            .with("tokenLastFour", "1001")
            .refresh(NUMBER_1, EXPIRY_1),
        suspended(400)
            .with("tokenLastFour", "2002")
            .refresh(NUMBER_2, EXPIRY_2),
        active(500)
            .with("panLastFour", "2222")
            .with("digitalCardData.artUri", "https://example.com/new.png"),
    ];
    let end = cancelled(250).with("panLastFour", "1111");
    five.into_iter().chain([end]).collect()
}

fn five_items() -> Vec<Item> {
    six_items().into_iter().take(5).collect()
}

/// The state after the items came in this order.
fn state_after(items: &[Item], order: &[usize], checkout_answers: bool) -> State {
    let mut processor = Processor::new();
    processor.checkout_answers = checkout_answers;
    for place in order {
        processor.receive(&items[*place]);
    }
    processor.state()
}

/// Runs every order and returns the one state in which all of them end.
fn the_one_state(items: &[Item], orders: &[Vec<usize>], checkout_answers: bool) -> State {
    let expected = end_state(items, None, checkout_answers);
    for order in orders {
        let state = state_after(items, order, checkout_answers);
        assert_eq!(state, expected, "arrived in the order {order:?}");
    }
    expected
}

#[rstest]
fn s01_all_720_orders_of_six_items_end_cancelled(#[values(false, true)] checkout_answers: bool) {
    let orders = orders(6);
    assert_eq!(orders.len(), 720);

    let state = the_one_state(&six_items(), &orders, checkout_answers);

    assert_eq!(state.status, Some("CANCELLED"));
    assert!(state.is_terminal && !state.may_charge);
    assert_eq!(state.token, None);
    assert!(!state.has_cryptogram && !state.is_cryptogram_due);
    assert_eq!(state.masked["panLastFour"], "2222");
}

#[rstest]
fn s01_all_4320_orders_with_one_of_six_items_doubled_end_the_same(
    #[values(false, true)] checkout_answers: bool,
) {
    let orders = with_a_late_retry(6);
    assert_eq!(orders.len(), 4_320);
    the_one_state(&six_items(), &orders, checkout_answers);
}

#[rstest]
fn s01_all_120_orders_of_the_five_without_cancelled_end_active_with_the_newest_token(
    #[values(false, true)] checkout_answers: bool,
) {
    let orders = orders(5);
    assert_eq!(orders.len(), 120);

    let state = the_one_state(&five_items(), &orders, checkout_answers);

    assert_eq!(state.status, Some("ACTIVE"));
    assert_eq!(state.token, Some(Token::new(NUMBER_2, Some(EXPIRY_2))));
    assert_eq!(state.has_cryptogram, checkout_answers);
    assert_eq!(state.is_cryptogram_due, !checkout_answers);
    assert!(state.may_charge);
}

#[rstest]
fn s01_all_600_orders_with_one_of_the_five_doubled_end_the_same(
    #[values(false, true)] checkout_answers: bool,
) {
    let orders = with_a_late_retry(5);
    assert_eq!(orders.len(), 600);
    the_one_state(&five_items(), &orders, checkout_answers);
}

/// The retry need not come last: every place of the second copy, for all items.
#[test]
fn s01_a_doubled_item_at_any_place_ends_the_same() {
    let of_six = with_a_retry_anywhere(6);
    assert_eq!(of_six.len(), 15_120);
    the_one_state(&six_items(), &of_six, true);

    let of_five = with_a_retry_anywhere(5);
    assert_eq!(of_five.len(), 1_800);
    the_one_state(&five_items(), &of_five, true);
}

#[test]
fn s15_one_batch_two_batches_and_singles_end_the_same() {
    let items = six_items();
    let singles = Processor::after(&items).state();
    for split in 0..=items.len() {
        let (first, second) = items.split_at(split);
        let mut processor = Processor::new();
        processor.receive_batch(first);
        processor.receive_batch(second);
        assert_eq!(processor.state(), singles, "split before item {split}");
    }
}
