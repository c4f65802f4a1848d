//! Replay: fixture files through the command line, recorded notifications judged anew.

use std::fmt::Write;
use std::path::PathBuf;

use insta::assert_snapshot;
use rstest::rstest;
use serde_json::{Value, json};

use crate::support::build::{CARD, NUMBER_1, plain, refresh, status};
use crate::support::commands::{Output, tokenkeep};
use crate::support::{Backend, TestDatabase};

fn fixtures() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures"))
}

fn replay(database: &TestDatabase, arguments: &[&str]) -> Output {
    let fixtures = fixtures();
    let mut all = vec!["replay", fixtures.to_str().unwrap()];
    all.extend(arguments);
    tokenkeep(database, &all)
}

/// What each item came to, without the ids that differ from run to run.
fn items(output: &Output) -> Vec<Value> {
    let mut items = output.json()["items"].as_array().unwrap().clone();
    for item in &mut items {
        item.as_object_mut().unwrap().remove("id");
    }
    items
}

/// One line a change, for people to read in the snapshot.
fn story(items: &[Value]) -> String {
    let text = |value: &Value| {
        value
            .as_str()
            .map_or_else(|| value.to_string(), str::to_owned)
    };
    let mut story = String::new();
    for item in items {
        let (card, verdict) = (text(&item["cardId"]), text(&item["verdict"]));
        writeln!(
            story,
            "{card}: {verdict} {}, rule {}",
            item["verdictReason"],
            text(&item["rule"])
        )
        .unwrap();
        for change in item["changes"].as_array().unwrap() {
            let (from, to) = (text(&change["from"]), text(&change["to"]));
            writeln!(story, "  {}: {from} -> {to}", text(&change["field"])).unwrap();
        }
    }
    story
}

#[rstest]
fn each_fixture_has_the_effect_it_is_named_for_and_the_dry_run_tells_the_same(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let database = TestDatabase::new(backend);
    let rehearsed = replay(&database, &["--dry-run", "--json"]);
    assert_eq!(rehearsed.code, 0, "{}", rehearsed.stderr);
    let listed = tokenkeep(&database, &["notifications", "list", "--json"]);
    assert_eq!(
        listed.json()["notifications"],
        json!([]),
        "a dry run changes nothing"
    );
    let live = replay(&database, &["--json"]);
    assert_eq!(live.code, 0, "{}", live.stderr);
    assert_eq!(items(&rehearsed), items(&live));
    assert_snapshot!("fixtures", story(&items(&live)));
}

#[rstest]
fn the_same_fixtures_twice_change_nothing_the_second_time(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let database = TestDatabase::new(backend);
    replay(&database, &["--json"]);
    let again = replay(&database, &["--json", "--shuffle", "--repeat", "2"]);
    for item in items(&again) {
        let verdict = item["verdict"].as_str().unwrap();
        // What cannot be read has no identity yet, and what has no time is ranked by its receipt.
        let is_open = item["verdictReason"] == "unknown-key"
            || item["cardId"] == "5d2f7c1e-9a41-4f0b-8a77-0b8f5f6e2c3d";
        assert!(
            ["duplicate", "stale"].contains(&verdict) || is_open,
            "{item}"
        );
    }
}

