//! Cards that somebody should look at: deletions that Mastercard has not confirmed, cards it does not
//! know, refreshes that seem to have been missed.

use insta::{allow_duplicates, assert_snapshot};
use rstest::rstest;
use serde_json::{Value, json};
use tokenkeep::domain::CardId;

use crate::support::build::{NUMBER_1, plain, refresh, status};
use crate::support::commands::tokenkeep;
use crate::support::{App, Backend, START};

/// An ACTIVE card of a program, for which another call was queued before.
fn card(app: &App, id: &str) {
    app.deliver(&plain(&[status(id, Some(START - 1), "LOCKED")]));
    app.deliver(&plain(&[status(id, Some(START), "ACTIVE")]));
    app.put(&format!("/v1/cards/{id}"), &json!({ "program": "shop" }));
}

fn done(app: &App, args: &[&str]) -> String {
    let ran = tokenkeep(&app.database, args);
    assert_eq!(ran.code, 0, "{ran:?}");
    ran.stdout
}

fn json_of(app: &App, args: &[&str]) -> Value {
    serde_json::from_str(&done(app, &[args, &["--json"]].concat())).unwrap()
}

/// What stands in a column of a printed table.
fn column(table: &str, head: &str) -> Vec<String> {
    let mut lines = table.lines();
    let begin = lines.next().unwrap().find(head).unwrap();
    lines
        .map(|line| line.get(begin..).unwrap_or_default().to_owned())
        .collect()
}

/// Lets the deletion of a card stand as an attempt left it.
fn left(app: &App, card: &str, columns: &str) {
    let statement =
        format!("UPDATE outbox SET {columns} WHERE kind = 'delete_card' AND card_id = '{card}'");
    app.database.execute(&statement);
}

#[rstest]
fn deletions_that_are_not_confirmed_are_listed_with_the_state_of_their_call(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let app = App::spawn(backend);
    let ids = ["alive", "confirmed", "discarded", "parked", "waiting"];
    ids.iter().for_each(|id| card(&app, id));
    done(&app, &[&["cards", "delete", "--yes"], &ids[1..]].concat());
    let parked = "state = 'parked', attempts = 2, last_status = 404, last_reason = 'NOT_FOUND'";
    left(&app, "parked", parked);
    left(
        &app,
        "discarded",
        "state = 'discarded', last_reason = 'support says that it is gone'",
    );
    app.deliver(&plain(&[status("confirmed", Some(START), "CANCELLED")]));

    let list = ["cards", "list", "--not-confirmed"];
    let text = done(&app, &list);
    assert_eq!(column(&text, "CARD").len(), 3, "{text}");
    allow_duplicates! {
        assert_snapshot!(column(&text, "CALL").join("\n"), @r"
        discarded  0         support says that it is gone
        parked     2         404 NOT_FOUND
        waiting    0
        ");
    }
    let found = json_of(&app, &list);
    let cards = found["cards"].as_array().unwrap();
    let of = |n: usize| (&cards[n]["cardId"], &cards[n]["deletion"]["state"]);
    assert_eq!(of(0), (&json!("discarded"), &json!("discarded")));
    assert_eq!(of(1), (&json!("parked"), &json!("parked")));
    assert_eq!(of(2), (&json!("waiting"), &json!("waiting")));
    assert_eq!(cards[1]["deletion"]["lastReason"], "NOT_FOUND");
    assert!(found["next"].is_null());
    let page = [&list[..], &["--after", "discarded", "--limit", "1"]].concat();
    let page = json_of(&app, &page);
    assert_eq!(
        (&page["cards"][0]["cardId"], &page["next"]),
        (&json!("parked"), &json!("parked"))
    );
}

#[rstest]
fn cards_that_mastercard_does_not_know_are_listed(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let app = App::spawn(backend);
    ["ended", "here", "lost-1", "lost-2"]
        .iter()
        .for_each(|id| card(&app, id));
    for id in ["ended", "lost-1", "lost-2"] {
        let id = CardId::parse(id).unwrap();
        let marked = app.store().write(|tx| {
            let mut row = tx.card(&id)?.unwrap();
            row.card.not_there_since = Some(START);
            tx.save_card(&row.card, row.program, START)
        });
        marked.unwrap();
    }
    app.deliver(&plain(&[status("ended", Some(START), "CANCELLED")]));
    let list = ["cards", "list", "--not-there"];
    allow_duplicates! {
        assert_snapshot!(done(&app, &list), @r"
        CARD    STATUS  PROGRAM  CONSUMER  NOT THERE SINCE
        lost-1  ACTIVE  shop               2026-07-20T10:00:00.000Z
        lost-2  ACTIVE  shop               2026-07-20T10:00:00.000Z
        ");
    }
    let found = json_of(&app, &list);
    assert_eq!(found["cards"].as_array().unwrap().len(), 2);
    assert_eq!(
        found["cards"][0]["notThereSince"],
        "2026-07-20T10:00:00.000Z"
    );
    let first = json_of(&app, &[&list[..], &["--limit", "1"]].concat());
    assert_eq!(
        (&first["cards"][0]["cardId"], &first["next"]),
        (&json!("lost-1"), &json!("lost-1"))
    );
    let rest = json_of(&app, &[&list[..], &["--after", "lost-1"]].concat());
    assert_eq!(rest["cards"][0]["cardId"], "lost-2");
    let both = ["cards", "list", "--not-there", "--not-confirmed"];
    assert_eq!(tokenkeep(&app.database, &both).code, 2);

    let shown = json_of(&app, &["cards", "show", "lost-1"]);
    assert_eq!(shown["warnings"], json!(["not-found-there"]));
    let text = done(&app, &["cards", "show", "lost-1"]);
    assert!(
        text.contains("does not know it since 2026-07-20T10:00:00.000Z"),
        "{text}"
    );
    let shown = json_of(&app, &["cards", "show", "here"]);
    assert_eq!(shown["warnings"], json!([]));
}

#[rstest]
fn a_card_is_shown_with_the_attempts_at_its_calls_and_a_refresh_that_seems_missed(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let app = App::spawn(backend);
    app.deliver(&plain(&[refresh(
        "card",
        START - 9_000,
        NUMBER_1,
        ("12", "2031"),
    )]));
    let mut later = status("card", Some(START - 8_000), "ACTIVE");
    later["maskedCard"]["tokenLastFour"] = "9999".into();
    app.deliver(&plain(&[later]));
    let failed =
        "attempts = 3, last_status = 503, last_reason = 'SERVICE_ERROR' WHERE kind = 'get_card'";
    app.database.execute(&format!("UPDATE outbox SET {failed}"));

    let shown = json_of(&app, &["cards", "show", "card"]);
    assert_eq!(shown["warnings"], json!(["refresh-suspected"]));
    let jobs = shown["jobs"].as_array().unwrap();
    let get_card = jobs.iter().find(|job| job["kind"] == "get_card").unwrap();
    assert_eq!(
        (&get_card["attempts"], &get_card["lastStatus"]),
        (&json!(3), &json!(503))
    );
    let text = done(&app, &["cards", "show", "card"]);
    let lines = text
        .lines()
        .filter(|line| line.contains("call ") || line.contains("warning "));
    allow_duplicates! {
        assert_snapshot!(Vec::from_iter(lines).join("\n"), @r"
        warning                         a refresh seems to have been missed: what came later names another token
        call                            cryptogram waiting, queued at 2026-07-20T10:00:00.000Z
        call                            get_card waiting, queued at 2026-07-20T10:00:00.000Z, 3 attempts: 503 SERVICE_ERROR
        ");
    }
}
