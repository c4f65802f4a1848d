//! The masked card: field by field, each with its own rank; an absent field keeps what is there.

use crate::support::processor::verdict;
use crate::support::{Processor, active};

#[test]
fn an_absent_field_keeps_what_is_there() {
    let processor = Processor::after(&[
        active(100)
            .with("panLastFour", "1111")
            .with("panBin", "520474"),
        active(200).with("panLastFour", "2222"),
    ]);
    let masked = processor.state().masked;
    assert_eq!(masked["panLastFour"], "2222");
    assert_eq!(masked["panBin"], "520474");
}

#[test]
fn a_late_item_still_fills_a_field_that_nothing_newer_has_set() {
    let mut processor = Processor::after(&[active(200).with("panLastFour", "2222")]);
    let late = active(100)
        .with("panLastFour", "1111")
        .with("panBin", "520474");
    let decision = processor.receive(&late);

    assert_eq!(verdict(&decision), ("applied", "masked-card-newer"));
    assert_eq!(decision.changes.len(), 1);
    let masked = processor.state().masked;
    assert_eq!(masked["panLastFour"], "2222");
    assert_eq!(masked["panBin"], "520474");
}

#[test]
fn an_equal_field_of_greater_rank_outranks_what_lies_between() {
    let mut processor = Processor::after(&[
        active(100).with("panLastFour", "1111"),
        active(300).with("panLastFour", "1111"),
    ]);
    processor.receive(&active(200).with("panLastFour", "2222"));
    assert_eq!(processor.state().masked["panLastFour"], "1111");
}

#[test]
fn a_change_names_the_field_and_its_values() {
    let mut processor = Processor::after(&[active(100).with("digitalCardData.artUri", "old")]);
    let decision = processor.receive(&active(200).with("digitalCardData.artUri", "new"));

    let change = &decision.changes[0];
    assert_eq!(change.field, "maskedCard.digitalCardData.artUri");
    assert_eq!((&change.from, &change.to), (&"old".into(), &"new".into()));
}

#[test]
fn an_item_that_is_older_in_everything_is_stale() {
    let newer = active(200).with("panLastFour", "2222");
    let mut processor = Processor::after(&[newer]);
    let late = processor.receive(&active(100).with("panLastFour", "1111"));
    assert_eq!(late.verdict.name(), "stale");
    assert!(late.changes.is_empty());
}
