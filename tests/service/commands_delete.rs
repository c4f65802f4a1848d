//! `cards delete`: one card, many, all of a consumer, all of a program.

use std::process::{Command, Stdio};

use insta::{allow_duplicates, assert_snapshot};
use rstest::rstest;
use serde_json::{Value, json};
use tokenkeep::domain::CardId;
use tokenkeep::store::{JobView, Store};

use crate::storage::open;
use crate::support::build::{CARD, NUMBER_1, plain, refresh, status};
use crate::support::commands::{fed, tokenkeep, with};
use crate::support::sql::sql;
use crate::support::{App, Backend, START, TestDatabase, keys, wait_until};

/// Registers cards of a program.
fn import(database: &TestDatabase, program: &str, consumer: &str, ids: &[String]) {
    let line = |id: &String| {
        json!({ "cardId": id, "program": program, "consumerReference": consumer }).to_string()
    };
    let lines = Vec::from_iter(ids.iter().map(line)).join("\n");
    let imported = fed(database, &["cards", "import", "-"], &lines);
    assert_eq!(imported.code, 0, "{imported:?}");
}

fn ids(prefix: &str, count: usize) -> Vec<String> {
    (0..count).map(|n| format!("{prefix}-{n:04}")).collect()
}

fn json_of(database: &TestDatabase, args: &[&str]) -> Value {
    let ran = tokenkeep(database, args);
    assert_eq!(ran.code, 0, "{ran:?}");
    ran.json()
}

/// The ids of a printed list of cards.
fn listed(list: &Value) -> Vec<&str> {
    let cards = list["cards"].as_array().unwrap();
    Vec::from_iter(cards.iter().map(|card| card["cardId"].as_str().unwrap()))
}

/// Deletes, which must be done; returns the summary.
fn deleted(database: &TestDatabase, args: &[&str]) -> Value {
    json_of(database, &[&["cards", "delete", "--json"], args].concat())
}

fn deletions(store: &Store, card: &str) -> Vec<JobView> {
    let id = CardId::parse(card).unwrap();
    let mut jobs = store.read(|tx| tx.jobs_of_card(&id)).unwrap();
    jobs.retain(|job| job.kind == "delete_card");
    jobs
}

fn status_of(store: &Store, card: &str) -> Option<&'static str> {
    let id = CardId::parse(card).unwrap();
    let row = store.read(|tx| tx.card(&id)).unwrap().unwrap();
    row.card.status_word()
}

