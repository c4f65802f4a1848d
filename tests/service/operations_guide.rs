//! The operator's guide as a document: every task is there, and every reason it is looked up for.

use tokenkeep::domain::{Reason, Warning};

use crate::support::guide::{blocks, read, section};
use crate::support::stage::GUIDE;

/// The tasks that alerts refer to by these names.
const TASKS: [&str; 14] = [
    "A card is declined after a refresh",
    "Rotate the payload key",
    "Mastercard cannot reach us",
    "Notifications are parked or quarantined",
    "Calls are dead or held back",
    "A deletion is not confirmed",
    "The database is down or full",
    "The backlog does not go down",
    "A certificate ends soon",
    "Senders are refused",
    "The clock is wrong",
    "Move to PostgreSQL",
    "Restore a backup",
    "Off-board a merchant",
];

#[test]
fn every_task_has_its_parts_and_commands_that_are_run() {
    for task in TASKS {
        let section = section(GUIDE, task);
        for part in [
            "**You are here**",
            "**Do",
            "**See that it worked**",
            "**Call**",
        ] {
            assert!(section.contains(part), "{task}: {part}");
        }
        let runs = blocks(&section)
            .into_iter()
            .filter(|(language, _)| language == "sh");
        assert!(runs.count() >= 2, "{task}");
    }
}

#[test]
fn what_is_not_run_by_tests_needs_an_administrator() {
    let blocks = blocks(&read(GUIDE));
    let kinds = blocks.iter().map(|(language, _)| &**language);
    assert!(
        kinds
            .clone()
            .all(|kind| ["sh", "text", "console"].contains(&kind))
    );
    let lines = blocks.iter().filter(|(language, _)| language == "console");
    let lines = Vec::from_iter(lines.flat_map(|(_, lines)| lines));
    assert!(lines.len() <= 40, "{} lines are not run", lines.len());
}

/// The names that a list of constants in the source gives, `Self("name")`.
fn constants_of(source: &str, of: &str) -> Vec<String> {
    let (_, rest) = source.split_once(&format!("impl {of} {{\n")).unwrap();
    let (body, _) = rest.split_once("\n}\n").unwrap();
    let named = body.lines().filter_map(|line| line.split_once("Self(\""));
    named
        .map(|(_, name)| name.split('"').next().unwrap().to_owned())
        .collect()
}

#[test]
fn every_reason_that_holds_a_notification_a_charge_or_a_sender_is_explained() {
    let holds = constants_of(include_str!("../../src/domain/decision.rs"), "Hold");
    assert!(holds.len() > 8, "{holds:?}");
    let parked = section(GUIDE, "Notifications are parked or quarantined");
    for hold in holds {
        assert!(parked.contains(&format!("| `{hold}` |")), "{hold}");
    }
    let reasons = [
        Reason::Suspended,
        Reason::StatusUnknown,
        Reason::RefreshUnreadable,
        Reason::TokenExpired,
    ];
    let warnings = [Warning::RefreshSuspected, Warning::NotFoundThere];
    let declined = section(GUIDE, "A card is declined after a refresh");
    let names = reasons
        .map(Reason::name)
        .into_iter()
        .chain(warnings.map(Warning::name));
    for name in names {
        assert!(declined.contains(name), "{name}");
    }
}
