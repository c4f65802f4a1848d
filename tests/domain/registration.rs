//! S-10: registration, before or after notifications, with and without a token.

use rstest::rstest;
use tokenkeep::domain::{Policy, UnknownCardPolicy};

use crate::support::item::Token;
use crate::support::processor::{cryptogram_job, jobs, verdict};
use crate::support::{
    EXPIRY_1, EXPIRY_2, Item, NUMBER_1, NUMBER_2, Processor, Register, active, cancelled,
};

fn following(unknown_card: UnknownCardPolicy) -> Processor {
    Processor::following(Policy {
        unknown_card,
        ..Policy::default()
    })
}

fn refresh() -> Item {
    active(100)
        .with("panLastFour", "2222")
        .refresh(NUMBER_2, EXPIRY_2)
}

fn without_token() -> Register {
    Register::under("shop")
        .with("panLastFour", "1111")
        .with("panExpirationYear", "2032")
}

#[rstest]
fn s10_a_registration_before_or_after_a_refresh_ends_the_same(
    #[values(UnknownCardPolicy::Adopt, UnknownCardPolicy::Park)] policy: UnknownCardPolicy,
    #[values(without_token(), without_token().token(NUMBER_1, EXPIRY_1))] registration: Register,
) {
    let mut before = following(policy);
    before.register(&registration);
    let applied = before.receive(&refresh());
    assert_eq!(applied.verdict.name(), "applied");

    let mut after = following(policy);
    after.receive(&refresh());
    after.register(&registration);

    assert_eq!(after.state(), before.state());
    let state = after.state();
    assert_eq!(state.token, Some(Token::new(NUMBER_2, Some(EXPIRY_2))));
    assert_eq!(state.masked["panLastFour"], "2222", "never overwritten");
    assert_eq!(state.masked["panExpirationYear"], "2032", "filled");
    assert!(state.is_cryptogram_due);
    for processor in [before, after] {
        let card = processor.card();
        assert_eq!(card.registered_program.as_deref(), Some("shop"));
        assert_eq!(card.consumer_reference.as_deref(), Some("consumer-1"));
    }
}

/// The refresh brings the very number that is registered, and only its expiry is news.
#[test]
fn s10_registering_the_number_a_refresh_has_brought_ends_as_registering_it_before() {
    let registration = Register::under("shop").token(NUMBER_1, EXPIRY_1);
    let refresh = active(100).refresh(NUMBER_1, EXPIRY_2);

    let mut before = Processor::new();
    before.register(&registration);
    before.receive(&refresh);
    let mut after = Processor::new();
    after.receive(&refresh);
    after.register(&registration);

    assert_eq!(after.state(), before.state());
}

#[test]
fn a_notification_of_an_unknown_card_is_parked_by_setting_and_nothing_is_kept_of_the_card() {
    let mut processor = following(UnknownCardPolicy::Park);
    let parked = processor.receive(&refresh());

    assert_eq!(verdict(&parked), ("parked", "unknown-card"));
    assert_eq!(parked.verdict.hold().unwrap().0, "unknown-card");
    assert!(parked.card.is_none() && parked.jobs.is_empty() && parked.changes.is_empty());
}

#[test]
fn a_parked_end_ends_the_card_when_it_is_registered() {
    let mut processor = following(UnknownCardPolicy::Park);
    processor.receive(&cancelled(100));
    processor.register(&without_token());

    assert_eq!(processor.state().status, Some("CANCELLED"));
}

#[test]
fn a_notification_of_an_unknown_card_is_adopted_by_default() {
    let mut processor = Processor::new();
    let adopted = processor.receive(&refresh());

    assert_eq!(verdict(&adopted), ("applied", "first-token"));
    assert_eq!(processor.card().registered_program, None);
}

#[test]
fn a_registered_token_is_version_1_of_1_and_makes_no_cryptogram_due() {
    let mut processor = Processor::new();
    let registered = processor.register(&without_token().token(NUMBER_1, EXPIRY_1));
    assert_eq!(verdict(&registered), ("applied", "registered"));
    assert_eq!(processor.versions(), (1, 1));
    assert_eq!(jobs(&registered), ["get_card"], "its status is unknown");

    let status = processor.receive(&active(100));
    assert_eq!(cryptogram_job(&status), None);
    assert!(!processor.state().is_cryptogram_due);
    assert!(processor.state().may_charge);
}

#[test]
fn a_registration_of_a_card_whose_status_is_known_asks_nobody() {
    let mut processor = Processor::after(&[active(100)]);
    let registered = processor.register(&without_token());

    assert!(registered.jobs.is_empty());
}

#[test]
fn a_second_registration_overwrites_program_and_consumer_only() {
    let mut processor = Processor::new();
    processor.register(&without_token().token(NUMBER_1, EXPIRY_1));
    let second = Register {
        program: Some("other"),
        consumer: Some("consumer-2"),
        ..Register::default()
    };
    processor.register(&second.with("panLastFour", "9999").token(NUMBER_2, EXPIRY_2));

    let (card, state) = (processor.card(), processor.state());
    assert_eq!(card.registered_program.as_deref(), Some("other"));
    assert_eq!(card.consumer_reference.as_deref(), Some("consumer-2"));
    assert_eq!(state.token, Some(Token::new(NUMBER_1, Some(EXPIRY_1))));
    assert_eq!(state.masked["panLastFour"], "1111");
    assert_eq!(processor.versions(), (1, 1));
}

#[test]
fn the_same_registration_again_is_no_change() {
    let registration = without_token().token(NUMBER_1, EXPIRY_1);
    let mut processor = Processor::new();
    processor.register(&registration);
    let again = processor.register(&registration);

    assert_eq!(verdict(&again), ("no_change", "registered"));
    assert!(again.changes.is_empty());
}

/// A registration is below every event time, even the first millisecond of 1970 or before.
#[rstest]
fn any_notification_outranks_a_registration(#[values(0, -1, -62_000_000_000_000)] time: i64) {
    let mut processor = Processor::new();
    processor.register(&without_token().token(NUMBER_1, EXPIRY_1));
    let item = active(time)
        .with("panLastFour", "2222")
        .refresh(NUMBER_2, EXPIRY_1);
    processor.receive(&item);

    let state = processor.state();
    assert_eq!(state.token, Some(Token::new(NUMBER_2, Some(EXPIRY_1))));
    assert_eq!(state.masked["panLastFour"], "2222");
    assert_eq!(processor.versions(), (2, 2));
}
