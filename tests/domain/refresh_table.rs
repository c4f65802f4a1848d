//! S-09: what a refresh changed, and what follows: the table "after a refresh".

use rstest::rstest;
use tokenkeep::domain::{CryptogramState, Policy};

use crate::support::processor::{cryptogram_job, verdict};
use crate::support::{EXPIRY_1, EXPIRY_2, NUMBER_1, NUMBER_2, Processor, Register, active};

#[rstest]
#[case::number_and_expiry(NUMBER_2, EXPIRY_2, "number-and-expiry-changed", (2, 2), Some(2))]
#[case::number_only(NUMBER_2, EXPIRY_1, "number-changed", (2, 2), Some(2))]
#[case::expiry_only(NUMBER_1, EXPIRY_2, "expiry-changed", (2, 1), None)]
#[case::nothing(NUMBER_1, EXPIRY_1, "same-values", (1, 1), None)]
fn s09_in_order(
    #[case] number: &str,
    #[case] expiry: &str,
    #[case] rule: &str,
    #[case] versions: (u32, u32),
    #[case] cryptogram_for: Option<u32>,
) {
    let mut processor = Processor::after(&[active(100).refresh(NUMBER_1, EXPIRY_1)]);
    processor.hold_cryptogram(CryptogramState::Stored);

    let decision = processor.receive(&active(200).refresh(number, expiry));

    let verdict_name = if rule == "same-values" {
        "no_change"
    } else {
        "applied"
    };
    assert_eq!(verdict(&decision), (verdict_name, rule));
    assert_eq!(processor.versions(), versions);
    assert_eq!(cryptogram_job(&decision), cryptogram_for);
    let is_kept = processor.card().cryptogram == Some(CryptogramState::Stored);
    assert_eq!(
        is_kept,
        number == NUMBER_1,
        "it belongs to exactly one number version"
    );
}

/// The older of the pair comes second: it is stale, whatever would have changed.
#[rstest]
fn s09_reversed_the_older_refresh_of_a_pair_changes_and_costs_nothing(
    #[values(NUMBER_1, NUMBER_2)] number: &str,
    #[values(EXPIRY_1, EXPIRY_2)] expiry: &str,
) {
    let (older, newer) = (
        active(100).refresh(NUMBER_1, EXPIRY_1),
        active(200).refresh(number, expiry),
    );
    let mut processor = Processor::new();
    let first = processor.receive(&newer);
    assert_eq!(
        cryptogram_job(&first),
        Some(1),
        "no number was known: both count as changed"
    );
    processor.hold_cryptogram(CryptogramState::Stored);

    let late = processor.receive(&older);

    assert_eq!(verdict(&late), ("stale", "token-older"));
    assert!(late.changes.is_empty() && late.jobs.is_empty());
    assert_eq!(processor.versions(), (1, 1));
    assert_eq!(processor.card().cryptogram, Some(CryptogramState::Stored));
    let in_order = Processor::after(&[older, newer]);
    assert_eq!(processor.state().token, in_order.state().token);
}

#[rstest]
#[case::number_only(EXPIRY_1, None)]
#[case::number_and_expiry(EXPIRY_2, Some(2))]
fn s09_without_checkout_on_number_change_only_a_change_of_both_asks(
    #[case] expiry: &str,
    #[case] cryptogram_for: Option<u32>,
) {
    let mut processor = Processor::following(Policy {
        checkout_on_number_change: false,
        ..Policy::default()
    });
    processor.receive(&active(100).refresh(NUMBER_1, EXPIRY_1));
    processor.hold_cryptogram(CryptogramState::Stored);

    let decision = processor.receive(&active(200).refresh(NUMBER_2, expiry));

    assert_eq!(cryptogram_job(&decision), cryptogram_for);
    assert_eq!(
        processor.state().is_cryptogram_due,
        cryptogram_for.is_some()
    );
    assert_eq!(processor.card().cryptogram, None, "destroyed all the same");
    assert_eq!(processor.versions(), (2, 2));
}

/// On a registered token, so that no cryptogram is there already and the change alone counts.
#[rstest]
#[case::off(false, None)]
#[case::on(true, Some(1))]
fn s09_checkout_on_expiry_change_decides_whether_a_change_of_the_expiry_asks(
    #[case] checkout_on_expiry_change: bool,
    #[case] cryptogram_for: Option<u32>,
) {
    let mut processor = Processor::following(Policy {
        checkout_on_expiry_change,
        ..Policy::default()
    });
    processor.register(&Register::under("shop").token(NUMBER_1, EXPIRY_1));
    processor.receive(&active(100));

    let decision = processor.receive(&active(200).refresh(NUMBER_1, EXPIRY_2));

    assert_eq!(verdict(&decision), ("applied", "expiry-changed"));
    assert_eq!(processor.versions(), (2, 1));
    assert_eq!(
        processor.state().is_cryptogram_due,
        cryptogram_for.is_some()
    );
    assert_eq!(cryptogram_job(&decision), cryptogram_for);
}

/// Where a change of the expiry asks, the cryptogram that is there gives way to the one asked for.
#[test]
fn s09_with_checkout_on_expiry_change_a_stored_cryptogram_does_not_stand_in_the_way() {
    let mut processor = Processor::following(Policy {
        checkout_on_expiry_change: true,
        ..Policy::default()
    });
    processor.receive(&active(100).refresh(NUMBER_1, EXPIRY_1));
    processor.hold_cryptogram(CryptogramState::Stored);

    let decision = processor.receive(&active(200).refresh(NUMBER_1, EXPIRY_2));

    assert_eq!(cryptogram_job(&decision), Some(1));
    assert_eq!(processor.versions(), (2, 1));
}

/// A cryptogram of the old number that was handed out says nothing of the new number.
#[rstest]
fn s09_a_changed_number_asks_whatever_became_of_the_old_cryptogram(
    #[values(None, Some(CryptogramState::HandedOut), Some(CryptogramState::RanOut))] old: Option<
        CryptogramState,
    >,
) {
    let mut processor = Processor::after(&[active(100).refresh(NUMBER_1, EXPIRY_1)]);
    processor.card.as_mut().unwrap().cryptogram = old;

    let decision = processor.receive(&active(200).refresh(NUMBER_2, EXPIRY_1));

    assert_eq!(cryptogram_job(&decision), Some(2));
    assert_eq!(processor.card().cryptogram, None);
}
