//! The tokens of a card that has several, or one of a bank: registration, commands, reads, the issuer.

use std::collections::BTreeMap;

use rstest::rstest;
use serde_json::json;
use tokenkeep::domain::{
    Card, CardId, ContractStatus, Decision, EventKind, Expiry, Input, Job, JobKind, Policy, Rank,
    ReadToken, Registration, SeenToken, Signs, Status, TerminalState, TokenCommand,
    TokenCommandDone, TokenStatus, TokensOfCard, TokensRead, decide, may_charge, reasons, warnings,
};

use crate::support::NOW;

use TokenCommand::{Deactivate, Resume, Suspend};
use TokenStatus::{Active, Deleted, Suspended};

const AT: i64 = 1_780_000_000_000;

/// One card at work, in a program of one of the two kinds.
struct Holder {
    card: Option<Card>,
    policy: Policy,
}

impl Holder {
    fn new(tokens_of: TokensOfCard, tokens: &[&str]) -> Self {
        let policy = Policy {
            token_programs: BTreeMap::from([("issuer".to_owned(), tokens_of)]),
            ..Policy::default()
        };
        let mut holder = Self { card: None, policy };
        holder.register(tokens);
        holder
    }

    /// A card contract whose tokens one and two are ACTIVE.
    fn active() -> Self {
        let mut holder = Self::new(TokensOfCard::Many, &["one", "two"]);
        holder.read(AT, &[("one", Active), ("two", Active)]);
        holder
    }

    fn decide(&mut self, input: Input) -> Decision {
        let decision = decide(self.card.take(), input, &self.policy);
        self.card.clone_from(&decision.card);
        decision
    }

    fn register(&mut self, tokens: &[&str]) -> Decision {
        let seen = |id: &&str| SeenToken {
            id: (*id).to_owned(),
            last_four: "9876".to_owned(),
        };
        self.decide(Input::Registration(Registration {
            card_id: id(),
            program: Some("issuer".to_owned()),
            consumer_reference: None,
            masked: BTreeMap::new(),
            token: None,
            tokens: tokens.iter().map(seen).collect(),
            received_at: AT,
        }))
    }

    fn read(&mut self, at: i64, tokens: &[(&str, TokenStatus)]) -> Decision {
        let tokens = tokens
            .iter()
            .map(|(id, status)| reading(id, status.clone()));
        self.decide(Input::TokensRead(TokensRead {
            card_id: id(),
            rank: Rank::timed(at),
            received_at: at,
            tokens: tokens.collect(),
            moved: vec![],
            missing: vec![],
            is_not_there: false,
        }))
    }

    fn gone(&mut self, at: i64, moved: &[&str], missing: &[&str]) -> Decision {
        let texts = |ids: &[&str]| ids.iter().map(|&id| id.to_owned()).collect();
        self.decide(Input::TokensRead(TokensRead {
            card_id: id(),
            rank: Rank::timed(at),
            received_at: at,
            tokens: vec![],
            moved: texts(moved),
            missing: texts(missing),
            is_not_there: moved.is_empty() && missing.is_empty(),
        }))
    }

    fn done(&mut self, at: i64, token: Option<&str>, command: TokenCommand) -> Decision {
        self.decide(Input::TokenCommandDone(TokenCommandDone {
            card_id: id(),
            token: token.map(str::to_owned),
            command,
            received_at: at,
        }))
    }

    fn contract(&mut self, at: i64, code: &str) -> Decision {
        self.decide(Input::ContractStatus(ContractStatus {
            card_id: id(),
            code: code.to_owned(),
            received_at: at,
        }))
    }

    fn card(&self) -> &Card {
        self.card.as_ref().unwrap()
    }

    fn statuses(&self) -> Vec<(&str, Option<&str>)> {
        let tokens = self.card().tokens.iter();
        tokens
            .map(|token| (token.id.as_str(), token.status().map(TokenStatus::word)))
            .collect()
    }

