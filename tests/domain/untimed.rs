//! S-12: items without a usable event time rank by their receipt and place of arrival.

use rstest::rstest;
use tokenkeep::domain::Flag;

use crate::support::arrangements::orders;
use crate::support::processor::{FIRST_RECEIPT, verdict};
use crate::support::{
    Arrival, EXPIRY_1, EXPIRY_2, Item, NUMBER_1, NUMBER_2, Processor, active, cancelled, reports,
    suspended,
};

const FIRST: (&str, &str) = ("applied", "first-token");
const REFRESHED: (&str, &str) = ("applied", "number-and-expiry-changed");
const STATUS: (&str, &str) = ("applied", "status-newer");
const REPEAT: (&str, &str) = ("duplicate", "untimed-repeat");
const SAME: (&str, &str) = ("no_change", "same-values");
const STATUS_OLDER: (&str, &str) = ("stale", "status-older");
const TOKEN_OLDER: (&str, &str) = ("stale", "token-older");
const CANCELLED: (&str, &str) = ("applied", "cancelled");
const TERMINAL: (&str, &str) = ("stale", "terminal");

fn is_active() -> Item {
    active(0).untimed()
}

fn is_suspended() -> Item {
    suspended(0).untimed()
}

fn is_cancelled() -> Item {
    cancelled(0).untimed()
}

fn new_token() -> Item {
    is_active().refresh(NUMBER_1, EXPIRY_1)
}

fn newer_token() -> Item {
    is_active().refresh(NUMBER_2, EXPIRY_2)
}

/// Received one second apart, in this order.
fn arrivals(items: &[Item]) -> Vec<Arrival> {
    let place = |(sequence, item): (i64, &Item)| Arrival {
        item: item.clone(),
        sequence,
        index: 0,
        received_at: FIRST_RECEIPT + sequence * 1_000,
    };
    (1..).zip(items).map(place).collect()
}

/// Each case: what is received, in which order it is processed, the verdicts in that order, and
/// the status in the end.
#[rstest]
#[case::the_first(&[is_active()], &[0], &[STATUS], "ACTIVE")]
#[case::a_repeat(&[is_active(), is_active()], &[0, 1], &[STATUS, REPEAT], "ACTIVE")]
#[case::repeats_of_repeats(
    &[is_active(), is_active(), is_active()], &[0, 1, 2], &[STATUS, REPEAT, REPEAT], "ACTIVE"
)]
#[case::same_values_but_other_content(
    &[is_active(), is_active().remark("another")], &[0, 1], &[STATUS, SAME], "ACTIVE"
)]
#[case::same_content_but_not_the_latest(
    &[is_active(), is_active().remark("another"), is_active()],
    &[0, 1, 2], &[STATUS, SAME, SAME], "ACTIVE"
)]
#[case::there_and_back_with_equal_content(
    &[is_suspended(), is_active(), is_suspended()],
    &[0, 1, 2], &[STATUS, STATUS, STATUS], "SUSPENDED"
)]
#[case::there_and_back_processed_last_first(
    &[is_suspended(), is_active(), is_suspended()],
    &[2, 1, 0], &[STATUS, STATUS_OLDER, REPEAT], "SUSPENDED"
)]
#[case::there_and_back_processed_middle_first(
    &[is_suspended(), is_active(), is_suspended()],
    &[1, 0, 2], &[STATUS, STATUS_OLDER, STATUS], "SUSPENDED"
)]
#[case::there_and_back_processed_middle_last(
    &[is_suspended(), is_active(), is_suspended()],
    &[0, 2, 1], &[STATUS, REPEAT, STATUS_OLDER], "SUSPENDED"
)]
#[case::refreshes_there_and_back(
    &[new_token(), newer_token(), new_token(), new_token()],
    &[0, 1, 2, 3], &[FIRST, REFRESHED, REFRESHED, REPEAT], "ACTIVE"
)]
#[case::an_earlier_refresh_processed_late(
    &[new_token(), newer_token()], &[1, 0], &[FIRST, TOKEN_OLDER], "ACTIVE"
)]
#[case::an_end_among_them(
    &[is_active(), is_cancelled(), is_active()],
    &[0, 1, 2], &[STATUS, CANCELLED, TERMINAL], "CANCELLED"
)]
fn s12(
    #[case] items: &[Item],
    #[case] processed: &[usize],
    #[case] verdicts: &[(&str, &str)],
    #[case] status: &str,
) {
    let arrivals = arrivals(items);
    let mut processor = Processor::new();
    let decisions: Vec<_> = (processed.iter())
        .map(|place| processor.process(&arrivals[*place]))
        .collect();

    assert_eq!(decisions.iter().map(verdict).collect::<Vec<_>>(), verdicts);
    assert_eq!(processor.state().status, Some(status));
    assert!(decisions.iter().all(|d| d.flags.contains(&Flag::Untimed)));
}

