//! Lists: filtered, page by page, without gaps or repeats.

use insta::{allow_duplicates, assert_snapshot};
use rstest::rstest;
use serde_json::{Value, json};

use crate::support::build::{CARD, NUMBER_1, plain, refresh, status};
use crate::support::{App, Backend, START};

/// Reads a list page by page; returns the ids of each page.
fn pages(app: &App, list: &str, id: &str, query: &str) -> Vec<Vec<String>> {
    let mut pages = Vec::new();
    let mut after = String::new();
    loop {
        // The cursor of the next page takes the place of one in the query.
        let cut = query.find("&after=").filter(|_| !after.is_empty());
        let query = &query[..cut.unwrap_or(query.len())];
        let answer = app.get(&format!("/v1/{list}?{query}{after}"));
        assert_eq!(answer.status, 200, "{}", answer.text);
        let page = answer.json();
        let ids = page[list].as_array().unwrap().iter();
        pages.push(
            ids.map(|row| row[id].as_str().unwrap().to_owned())
                .collect(),
        );
        match &page["next"] {
            Value::Null => return pages,
            next => after = format!("&after={}", next.as_str().unwrap()),
        }
    }
}

#[rstest]
fn the_cards_of_a_consumer_are_listed_by_id_page_by_page(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let app = App::spawn(backend);
    // Upper case sorts before lower case, on both databases.
    let mine = ["Zebra-1", "apple-1", "card-1", "card-10", "card-2"];
    for card in mine.iter().rev() {
        app.put(
            &format!("/v1/cards/{card}"),
            &json!({ "consumerReference": "me" }),
        );
        app.put(
            &format!("/v1/cards/x-{card}"),
            &json!({ "consumerReference": "you" }),
        );
    }
    let mut gone = status("card-15", Some(START), "CANCELLED");
    gone["maskedCard"]["panLastFour"] = "0747".into();
    app.put("/v1/cards/card-15", &json!({ "consumerReference": "me" }));
    app.deliver(&plain(&[gone]));

    assert_eq!(pages(&app, "cards", "cardId", "consumer=me"), [mine]);
    let by_two = pages(&app, "cards", "cardId", "consumer=me&limit=2");
    assert_eq!(by_two, [&mine[..2], &mine[2..4], &mine[4..]]);
    // A last page that is full is followed by an empty one.
    let by_five = pages(&app, "cards", "cardId", "consumer=me&limit=5");
    assert_eq!(by_five.concat(), mine);
    assert_eq!(pages(&app, "cards", "cardId", "limit=3").concat().len(), 10);
    assert_eq!(pages(&app, "cards", "cardId", "consumer=nobody"), [[""; 0]]);
}

#[rstest]
fn notifications_are_listed_the_latest_first_page_by_page(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let app = App::spawn(backend);
    let items: Vec<Value> = (0..5)
        .map(|n| status(&format!("card-{n}"), Some(START - 9_000), "ACTIVE"))
        .collect();
    app.deliver(&plain(&items));
    app.deliver(&plain(&[status(CARD, Some(START - 8_000), "ACTIVE")]));
    app.deliver(&plain(&[
        status(CARD, Some(START - 7_000), "SUSPENDED"),
        json!({}),
        status(CARD, Some(START - 7_500), "ACTIVE"),
    ]));
    let whole = pages(&app, "notifications", "id", "limit=1000").concat();
    assert_eq!(whole.len(), 9);
    for limit in 1..=10 {
        let paged = pages(&app, "notifications", "id", &format!("limit={limit}"));
        assert!(paged.iter().all(|page| page.len() <= limit));
        assert_eq!(paged.concat(), whole, "limit {limit}");
    }
    // What comes in between is no reason for a gap or a repeat.
    let first = app.get("/v1/notifications?limit=4").json();
    app.deliver(&plain(&[status("late", Some(START), "ACTIVE")]));
    let after = first["next"].as_str().unwrap();
    let rest = pages(
        &app,
        "notifications",
        "id",
        &format!("limit=4&after={after}"),
    )
    .concat();
    assert_eq!(rest[..5], whole[4..]);

    let of_card = pages(&app, "notifications", "id", &format!("card={CARD}&limit=2"));
    assert_eq!(of_card.concat().len(), 3);
    let verdicts = |query: &str| pages(&app, "notifications", "id", query).concat().len();
    assert_eq!(verdicts("verdict=applied"), 8);
    assert_eq!(verdicts("verdict=stale"), 1);
    assert_eq!(verdicts("verdict=quarantined"), 1);
    assert_eq!(verdicts(&format!("verdict=stale&card={CARD}")), 1);
    assert_eq!(verdicts("verdict=duplicate"), 0);
}

