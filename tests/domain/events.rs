//! What the merchant's systems are told of a decision: one event for each part that changed.

use rstest::rstest;
use serde_json::{Value, json};
use tokenkeep::domain::{Card, CryptogramState, Decision, Event, Verdict};

use crate::support::answers::{ANSWERED, checkout};
use crate::support::random::{self, Random, Spice};
use crate::support::{
    EXPIRY_1, EXPIRY_2, Item, NUMBER_1, NUMBER_2, NUMBER_3, Processor, Register, active, cancelled,
    reports, suspended,
};

fn kinds(decision: &Decision) -> Vec<&'static str> {
    decision.events.iter().map(|e| e.kind.name()).collect()
}

fn event<'a>(decision: &'a Decision, kind: &str) -> &'a Value {
    let of_kind = |event: &&Event| event.kind.name() == kind;
    &decision.events.iter().find(of_kind).unwrap().data
}

#[test]
fn a_first_refresh_tells_of_status_token_and_details() {
    let item = active(100).refresh(NUMBER_1, EXPIRY_1);
    let decision = Processor::new().receive(&item.with("panLastFour", "1111"));

    assert_eq!(
        kinds(&decision),
        ["card.status", "card.token", "card.details"]
    );
    let status = event(&decision, "card.status");
    assert_eq!(*status, json!({ "from": null, "to": "ACTIVE" }));
    let token = json!({
        "version": 1, "numberVersion": 1, "numberChanged": true,
        "lastFour": "1001", "expirationMonth": "01", "expirationYear": "2030",
    });
    assert_eq!(*event(&decision, "card.token"), token);
    let details = event(&decision, "card.details");
    assert_eq!(*details, json!({ "fields": ["panLastFour"] }));
}

#[rstest]
#[case::number_and_expiry(NUMBER_2, EXPIRY_2, &["card.token", "card.cryptogram"])]
#[case::number_only(NUMBER_2, EXPIRY_1, &["card.token", "card.cryptogram"])]
#[case::expiry_only(NUMBER_1, EXPIRY_2, &["card.token"])]
#[case::nothing(NUMBER_1, EXPIRY_1, &[])]
fn each_row_of_the_refresh_table_has_its_events(
    #[case] number: &str,
    #[case] expiry: &str,
    #[case] told: &[&str],
) {
    let mut processor = Processor::after(&[active(100).refresh(NUMBER_1, EXPIRY_1)]);
    processor.hold_cryptogram(CryptogramState::Stored);

    let decision = processor.receive(&active(200).refresh(number, expiry));

    assert_eq!(kinds(&decision), told);
    if number != NUMBER_1 {
        let destroyed = json!({ "state": "destroyed", "numberVersion": 2 });
        assert_eq!(*event(&decision, "card.cryptogram"), destroyed);
    }
    if !told.is_empty() {
        let changed = &event(&decision, "card.token")["numberChanged"];
        assert_eq!(*changed, Value::Bool(number != NUMBER_1));
    }
}

#[rstest]
#[case::suspended(suspended(200), "SUSPENDED")]
#[case::cancelled(cancelled(200), "CANCELLED")]
fn a_change_of_status_is_told_with_what_it_was(#[case] item: Item, #[case] word: &str) {
    let decision = Processor::after(&[active(100)]).receive(&item);
    assert_eq!(kinds(&decision), ["card.status"]);
    let told = json!({ "from": "ACTIVE", "to": word });
    assert_eq!(*event(&decision, "card.status"), told);
}

#[test]
fn a_status_that_moves_behind_an_unknown_one_is_not_told() {
    let mut processor = Processor::after(&[active(100), reports("LOST", 300)]);

    let moved = processor.receive(&suspended(200));
    assert_eq!(moved.verdict, Verdict::Applied);
    assert_eq!(kinds(&moved), [""; 0]);

    let known = processor.receive(&active(400));
    let told = json!({ "from": null, "to": "ACTIVE" });
    assert_eq!(*event(&known, "card.status"), told);
}

#[test]
fn a_status_that_is_unknown_is_told_as_none() {
    let decision = Processor::after(&[active(100)]).receive(&reports("LOST", 200));
    let told = json!({ "from": "ACTIVE", "to": null });
    assert_eq!(*event(&decision, "card.status"), told);
}

#[test]
fn a_duplicate_and_what_is_older_are_not_told() {
    let item = active(200).refresh(NUMBER_1, EXPIRY_1);
    let mut processor = Processor::after(std::slice::from_ref(&item));
    assert_eq!(kinds(&processor.receive(&item)), [""; 0]);
    let older = suspended(100).refresh(NUMBER_2, EXPIRY_2);
    assert_eq!(kinds(&processor.receive(&older)), [""; 0]);
}

/// What had applied when the item was held was told then.
#[test]
fn an_item_judged_anew_tells_only_what_is_new() {
    let mut processor = Processor::new();
    let arrival = crate::support::Arrival {
        item: active(100).refresh(NUMBER_1, EXPIRY_1).unreadable(),
        sequence: 1,
        index: 0,
        received_at: ANSWERED,
    };
    let held = processor.process(&arrival);
    assert_eq!(kinds(&held), ["card.status"]);

    let opened = processor.process(&crate::support::Arrival {
        item: arrival.item.clone().opened(),
        ..arrival
    });
    assert_eq!(kinds(&opened), ["card.token"]);
}

