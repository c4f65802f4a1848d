//! Token commands: what may be given, what it makes of those that wait.

use rstest::rstest;
use tokenkeep::domain::{
    Card, CardId, CardToken, CommandState, OpenCommand, Rank, Register, Ruling, TokenCommand,
    TokenStatus, rule_on_command,
};

use TokenCommand::{Deactivate, Resume, Suspend};
use TokenStatus::{Active, Deleted, Obsolete, Suspended};

const COMMANDS: [TokenCommand; 3] = TokenCommand::ALL;

fn token(id: &str, status: Option<TokenStatus>) -> CardToken {
    let mut token = CardToken::new(id.to_owned(), "9876".to_owned());
    token.status = status.map(|value| Register {
        value,
        rank: Rank::timed(1),
        received_at: 1,
    });
    token
}

fn card(statuses: &[Option<TokenStatus>]) -> Card {
    let mut card = Card::new(CardId::parse("70001").unwrap());
    let ids = ["one", "two", "three"];
    let pairs = ids.iter().zip(statuses);
    card.tokens = pairs
        .map(|(id, status)| token(id, status.clone()))
        .collect();
    card
}

fn open(job: &str, token: Option<&str>, command: TokenCommand, state: CommandState) -> OpenCommand {
    OpenCommand {
        job: job.to_owned(),
        token: token.map(str::to_owned),
        command,
        state,
        never_sent: state == CommandState::Waiting,
    }
}

fn queued() -> Ruling {
    Ruling::Queue { supersedes: vec![] }
}

fn superseding(jobs: &[&str]) -> Ruling {
    Ruling::Queue {
        supersedes: jobs.iter().map(|&job| job.to_owned()).collect(),
    }
}

fn repeated(job: Option<&str>) -> Ruling {
    Ruling::NoChange {
        supersedes: vec![],
        job: job.map(str::to_owned),
    }
}

fn illegal(from: TokenStatus) -> Ruling {
    Ruling::Illegal { from }
}

/// Suspend, resume, deactivate: for each status the ruling on each.
#[rstest]
#[case::active(Some(Active), [queued(), repeated(None), queued()])]
#[case::suspended(Some(Suspended), [repeated(None), queued(), queued()])]
#[case::deleted(Some(Deleted), [illegal(Deleted), illegal(Deleted), repeated(None)])]
#[case::obsolete(Some(Obsolete), [illegal(Obsolete), illegal(Obsolete), illegal(Obsolete)])]
#[case::another_word(Some(TokenStatus::other("Inactive")), [queued(), queued(), queued()])]
#[case::unknown(None, [queued(), queued(), queued()])]
fn each_status_allows_what_leads_away_from_it(
    #[case] status: Option<TokenStatus>,
    #[case] expected: [Ruling; 3],
) {
    for (command, expected) in COMMANDS.into_iter().zip(expected) {
        let one = card(std::slice::from_ref(&status));
        let ruling = rule_on_command(&one, Some("one"), command, &[]);
        assert_eq!(ruling, expected, "{command:?} for one");
        if status != Some(Deleted) {
            let ruling = rule_on_command(&one, None, command, &[]);
            assert_eq!(ruling, expected, "{command:?} for all");
        }
    }
}

#[test]
fn a_command_for_all_leaves_deleted_tokens_alone() {
    let mixed = card(&[Some(Active), Some(Deleted)]);
    assert_eq!(rule_on_command(&mixed, None, Suspend, &[]), queued());
    assert_eq!(rule_on_command(&mixed, None, Resume, &[]), repeated(None));
    let gone = card(&[Some(Deleted), Some(Deleted)]);
    assert_eq!(rule_on_command(&gone, None, Resume, &[]), illegal(Deleted));
    assert_eq!(
        rule_on_command(&gone, None, Deactivate, &[]),
        repeated(None)
    );
}

#[test]
fn a_command_for_all_is_a_repeat_only_if_every_token_has_that_status() {
    let mixed = card(&[Some(Suspended), Some(Active)]);
    assert_eq!(rule_on_command(&mixed, None, Suspend, &[]), queued());
    let same = card(&[Some(Suspended), Some(Suspended)]);
    assert_eq!(rule_on_command(&same, None, Suspend, &[]), repeated(None));
}

#[test]
fn a_card_without_tokens_takes_any_command_and_knows_its_repeats() {
    let empty = card(&[]);
    for command in COMMANDS {
        assert_eq!(rule_on_command(&empty, None, command, &[]), queued());
        let waiting = [open("job", None, command, CommandState::Waiting)];
        let ruling = rule_on_command(&empty, None, command, &waiting);
        assert_eq!(ruling, repeated(Some("job")), "{command:?}");
    }
}