#[rstest]
fn a_deleted_card_is_unusable_at_once_and_its_call_waits(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let app = App::spawn(backend);
    app.put(
        &format!("/v1/cards/{CARD}"),
        &json!({ "program": "shop", "consumerReference": "me" }),
    );
    let known = refresh(CARD, START, NUMBER_1, ("12", "2031"));
    app.deliver(&plain(&[known]));
    let ran = tokenkeep(
        &app.database,
        &[
            "cards",
            "delete",
            CARD,
            "--reason",
            "ACCOUNT_CLOSED",
            "--requestor",
            "MERCHANT",
        ],
    );
    assert_eq!(ran.code, 0, "{ran:?}");
    allow_duplicates! {
        assert_snapshot!(ran.stdout, @r"
        1 deleted here, 0 deleted before, 0 cancelled before, 0 refused
        A running serve deletes them at Mastercard; cards list --not-confirmed shows which are not confirmed.
        ");
    }
    assert_eq!(status_of(app.store(), CARD), Some("DELETE_PENDING"));
    assert!(app.card(CARD).unwrap().card.token.is_none());
    let kept = app.database.sealed_values_of(CARD);
    assert!(kept.iter().all(|(_, count)| *count == 0), "{kept:?}");
    let calls = deletions(app.store(), CARD);
    assert_eq!(calls.len(), 1, "{calls:?}");
    assert_eq!(calls[0].state, "waiting");
    let words = "SELECT reason || ' ' || requestor AS text FROM outbox WHERE reason IS NOT NULL";
    assert_eq!(sql(&app.database).texts(words), ["ACCOUNT_CLOSED MERCHANT"]);

    let again = deleted(&app.database, &[CARD]);
    let before = json!({ "deleted": 0, "deletedBefore": 1, "cancelledBefore": 0, "refused": [] });
    assert_eq!(again, before);
    assert_eq!(deletions(app.store(), CARD).len(), 1);
}

#[rstest]
fn what_cannot_be_deleted_is_named_and_does_not_keep_the_others(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let app = App::spawn(backend);
    let known = ["stray", "cancelled", "damaged", "kept", "one", "two"];
    for card in known {
        let word = if card == "cancelled" {
            "CANCELLED"
        } else {
            "ACTIVE"
        };
        app.deliver(&plain(&[status(card, Some(START), word)]));
    }
    for card in ["damaged", "kept", "one", "two"] {
        app.put(&format!("/v1/cards/{card}"), &json!({ "program": "shop" }));
    }
    app.database
        .execute("UPDATE cards SET state = '{' WHERE id = 'damaged'");
    let mut args = vec!["cards", "delete", "--yes", "one", "nobody", "stray"];
    args.extend(["damaged", "cancelled", "two"]);
    let ran = tokenkeep(&app.database, &args);
    assert_eq!(ran.code, 1, "{ran:?}");
    allow_duplicates! {
        assert_snapshot!(ran.stdout, @r"
        2 deleted here, 0 deleted before, 1 cancelled before, 3 refused
        A running serve deletes them at Mastercard; cards list --not-confirmed shows which are not confirmed.
         CARD     REFUSED BECAUSE
         nobody   no card of this id is known
         stray    its program is not known: name one with --program
         damaged  a stored row is damaged: a card's state cannot be read
        ");
        assert_snapshot!(ran.stderr, @"tokenkeep: some cards are not deleted");
    }
    assert_eq!(status_of(app.store(), "kept"), Some("ACTIVE"));
    assert_eq!(status_of(app.store(), "stray"), Some("ACTIVE"));
    // Where its program is told, it can be.
    let summary = deleted(&app.database, &["stray", "--program", "shop"]);
    assert_eq!(summary["deleted"], 1);
    assert_eq!(status_of(app.store(), "stray"), Some("DELETE_PENDING"));
}

#[rstest]
fn off_boarding_deletes_every_card_of_a_program_and_no_other(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let database = TestDatabase::new(backend);
    import(&database, "shop", "me", &ids("a", 300));
    import(&database, "shop", "you", &ids("b", 300));
    import(&database, "other", "me", &ids("c", 20));
    // More than one page; what was deleted before is not asked for again.
    let before = deleted(&database, &["a-0003", "b-0299", "--yes"]);
    assert_eq!(before["deleted"], 2);
    let summary = deleted(&database, &["--program", "shop", "--yes"]);
    let all = json!({ "deleted": 598, "deletedBefore": 0, "cancelledBefore": 0, "refused": [] });
    assert_eq!(summary, all);
    let list = ["cards", "list", "--json", "--limit", "1000"];
    let pending = json_of(&database, &[&list[..], &["--not-confirmed"]].concat());
    assert_eq!(listed(&pending), [ids("a", 300), ids("b", 300)].concat());
    let others = json_of(&database, &[&list[..], &["--program", "other"]].concat());
    assert_eq!(listed(&others), ids("c", 20));
    assert!(
        others["cards"]
            .as_array()
            .unwrap()
            .iter()
            .all(|card| card["status"].is_null())
    );

    let nothing_left = deleted(&database, &["--program", "shop"]);
    assert_eq!(nothing_left["deleted"], 0);
}

#[rstest]
fn all_cards_of_a_consumer_are_deleted_in_one_program_or_in_all(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let database = TestDatabase::new(backend);
    import(&database, "shop", "-me", &ids("a", 2));
    import(&database, "other", "-me", &ids("b", 2));
    import(&database, "other", "you", &ids("c", 2));
    let store = open(&database).unwrap();
    let pending = || {
        let pending = "SELECT id AS text FROM cards WHERE status = 'DELETE_PENDING' ORDER BY id";
        sql(&database).texts(pending)
    };
    deleted(
        &database,
        &["--consumer", "-me", "--program", "shop", "--yes"],
    );
    assert_eq!(pending(), ids("a", 2));
    deleted(&database, &["--consumer", "-me", "--yes"]);
    assert_eq!(pending(), [ids("a", 2), ids("b", 2)].concat());
    assert_eq!(deletions(&store, "c-0000").len(), 0);
}

#[rstest]
fn a_deletion_of_many_that_was_killed_goes_on_where_it_stopped(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let database = TestDatabase::new(backend);
    let all = ids("card", 400);
    import(&database, "shop", "me", &all);
    let store = open(&database).unwrap();
    let pending =
        || database.number("SELECT count(*) AS number FROM cards WHERE status = 'DELETE_PENDING'");
    let mut command = Command::new(env!("CARGO_BIN_EXE_tokenkeep"))
        .args(["cards", "delete", "--program", "shop", "--yes"])
        .env("DATABASE_URL", database.url())
        .env("TOKENKEEP_KEYS", keys())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    wait_until("some cards are deleted", || pending() >= 20);
    command.kill().unwrap();
    command.wait().unwrap();
    let first = pending();
    assert!(first < 400, "it was killed too late to show anything");
    let summary = deleted(&database, &["--program", "shop", "--yes"]);
    assert_eq!(summary["deleted"], 400 - first);
    for card in all {
        assert_eq!(status_of(&store, &card), Some("DELETE_PENDING"));
        assert_eq!(deletions(&store, &card).len(), 1, "{card}");
    }
}

#[rstest]
#[case::two_ids(&["a-0000", "a-0001"])]
#[case::a_consumer(&["--consumer", "me"])]
#[case::a_program(&["--program", "shop"])]
fn more_than_one_card_is_not_deleted_unasked(#[case] chosen: &[&str]) {
    let database = TestDatabase::new(Backend::Sqlite);
    import(&database, "shop", "me", &ids("a", 3));
    // Standard input is no terminal: nobody can be asked.
    let ran = fed(&database, &[&["cards", "delete"], chosen].concat(), "yes\n");
    assert_eq!((ran.code, ran.stdout.as_str()), (2, ""), "{ran:?}");
    assert!(ran.stderr.contains("--yes"), "{ran:?}");
    let jobs = "SELECT count(*) AS number FROM outbox WHERE kind = 'delete_card'";
    assert_eq!(database.number(jobs), 0);
    assert_eq!(deleted(&database, &["a-0000"])["deleted"], 1);
}

#[rstest]
#[case::nothing_chosen(&[], 2)]
#[case::ids_and_consumer(&["a", "--consumer", "me"], 2)]
#[case::impossible_id(&["a b"], 2)]
#[case::unknown_reason(&["a", "--reason", "BORED"], 2)]
#[case::unknown_requestor(&["a", "--requestor", "NEIGHBOUR"], 2)]
#[case::unknown_card(&["nobody"], 1)]
#[case::id_that_begins_with_a_dash(&["-nobody"], 1)]
#[case::dashes_and_options(&["-nobody", "--yes", "--", "-neither"], 1)]
fn wrong_use_of_delete_is_told_from_what_is_not_well(#[case] args: &[&str], #[case] code: i32) {
    let database = TestDatabase::new(Backend::Sqlite);
    let ran = tokenkeep(&database, &[&["cards", "delete"], args].concat());
    assert_eq!(ran.code, code, "{ran:?}");
}

#[test]
fn a_program_that_is_not_configured_is_told() {
    let database = TestDatabase::new(Backend::Sqlite);
    import(&database, "shop", "me", &ids("a", 1));
    let ran = with(
        &database,
        &["cards", "delete", "--program", "shop"],
        &[("TOKENKEEP_PROGRAMS__OTHER__KIND", "mastercard-checkout")],
    );
    assert_eq!(ran.code, 2, "{ran:?}");
    assert_eq!(status_of(&open(&database).unwrap(), "a-0000"), None);
}
