//! What is sent: addresses and bodies.

use serde_json::json;

use super::support::*;
use crate::mastercard::{Amount, CheckoutRequest, Client, DeleteReason, DeleteRequest, Requestor};
use crate::upstream::FailureClass;

pub fn delete_request(id: &str) -> DeleteRequest {
    DeleteRequest {
        card_id: crate::domain::CardId::parse(id).unwrap(),
        reason: None,
        requestor: None,
        flow_id: None,
    }
}

/// A recorder that takes every call, each as its API documents success.
pub fn willing() -> Recorder {
    Recorder::start(|request| match request.method.as_str() {
        "POST" => ok(&checkout_answer(request, |_| ())),
        _ if request.target.contains("/transactions") => ok("{\"transactions\":[]}"),
        _ => ok(&json!({
            "srcCorrelationId": "x",
            "maskedCard": { "srcDigitalCardId": CARD, "digitalCardData": { "status": "ACTIVE" } },
        })
        .to_string()),
    })
}

pub fn call_each(client: &Client) {
    client
        .checkout(&checkout_request(), keyring())
        .ok()
        .unwrap();
    client.delete_card(&delete_request(CARD)).unwrap();
    client.get_card(&card(), keyring()).ok().unwrap();
    client.transactions(&card(), None).unwrap();
}

#[test]
fn checkout_is_asked_with_the_programs_ids_and_a_fresh_correlation_id() {
    let other = willing();
    let more = "src_dpa_id = \"dpa1\"\nkey_fingerprint_id = \"nwzNuN9upxolVsr6q0I\"";
    let shop = shop(&other.address(), more);
    for _ in 0..2 {
        let answer = shop.client.checkout(&checkout_request(), keyring());
        answer.ok().unwrap();
    }
    let [first, second] = &other.heard()[..] else {
        panic!("there were not two requests");
    };
    assert_eq!(first.method, "POST");
    assert_eq!(first.target, "/src/transaction/credentials");
    assert_eq!(first.header("content-type"), Some("application/json"));
    let correlation_id = first.json()["srcCorrelationId"]
        .as_str()
        .unwrap()
        .to_owned();
    assert!(uuid::Uuid::parse_str(&correlation_id).is_ok());
    assert_eq!(correlation_id, correlation_id.to_lowercase());
    assert_ne!(second.json()["srcCorrelationId"], correlation_id.as_str());
    let expected = json!({
        "srcClientId": CLIENT_ID,
        "srcDpaId": "dpa1",
        "serviceId": SERVICE_ID,
        "srcCorrelationId": correlation_id,
        "srcDigitalCardId": CARD,
        "keyFingerprintId": "nwzNuN9upxolVsr6q0I",
        "dpaTransactionOptions": {
            "paymentOptions": [{ "dynamicDataType": "CARD_APPLICATION_CRYPTOGRAM_SHORT_FORM" }],
        },
    });
    assert_eq!(first.json(), expected);
}

#[test]
fn further_checkout_fields_are_sent_and_replace_none_of_ours() {
    let other = willing();
    let more = r#"checkout_fields = '{"transactionType": "PURCHASE", "serviceId": "x", "last": {"a": {}}}'"#;
    let shop = shop(&other.address(), more);
    shop.client
        .checkout(&checkout_request(), keyring())
        .ok()
        .unwrap();
    let sent = other.heard()[0].json();
    assert_eq!(sent["transactionType"], "PURCHASE");
    assert_eq!(sent["last"], json!({ "a": {} }));
    assert_eq!(sent["serviceId"], SERVICE_ID);
    assert_eq!(sent["srcDigitalCardId"], CARD);
}

#[test]
fn the_first_instant_of_transactions_is_written_as_the_setting_says() {
    for (form, written) in [
        ("iso8601", "2026-07-20T10%3A00%3A00.000%2B00%3A00"),
        ("epoch_milliseconds", "1784541600000"),
    ] {
        let other = willing();
        let shop = shop(&other.address(), &format!("transactions_from = \"{form}\""));
        let from = Some("2026-07-20T10:00:00Z");
        shop.client.transactions(&card(), from).unwrap();
        let target = other.heard()[0].target.clone();
        let expected = format!("transactionsFromTimestamp={written}");
        assert!(target.contains(&expected), "{target}");
    }
}

#[test]
fn ids_that_are_not_set_are_not_sent() {
    let other = willing();
    let more = "dynamic_data_type = \"DYNAMIC_CARD_SECURITY_CODE\"";
    call_each(&shop(&other.address(), more).client);
    let heard = other.heard();
    let checkout = heard[0].json();
    assert!(checkout.get("srcDpaId").is_none() && checkout.get("keyFingerprintId").is_none());
    let options = &checkout["dpaTransactionOptions"]["paymentOptions"];
    assert_eq!(options[0]["dynamicDataType"], "DYNAMIC_CARD_SECURITY_CODE");
    for request in &heard[1..] {
        assert_eq!(request.query("srcDpaId"), None);
        assert_eq!(request.query("tokenRequested"), None);
        assert_eq!(request.query("keyFingerprintId"), None);
    }
}