#[test]
fn what_no_receiver_would_keep_is_refused_with_its_place_and_the_rest_goes_on() {
    let database = TestDatabase::new(Backend::Sqlite);
    let folder = tempfile::tempdir().unwrap();
    let good = plain(&[status(CARD, Some(1_784_541_600_000), "ACTIVE")]);
    let lines = format!("{good}\n\n{{\"neither\": 1}}\nnot json\n{good}\n");
    let file = folder.path().join("mixed.ndjson");
    std::fs::write(&file, lines).unwrap();
    let output = tokenkeep(&database, &["replay", file.to_str().unwrap()]);
    assert_eq!(output.code, 1);
    let told = output
        .stdout
        .replace(folder.path().to_str().unwrap(), "FOLDER");
    assert_snapshot!(told, @r"
     VERDICT    ITEMS
     applied    1
     duplicate  1
     refused    2
    FOLDER/mixed.ndjson:3: refused: the body has neither digitalCardUpdateNotifications nor encryptedDigitalCardUpdateNotifications
    FOLDER/mixed.ndjson:4: refused: the body is not JSON (line 1, column 2)
    ");
}

#[test]
fn nothing_to_replay_is_wrong_use() {
    let database = TestDatabase::new(Backend::Sqlite);
    let folder = tempfile::tempdir().unwrap();
    let empty = tokenkeep(&database, &["replay", folder.path().to_str().unwrap()]);
    assert_eq!(empty.code, 2);
    let missing = tokenkeep(&database, &["replay", "no-such-file.json"]);
    assert_eq!(missing.code, 2);
    assert!(
        missing.stderr.contains("no-such-file.json: cannot be read"),
        "{}",
        missing.stderr
    );
}

/// The notifications of a list that are not held.
fn decided(list: &Value) -> Vec<Value> {
    let items = list["notifications"].as_array().unwrap().iter();
    items
        .filter(|item| item["verdictReason"].is_null())
        .cloned()
        .collect()
}

#[rstest]
fn s16_replaying_what_was_decided_changes_nothing_and_is_recorded(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let database = TestDatabase::new(backend);
    replay(&database, &["--json"]);
    let cards = tokenkeep(&database, &["cards", "list", "--json"]).json();
    let before = tokenkeep(&database, &["notifications", "list", "--json"]).json();
    let again = tokenkeep(
        &database,
        &[
            "notifications",
            "replay",
            "--since",
            "1h",
            "--reason",
            "a drill",
            "--operator",
            "ann",
            "--json",
        ],
    );
    assert_eq!(again.code, 0, "{}", again.stderr);
    assert_eq!(again.json()["items"].as_array().unwrap().len(), 20);
    assert_eq!(
        tokenkeep(&database, &["cards", "list", "--json"]).json(),
        cards
    );
    let after = tokenkeep(&database, &["notifications", "list", "--json"]).json();
    let (before, after) = (decided(&before), decided(&after));
    assert_eq!(before.len(), 18);
    assert!(
        before.iter().all(|item| after.contains(item)),
        "what was decided stays"
    );
    let id = before[3]["id"].as_str().unwrap();
    let explained = tokenkeep(&database, &["notifications", "explain", id, "--json"]).json();
    let replay = &explained["replays"][0];
    assert_eq!(
        (&replay["operator"], &replay["reason"]),
        (&json!("ann"), &json!("a drill"))
    );
}

#[rstest]
fn a_held_item_gets_the_verdict_it_deserves_now_when_it_is_replayed(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let database = TestDatabase::new(backend);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("disagreeing.json");
    let mut element = refresh(CARD, 1_784_541_600_000, NUMBER_1, ("12", "2031"));
    element["maskedCard"]["tokenLastFour"] = "9999".into();
    std::fs::write(&file, plain(&[element]).to_string()).unwrap();
    let strict = [("TOKENKEEP_POLICY__PAYMENT_DATA_MISMATCH", "quarantine")];
    let file = file.to_str().unwrap();
    let held = crate::support::commands::with(&database, &["replay", file, "--json"], &strict);
    assert_eq!(
        held.json()["counts"],
        json!({ "quarantined(digits-disagree)": 1 })
    );
    let filter = [
        "notifications",
        "replay",
        "--verdict",
        "quarantined",
        "--reason",
        "checked with the bank",
    ];

    let mut rehearsal = filter.to_vec();
    rehearsal.extend(["--dry-run", "--json"]);
    assert_eq!(
        tokenkeep(&database, &rehearsal).json()["counts"],
        json!({ "applied": 1 })
    );
    let still = tokenkeep(&database, &["cards", "show", CARD, "--json"]).json();
    assert_eq!(still["token"], Value::Null);

    let mut replay = filter.to_vec();
    replay.push("--json");
    assert_eq!(
        tokenkeep(&database, &replay).json()["counts"],
        json!({ "applied": 1 })
    );
    let card = tokenkeep(&database, &["cards", "show", CARD, "--json"]).json();
    assert_eq!(card["token"]["lastFour"], NUMBER_1[12..]);
    assert_eq!(card["mayCharge"], true);
}

#[test]
fn an_unknown_id_is_told_and_the_exit_code_is_1() {
    let database = TestDatabase::new(Backend::Sqlite);
    let output = tokenkeep(
        &database,
        &["notifications", "replay", "nobody", "--reason", "x"],
    );
    assert_eq!(output.code, 1);
    assert!(
        output
            .stdout
            .contains("nobody: refused: no notification of this id is known")
    );
}
