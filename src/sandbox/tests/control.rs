//! Changing cards over HTTP.

use super::*;

fn post(merchant: &Merchant, path: &str, body: &str) -> Answer {
    let url = format!("http://{}{path}", merchant.sandbox.address());
    merchant.send("POST", &url, "", body).unwrap()
}

fn get(merchant: &Merchant, path: &str) -> Answer {
    let url = format!("http://{}{path}", merchant.sandbox.address());
    merchant.send("GET", &url, "", "").unwrap()
}

#[test]
fn a_card_is_created_changed_and_cancelled_over_http() {
    let merchant = Merchant::new();
    let created = post(&merchant, "/sandbox/cards", r#"{"cardId":"one"}"#);
    assert_eq!(created.status, 201);
    assert_eq!(created.json()["status"], "ACTIVE");
    let number = merchant.sandbox.card("one").unwrap().number;
    for (change, status) in [
        ("refresh", "ACTIVE"),
        ("refresh-number", "ACTIVE"),
        ("refresh-expiry", "ACTIVE"),
        ("suspend", "SUSPENDED"),
        ("resume", "ACTIVE"),
        ("cancel", "CANCELLED"),
    ] {
        let answer = post(&merchant, &format!("/sandbox/cards/one/{change}"), "");
        assert_eq!(answer.status, 200, "{change}");
        assert_eq!(answer.json()["status"], status, "{change}");
        let now = merchant.sandbox.card("one").unwrap().number;
        assert!(!answer.text.contains(now.expose()), "{change}");
    }
    assert!(merchant.sandbox.card("one").unwrap().number != number);
    assert_eq!(post(&merchant, "/sandbox/cards/one/resume", "").status, 409);
    assert_eq!(
        get(&merchant, "/sandbox/cards/one").json()["status"],
        "CANCELLED"
    );
    let all = get(&merchant, "/sandbox/cards").json();
    assert_eq!(all["cards"].as_array().unwrap().len(), 2);
}

#[test]
fn what_is_not_there_is_answered_404_and_what_is_no_card_400() {
    let merchant = Merchant::new();
    assert_eq!(
        post(&merchant, "/sandbox/cards/none/refresh", "").status,
        404
    );
    assert_eq!(
        post(&merchant, &format!("/sandbox/cards/{CARD}/paint"), "").status,
        404
    );
    assert_eq!(get(&merchant, "/sandbox/cards/none").status, 404);
    assert_eq!(get(&merchant, "/").status, 404);
    assert_eq!(get(&merchant, "/sandbox/cards/%zz").status, 404);
    assert_eq!(post(&merchant, "/sandbox/cards", "[]").status, 400);
    assert_eq!(
        post(&merchant, "/sandbox/cards", r#"{"cardId":7}"#).status,
        400
    );
    let long = format!(r#"{{"cardId":"{}"}}"#, "a".repeat(37));
    assert_eq!(post(&merchant, "/sandbox/cards", &long).status, 400);
}

#[test]
fn the_calls_of_the_apis_are_listed_and_no_others() {
    let merchant = Merchant::new();
    merchant.get_card("");
    let listed = get(&merchant, "/sandbox/calls").json();
    let calls = listed["calls"].as_array().unwrap();
    assert_eq!(calls.len(), 1);
    assert_eq!(calls[0]["status"], 200);
    assert_eq!(calls[0]["cardId"], CARD);
}
