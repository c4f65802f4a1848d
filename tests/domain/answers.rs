//! Get Card: what it answers goes through the same registers as a notification, and asks for nothing
//! further; not to find the card changes nothing.

use rstest::rstest;
use tokenkeep::domain::{CryptogramState, Flag, MismatchPolicy, Policy, may_charge};

use crate::support::answers::ANSWERED;
use crate::support::item::Token;
use crate::support::processor::{cryptogram_job, jobs, verdict};
use crate::support::{
    EXPIRY_1, EXPIRY_2, Item, NOW, NUMBER_1, NUMBER_2, Processor, Register, active, cancelled,
    reports, suspended,
};

/// Everything of a greater rank applies, and of what is older nothing.
#[rstest]
#[case::newer(200, ("applied", "number-and-expiry-changed"), "SUSPENDED", NUMBER_2, "2222")]
#[case::older(50, ("stale", "token-older"), "ACTIVE", NUMBER_1, "1111")]
fn get_card_goes_through_the_registers_by_its_rank(
    #[case] as_of: i64,
    #[case] judged: (&str, &str),
    #[case] status: &str,
    #[case] number: &str,
    #[case] pan: &str,
) {
    let first = active(100).refresh(NUMBER_1, EXPIRY_1);
    let mut processor = Processor::after(&[first.with("panLastFour", "1111")]);

    let answer = suspended(as_of).refresh(NUMBER_2, EXPIRY_2);
    let decision = processor.get_card(&answer.with("panLastFour", "2222"));

    assert_eq!(verdict(&decision), judged);
    let state = processor.state();
    assert_eq!(state.status, Some(status));
    assert_eq!(state.token.unwrap().number, number);
    assert_eq!(state.masked["panLastFour"], pan);
    assert_eq!(decision.changes.is_empty(), as_of < 100);
}

#[test]
fn each_register_takes_its_own_part_of_a_get_card_answer() {
    let mut processor = Processor::after(&[
        active(100).refresh(NUMBER_1, EXPIRY_1),
        suspended(300).with("panLastFour", "3333"),
    ]);

    let answer = active(200).with("panLastFour", "2222").with("panBin", "5");
    let decision = processor.get_card(&answer.refresh(NUMBER_2, EXPIRY_2));

    assert_eq!(verdict(&decision), ("applied", "number-and-expiry-changed"));
    let state = processor.state();
    assert_eq!(state.status, Some("SUSPENDED"), "the later word stays");
    assert_eq!(state.masked["panLastFour"], "3333");
    assert_eq!(state.masked["panBin"], "5");
    assert_eq!(state.token, Some(Token::new(NUMBER_2, Some(EXPIRY_2))));
}

#[test]
fn an_answer_that_says_what_is_known_changes_nothing_but_the_ranks() {
    let item = active(100).refresh(NUMBER_1, EXPIRY_1);
    let mut processor = Processor::after(std::slice::from_ref(&item));

    let answer = Item {
        time: Some(300),
        ..item
    };
    let decision = processor.get_card(&answer);

    assert_eq!(verdict(&decision), ("no_change", "same-values"));
    assert!(decision.changes.is_empty() && decision.events.is_empty());
    assert_eq!(processor.versions(), (1, 1));
    let late = processor.receive(&suspended(200));
    assert_eq!(verdict(&late), ("stale", "status-older"));
}

#[test]
fn a_token_from_get_card_makes_a_cryptogram_due_as_a_refresh_does() {
    let mut processor = Processor::after(&[active(100).refresh(NUMBER_1, EXPIRY_1)]);
    processor.hold_cryptogram(CryptogramState::Stored);

    let decision = processor.get_card(&active(200).refresh(NUMBER_2, EXPIRY_1));

    assert_eq!(cryptogram_job(&decision), Some(2));
    assert_eq!(processor.card().cryptogram, None, "the old one is gone");
}

#[rstest]
#[case::before_everything(10)]
#[case::after_everything(900)]
fn cancelled_in_a_get_card_answer_ends_the_card_whatever_its_rank(#[case] as_of: i64) {
    let mut processor = Processor::after(&[active(100).refresh(NUMBER_1, EXPIRY_1)]);
    processor.hold_cryptogram(CryptogramState::Stored);

    let decision = processor.get_card(&cancelled(as_of).refresh(NUMBER_2, EXPIRY_2));

    assert_eq!(verdict(&decision), ("applied", "cancelled"));
    assert_eq!(jobs(&decision), [""; 0]);
    let state = processor.state();
    assert!(state.is_terminal && state.token.is_none() && !state.has_cryptogram);
    let again = processor.get_card(&active(1_000).refresh(NUMBER_2, EXPIRY_2));
    assert_eq!(verdict(&again), ("stale", "terminal"));
    assert_eq!(processor.state(), state);
}

#[test]
fn an_unknown_status_from_get_card_holds_the_register_without_a_further_call() {
    let mut processor = Processor::after(&[active(100).with("panLastFour", "1111")]);

    let decision = processor.get_card(&reports("LOST", 200).with("panLastFour", "2222"));

    assert_eq!(verdict(&decision), ("parked", "status-unknown"));
    assert_eq!(jobs(&decision), [""; 0]);
    assert_eq!(processor.state().status, None);
    assert!(!may_charge(processor.card(), NOW));
    assert_eq!(processor.state().masked["panLastFour"], "2222");
    processor.get_card(&active(300));
    assert_eq!(processor.state().status, Some("ACTIVE"));
}