    fn relinking(&self) -> Vec<&str> {
        let tokens = self.card().tokens.iter();
        let marked = tokens.filter(|token| token.relinking_since.is_some());
        marked.map(|token| token.id.as_str()).collect()
    }
}

fn id() -> CardId {
    CardId::parse("70001").unwrap()
}

fn reading(id: &str, status: TokenStatus) -> ReadToken {
    ReadToken {
        id: id.to_owned(),
        last_four: "9876".to_owned(),
        status,
        customer: Some("40000".to_owned()),
        expiry: None,
        details: BTreeMap::from([("walletName".to_owned(), json!("Google Pay"))]),
    }
}

fn verdict(decision: &Decision) -> (&str, &str) {
    (decision.verdict.name(), decision.rule.0)
}

fn kinds(decision: &Decision) -> Vec<JobKind> {
    decision.jobs.iter().map(|job| job.kind).collect()
}

#[test]
fn registered_tokens_are_read_at_once_and_not_usable_before() {
    let mut holder = Holder::new(TokensOfCard::Many, &[]);
    let decision = holder.register(&["one", "two"]);
    let read = Job {
        kind: JobKind::ReadTokens,
        not_before: AT,
    };
    assert_eq!(decision.jobs, [read], "no Get Card: there is none");
    assert_eq!(holder.statuses(), [("one", None), ("two", None)]);
    assert!(!may_charge(holder.card(), NOW));
    assert_eq!(reasons(holder.card(), NOW)[0].name(), "status-unknown");

    holder.read(AT + 1, &[("one", Active), ("two", Suspended)]);
    assert!(may_charge(holder.card(), NOW));
    assert!(kinds(&holder.register(&["one"])).is_empty(), "all is known");
}

#[test]
fn a_card_that_is_its_token_keeps_the_first_one() {
    let mut holder = Holder::new(TokensOfCard::One, &["one"]);
    holder.register(&["two"]);
    assert_eq!(holder.statuses(), [("one", None)]);
}

#[rstest]
#[case::some_active(Active, Suspended, Some(Status::Active))]
#[case::none_active(Suspended, Suspended, Some(Status::Suspended))]
#[case::the_other_gone(Deleted, Suspended, Some(Status::Suspended))]
#[case::unknown_word(TokenStatus::other("Inactive"), Deleted, None)]
fn the_card_is_as_usable_as_its_most_usable_token(
    #[case] one: TokenStatus,
    #[case] two: TokenStatus,
    #[case] expected: Option<Status>,
) {
    let mut holder = Holder::new(TokensOfCard::Many, &["one", "two"]);
    holder.read(AT, &[("one", one), ("two", two)]);
    assert_eq!(holder.card().known_status(), expected);
    assert_eq!(
        may_charge(holder.card(), NOW),
        expected == Some(Status::Active)
    );
}

#[test]
fn a_command_for_one_token_moves_that_one() {
    let mut holder = Holder::active();
    let decision = holder.done(AT + 1, Some("one"), Suspend);
    assert_eq!(verdict(&decision), ("applied", "command-done"));
    assert_eq!(
        holder.statuses(),
        [("one", Some("SUSPENDED")), ("two", Some("ACTIVE"))]
    );
    let told: Vec<EventKind> = decision.events.iter().map(|event| event.kind).collect();
    assert_eq!(
        told,
        [EventKind::CardTokens],
        "the card is as usable as before"
    );

    let decision = holder.done(AT + 2, Some("two"), Suspend);
    let told: Vec<EventKind> = decision.events.iter().map(|event| event.kind).collect();
    assert_eq!(told, [EventKind::CardStatus, EventKind::CardTokens]);
    let data = &decision.events[1].data["tokens"];
    assert_eq!(data.as_array().unwrap().len(), 1, "only what changed");
    assert_eq!(
        (&data[0]["tokenId"], &data[0]["status"]),
        (&json!("two"), &json!("SUSPENDED"))
    );
}

