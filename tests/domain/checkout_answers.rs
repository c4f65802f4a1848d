//! Checkout: its cryptogram is used only for the number the card has, or for a newer one that the
//! answer itself brings.

use rstest::rstest;
use tokenkeep::domain::{CryptogramState, Decision, Flag, FreshCryptogram, Policy};

use crate::support::answers::{ANSWERED, Checkout, checkout};
use crate::support::item::Token;
use crate::support::processor::{cryptogram_job, jobs, verdict};
use crate::support::{
    EXPIRY_1, EXPIRY_2, Item, NUMBER_1, NUMBER_2, NUMBER_3, Processor, Register, active, cancelled,
    reports, suspended,
};

const TAKEN: FreshCryptogram = FreshCryptogram::Usable;
const DESTROYED: FreshCryptogram = FreshCryptogram::Destroyed;

fn with_token() -> Processor {
    Processor::after(&[active(100).refresh(NUMBER_1, EXPIRY_1)])
}

/// The answer left the card as it was, and its cryptogram is nobody's.
fn assert_destroyed(processor: &Processor, decision: &Decision, before: &Processor) {
    assert_eq!(decision.fresh_cryptogram, DESTROYED);
    assert!(decision.changes.is_empty() && decision.events.is_empty());
    assert_eq!(processor.versions(), before.versions());
    assert_eq!(processor.state().token, before.state().token);
    assert_eq!(processor.card().cryptogram, before.card().cryptogram);
}

#[test]
fn the_token_we_hold_makes_the_cryptogram_usable_and_moves_no_rank() {
    let mut processor = with_token();
    let rank = processor.card().token.as_ref().unwrap().rank;

    let decision = processor.checkout(&checkout(900, NUMBER_1, EXPIRY_1));

    assert_eq!(verdict(&decision), ("applied", "checkout-confirms"));
    assert_eq!(decision.fresh_cryptogram, TAKEN);
    assert_eq!(processor.card().cryptogram, Some(CryptogramState::Stored));
    assert_eq!(processor.card().token.as_ref().unwrap().rank, rank);
    assert_eq!(processor.versions(), (1, 1));
    assert!(decision.flags.is_empty() && decision.jobs.is_empty());
    let refresh = processor.receive(&active(200).refresh(NUMBER_2, EXPIRY_2));
    assert_eq!(refresh.verdict.name(), "applied", "older than the answer");
}

#[test]
fn an_answer_without_expiry_is_taken_for_the_token_we_hold() {
    let mut processor = with_token();
    let mut answer = checkout(900, NUMBER_1, EXPIRY_1);
    answer.token.expiry = None;

    let decision = processor.checkout(&answer);

    assert_eq!(verdict(&decision), ("applied", "checkout-confirms"));
    let held = processor.state().token;
    assert_eq!(held, Some(Token::new(NUMBER_1, Some(EXPIRY_1))));
}

#[test]
fn where_no_number_is_held_the_answer_fills_the_register() {
    let mut processor = Processor::after(&[active(100)]);

    let decision = processor.checkout(&checkout(900, NUMBER_1, EXPIRY_1).inconsistent());

    assert_eq!(verdict(&decision), ("applied", "first-token"));
    assert_eq!(decision.fresh_cryptogram, TAKEN);
    assert_eq!(processor.versions(), (1, 1));
    let state = processor.state();
    assert_eq!(state.token, Some(Token::new(NUMBER_1, Some(EXPIRY_1))));
    assert!(state.has_cryptogram && !state.is_cryptogram_due);
    assert_eq!(jobs(&decision), [""; 0], "it is there already");
    let late = processor.receive(&active(800).refresh(NUMBER_2, EXPIRY_2));
    assert_eq!(verdict(&late), ("stale", "token-older"));
}

