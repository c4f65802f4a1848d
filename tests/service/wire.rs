//! The wire form, quirk by quirk: the request and its two forms.
//!
//! Each further part of the wire form has a file of its own: `wire_payment`, `wire_keys`,
//! `wire_times`, `wire_masked`, `wire_digits`, `wire_text`.

use diesel::prelude::*;
use diesel::sql_types::{Nullable, Text};
use rstest::rstest;
use serde_json::{Value, json};
use tokenkeep::jose::encrypt;
use tokenkeep::store::{NotificationFilter, NotificationView};

use crate::support::build::{
    CARD, KID, NUMBER_1, NUMBER_2, encrypted, payment_jwe, plain, refresh, status,
};
use crate::support::{Answer, App, Backend, START, keys};

/// The path of Card Notifications, and the siblings that Mastercard may post to the same base.
const PATH: &str = "/notifications/card";
const SIBLINGS: [&str; 2] = [
    "/notifications/dpa",
    "/notifications/batch/enrollmentrecord",
];

/// The item that arrived last, whichever card it is of.
pub fn latest(app: &App) -> NotificationView {
    let filter = NotificationFilter {
        limit: 1,
        ..NotificationFilter::default()
    };
    let items = app.store().read(|tx| tx.list_notifications(&filter));
    items.unwrap().pop().unwrap()
}

/// A verdict with the reason of a hold, as `verdicts` writes it.
pub fn verdict(item: &NotificationView) -> String {
    match &item.hold {
        Some(hold) => format!("{}({hold})", item.verdict),
        None => item.verdict.clone(),
    }
}

/// The card as the merchant's app sees it.
pub fn shown(app: &App, card: &str) -> Value {
    app.get(&format!("/v1/cards/{card}")).json()
}

/// A JWE of this text under the demonstration key, asking for it by this name.
pub fn jwe_of_text(text: &str, kid: Option<&str>) -> String {
    let key = std::fs::read(keys().join("payload").join(format!("{KID}.pem"))).unwrap();
    encrypt(text.as_bytes(), &key, kid, "A128GCM", 12).unwrap()
}

/// Posts bytes as they are, with further headers.
pub fn post(app: &App, path: &str, body: &[u8], headers: &[(&str, &str)]) -> Answer {
    let url = app.receiver_url().replace(PATH, path);
    let agent = ureq::Agent::config_builder().http_status_as_error(false);
    let mut request = ureq::Agent::from(agent.build())
        .post(url)
        .header("content-type", "application/json");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let mut response = request.send(body).unwrap();
    Answer {
        status: response.status().as_u16(),
        retry_after: None,
        text: response.body_mut().read_to_string().unwrap(),
    }
}

#[test]
fn the_encrypted_list_is_an_array_an_object_that_holds_it_or_a_single_element() {
    let app = App::spawn(Backend::Sqlite);
    let element = |card: &str| refresh(card, START - 1_000, NUMBER_1, ("12", "2031"));
    let shapes = [
        ("array", json!([element("array"), element("array-2")])),
        ("object", plain(&[element("object"), element("object-2")])),
        ("single", element("single")),
    ];
    for (card, list) in &shapes {
        app.deliver(&encrypted(list));
        assert_eq!(app.verdicts(card), ["applied"], "{card}");
        assert_eq!(shown(&app, card)["token"]["lastFour"], "0011", "{card}");
    }
    for second in ["array-2", "object-2"] {
        assert_eq!(app.verdicts(second), ["applied"], "{second}");
    }
    for (list, expected) in [
        (json!("text"), "quarantined(unreadable)"),
        (
            json!({ "digitalCardUpdateNotifications": "text" }),
            "quarantined(unreadable)",
        ),
        (json!({ "somethingElse": [] }), "quarantined(no-card-id)"),
        (json!([7]), "quarantined(not-a-notification)"),
    ] {
        app.deliver(&encrypted(&list));
        assert_eq!(verdict(&latest(&app)), expected, "{list}");
    }
}