#[test]
fn a_command_for_all_moves_every_living_token() {
    let mut holder = Holder::active();
    holder.done(AT + 1, Some("two"), Deactivate);
    holder.done(AT + 2, None, Suspend);
    assert_eq!(
        holder.statuses(),
        [("one", Some("SUSPENDED")), ("two", Some("DELETED"))]
    );
    holder.done(AT + 3, None, Resume);
    assert_eq!(
        holder.statuses(),
        [("one", Some("ACTIVE")), ("two", Some("DELETED"))]
    );
}

#[test]
fn deactivating_all_ends_the_card_and_one_only_itself() {
    let mut holder = Holder::active();
    holder.done(AT + 1, Some("one"), Deactivate);
    holder.done(AT + 2, Some("two"), Deactivate);
    assert!(
        holder.card().terminal.is_none(),
        "the contract may get new tokens"
    );
    assert!(!may_charge(holder.card(), NOW));

    let mut holder = Holder::active();
    let decision = holder.done(AT + 1, None, Deactivate);
    assert_eq!(verdict(&decision), ("applied", "command-done"));
    assert_eq!(
        holder.card().terminal.unwrap().state,
        TerminalState::Deleted
    );
    assert_eq!(holder.card().status_word(), Some("DELETED"));
    assert_eq!(
        verdict(&holder.read(AT + 2, &[("one", Active)])),
        ("stale", "terminal")
    );
    assert_eq!(verdict(&holder.register(&["three"])), ("stale", "terminal"));
}

#[test]
fn a_card_that_is_its_token_ends_with_it_whoever_says_so() {
    let mut holder = Holder::new(TokensOfCard::One, &["one"]);
    holder.read(AT, &[("one", Active)]);
    let decision = holder.read(AT + 1, &[("one", Deleted)]);
    assert_eq!(
        holder.card().terminal.unwrap().state,
        TerminalState::Deleted
    );
    let shown: Vec<_> = decision
        .changes
        .iter()
        .filter(|c| c.field == "status")
        .collect();
    assert_eq!(shown.len(), 1, "told once");
}

/// A read that began before a command was carried out does not undo it, but a deletion counts whenever
/// it is heard of, and nothing leaves it.
#[test]
fn the_greater_rank_wins_and_a_deletion_absorbs() {
    let mut holder = Holder::active();
    holder.done(AT + 100, Some("one"), Suspend);
    let decision = holder.read(AT + 50, &[("one", Active)]);
    assert_eq!(verdict(&decision), ("stale", "status-older"));
    assert_eq!(holder.statuses()[0], ("one", Some("SUSPENDED")));

    holder.read(AT + 50, &[("one", Deleted)]);
    holder.read(AT + 500, &[("one", Active)]);
    assert_eq!(holder.statuses()[0], ("one", Some("DELETED")));
}

#[test]
fn at_equal_times_what_may_not_be_used_wins() {
    for order in [[Active, Suspended], [Suspended, Active]] {
        let mut holder = Holder::new(TokensOfCard::Many, &["one"]);
        for status in order {
            holder.read(AT, &[("one", status)]);
        }
        assert_eq!(holder.statuses(), [("one", Some("SUSPENDED"))]);
    }
}

#[test]
fn a_suspended_contract_suspends_the_active_tokens_without_a_call() {
    let mut holder = Holder::active();
    holder.done(AT + 1, Some("two"), Deactivate);
    let decision = holder.contract(AT + 2, "05");
    assert_eq!(verdict(&decision), ("applied", "contract-status"));
    assert_eq!(
        holder.statuses(),
        [("one", Some("SUSPENDED")), ("two", Some("DELETED"))]
    );
    assert!(decision.jobs.is_empty(), "there it happened by itself");
    assert_eq!(holder.contract(AT + 3, "05").verdict.name(), "no_change");
}