#[rstest]
#[case::number_and_expiry(NUMBER_2, EXPIRY_2, "number-and-expiry-changed", (2, 2))]
#[case::number_only(NUMBER_2, EXPIRY_1, "number-changed", (2, 2))]
#[case::expiry_only(NUMBER_1, EXPIRY_2, "expiry-changed", (2, 1))]
fn a_token_that_is_not_older_is_taken_as_a_refresh_that_was_missed(
    #[values(100, 200)] as_of: i64,
    #[case] number: &str,
    #[case] expiry: &str,
    #[case] rule: &str,
    #[case] versions: (u32, u32),
) {
    let mut processor = with_token();

    let decision = processor.checkout(&checkout(as_of, number, expiry));

    assert_eq!(verdict(&decision), ("applied", rule));
    assert_eq!(decision.flags, [Flag::RefreshMissed]);
    assert_eq!(decision.fresh_cryptogram, TAKEN);
    assert_eq!(processor.versions(), versions);
    let state = processor.state();
    assert_eq!(state.token, Some(Token::new(number, Some(expiry))));
    assert!(state.has_cryptogram && !state.is_cryptogram_due);
    assert_eq!(jobs(&decision), [""; 0], "the answer brought what was due");
}

/// The notification of the missed refresh comes after all: nothing is asked for again.
#[test]
fn the_notification_of_a_missed_refresh_costs_no_second_call() {
    let mut processor = with_token();
    processor.checkout(&checkout(900, NUMBER_2, EXPIRY_2));

    let late = processor.receive(&active(800).refresh(NUMBER_2, EXPIRY_2));

    assert_eq!(jobs(&late), [""; 0]);
    assert_eq!(processor.versions(), (2, 2));
    assert_eq!(processor.card().cryptogram, Some(CryptogramState::Stored));
}

/// Two reasons not to believe another token: ours is newer, or the answer contradicts itself.
#[rstest]
#[case::ours_is_newer(checkout(99, NUMBER_2, EXPIRY_2))]
#[case::its_masked_card_differs(checkout(900, NUMBER_2, EXPIRY_2).inconsistent())]
fn another_token_is_destroyed_and_at_the_first_time_nothing_is_asked(#[case] answer: Checkout) {
    let mut processor = with_token();

    let decision = processor.checkout(&answer);

    assert_eq!(verdict(&decision), ("stale", "checkout-disagrees"));
    assert_destroyed(&processor, &decision, &with_token());
    assert!(decision.jobs.is_empty() && decision.flags.is_empty());
    assert!(processor.card().cryptogram_is_due(), "it is asked for anew");
    assert!(!processor.state().is_refresh_suspected);
}

#[rstest]
#[case::ours_is_newer(checkout(99, NUMBER_2, EXPIRY_2).repeated())]
#[case::its_masked_card_differs(checkout(900, NUMBER_2, EXPIRY_2).inconsistent().repeated())]
fn another_token_for_the_second_time_asks_get_card_after_a_minute(#[case] answer: Checkout) {
    let mut processor = with_token();

    let decision = processor.checkout(&answer);

    assert_eq!(verdict(&decision), ("stale", "checkout-disagrees"));
    assert_destroyed(&processor, &decision, &with_token());
    assert_eq!(jobs(&decision), ["get_card"]);
    assert_eq!(decision.jobs[0].not_before, ANSWERED + 60_000);
    assert_eq!(decision.flags, [Flag::RefreshSuspected]);
}

#[test]
fn a_token_in_doubt_is_suspected_until_a_newer_one_comes() {
    let mut processor = with_token();
    processor.checkout(&checkout(900, NUMBER_2, EXPIRY_2).inconsistent().repeated());
    assert!(processor.state().is_refresh_suspected);

    processor.receive(&active(800).refresh(NUMBER_1, EXPIRY_1));
    assert!(
        processor.state().is_refresh_suspected,
        "older than the doubt"
    );
    processor.get_card(&active(950).refresh(NUMBER_1, EXPIRY_1));
    assert!(!processor.state().is_refresh_suspected);
}