#[test]
fn s12_suspended_active_suspended_ends_suspended_in_every_order_of_processing() {
    let arrivals = arrivals(&[is_suspended(), is_active(), is_suspended()]);
    for order in orders(3) {
        let mut processor = Processor::new();
        for place in &order {
            processor.process(&arrivals[*place]);
        }
        assert_eq!(processor.state().status, Some("SUSPENDED"), "{order:?}");
    }
}

/// One receipt, one delivery: the place in the batch decides, in either order of processing.
#[test]
fn s12_untimed_items_of_one_batch_rank_by_their_place_in_it() {
    let mut processor = Processor::new();
    processor.receive_batch(&[is_suspended(), is_active()]);
    assert_eq!(processor.state().status, Some("ACTIVE"));

    let mut batch = arrivals(&[is_suspended(), is_active()]);
    batch[1] = Arrival {
        index: 1,
        sequence: 1,
        received_at: batch[0].received_at,
        ..batch[1].clone()
    };
    let mut processor = Processor::new();
    processor.process(&batch[1]);
    processor.process(&batch[0]);
    assert_eq!(processor.state().status, Some("ACTIVE"));
}

/// At the instant of the receipt the untimed item comes after the timed one; both orders.
#[test]
fn s12_untimed_ranks_after_timed_at_the_same_instant() {
    let untimed = arrivals(&[is_active()]).remove(0);
    let timed = Arrival {
        item: suspended(untimed.received_at),
        sequence: 2,
        ..untimed.clone()
    };
    for order in [[&untimed, &timed], [&timed, &untimed]] {
        let mut processor = Processor::new();
        for arrival in order {
            processor.process(arrival);
        }
        assert_eq!(processor.state().status, Some("ACTIVE"));
    }
}

#[test]
fn s12_a_timed_item_later_than_the_receipt_wins() {
    let untimed = arrivals(&[is_active()]).remove(0);
    let later = suspended(untimed.received_at + 1);
    let mut processor = Processor::new();
    processor.process(&untimed);
    processor.receive(&later);
    assert_eq!(processor.state().status, Some("SUSPENDED"));
}

/// Timed items are known by their identity; untimed ones never are.
#[test]
fn a_timed_repeat_is_a_duplicate_whatever_came_between() {
    let mut processor = Processor::after(&[suspended(100), active(200)]);
    let again = processor.receive(&suspended(100));
    assert_eq!(verdict(&again), ("duplicate", "same-identity"));
    assert!(again.changes.is_empty() && again.jobs.is_empty());
}

/// An unknown status without an event time holds the register, and time alone parks nothing else.
#[test]
fn an_untimed_unknown_status_is_held_and_its_repeat_is_a_duplicate() {
    let unknown = reports("LOST", 0).untimed();
    let mut processor = Processor::after(&[is_active()]);
    let first = processor.receive(&unknown);
    let repeat = processor.receive(&unknown);

    assert_eq!(verdict(&first), ("parked", "status-unknown"));
    assert_eq!(verdict(&repeat), REPEAT);
    assert!(!processor.state().may_charge);
}