#[test]
fn w13_duplicate_keys_inside_a_decrypted_list_are_quarantined() {
    let app = App::spawn(Backend::Sqlite);
    let element = |in_element: &str, in_card: &str, in_digital: &str| {
        format!(
            r#"{{"reasonCode":"X"{in_element},"maskedCard":{{"srcDigitalCardId":"card"{in_card},"digitalCardData":{{"status":"ACTIVE"{in_digital}}}}}}}"#
        )
    };
    let lists = [
        element(r#","reasonCode":"Y""#, "", ""),
        element(r#","maskedCard":{}"#, "", ""),
        element("", r#","srcDigitalCardId":"other""#, ""),
        element("", r#","srcDigitalCard\u0049d":"other""#, ""),
        element("", "", r#","status":"SUSPENDED""#),
        format!(
            r#"{{"digitalCardUpdateNotifications":[],"digitalCardUpdateNotifications":[{}]}}"#,
            element("", "", "")
        ),
    ];
    for list in &lists {
        let token = jwe_of_text(list, Some(KID));
        app.deliver(&json!({ "encryptedDigitalCardUpdateNotifications": token }));
        assert_eq!(verdict(&latest(&app)), "quarantined(unreadable)", "{list}");
    }
    assert!(app.card("card").is_none());
    app.deliver(&encrypted(
        &serde_json::from_str(&element("", "", "")).unwrap(),
    ));
    assert_eq!(
        app.verdicts("card"),
        ["applied"],
        "without duplicates it opens"
    );
}

#[test]
fn a_form_that_is_null_counts_as_absent_and_both_forms_are_kept_but_not_applied() {
    let app = App::spawn(Backend::Sqlite);
    let mut body = plain(&[status(CARD, Some(START - 2_000), "ACTIVE")]);
    body["encryptedDigitalCardUpdateNotifications"] = Value::Null;
    app.deliver(&body);
    assert_eq!(app.verdicts(CARD), ["applied"]);
    let list = json!([status(CARD, Some(START - 1_000), "SUSPENDED")]);
    let mut body = encrypted(&list);
    body["digitalCardUpdateNotifications"] = list;
    app.deliver(&body);
    assert_eq!(verdict(&latest(&app)), "parked(both-forms)");
    assert_eq!(shown(&app, CARD)["status"], "ACTIVE");
}

#[test]
fn two_elements_for_one_card_out_of_time_order_in_one_request_end_in_the_newer_state() {
    let app = App::spawn(Backend::Sqlite);
    let newer = refresh("card", START - 1_000, NUMBER_2, ("01", "2032"));
    let mut older = refresh("card", START - 2_000, NUMBER_1, ("12", "2028"));
    older["maskedCard"]["digitalCardData"]["status"] = "SUSPENDED".into();
    older["maskedCard"]["digitalCardData"]["descriptorName"] = "Old Bank".into();
    for (card, form) in [("plain", false), ("encrypted", true)] {
        let mut list = json!([newer, older]);
        list[0]["maskedCard"]["srcDigitalCardId"] = card.into();
        list[1]["maskedCard"]["srcDigitalCardId"] = card.into();
        app.deliver(&if form {
            encrypted(&list)
        } else {
            json!({ "digitalCardUpdateNotifications": list })
        });
        assert_eq!(app.verdicts(card), ["applied", "stale"]);
        let shown = shown(&app, card);
        assert_eq!(shown["status"], "ACTIVE");
        assert_eq!(shown["token"]["lastFour"], "0022");
        assert_eq!(shown["display"]["descriptorName"], "Test Bank");
    }
}

#[rstest]
fn x_src_response_host_is_kept_with_the_delivery_and_dropped_where_it_is_too_long(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let app = App::spawn(backend);
    let body = plain(&[status(CARD, Some(START), "ACTIVE")]).to_string();
    let longest = format!("https://{}.example/", "a".repeat(1007));
    let too_long = format!("{longest}b");
    let site = "https://ksc.services-asn.example.com/";
    for host in [Some(site), None, Some(&*longest), Some(&*too_long)] {
        let headers: Vec<_> = host
            .map(|host| ("X-Src-Response-Host", host))
            .into_iter()
            .collect();
        assert_eq!(post(&app, PATH, body.as_bytes(), &headers).status, 204);
    }
    assert_eq!((longest.len(), too_long.len()), (1024, 1025));
    let kept = response_hosts(&app);
    assert_eq!(kept, [Some(site.to_owned()), None, Some(longest), None]);
}

fn response_hosts(app: &App) -> Vec<Option<String>> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = Nullable<Text>)]
        response_host: Option<String>,
    }
    let query = diesel::sql_query("SELECT response_host FROM deliveries ORDER BY sequence");
    let url = app.database.url();
    let rows: Vec<Row> = if url.starts_with("postgres:") {
        query
            .load(&mut PgConnection::establish(&url).unwrap())
            .unwrap()
    } else {
        query
            .load(&mut SqliteConnection::establish(&url).unwrap())
            .unwrap()
    };
    rows.into_iter().map(|row| row.response_host).collect()
}

#[test]
fn sibling_paths_and_everything_else_on_the_public_listener_answer_404_and_keep_nothing() {
    let app = App::spawn(Backend::Sqlite);
    let body = plain(&[status(CARD, Some(START), "ACTIVE")]).to_string();
    let others = [
        "/",
        "/notifications",
        "/notifications/card/",
        "/v1/cards",
        "/readyz",
    ];
    for path in SIBLINGS.iter().chain(&others) {
        assert_eq!(post(&app, path, body.as_bytes(), &[]).status, 404, "{path}");
    }
    app.settle();
    assert!(app.card(CARD).is_none());
    assert!(response_hosts(&app).is_empty(), "no delivery is kept");
}

#[test]
fn a_retry_encrypted_anew_in_another_shape_is_a_duplicate() {
    let app = App::spawn(Backend::Sqlite);
    let mut element = refresh(CARD, START - 1_000, NUMBER_2, ("12", "2031"));
    app.deliver(&plain(&[element.clone()]));
    element["paymentData"] = payment_jwe(NUMBER_2, ("12", "2031")).into();
    element["keyFingerprintId"] = "another-name".into();
    app.deliver(&encrypted(&element));
    assert_eq!(app.verdicts(CARD), ["applied", "duplicate"]);
}