#[rstest]
#[case::suspended(&[suspended(200)])]
#[case::status_unknown(&[reports("LOST", 200)])]
#[case::cancelled(&[cancelled(50)])]
#[case::number_changed(&[active(200).refresh(NUMBER_2, EXPIRY_2)])]
#[case::number_changed_and_back(
    &[active(200).refresh(NUMBER_2, EXPIRY_2), active(300).refresh(NUMBER_1, EXPIRY_1)]
)]
fn an_answer_that_comes_too_late_is_destroyed(#[case] meanwhile: &[Item]) {
    let late = || {
        let mut processor = with_token();
        for item in meanwhile {
            processor.receive(item);
        }
        processor
    };
    let mut processor = late();

    let decision = processor.checkout(&checkout(900, NUMBER_1, EXPIRY_1).asked_for(1));

    assert_eq!(verdict(&decision), ("stale", "checkout-late"));
    assert_destroyed(&processor, &decision, &late());
    assert_eq!(processor.state(), late().state());
    assert!(decision.jobs.is_empty() && decision.flags.is_empty());
}

#[test]
fn an_answer_for_a_card_of_unknown_status_or_none_is_destroyed() {
    let mut unknown = Processor::new();
    let decision = unknown.checkout(&checkout(900, NUMBER_1, EXPIRY_1));
    assert_eq!(verdict(&decision), ("stale", "checkout-late"));
    assert!(unknown.state().token.is_none());

    let mut registered = Processor::new();
    registered.register(&Register::under("shop").token(NUMBER_1, EXPIRY_1));
    let decision = registered.checkout(&checkout(900, NUMBER_1, EXPIRY_1));
    assert_eq!(decision.fresh_cryptogram, DESTROYED);
    assert_eq!(registered.card().cryptogram, None);
}

#[test]
fn after_the_suspension_ends_the_cryptogram_is_asked_for_again() {
    let mut processor = with_token();
    processor.checkout(&checkout(150, NUMBER_1, EXPIRY_1));
    let suspension = processor.receive(&suspended(200));
    assert_eq!(cryptogram_job(&suspension), None);
    assert_eq!(processor.card().cryptogram, None, "destroyed");

    let resumed = processor.receive(&active(300));
    assert_eq!(cryptogram_job(&resumed), Some(1));
}

/// A registered number is no change, so no cryptogram was due; a missed refresh is one.
#[test]
fn a_missed_refresh_of_a_registered_number_binds_the_cryptogram_to_the_new_one() {
    let mut processor = Processor::new();
    processor.register(&Register::under("shop").token(NUMBER_1, EXPIRY_1));
    processor.receive(&active(100));

    let decision = processor.checkout(&checkout(900, NUMBER_3, EXPIRY_2));

    assert_eq!(decision.flags, [Flag::RefreshMissed]);
    assert_eq!(processor.versions(), (2, 2));
    assert_eq!(decision.fresh_cryptogram, TAKEN);
}

#[test]
fn with_checkout_on_expiry_change_a_missed_expiry_brings_its_own_cryptogram() {
    let mut processor = Processor::following(Policy {
        checkout_on_expiry_change: true,
        ..Policy::default()
    });
    processor.receive(&active(100).refresh(NUMBER_1, EXPIRY_1));
    processor.hold_cryptogram(CryptogramState::Stored);

    let decision = processor.checkout(&checkout(900, NUMBER_1, EXPIRY_2));

    assert_eq!(decision.fresh_cryptogram, TAKEN);
    assert_eq!(processor.card().cryptogram, Some(CryptogramState::Stored));
    assert_eq!(jobs(&decision), [""; 0]);
    assert_eq!(processor.versions(), (2, 1));
}

#[test]
fn a_cryptogram_handed_out_at_once_is_marked_and_told_as_that() {
    let mut processor = with_token();
    let mut decision = processor.checkout(&checkout(900, NUMBER_1, EXPIRY_1));
    decision.hand_out_cryptogram();

    let card = decision.card.as_ref().unwrap();
    assert_eq!(card.cryptogram, Some(CryptogramState::HandedOut));
    assert!(!card.cryptogram_is_due());
    let states: Vec<_> = decision.events.iter().map(|e| &e.data["state"]).collect();
    assert_eq!(states, ["handed_out"]);
}
