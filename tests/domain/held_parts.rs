//! A part that cannot be decided holds back only its own register; the other parts apply.

use rstest::rstest;
use tokenkeep::domain::{Rank, Reason, reasons};

use crate::support::item::Token;
use crate::support::processor::{cryptogram_job, jobs, verdict};
use crate::support::{
    Arrival, EXPIRY_1, EXPIRY_2, NOW, NUMBER_1, NUMBER_2, Processor, Register, active, reports,
    suspended,
};

fn why_not(processor: &Processor) -> Vec<&'static str> {
    let reasons = reasons(processor.card(), NOW);
    reasons.into_iter().map(Reason::name).collect()
}

#[test]
fn an_unknown_status_holds_only_its_register() {
    let mut processor = Processor::after(&[active(100)]);
    let item = reports("LOST", 200)
        .with("panLastFour", "2222")
        .refresh(NUMBER_1, EXPIRY_1);
    let decision = processor.receive(&item);

    assert_eq!(verdict(&decision), ("parked", "status-unknown"));
    assert_eq!(decision.verdict.hold().unwrap().0, "status-unknown");
    assert_eq!(jobs(&decision), ["get_card"]);
    let state = processor.state();
    assert_eq!(state.masked["panLastFour"], "2222");
    assert_eq!(state.token, Some(Token::new(NUMBER_1, Some(EXPIRY_1))));
    assert_eq!(why_not(&processor), ["status-unknown"]);
    assert!(
        decision
            .changes
            .iter()
            .any(|change| change.field == "token.number")
    );
}

#[rstest]
#[case::an_older_known_one(199, None)]
#[case::a_known_one_of_equal_rank(200, Some("ACTIVE"))]
#[case::a_later_known_one(201, Some("ACTIVE"))]
fn an_unknown_status_ends_with_a_known_one_of_greater_or_equal_rank(
    #[case] time: i64,
    #[case] status: Option<&str>,
) {
    let unknown = reports("LOST", 200);
    let in_order = Processor::after(&[unknown.clone(), active(time)]);
    let reversed = Processor::after(&[active(time), unknown]);

    assert_eq!(in_order.state().status, status);
    assert_eq!(reversed.state(), in_order.state());
    assert_eq!(why_not(&in_order).is_empty(), status.is_some());
}

#[test]
fn an_unknown_status_never_hides_a_cancelled() {
    for items in [
        [reports("LOST", 200), reports("CANCELLED", 100)],
        [reports("CANCELLED", 100), reports("LOST", 200)],
    ] {
        assert_eq!(Processor::after(&items).state().status, Some("CANCELLED"));
    }
}

#[test]
fn a_status_that_becomes_known_makes_the_cryptogram_due_again() {
    let mut processor = Processor::after(&[
        active(100),
        reports("LOST", 200).refresh(NUMBER_1, EXPIRY_1),
    ]);
    assert_eq!(cryptogram_job(&processor.receive(&active(300))), Some(1));
}

#[test]
fn an_unreadable_refresh_holds_only_its_register() {
    let mut processor = Processor::after(&[active(100).refresh(NUMBER_1, EXPIRY_1)]);
    let item = suspended(200).with("panLastFour", "2222").unreadable();
    let decision = processor.receive(&item);

    assert_eq!(verdict(&decision), ("quarantined", "refresh-unreadable"));
    assert_eq!(jobs(&decision), ["get_card"]);
    let state = processor.state();
    assert_eq!(state.status, Some("SUSPENDED"));
    assert_eq!(state.masked["panLastFour"], "2222");
    assert_eq!(state.token, Some(Token::new(NUMBER_1, Some(EXPIRY_1))));
    assert_eq!(why_not(&processor), ["suspended", "refresh-unreadable"]);
    assert_eq!(
        decision.changes.len(),
        2,
        "what applied stands in the changes"
    );
}

#[rstest]
#[case::an_older_one(199, true)]
#[case::one_of_equal_rank(200, false)]
#[case::a_later_one(201, false)]
fn an_unreadable_refresh_ends_with_a_token_of_greater_or_equal_rank(
    #[case] time: i64,
    #[case] is_unreadable: bool,
) {
    let unreadable = active(200).unreadable();
    let readable = active(time).refresh(NUMBER_1, EXPIRY_1);
    let in_order = Processor::after(&[unreadable.clone(), readable.clone()]);
    let reversed = Processor::after(&[readable, unreadable]);

    assert_eq!(in_order.state().is_refresh_unreadable, is_unreadable);
    assert_eq!(in_order.state().may_charge, !is_unreadable);
    assert_eq!(reversed.state(), in_order.state());
}

#[test]
fn a_registered_token_does_not_end_an_unreadable_refresh() {
    let mut processor = Processor::after(&[active(100).unreadable()]);
    processor.register(&Register::under("shop").token(NUMBER_1, EXPIRY_1));

    assert_eq!(why_not(&processor), ["refresh-unreadable"]);
}

#[test]
fn an_opened_item_keeps_its_rank_and_what_it_changed_before() {
    let opened = Arrival {
        item: active(200)
            .with("panLastFour", "2222")
            .refresh(NUMBER_2, EXPIRY_2),
        sequence: 1,
        index: 0,
        received_at: 5_000,
    };
    let held = Arrival {
        item: opened.item.clone().unreadable(),
        ..opened.clone()
    };
    let mut processor = Processor::new();
    let first = processor.process(&held);
    assert_eq!(verdict(&first), ("quarantined", "refresh-unreadable"));

    let again = processor.process(&opened);
    assert_eq!(verdict(&again), ("applied", "first-token"));
    assert_eq!(again.changes[..first.changes.len()], first.changes);
    let token = processor.card().token.as_ref().unwrap();
    assert_eq!(token.rank, Rank::timed(200));
    assert!(why_not(&processor).is_empty());
}

/// Meanwhile a later refresh has come: the opened one is no longer the newest, and that is that.
#[test]
fn an_opened_item_does_not_overtake_what_came_after_it() {
    let opened = Arrival {
        item: active(200)
            .with("panLastFour", "2222")
            .refresh(NUMBER_1, EXPIRY_1),
        sequence: 1,
        index: 0,
        received_at: 5_000,
    };
    let mut processor = Processor::new();
    processor.process(&Arrival {
        item: opened.item.clone().unreadable(),
        ..opened.clone()
    });
    processor.receive(
        &suspended(300)
            .with("panLastFour", "3333")
            .refresh(NUMBER_2, EXPIRY_2),
    );

    let again = processor.process(&opened);

    assert_eq!(
        again.verdict.name(),
        "applied",
        "its first judgement changed something"
    );
    assert_eq!(cryptogram_job(&again), None);
    let state = processor.state();
    assert_eq!(state.token, Some(Token::new(NUMBER_2, Some(EXPIRY_2))));
    assert_eq!(state.status, Some("SUSPENDED"));
    assert_eq!(state.masked["panLastFour"], "3333");
}

#[test]
fn quarantine_is_told_before_parking() {
    let mut processor = Processor::new();
    let both = processor.receive(&reports("LOST", 100).unreadable());
    assert_eq!(verdict(&both), ("quarantined", "refresh-unreadable"));
    assert_eq!(
        why_not(&processor),
        ["status-unknown", "refresh-unreadable"]
    );
}