#[test]
fn an_amount_is_sent_digit_by_digit() {
    let other = willing();
    let shop = shop(&other.address(), "");
    for value in [
        "12.50",
        "0",
        "9999999999999",
        "0.1000000000000"[..14].trim(),
        "100000000000.1",
    ] {
        let request = CheckoutRequest {
            amount: Some(Amount::parse(value, "EUR").unwrap()),
            ..checkout_request()
        };
        shop.client.checkout(&request, keyring()).ok().unwrap();
        let heard = other.heard().pop().unwrap();
        let text = String::from_utf8(heard.body.clone()).unwrap();
        let sent = format!(
            r#""transactionAmount":{{"transactionAmount":{value},"transactionCurrencyCode":"EUR"}}"#
        );
        assert!(text.contains(&sent), "{text}");
        assert_eq!(heard.json()["serviceId"], SERVICE_ID);
    }
}

#[test]
fn every_value_in_an_address_is_encoded_and_an_id_stays_one_segment() {
    let other = willing();
    let shop = shop(&other.address(), "src_dpa_id = \"a/b&c=d\"");
    let table = [
        (CARD, CARD),
        ("a/b", "a%2Fb"),
        ("a?b", "a%3Fb"),
        ("a#b", "a%23b"),
        ("a%2Fb", "a%252Fb"),
        ("a&b=c", "a%26b%3Dc"),
        ("a+b", "a%2Bb"),
        ("../x", "..%2Fx"),
        ("...", "..."),
        ("a;b:c@d,e", "a%3Bb%3Ac%40d%2Ce"),
        ("\"<>\\^`{|}", "%22%3C%3E%5C%5E%60%7B%7C%7D"),
        ("!*'()~._-", "%21%2A%27%28%29~._-"),
    ];
    for (id, segment) in table {
        shop.client.delete_card(&delete_request(id)).unwrap();
        let heard = other.heard().pop().unwrap();
        let (path, query) = heard.target.split_once('?').unwrap();
        assert_eq!(path, format!("/src/cards/{segment}"));
        assert!(
            query.contains("serviceId=SECURE_COF_MERCHANT%23START_COF-UPN2%2301"),
            "{query}"
        );
        assert!(query.contains("srcDpaId=a%2Fb%26c%3Dd"), "{query}");
        assert_eq!(heard.query("serviceId").unwrap(), SERVICE_ID);
    }
}

#[test]
fn an_id_that_would_mean_another_address_is_not_sent() {
    let other = willing();
    let shop = shop(&other.address(), "");
    for id in [".", ".."] {
        let failure = shop.client.delete_card(&delete_request(id)).unwrap_err();
        assert_eq!(failure.class, FailureClass::Refused);
        assert_eq!(failure.reason, "card-id-cannot-be-sent");
        assert!(!failure.may_have_arrived);
        let id = crate::domain::CardId::parse(id).unwrap();
        assert!(shop.client.get_card(&id, keyring()).is_err());
        assert!(shop.client.transactions(&id, None).is_err());
    }
    assert!(other.heard().is_empty());
}

#[test]
fn each_call_of_the_card_api_sends_what_its_documentation_has() {
    let other = willing();
    let more = "src_dpa_id = \"dpa1\"\nget_card_token = true\nkey_fingerprint_id = \"f\"";
    let shop = shop(&other.address(), more);
    let delete = DeleteRequest {
        reason: Some(DeleteReason::AccountClosed),
        requestor: Some(Requestor::Merchant),
        ..delete_request(CARD)
    };
    shop.client.delete_card(&delete).unwrap();
    shop.client.get_card(&card(), keyring()).ok().unwrap();
    let from = Some("2026-07-01T12:00:00Z");
    shop.client.transactions(&card(), from).unwrap();
    let names = |request: &Heard| {
        let (path, query) = request.target.split_once('?').unwrap();
        let names: Vec<_> = query
            .split('&')
            .map(|p| p.split('=').next().unwrap())
            .collect();
        format!("{} {path}: {}", request.method, names.join(" "))
    };
    let heard = other.heard();
    assert_eq!(
        heard.iter().map(names).collect::<Vec<_>>(),
        [
            format!(
                "DELETE /src/cards/{CARD}: srcClientId serviceId srcCorrelationId srcDpaId reason requestor"
            ),
            format!(
                "GET /src/cards/{CARD}: srcClientId serviceId srcCorrelationId srcDpaId tokenRequested keyFingerprintId"
            ),
            format!(
                "GET /src/cards/{CARD}/transactions: srcClientId serviceId transactionsFromTimestamp"
            ),
        ]
    );
    assert_eq!(heard[0].query("reason").unwrap(), "ACCOUNT_CLOSED");
    assert_eq!(heard[0].query("requestor").unwrap(), "MERCHANT");
    assert_eq!(heard[1].query("tokenRequested").unwrap(), "true");
    let from = heard[2].query("transactionsFromTimestamp");
    assert_eq!(from.unwrap(), "2026-07-01T12:00:00.000+00:00");
    assert!(heard[1..].iter().all(|request| request.body.is_empty()));
}

#[test]
fn transactions_from_what_is_no_instant_are_not_asked_for() {
    let other = willing();
    let shop = shop(&other.address(), "");
    for from in [
        "",
        "yesterday",
        "2026-07-01",
        "2026-07-01T12:00:00",
        "1784541600000",
    ] {
        let failure = shop.client.transactions(&card(), Some(from)).unwrap_err();
        assert_eq!(failure.class, FailureClass::Refused, "{from}");
        assert_eq!(failure.reason, "not-an-instant");
    }
    assert!(other.heard().is_empty());
}