#[test]
fn a_registration_is_told_with_program_and_consumer() {
    let mut processor = Processor::after(&[active(100)]);
    let registration = Register::under("shop").with("panLastFour", "1111");
    let registration = registration.token(NUMBER_1, EXPIRY_1);
    let decision = processor.register(&registration);

    assert_eq!(
        kinds(&decision),
        ["card.registered", "card.token", "card.details"]
    );
    let told = json!({ "program": "shop", "consumerReference": "consumer-1" });
    assert_eq!(*event(&decision, "card.registered"), told);
    assert_eq!(kinds(&processor.register(&registration)), [""; 0], "again");
}

#[test]
fn a_deletion_is_told_when_it_is_asked_for_and_when_it_is_confirmed() {
    let mut processor = Processor::after(&[active(100).refresh(NUMBER_1, EXPIRY_1)]);
    processor.hold_cryptogram(CryptogramState::Stored);

    let asked = processor.delete(ANSWERED);
    assert_eq!(kinds(&asked), ["card.status", "card.cryptogram"]);
    let told = json!({ "from": "ACTIVE", "to": "DELETE_PENDING" });
    assert_eq!(*event(&asked, "card.status"), told);

    let confirmed = processor.confirm_deletion(ANSWERED);
    let told = json!({ "from": "DELETE_PENDING", "to": "CANCELLED" });
    assert_eq!(*event(&confirmed, "card.status"), told);
    assert_eq!(kinds(&processor.confirm_deletion(ANSWERED)), [""; 0]);
}

#[test]
fn a_cryptogram_is_told_when_it_is_stored_for_the_number_it_belongs_to() {
    let mut processor = Processor::after(&[active(100).refresh(NUMBER_1, EXPIRY_1)]);
    let decision = processor.checkout(&checkout(200, NUMBER_1, EXPIRY_1));
    assert_eq!(kinds(&decision), ["card.cryptogram"]);
    let told = json!({ "state": "stored", "numberVersion": 1 });
    assert_eq!(*event(&decision, "card.cryptogram"), told);
}

/// The cryptogram of the old number goes and one of the new number comes: the last word is told.
#[test]
fn a_missed_refresh_tells_of_the_new_token_and_of_its_cryptogram() {
    let mut processor = Processor::after(&[active(100).refresh(NUMBER_1, EXPIRY_1)]);
    processor.hold_cryptogram(CryptogramState::Stored);

    let decision = processor.checkout(&checkout(200, NUMBER_2, EXPIRY_2));

    assert_eq!(kinds(&decision), ["card.token", "card.cryptogram"]);
    let told = json!({ "state": "stored", "numberVersion": 2 });
    assert_eq!(*event(&decision, "card.cryptogram"), told);
}

/// Whatever comes: at most one event of each kind, one for every part that changed, and nowhere
/// more of a number than its last four.
#[test]
fn no_event_of_10_000_random_histories_holds_a_full_number() {
    let mut told = 0;
    for seed in 0..10_000 {
        let mut random = Random::seeded(seed);
        let mut processor = Processor::new();
        processor.register(&random::registration(&mut random).unwrap_or_default());
        for _ in 0..8 {
            let item = random::item(&mut random, Spice::ALL);
            let at = ANSWERED + 100 * random.below(9) as i64;
            let number = random.one_of(&[NUMBER_1, NUMBER_2, NUMBER_3]);
            let decision = match random.below(9) {
                0 | 1 => processor.get_card(&item),
                2 | 3 => processor.checkout(&checkout(at, number, EXPIRY_1)),
                4 if random.once_in(4) => processor.delete(at),
                5 if random.once_in(4) => processor.confirm_deletion(at),
                _ => processor.receive(&item),
            };
            told += decision.events.len();
            assert_is_told(&decision, seed);
        }
    }
    println!("events: {told} of 10000 random histories, 0 with a full number");
}

fn assert_is_told(decision: &Decision, seed: u64) {
    let shown = decision.card.as_ref().and_then(Card::status_word);
    let mut expected = std::collections::BTreeSet::new();
    for change in &decision.changes {
        expected.extend(match change.field.as_str() {
            "program" | "consumerReference" => Some("card.registered"),
            "status" if change.to.as_str() == shown => Some("card.status"),
            "token.version" => Some("card.token"),
            "cryptogram" => Some("card.cryptogram"),
            field if field.starts_with("maskedCard.") => Some("card.details"),
            _ => None,
        });
    }
    let mut kinds = kinds(decision);
    kinds.sort_unstable();
    assert_eq!(kinds, Vec::from_iter(expected), "seed {seed}");
    for event in &decision.events {
        let text = event.data.to_string();
        assert!(
            !has_long_digits(&text),
            "seed {seed}: {}",
            event.kind.name()
        );
    }
}

/// More than eight digits in a row are no last four, year or version any more.
fn has_long_digits(text: &str) -> bool {
    text.split(|c: char| !c.is_ascii_digit())
        .any(|run| run.len() > 8)
}
