//! The operator's guide as a document: every task is there, and every reason it is looked up for.

use rstest::rstest;
use tokenkeep::domain::{Hold, Reason, Warning};

use crate::support::browser::{Browser, ENTER};
use crate::support::guide::{blocks, read, run, section, steps};
use crate::support::serve::Serve;
use crate::support::sql::sql;
use crate::support::stage::GUIDE;
use crate::support::{Backend, TestDatabase, wait_until};
use crate::watch_rules::alerts;

/// The tasks that alerts refer to by these names.
const TASKS: [&str; 15] = [
    "A card is declined after a refresh",
    "Something seems to have been missed",
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
fn every_alert_is_named_where_its_runbook_leads() {
    for (alert, rule) in alerts() {
        let (_, anchor) = rule.split_once("runbook: docs/operations.md#").unwrap();
        let anchor = anchor.lines().next().unwrap();
        let of_anchor = |task: &&&str| task.to_lowercase().replace(' ', "-") == anchor;
        let task = TASKS
            .iter()
            .find(of_anchor)
            .unwrap_or_else(|| panic!("{anchor}"));
        assert!(
            section(GUIDE, task).contains(&format!("`{alert}`")),
            "{alert}"
        );
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

/// The names that constants of the source have, `Self("name")`.
fn constants_of(source: &str) -> Vec<String> {
    let named = source.lines().filter_map(|line| line.split_once("Self(\""));
    named
        .map(|(_, name)| name.split('"').next().unwrap().to_owned())
        .collect()
}

#[test]
fn every_reason_that_holds_a_notification_a_charge_or_a_sender_is_explained() {
    let holds = constants_of(include_str!("../../src/domain/hold.rs"));
    assert!(holds.len() > 8, "{holds:?}");
    let parked = section(GUIDE, "Notifications are parked or quarantined");
    for hold in holds {
        assert!(parked.contains(&format!("| `{hold}` |")), "{hold}");
        assert!(Hold::help(&hold).is_some(), "{hold}");
    }
    let refusals = include_str!("../../src/receiver/transport/refusals.rs");
    let named = refusals
        .lines()
        .filter(|line| line.contains(": &str = \"") || line.contains("=> \""));
    let causes = Vec::from_iter(named.filter_map(|line| line.split('"').nth(1)));
    assert!(causes.len() > 10, "{causes:?}");
    let refused = section(GUIDE, "Senders are refused");
    for cause in causes {
        assert!(refused.contains(&format!("`{cause}`")), "{cause}");
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

/// Signs in, and follows what needs a human to the page of the notification.
fn find(browser: &Browser, serve: &Serve, key: &str) -> String {
    browser.open(&format!("http://{}/console", serve.api));
    browser.press(&format!("{key}{ENTER}"));
    wait_until("the overview", || browser.path() == "/console");
    let needed = browser.text();
    assert!(
        needed.contains("Notifications parked, status-unknown: 1"),
        "{needed}"
    );
    browser.tab_to("ul.attention a");
    browser.press(ENTER);
    wait_until("the list", || browser.path().contains("verdict=parked"));
    browser.tab_to("tbody a");
    browser.press(ENTER);
    wait_until("the page", || {
        browser.path().starts_with("/console/notifications/")
    });
    browser.text()
}

#[rstest]
fn a_new_user_finds_a_parked_notification_in_the_console_and_repairs_it_by_the_readme(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let Some(browser) = Browser::start() else {
        return;
    };
    let [make, settle] = steps("README.md", "Find and repair");
    let folder = tempfile::tempdir().unwrap();
    for part in ["fixtures", "keys"] {
        let source = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(part);
        std::os::unix::fs::symlink(source, folder.path().join(part)).unwrap();
    }
    let database = TestDatabase::new(backend);
    let variables = [("DATABASE_URL".to_owned(), database.url())];
    let mut serve = Serve::start(&database);
    let printed = run(&make.commands, folder.path(), &variables);
    let key = printed.lines().next().unwrap();

    let page = find(&browser, &serve, key);
    for shown in ["LOCKED", "How it was decided", "What helps", "status_words"] {
        assert!(page.contains(shown), "{shown}: {page}");
    }
    run(&settle.commands, folder.path(), &variables);
    serve.terminate();
    let settings = folder.path().join("tokenkeep.toml");
    let settings = [("TOKENKEEP_CONFIG", settings.to_str().unwrap())];
    let serve = Serve::start_with(&database, &settings);
    find(&browser, &serve, key);
    browser.tab_to("a[href$='/replay']");
    browser.press(ENTER);
    wait_until("what it would change", || {
        browser.path().ends_with("/replay")
    });
    let told = browser.text();
    assert!(
        told.contains("applied") && told.contains("SUSPENDED"),
        "{told}"
    );
    browser.tab_to("#reason");
    browser.press(&format!("Mastercard says that it is a suspension{ENTER}"));
    wait_until("it is done", || browser.path().contains("replayed=yes"));
    let verdicts = sql(&database).texts("SELECT verdict AS text FROM notifications");
    assert_eq!(verdicts, ["applied"]);
}