#[rstest]
#[case("0")]
#[case("-1")]
#[case("1001")]
#[case("abc")]
#[case("")]
#[case("99999999999999999999")]
fn a_wrong_limit_is_refused_with_a_problem_document(#[case] limit: &str) {
    let app = App::spawn(Backend::Sqlite);
    for list in ["cards", "notifications"] {
        let answer = app.get(&format!("/v1/{list}?limit={limit}"));
        assert_eq!(answer.status, 400, "{}", answer.text);
        assert_eq!(answer.json()["status"], 400);
        let code = answer.code();
        assert!(code == "wrong-limit" || code == "wrong-query", "{code}");
    }
}

#[rstest]
fn a_query_with_control_characters_is_refused_on_both_databases(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let app = App::spawn(backend);
    for query in [
        "cards?consumer=%00",
        "cards?after=a%00b",
        "notifications?card=%00",
        "notifications?after=%0A",
    ] {
        let answer = app.get(&format!("/v1/{query}"));
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (400, "wrong-query"),
            "{query}"
        );
    }
}

#[rstest]
fn a_notification_is_shown_with_verdict_rule_and_changes(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let app = App::spawn(backend);
    app.deliver(&plain(&[refresh(
        CARD,
        START - 9_000,
        NUMBER_1,
        ("12", "2031"),
    )]));
    let item = app.notifications(CARD).pop().unwrap();
    let shown = app.get(&format!("/v1/notifications/{}", item.id));
    assert_eq!(shown.status, 200);
    let shown = format!("{:#}", shown.json()).replace(&item.delivery_id, "DELIVERY");
    allow_duplicates! {
        assert_snapshot!(shown, @r#"
        {
          "id": "DELIVERY.0",
          "deliveryId": "DELIVERY",
          "index": 0,
          "cardId": "9ajNArkAR66zqYyHCn0rCA000000000000US",
          "receivedAt": "2026-07-20T10:00:00.000Z",
          "eventTime": "2026-07-20T09:59:51.000Z",
          "reason": "TOKEN_REFRESH",
          "status": "ACTIVE",
          "verdict": "applied",
          "verdictReason": null,
          "rule": "first-token",
          "flags": [],
          "changes": [
            {
              "field": "status",
              "from": null,
              "to": "ACTIVE"
            },
            {
              "field": "token.number",
              "from": null,
              "to": "0011"
            },
            {
              "field": "token.numberVersion",
              "from": 0,
              "to": 1
            },
            {
              "field": "token.expiry",
              "from": null,
              "to": "12/2031"
            },
            {
              "field": "token.version",
              "from": 0,
              "to": 1
            },
            {
              "field": "maskedCard.digitalCardData.descriptorName",
              "from": null,
              "to": "Test Bank"
            },
            {
              "field": "maskedCard.panLastFour",
              "from": null,
              "to": "0747"
            }
          ]
        }
        "#);
    }
    let unknown = app.get("/v1/notifications/nobody.0");
    assert_eq!(
        (unknown.status, unknown.code().as_str()),
        (404, "unknown-notification")
    );
}
