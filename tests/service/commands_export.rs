//! `cards export` and `cards import`: from one database into another, without a number.

use rstest::rstest;
use serde_json::{Value, json};
use tokenkeep::domain::Card;

use crate::commands_reconcile::PROGRAM;
use crate::support::build::{NUMBER_1, plain, refresh, status};
use crate::support::commands::{tokenkeep, with};
use crate::support::{App, Backend, START};

fn masked(card: &Card) -> Vec<(String, Value)> {
    let fields = card.masked.iter();
    let values = fields.map(|(name, register)| (name.clone(), register.value.clone()));
    Vec::from_iter(values)
}

/// A shop's app with cards of several states.
fn populated(backend: Backend) -> App {
    let app = App::spawn(backend);
    for (card, consumer) in [("one", "consumer-7"), ("-two", "consumer-8")] {
        let registration = json!({ "program": "shop", "consumerReference": consumer });
        let path = format!("/v1/cards/{card}");
        assert_eq!(app.put(&path, &registration).status, 201);
    }
    app.deliver(&plain(&[
        refresh("one", START, NUMBER_1, ("12", "2031")),
        refresh("-two", START, NUMBER_1, ("12", "2031")),
        status("heard-of", Some(START), "ACTIVE"),
        status("suspended", Some(START), "SUSPENDED"),
        status("gone", Some(START), "CANCELLED"),
    ]));
    app
}

#[rstest]
#[case(Backend::Sqlite, Backend::Postgres)]
#[case(Backend::Postgres, Backend::Sqlite)]
fn exported_cards_are_imported_elsewhere_without_a_number(
    #[case] backend: Backend,
    #[case] elsewhere: Backend,
) {
    let (app, other) = (populated(backend), App::spawn(elsewhere));
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("cards.ndjson");
    let file = file.to_str().unwrap();
    let exported = tokenkeep(&app.database, &["cards", "export", "--to", file]);
    assert_eq!((exported.code, &*exported.stdout), (0, ""), "{exported:?}");
    let lines = std::fs::read_to_string(file).unwrap();
    assert_eq!(lines.lines().count(), 4, "the living ones: {lines}");
    // What the progress is measured by.
    for (program, count) in [(None, 4), (Some("shop"), 2), (Some("other"), 0)] {
        let living = app.store().read(|tx| tx.count_living(program));
        assert_eq!(living.unwrap(), count);
    }
    assert!(!lines.contains(NUMBER_1));

    for said in ["4 new, 0 known before", "0 new, 4 known before"] {
        let imported = with(&other.database, &["cards", "import", file], &PROGRAM);
        assert_eq!(imported.code, 0, "{imported:?}");
        assert!(imported.stdout.starts_with(said), "{imported:?}");
    }
    for id in ["one", "-two", "heard-of"] {
        let (from, to) = (app.card(id).unwrap().card, other.card(id).unwrap().card);
        assert_eq!(masked(&to), masked(&from), "{id}");
        assert_eq!(to.registered_program, from.registered_program);
        assert_eq!(to.consumer_reference, from.consumer_reference);
        // A token and a status are not the merchant's to say.
        assert!(to.token.is_none() && to.status.is_none());
    }
    // Digits that may not be shown of it stay behind.
    let (from, mut to) = (app.card("suspended"), other.card("suspended"));
    let (from, to) = (from.unwrap().card, &mut to.as_mut().unwrap().card);
    let digits = from.masked["panLastFour"].clone();
    assert_eq!(to.masked.insert("panLastFour".to_owned(), digits), None);
    assert_eq!(masked(to), masked(&from));
    assert!(other.card("gone").is_none());
    other.assert_rebuilt();
}

#[test]
fn an_export_is_its_owners_alone_and_never_in_the_place_of_another_file() {
    use std::os::unix::fs::PermissionsExt;
    let app = populated(Backend::Sqlite);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("cards.ndjson");
    let export = [
        "cards",
        "export",
        "--program",
        "shop",
        "--to",
        file.to_str().unwrap(),
    ];
    assert_eq!(tokenkeep(&app.database, &export).code, 0);
    let mode = std::fs::metadata(&file).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let before = std::fs::read_to_string(&file).unwrap();
    assert_eq!(before.lines().count(), 2, "{before}");
    let again = tokenkeep(&app.database, &export);
    assert_eq!(again.code, 2, "{again:?}");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), before);
}