/// In a notification each of these queues a Get Card; asked once, it is not asked again.
#[rstest]
#[case::unknown_status(reports("LOST", 200))]
#[case::unreadable_token(active(200).unreadable())]
#[case::token_without_expiry(active(200).refresh_without_expiry(NUMBER_2))]
#[case::other_digits(active(200).with("tokenLastFour", "9009"))]
#[case::other_status_at_the_same_time(suspended(100))]
#[case::other_token_at_the_same_time(active(100).refresh(NUMBER_2, EXPIRY_2))]
fn what_is_in_doubt_after_get_card_queues_no_further_one(#[case] said: Item) {
    let before = [active(100).refresh(NUMBER_1, EXPIRY_1)];
    let notified = Processor::after(&before).receive(&said);
    assert!(jobs(&notified).contains(&"get_card"), "{said:?}");

    let answered = Processor::after(&before).get_card(&said);
    assert!(!jobs(&answered).contains(&"get_card"), "{said:?}");
    assert_eq!(verdict(&answered), verdict(&notified));
    assert_eq!(answered.flags, notified.flags);
}

#[test]
fn disagreeing_digits_of_a_get_card_answer_follow_the_policy() {
    let policy = Policy {
        payment_data_mismatch: MismatchPolicy::Quarantine,
        ..Policy::default()
    };
    let answer = active(200)
        .with("tokenLastFour", "9009")
        .refresh(NUMBER_2, EXPIRY_2);
    for (policy, is_taken) in [(Policy::default(), true), (policy, false)] {
        let mut processor = Processor::following(policy);
        processor.receive(&active(100).refresh(NUMBER_1, EXPIRY_1));
        let decision = processor.get_card(&answer);
        assert!(decision.flags.contains(&Flag::DigitsDisagree));
        assert!(!jobs(&decision).contains(&"get_card"));
        let number = processor.state().token.unwrap().number;
        assert_eq!(number == NUMBER_2, is_taken);
    }
}

#[test]
fn a_token_from_get_card_ends_an_unreadable_refresh_and_a_suspicion() {
    let mut processor = Processor::after(&[
        active(100).refresh(NUMBER_1, EXPIRY_1),
        active(200).unreadable().with("tokenLastFour", "2002"),
    ]);
    assert!(processor.state().is_refresh_unreadable);
    assert!(processor.state().is_refresh_suspected);

    let answer = active(300).with("tokenLastFour", "2002");
    processor.get_card(&answer.refresh(NUMBER_2, EXPIRY_2));

    let state = processor.state();
    assert!(!state.is_refresh_unreadable && !state.is_refresh_suspected);
    assert!(state.may_charge);
}

#[test]
fn a_card_that_only_get_card_tells_of_is_as_if_a_notification_had() {
    let said = active(100).refresh(NUMBER_1, EXPIRY_1);
    let notified = Processor::after(std::slice::from_ref(&said));
    let mut asked = Processor::new();
    let decision = asked.get_card(&said);

    assert_eq!(verdict(&decision), ("applied", "first-token"));
    assert_eq!(asked.state(), notified.state());
    assert_eq!(asked.versions(), (1, 1));
}

#[test]
fn a_registration_yields_to_get_card_in_every_field() {
    let mut processor = Processor::new();
    let registration = Register::under("shop").with("panLastFour", "0000");
    processor.register(&registration.token(NUMBER_1, EXPIRY_1));

    let answer = active(100).with("panLastFour", "1111");
    let decision = processor.get_card(&answer.refresh(NUMBER_1, EXPIRY_1));

    assert_eq!(processor.state().masked["panLastFour"], "1111");
    assert_eq!(processor.versions(), (1, 1));
    assert_eq!(cryptogram_job(&decision), None, "the number it registered");
}

#[test]
fn not_there_changes_nothing_but_the_mark_and_lists_the_card_from_then_on() {
    let mut processor = Processor::after(&[active(100).refresh(NUMBER_1, EXPIRY_1)]);
    processor.hold_cryptogram(CryptogramState::Stored);
    let (before, versions) = (processor.state(), processor.versions());

    let decision = processor.not_there(ANSWERED);

    assert_eq!(verdict(&decision), ("no_change", "not-there"));
    assert_eq!(decision.flags, [Flag::NotFoundThere]);
    assert!(decision.changes.is_empty() && decision.events.is_empty());
    assert!(decision.jobs.is_empty());
    assert_eq!(processor.state(), before);
    assert_eq!(processor.versions(), versions);
    assert_eq!(processor.card().not_there_since, Some(ANSWERED));

    processor.not_there(ANSWERED + 1_000);
    let since = processor.card().not_there_since;
    assert_eq!(since, Some(ANSWERED), "since the first time");
}

/// It was there at its event time; an older notification says nothing of now.
#[rstest]
#[case::later(active(ANSWERED + 1), None)]
#[case::earlier(active(ANSWERED - 1), Some(ANSWERED))]
fn a_notification_of_a_later_time_ends_not_there(
    #[case] item: Item,
    #[case] not_there_since: Option<i64>,
) {
    let mut processor = Processor::after(&[active(100)]);
    processor.not_there(ANSWERED);
    processor.receive(&item);
    assert_eq!(processor.card().not_there_since, not_there_since);
}

#[test]
fn get_card_that_finds_the_card_ends_not_there() {
    let mut processor = Processor::after(&[active(100)]);
    processor.not_there(ANSWERED);
    processor.get_card(&active(50));
    assert_eq!(processor.card().not_there_since, None);
}

#[test]
fn not_there_ends_no_card_and_begins_none() {
    let mut processor = Processor::new();
    processor.not_there(ANSWERED);
    let card = processor.card();
    assert!(card.terminal.is_none() && card.status.is_none());

    let mut processor = Processor::after(&[cancelled(100)]);
    let ended = processor.card().terminal;
    processor.not_there(ANSWERED);
    assert_eq!(processor.card().terminal, ended);
}
