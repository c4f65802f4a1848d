//! `/metrics`: what is counted is what happened, and no sender can make it grow.

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rstest::rstest;
use serde_json::{Value, json};

use crate::support::build::{
    CARD, KID, NUMBER_1, NUMBER_2, encrypted, payment_jwe, plain, refresh, refresh_with, status,
};
use crate::support::raw::exchange;
use crate::support::{App, Backend, Client, START, is_full};

/// Every series with its value.
fn metrics(app: &App) -> BTreeMap<String, f64> {
    let answer = app.client.get(&app.api_url("/metrics"), "no-key-needed");
    assert_eq!(answer.status, 200, "{}", answer.text);
    assert!(answer.text.ends_with("# EOF\n"), "{}", answer.text);
    let lines = answer.text.lines().filter(|line| !line.starts_with('#'));
    let pair = |line: &str| {
        let (series, value) = line.rsplit_once(' ').unwrap();
        (series.to_owned(), value.parse().unwrap())
    };
    lines.map(pair).collect()
}

/// How often items got this verdict.
fn items(metrics: &BTreeMap<String, f64>, verdict: &str, hold: &str) -> f64 {
    metrics[&format!("tokenkeep_items_total{{verdict=\"{verdict}\",hold=\"{hold}\"}}")]
}

#[rstest]
fn the_counters_tell_what_was_kept_refused_opened_and_decided(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let app = App::spawn(backend);
    let first = plain(&[refresh(CARD, START - 3_000, NUMBER_1, ("12", "2031"))]);
    app.deliver(&first);
    app.deliver(&first);
    app.deliver(&plain(&[
        refresh(CARD, START - 2_000, NUMBER_2, ("12", "2031")),
        refresh(CARD, START - 9_000, NUMBER_2, ("12", "2030")),
        status("odd", Some(START), "DORMANT"),
    ]));
    let inside = status("inside", Some(START), "SUSPENDED");
    app.deliver(&encrypted(&json!([inside])));
    for body in ["not json", "{}", "[]"] {
        assert_eq!(app.client.post(&app.receiver_url(), body).status, 400);
    }
    let too_many = plain(&vec![status(CARD, None, "ACTIVE"); 1_001]);
    assert_eq!(app.notify(&too_many).status, 413);

    let found = metrics(&app);
    assert_eq!(found["tokenkeep_acknowledged_total"], 4.0);
    let refused = |cause: &str| found[&format!("tokenkeep_refused_total{{cause=\"{cause}\"}}")];
    assert_eq!(refused("not-a-notification"), 3.0);
    assert_eq!(refused("too-many-items"), 1.0);
    // Four refreshes and one whole body: each opened once.
    assert_eq!(found["tokenkeep_private_key_operations_total"], 5.0);
    assert_eq!(items(&found, "applied", "none"), 3.0);
    assert_eq!(items(&found, "duplicate", "none"), 1.0);
    assert_eq!(items(&found, "stale", "none"), 1.0);
    assert_eq!(items(&found, "parked", "status-unknown"), 1.0);
    assert_eq!(found["tokenkeep_applied_seconds_count"], 6.0);
    assert_eq!(found["tokenkeep_answer_seconds_count"], 8.0);
    assert_eq!(found["tokenkeep_commit_deliveries_sum"], 4.0);
    assert_eq!(found["tokenkeep_batch_deliveries_sum"], 4.0);
    assert_eq!(found["tokenkeep_backlog"], 0.0);
}

#[test]
fn the_backlog_is_what_waits_in_the_database_whoever_put_it_there() {
    use tokenkeep::settings::Role;
    let app = App::spawn_with(Backend::Sqlite, |settings| {
        settings.roles = vec![Role::Receive]
    });
    for number in 0..3 {
        let body = plain(&[status(&format!("card-{number}"), None, "ACTIVE")]);
        assert_eq!(app.notify(&body).status, 204);
    }
    assert_eq!(metrics(&app)["tokenkeep_backlog"], 3.0);
}

/// A good token that asks for another key.
fn under_kid(token: &str, kid: &str) -> String {
    let (_, rest) = token.split_once('.').unwrap();
    let header = json!({ "alg": "RSA-OAEP-256", "enc": "A128GCM", "kid": kid });
    let header = URL_SAFE_NO_PAD.encode(header.to_string());
    format!("{header}.{rest}")
}

/// An item whose every name is of the sender's choosing.
fn odd_item(number: usize, token: &str) -> Value {
    let kid = format!("kid-{number}");
    let mut element = refresh_with(&format!("card-{number}"), START, &under_kid(token, &kid));
    element["reasonCode"] = format!("REASON_{number}").into();
    element["keyFingerprintId"] = format!("fingerprint-{number}").into();
    element["maskedCard"]["digitalCardData"]["status"] = format!("STATUS_{number}").into();
    element
}

fn ask_for_odd_things(app: &App, number: usize) {
    let client = Client::new();
    let public = app.receiver_url().replace("/notifications/card", "");
    for url in [
        app.api_url(&format!("/v1/other-{number}")),
        app.api_url(&format!("/v1/cards/card-{number}")),
        app.api_url(&format!("/v1/notifications?verdict=v-{number}")),
        format!("{public}/path-{number}"),
    ] {
        assert!(client.get(&url, &format!("key-{number}")).status >= 400);
    }
    let odd_body = format!("{{\"field-{number}\": 1}}");
    assert_eq!(client.post(&app.receiver_url(), &odd_body).status, 400);
    let request =
        format!("GET /livez HTTP/1.1\r\nHost: host-{number}\r\nUser-Agent: agent-{number}\r\n\r\n");
    assert_eq!(exchange(app.public(), request).unwrap().status, 200);
}

#[test]
fn w31_thousands_of_distinct_kids_reasons_statuses_cards_paths_and_user_agents_add_no_series() {
    let app = App::spawn(Backend::Sqlite);
    let series = || -> BTreeSet<String> { metrics(&app).into_keys().collect() };
    let token = payment_jwe(NUMBER_1, ("12", "2031"));
    assert!(token.split('.').count() == 5 && !KID.is_empty());
    app.deliver(&plain(&[odd_item(0, &token)]));
    ask_for_odd_things(&app, 0);
    let before = series();
    let hundreds = if is_full() { 100 } else { 10 };
    for hundred in 0..hundreds {
        let numbers = hundred as usize * 100..(hundred as usize + 1) * 100;
        let elements: Vec<Value> = numbers.clone().map(|n| odd_item(n + 1, &token)).collect();
        assert_eq!(app.notify(&plain(&elements)).status, 204);
        numbers
            .step_by(2)
            .for_each(|n| ask_for_odd_things(&app, n + 1));
    }
    app.settle();
    let found = metrics(&app);
    let odd = f64::from(hundreds * 100 + 1);
    assert_eq!(items(&found, "quarantined", "unknown-key"), odd);
    assert_eq!(series(), before);
    println!(
        "W-31 {odd} distinct names of each kind: {} series before and after",
        before.len()
    );
}
