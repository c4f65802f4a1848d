//! The token register: order of refreshes, versions, and refreshes that do not say everything.

use rstest::rstest;
use tokenkeep::domain::{CryptogramPolicy, Policy};

use crate::support::item::Token;
use crate::support::processor::{cryptogram_job, jobs, verdict};
use crate::support::{
    EXPIRY_1, EXPIRY_2, NUMBER_1, NUMBER_2, Processor, Register, active, reports, suspended,
};

fn token(number: &str, expiry: &str) -> Option<Token> {
    Some(Token::new(number, Some(expiry)))
}

#[rstest]
fn s03_a_late_older_refresh_changes_nothing_and_calls_nobody(
    #[values(false, true)] checkout_answers: bool,
) {
    let mut processor = Processor::new();
    processor.checkout_answers = checkout_answers;
    processor.receive(&active(200).refresh(NUMBER_2, EXPIRY_2));
    let late = processor.receive(&active(100).refresh(NUMBER_1, EXPIRY_1));

    assert_eq!(verdict(&late), ("stale", "token-older"));
    assert!(late.changes.is_empty() && late.jobs.is_empty());
    assert_eq!(processor.state().token, token(NUMBER_2, EXPIRY_2));
    assert_eq!(processor.state().has_cryptogram, checkout_answers);
    assert_eq!(processor.versions(), (1, 1));
}

#[test]
fn before_the_first_token_both_versions_are_0_and_the_first_is_1_of_1() {
    let mut processor = Processor::after(&[active(100)]);
    assert_eq!(processor.versions(), (0, 0));

    let first = processor.receive(&active(200).refresh(NUMBER_1, EXPIRY_1));
    assert_eq!(verdict(&first), ("applied", "first-token"));
    assert_eq!(processor.versions(), (1, 1));
    assert_eq!(cryptogram_job(&first), Some(1));
}

#[test]
fn a_refresh_without_any_status_stores_the_token_and_asks_for_no_cryptogram() {
    let mut processor = Processor::new();
    let refresh = processor.receive(&reports("", 100).refresh(NUMBER_1, EXPIRY_1));

    assert_eq!(processor.state().token, token(NUMBER_1, EXPIRY_1));
    assert_eq!(jobs(&refresh), ["get_card"]);

    let status = processor.receive(&active(200));
    assert_eq!(cryptogram_job(&status), Some(1));
}

#[test]
fn on_demand_asks_for_no_cryptogram_and_leaves_it_due() {
    let mut processor = Processor::following(Policy {
        cryptogram: CryptogramPolicy::OnDemand,
        ..Policy::default()
    });
    let refresh = processor.receive(&active(100).refresh(NUMBER_1, EXPIRY_1));

    assert!(refresh.jobs.is_empty());
    assert!(processor.state().is_cryptogram_due);
}

/// The token is stored all the same, and independent of the status that comes with it.
#[test]
fn an_older_status_in_a_newer_refresh_does_not_hold_the_token_back() {
    let mut processor = Processor::after(&[suspended(100), active(300)]);
    let refresh = processor.receive(&suspended(200).refresh(NUMBER_1, EXPIRY_1));

    assert_eq!(verdict(&refresh), ("applied", "first-token"));
    assert_eq!(processor.state().status, Some("ACTIVE"));
    assert_eq!(processor.state().token, token(NUMBER_1, EXPIRY_1));
    assert_eq!(cryptogram_job(&refresh), Some(1));
}

#[test]
fn an_equal_refresh_of_greater_rank_outranks_what_lies_between() {
    let mut processor = Processor::after(&[active(100).refresh(NUMBER_1, EXPIRY_1)]);
    let refreshed_at = processor.card().token.as_ref().unwrap().refreshed_at;
    let again = processor.receive(&active(300).refresh(NUMBER_1, EXPIRY_1));
    let between = processor.receive(&active(200).refresh(NUMBER_2, EXPIRY_2));

    assert_eq!(verdict(&again), ("no_change", "same-values"));
    assert_eq!(verdict(&between), ("stale", "token-older"));
    assert_eq!(processor.state().token, token(NUMBER_1, EXPIRY_1));
    let kept = processor.card().token.as_ref().unwrap().refreshed_at;
    assert_eq!(kept, refreshed_at, "nothing was refreshed");
}

/// No change that is recorded or shown holds more of a number than its last four digits.
#[test]
fn changes_show_a_number_by_its_last_four_only() {
    let mut processor = Processor::after(&[active(100).refresh(NUMBER_1, EXPIRY_1)]);
    let refresh = processor.receive(&active(200).refresh(NUMBER_2, EXPIRY_2));
    let shown = serde_json::to_string(&(&refresh.changes, &refresh.trace)).unwrap();

    assert!(shown.contains("1001") && shown.contains("2002"));
    assert!(!shown.contains(NUMBER_1) && !shown.contains(NUMBER_2));
    let mut card = processor.card().clone();
    card.latest_item = None; // Its digest stands for a keyed hash; in these tests it is plain text.
    assert!(!serde_json::to_string(&card).unwrap().contains(NUMBER_2));
}

/// Two refreshes, the newer one without an expiry of its own, end the same in both orders.
#[rstest]
#[case::of_the_same_number(NUMBER_1)]
#[case::of_another_number(NUMBER_2)]
fn a_refresh_without_an_expiry_ends_the_same_in_both_orders(
    #[case] number: &str,
    #[values(true, false)] its_masked_card_names_one: bool,
) {
    let older = active(100).refresh(NUMBER_1, EXPIRY_1);
    let mut newer = active(200).refresh_without_expiry(number);
    if its_masked_card_names_one {
        newer = newer
            .with("tokenExpirationMonth", "07")
            .with("tokenExpirationYear", "2031");
    }

    let in_order = Processor::after(&[older.clone(), newer.clone()]);
    let late = Processor::after(&[newer, older]);

    assert_eq!(in_order.state(), late.state());
    if its_masked_card_names_one {
        assert_eq!(late.state().token, token(number, EXPIRY_2));
    }
}

#[test]
fn a_refresh_without_any_expiry_is_held_back_and_not_half_applied() {
    let mut processor = Processor::after(&[active(100).refresh(NUMBER_1, EXPIRY_1)]);
    let half = processor.receive(&active(200).refresh_without_expiry(NUMBER_2));

    assert_eq!(verdict(&half), ("quarantined", "refresh-unreadable"));
    assert_eq!(jobs(&half), ["get_card"]);
    let state = processor.state();
    assert_eq!(state.token, token(NUMBER_1, EXPIRY_1));
    assert!(!state.may_charge);
}

/// The number goes there and back. What was registered is set aside: it is older than everything.
#[test]
fn refreshes_back_to_the_registered_number_end_the_same_in_both_orders() {
    let refreshes = [
        active(100).refresh(NUMBER_2, EXPIRY_1),
        active(200).refresh(NUMBER_1, EXPIRY_1),
    ];
    let after = |order: [usize; 2]| {
        let mut processor = Processor::new();
        processor.register(&Register::under("shop").token(NUMBER_1, EXPIRY_1));
        for place in order {
            processor.receive(&refreshes[place]);
        }
        processor.state()
    };

    assert_eq!(after([0, 1]), after([1, 0]));
}
