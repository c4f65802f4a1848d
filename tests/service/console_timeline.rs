//! `GET /v1/cards/{id}/timeline`: what happened to a card, from all sides, in one order.

use rstest::rstest;
use serde_json::{Value, json};
use tokenkeep::api::access::AccessRole;

use crate::support::build::{CARD, NUMBER_1, NUMBER_2, plain, refresh, status};
use crate::support::{App, Backend, START};

fn timeline(app: &App, query: &str) -> Value {
    let answer = app.get(&format!("/v1/cards/{CARD}/timeline{query}"));
    assert_eq!(answer.status, 200, "{}", answer.text);
    assert!(!answer.text.contains(NUMBER_1) && !answer.text.contains(NUMBER_2));
    answer.json()
}

fn words(entry: &Value) -> String {
    let fields = ["kind", "what", "outcome", "because", "by"];
    let present = fields.iter().filter_map(|name| entry[name].as_str());
    Vec::from_iter(present).join(" ")
}

#[rstest]
fn everything_that_happened_to_a_card_stands_in_one_order_the_latest_first(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let app = App::spawn(backend);
    let ops = app.new_key(AccessRole::Ops, "night-shift");
    assert_eq!(
        app.put(&format!("/v1/cards/{CARD}"), &json!({ "program": "shop" }))
            .status,
        201
    );
    app.advance(1_000);
    app.deliver(&plain(&[refresh(CARD, START, NUMBER_1, ("12", "2031"))]));
    app.advance(1_000);
    app.deliver(&plain(&[status(CARD, Some(START + 1_500), "SUSPENDED")]));
    app.deliver(&plain(&[refresh(
        "another",
        START,
        NUMBER_2,
        ("12", "2031"),
    )]));
    app.advance(1_000);
    let id = app.notifications(CARD)[0].id.clone();
    let replay = format!("/v1/notifications/{id}/replay");
    assert_eq!(
        app.send("POST", &replay, &ops, r#"{"reason":"to see"}"#)
            .status,
        200
    );
    app.advance(1_000);
    assert_eq!(
        app.send("DELETE", &format!("/v1/cards/{CARD}"), &ops, "")
            .status,
        202
    );
    let whole = timeline(&app, "");
    let told: Vec<String> = whole["entries"]
        .as_array()
        .unwrap()
        .iter()
        .map(words)
        .collect();
    assert_eq!(
        told,
        [
            "act card.delete done api:night-shift",
            "call delete_card waiting",
            "answer delete_asked applied delete-asked",
            "act notification.replay duplicate api:night-shift",
            "notification STATUS_UPDATE applied status-newer",
            "call cryptogram discarded no longer due",
            "notification TOKEN_REFRESH applied first-token",
            "act card.register created api:app",
            "call get_card discarded the card has ended",
            "registration registered",
        ]
    );
    assert_eq!(whole["entries"][6]["id"], *id);
    assert_eq!(whole["next"], Value::Null);
}

#[rstest]
fn a_timelines_pages_follow_each_other_without_a_gap_or_a_repeat(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let app = App::spawn(backend);
    // Many of one moment, of several kinds.
    let words = ["ACTIVE", "SUSPENDED"];
    for round in 0..3_i64 {
        let item = |n: i64| status(CARD, Some(START + round * 100 + n), words[(n % 2) as usize]);
        let items: Vec<Value> = (0..7).map(item).collect();
        app.deliver(&plain(&items));
        app.put(&format!("/v1/cards/{CARD}"), &json!({ "program": "shop" }));
        if round > 0 {
            app.advance(1_000);
        }
    }
    let whole = timeline(&app, "?limit=1000");
    let all = whole["entries"].as_array().unwrap();
    assert_eq!(all.len(), 27, "21 notifications, 3 registrations, 3 acts");
    for limit in [1, 2, 3, 5, 8, 26, 27] {
        let (mut paged, mut query) = (Vec::new(), format!("?limit={limit}"));
        loop {
            let page = timeline(&app, &query);
            paged.extend(page["entries"].as_array().unwrap().clone());
            let Some(next) = page["next"].as_str() else {
                break;
            };
            query = format!("?limit={limit}&after={next}");
        }
        assert_eq!(&paged, all, "limit {limit}");
    }
    for wrong in ["?after=x", "?after=1.2", "?after=%00", "?limit=0"] {
        let refused = app.get(&format!("/v1/cards/{CARD}/timeline{wrong}"));
        assert_eq!(refused.status, 400, "{wrong}");
    }
    assert_eq!(app.get("/v1/cards/nobody/timeline").code(), "unknown-card");
}