#[rstest]
#[case::lost("41")]
#[case::stolen("43")]
fn a_lost_or_stolen_contract_marks_its_tokens_and_leaves_them(#[case] code: &str) {
    let mut holder = Holder::active();
    holder.done(AT + 1, Some("two"), Deactivate);
    let decision = holder.contract(AT + 2, code);
    assert_eq!(
        holder.statuses(),
        [("one", Some("ACTIVE")), ("two", Some("DELETED"))]
    );
    assert_eq!(holder.relinking(), ["one"]);
    assert_eq!(kinds(&decision), [JobKind::ReadTokens]);
    holder.read(AT + 3, &[("one", Active)]);
    assert_eq!(holder.relinking(), ["one"], "still at the old contract");
    let decision = holder.gone(AT + 4, &["one"], &[]);
    assert_eq!(
        decision.events[1].data,
        json!({ "tokens": [], "gone": ["one"] })
    );
    assert_eq!(holder.statuses(), [("two", Some("DELETED"))]);
    assert!(holder.relinking().is_empty());
    assert_eq!(verdict(&decision), ("applied", "tokens-read"));
}

#[test]
fn another_contract_status_is_recorded_and_changes_no_token() {
    let mut holder = Holder::active();
    holder.contract(AT + 1, "99");
    assert_eq!(
        holder.statuses(),
        [("one", Some("ACTIVE")), ("two", Some("ACTIVE"))]
    );
    assert_eq!(holder.card().contract_status.as_deref(), Some("99"));
}

#[test]
fn a_token_that_nobody_knows_there_is_warned_of_until_it_is_read_again() {
    let mut holder = Holder::active();
    holder.gone(AT + 1, &[], &["one"]);
    assert_eq!(warnings(holder.card())[0].name(), "not-found-there");
    assert_eq!(
        holder.statuses()[0],
        ("one", Some("ACTIVE")),
        "nobody said what it is"
    );
    holder.read(AT + 2, &[("one", Active)]);
    assert!(warnings(holder.card()).is_empty());
}

#[test]
fn a_read_brings_tokens_that_were_not_known() {
    let mut holder = Holder::new(TokensOfCard::Many, &[]);
    let decision = holder.read(AT, &[("new", Active)]);
    assert_eq!(holder.statuses(), [("new", Some("ACTIVE"))]);
    assert!(decision.jobs.is_empty(), "a read asks for nothing");
    assert_eq!(holder.card().tokens[0].details["walletName"], "Google Pay");
}

#[test]
fn a_contract_that_nobody_knows_there_is_warned_of() {
    let mut holder = Holder::new(TokensOfCard::Many, &[]);
    holder.gone(AT + 1, &[], &[]);
    assert_eq!(warnings(holder.card())[0].name(), "not-found-there");
    holder.read(AT + 2, &[("one", Active)]);
    assert!(warnings(holder.card()).is_empty());
}

#[test]
fn of_tokens_of_its_own_the_active_one_that_ends_first_tells_when_something_was_missed() {
    let mut holder = Holder::new(TokensOfCard::Many, &["one", "two", "three"]);
    let tokens = [
        ("one", Active, ("12", "2031")),
        ("two", Active, ("03", "2029")),
        ("three", Suspended, ("01", "2027")),
    ];
    let tokens = tokens.map(|(id, status, (month, year))| ReadToken {
        expiry: Expiry::parse(month, year),
        ..reading(id, status)
    });
    holder.decide(Input::TokensRead(TokensRead {
        card_id: id(),
        rank: Rank::timed(AT),
        received_at: AT,
        tokens: tokens.into(),
        moved: vec![],
        missing: vec![],
        is_not_there: false,
    }));
    let signs = Signs::of(holder.card.as_ref().unwrap());
    let ends_at = Expiry::parse("03", "2029").unwrap().ends_at();
    assert_eq!(signs.token_ends_at, ends_at);
    assert_eq!((signs.token_told_at, signs.is_suspended), (AT, false));
    holder.read(AT + 1, &[("one", Suspended), ("two", Suspended)]);
    let signs = Signs::of(holder.card.as_ref().unwrap());
    assert_eq!((signs.token_ends_at, signs.is_suspended), (None, true));
}