/// A waiting command (or none of its kind), and the ruling on suspend, resume, deactivate after it;
/// the token is ACTIVE.
#[rstest]
#[case::suspend_waits(Suspend, CommandState::Waiting, [repeated(Some("job")), taken_back(), superseding(&["job"])])]
#[case::suspend_runs(Suspend, CommandState::Running, [repeated(Some("job")), queued(), queued()])]
#[case::suspend_is_parked(Suspend, CommandState::Parked, [superseding(&["job"]), repeated(None), superseding(&["job"])])]
#[case::deactivate_waits(Deactivate, CommandState::Waiting, [illegal(Deleted), illegal(Deleted), repeated(Some("job"))])]
#[case::deactivate_runs(Deactivate, CommandState::Running, [illegal(Deleted), illegal(Deleted), repeated(Some("job"))])]
#[case::deactivate_is_parked(Deactivate, CommandState::Parked, [illegal(Deleted), illegal(Deleted), repeated(Some("job"))])]
fn legality_is_judged_on_the_state_after_the_commands_that_wait(
    #[case] command: TokenCommand,
    #[case] state: CommandState,
    #[case] expected: [Ruling; 3],
) {
    let active = card(&[Some(Active)]);
    for token in [Some("one"), None] {
        let waiting = [open("job", token, command, state)];
        for (next, expected) in COMMANDS.into_iter().zip(&expected) {
            let ruling = rule_on_command(&active, token, next, &waiting);
            assert_eq!(ruling, *expected, "{next:?} after {command:?} {state:?}");
        }
    }
}

/// What was never sent and leads back to where the tokens are is all taken back.
fn taken_back() -> Ruling {
    Ruling::NoChange {
        supersedes: vec!["job".to_owned()],
        job: None,
    }
}

#[test]
fn what_may_have_arrived_is_answered_by_a_call_and_not_by_forgetting() {
    let active = card(&[Some(Active)]);
    let mut waiting = open("job", None, Suspend, CommandState::Waiting);
    waiting.never_sent = false;
    let ruling = rule_on_command(&active, None, Resume, &[waiting]);
    assert_eq!(ruling, superseding(&["job"]));
}

#[test]
fn only_a_command_of_equal_scope_gives_way() {
    let two = card(&[Some(Active), Some(Active)]);
    let waiting = [open("all", None, Suspend, CommandState::Waiting)];
    assert_eq!(
        rule_on_command(&two, Some("one"), Resume, &waiting),
        queued()
    );
    let waiting = [open("one", Some("one"), Suspend, CommandState::Waiting)];
    assert_eq!(rule_on_command(&two, None, Suspend, &waiting), queued());
    assert_eq!(
        rule_on_command(&two, Some("two"), Suspend, &waiting),
        queued()
    );
}

/// Statuses after these commands have been carried out one after the other.
fn carried_out<'a>(
    mut card: Card,
    commands: impl IntoIterator<Item = (Option<&'a str>, TokenCommand)>,
) -> Vec<Option<TokenStatus>> {
    for (scope, command) in commands {
        for known in &mut card.tokens {
            let is_meant = scope.is_none_or(|id| id == known.id);
            if is_meant && !known.has_ended() {
                *known = token(&known.id.clone(), Some(command.target()));
            }
        }
    }
    let statuses = card.tokens.iter().map(|token| token.status().cloned());
    statuses.collect()
}

/// Every sequence of four commands in every scope over two tokens, from every pair of statuses: what is
/// left in the queue leads to where all accepted commands, carried out at once, would have led.
#[test]
fn superseding_never_changes_what_comes_out_in_the_end() {
    let scopes = [None, Some("one"), Some("two")];
    let mut steps = Vec::new();
    for scope in scopes {
        steps.extend(COMMANDS.map(|command| (scope, command)));
    }
    let mut sequences = 0;
    for first in [Active, Suspended, Deleted] {
        for second in [Active, Suspended, Deleted] {
            let start = card(&[Some(first.clone()), Some(second.clone())]);
            for code in 0..steps.len().pow(4) {
                let sequence: Vec<_> = (0..4)
                    .map(|place| steps[code / steps.len().pow(place) % steps.len()])
                    .collect();
                let mut queue: Vec<OpenCommand> = Vec::new();
                let mut accepted = Vec::new();
                for (number, (scope, command)) in sequence.iter().enumerate() {
                    let supersedes = match rule_on_command(&start, *scope, *command, &queue) {
                        Ruling::Illegal { .. } => continue,
                        Ruling::NoChange { supersedes, .. } => {
                            queue.retain(|open| !supersedes.contains(&open.job));
                            accepted.push((*scope, *command));
                            continue;
                        }
                        Ruling::Queue { supersedes } => supersedes,
                    };
                    queue.retain(|open| !supersedes.contains(&open.job));
                    let job = number.to_string();
                    queue.push(open(&job, *scope, *command, CommandState::Waiting));
                    accepted.push((*scope, *command));
                }
                let left = queue
                    .iter()
                    .map(|open| (open.token.as_deref(), open.command));
                let at_once = carried_out(start.clone(), accepted);
                assert_eq!(carried_out(start.clone(), left), at_once, "{sequence:?}");
                sequences += 1;
            }
        }
    }
    assert_eq!(sequences, 9 * 9_usize.pow(4));
}
