//! P-04: whatever a command prints of a card of whatever state, it is masked.

use std::fs;

use clap::CommandFactory;
use rstest::rstest;
use tokenkeep::commands::Cli;

use crate::support::build::plain;
use crate::support::calls::Shop;
use crate::support::commands::with;
use crate::support::every_status::{CARDS, Known, Masking, said_again, shop};
use crate::support::{Backend, is_full};

/// What a command is run for.
enum For {
    /// Once, with these arguments behind its name.
    Once(&'static [&'static str]),
    /// Each card, each item and each call, with these arguments behind the id.
    Card(&'static [&'static str]),
    Item(&'static [&'static str]),
    Call(&'static [&'static str]),
    /// With a file of registrations, or of notifications.
    Registrations,
    Notifications(&'static [&'static str]),
    /// It has nothing to do with what is stored of cards.
    Nothing,
}

/// What each command is run for; a new one has to be thought of here.
fn run_for(command: &str) -> Vec<For> {
    match command {
        "cards list" => vec![
            For::Once(&[]),
            For::Once(&["--not-confirmed"]),
            For::Once(&["--not-there"]),
        ],
        "cards show" | "cards release" => vec![For::Card(&[])],
        "cards hold" => vec![For::Card(&["--reason", "why"])],
        "cards status" => vec![For::Card(&["suspend"])],
        "cards delete" => vec![For::Card(&["--yes"])],
        "cards erase" => vec![For::Card(&[])],
        "cards import" => vec![For::Registrations],
        "cards export" | "maintenance status" => vec![For::Once(&[])],
        "rebuild" => vec![For::Once(&["--check"])],
        "maintenance on" => vec![For::Once(&["--reason", "why"])],
        "maintenance off" => vec![For::Once(&[])],
        "notifications list" | "outbox list" | "audit list" | "audit verify" => {
            vec![For::Once(&[])]
        }
        "notifications show" | "notifications explain" => vec![For::Item(&[])],
        "notifications replay" => vec![For::Item(&["--reason", "why", "--dry-run"])],
        "outbox show" | "outbox retry" => vec![For::Call(&[])],
        "outbox discard" => vec![For::Call(&["--reason", "why"])],
        "replay" => vec![For::Notifications(&["--dry-run"]), For::Notifications(&[])],
        "reconcile" => vec![For::Once(&["--since", "0m"]), For::Once(&["--missed"])],
        "purge" => vec![For::Once(&["--dry-run"])],
        "keys list" | "keys check" | "keys reseal" | "api-keys list" => vec![For::Once(&[])],
        "check" => vec![For::Once(&["--data"])],
        "keys approve" => vec![For::Once(&["nobody", "--reason", "why"])],
        "migrate" => vec![For::Once(&[])],
        "api-keys create" => vec![For::Once(&["--role", "app", "--name", "masked"])],
        "api-keys revoke" => vec![For::Once(&["masked"])],
        "serve" | "demo" | "sandbox" | "encrypt" | "keys generate" | "backup" | "completions" => {
            vec![For::Nothing]
        }
        other => panic!("what is `{other}` run for?"),
    }
}

/// Every command that has none below it: its name, and whether it prints JSON where asked to.
fn commands(command: &clap::Command, above: &str, all: &mut Vec<(String, bool)>) {
    for one in command.get_subcommands() {
        let name = format!("{above} {}", one.get_name()).trim().to_owned();
        match one.has_subcommands() {
            true => commands(one, &name, all),
            false => {
                let has_json = one.get_arguments().any(|it| it.get_id() == "json");
                all.push((name, has_json));
            }
        }
    }
}

struct Files {
    registrations: String,
    notifications: String,
}

/// The arguments of every run of a command.
fn runs(shop: &Shop, files: &Files, command: &str) -> Vec<Vec<String>> {
    let of = |ids: Vec<String>, more: &[&str]| -> Vec<Vec<String>> {
        let with_more = |id: String| {
            let more = more.iter().map(|&word| word.to_owned());
            std::iter::once(id).chain(more).collect()
        };
        ids.into_iter().map(with_more).collect()
    };
    // A card's first item is the one that brought all its digits.
    let most = if is_full() { usize::MAX } else { 1 };
    let one = |kind: For| match kind {
        For::Once(more) => vec![more.iter().map(|&word| word.to_owned()).collect()],
        For::Card(more) => of(CARDS.map(|card| card.id.to_owned()).to_vec(), more),
        For::Item(more) => {
            let of_card = |card: Known| shop.app.notifications(card.id).into_iter().take(most);
            of(
                CARDS
                    .into_iter()
                    .flat_map(of_card)
                    .map(|item| item.id)
                    .collect(),
                more,
            )
        }
        For::Call(more) => {
            let of_card = |card: Known| shop.app.jobs(card.id).into_iter().take(most);
            of(
                CARDS
                    .into_iter()
                    .flat_map(of_card)
                    .map(|job| job.id)
                    .collect(),
                more,
            )
        }
        For::Registrations => of(vec![files.registrations.clone()], &[]),
        For::Notifications(more) => of(vec![files.notifications.clone()], more),
        For::Nothing => Vec::new(),
    };
    run_for(command).into_iter().flat_map(one).collect()
}

/// Commands that end cards or calls are run behind all others.
fn comes_late(command: &str) -> bool {
    let last = [
        "cards status",
        "cards delete",
        "cards erase",
        "outbox discard",
    ];
    last.contains(&command)
}

#[rstest]
fn p04_no_command_prints_more_of_a_card_than_its_state_lets_be_seen(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let shop = shop(backend);
    let masking = Masking::new();
    let folder = tempfile::tempdir().unwrap();
    let put = |name: &str, text: String| {
        let path = folder.path().join(name);
        fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let bodies: Vec<String> = (CARDS.iter())
        .map(|card| plain(&[said_again(card, shop.now() + 1)]).to_string())
        .collect();
    let lines: Vec<String> = (CARDS.iter())
        .map(|card| format!("{{\"cardId\":\"{}\",\"program\":\"shop\"}}", card.id))
        .collect();
    let files = Files {
        registrations: put("registrations.ndjson", lines.join("\n")),
        notifications: put("notifications.ndjson", bodies.join("\n")),
    };
    let mut all = Vec::new();
    commands(&Cli::command(), "", &mut all);
    all.sort_by_key(|(command, _)| comes_late(command));
    let mut cells = 0;
    for (command, has_json) in &all {
        for run in runs(&shop, &files, command) {
            let mut arguments: Vec<&str> = command.split(' ').collect();
            arguments.extend(run.iter().map(String::as_str));
            let mut forms = vec![arguments.clone()];
            if *has_json {
                arguments.push("--json");
                forms.push(arguments);
            }
            for form in forms {
                let output = with(&shop.app.database, &form, &[("RUST_LOG", "info")]);
                let place = form.join(" ");
                assert_ne!(output.code, 2, "{place}: {}", output.stderr);
                masking.check(&place, &output.stdout);
                masking.check(&place, &output.stderr);
                cells += 1;
            }
        }
    }
    let commands = all.len();
    println!(
        "P-04 {backend:?}, commands: {commands} commands, 7 states: {cells} cells, 0 longer runs"
    );
}
