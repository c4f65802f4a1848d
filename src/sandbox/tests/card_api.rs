//! The Card API: Get Card, Delete Card, Get Transactions.

use super::*;

fn refusal(status: u16, reason: &str, detail: &str) -> (u16, String, String) {
    (status, reason.to_owned(), detail.to_owned())
}

#[test]
fn get_card_shows_the_card_and_gives_its_token_only_when_asked() {
    let merchant = Merchant::new();
    let masked = merchant.get_card("").json();
    assert_eq!(masked["maskedCard"]["srcDigitalCardId"], CARD);
    assert_eq!(masked["maskedCard"]["serviceId"], SERVICE);
    assert_eq!(masked["maskedCard"]["digitalCardData"]["status"], "ACTIVE");
    assert!(masked.get("encryptedPaymentData").is_none());
    let number = merchant.card().number;
    assert!(!masked.to_string().contains(number.expose()));

    let with_token = merchant.get_card("&tokenRequested=true").json();
    let plaintext = opened(&with_token["encryptedPaymentData"]).unwrap();
    assert_eq!(plaintext["paymentToken"]["paymentToken"], number.expose());
    assert_eq!(masked["maskedCard"]["tokenLastFour"], number.last_four());
}

#[test]
fn get_card_shows_what_has_changed() {
    let merchant = Merchant::new();
    let before = merchant.card();
    merchant
        .sandbox
        .refresh(CARD, Refresh::NumberAndExpiry)
        .unwrap();
    merchant
        .sandbox
        .set_status(CARD, CardStatus::Suspended)
        .unwrap();
    let after = merchant.card();
    assert!(after.number != before.number && after.expiry > before.expiry);
    assert!(after.changed_at > before.changed_at);
    let shown = merchant.get_card("").json();
    assert_eq!(
        shown["maskedCard"]["tokenLastFour"],
        after.number.last_four()
    );
    assert_eq!(
        shown["maskedCard"]["tokenExpirationYear"],
        after.expiry.year()
    );
    assert_eq!(
        shown["maskedCard"]["digitalCardData"]["status"],
        "SUSPENDED"
    );
}

#[test]
fn a_refresh_changes_what_it_says_and_nothing_else() {
    let merchant = Merchant::new();
    for (refresh, number, expiry) in [
        (Refresh::Number, true, false),
        (Refresh::Expiry, false, true),
        (Refresh::Nothing, false, false),
        (Refresh::NumberAndExpiry, true, true),
    ] {
        let before = merchant.card();
        merchant.sandbox.refresh(CARD, refresh).unwrap();
        let after = merchant.card();
        assert_eq!(after.number != before.number, number, "{refresh:?}");
        assert_eq!(after.expiry != before.expiry, expiry, "{refresh:?}");
    }
}

#[test]
fn a_deleted_card_is_gone() {
    let merchant = Merchant::new();
    let deleted = merchant.delete_card();
    assert_eq!(deleted.status, 200);
    assert!(deleted.json()["srcCorrelationId"].is_string());
    let gone = refusal(404, "NOT_FOUND", "NOT_FOUND");
    assert_eq!(merchant.delete_card().refusal(), gone);
    assert_eq!(merchant.get_card("").refusal(), gone);
    let checkout = merchant.checkout().refusal();
    assert_eq!(checkout, refusal(400, "INVALID_ARGUMENT", "CARD_NOT_FOUND"));
    let fault = merchant.sandbox.refresh(CARD, Refresh::Number).err();
    assert_eq!(fault, Some(CardFault::NoSuchCard));
}

#[test]
fn a_cancelled_card_is_shown_as_such_and_does_nothing_any_more() {
    let merchant = Merchant::new();
    merchant
        .sandbox
        .set_status(CARD, CardStatus::Cancelled)
        .unwrap();
    let shown = merchant.get_card("&tokenRequested=true").json();
    assert_eq!(
        shown["maskedCard"]["digitalCardData"]["status"],
        "CANCELLED"
    );
    assert!(shown.get("encryptedPaymentData").is_none());
    assert_eq!(merchant.delete_card().status, 404);
    let revived = merchant.sandbox.set_status(CARD, CardStatus::Active).err();
    assert_eq!(revived, Some(CardFault::Cancelled));
}

#[test]
fn ids_that_are_missing_malformed_or_of_another_service_are_refused() {
    let merchant = Merchant::new();
    let service = SERVICE.replace('#', "%23");
    for (query, expected) in [
        (format!("serviceId={service}"), "CANNOT_BE_NULL"),
        (
            format!("srcClientId=&serviceId={service}"),
            "CANNOT_BE_NULL",
        ),
        (format!("srcClientId={CLIENT}"), "CANNOT_BE_NULL"),
        (
            format!("srcClientId=client&serviceId={service}"),
            "INVALID_FORMAT",
        ),
        (
            format!("srcClientId={}&serviceId={service}", CLIENT.to_uppercase()),
            "INVALID_FORMAT",
        ),
        (format!("{}&srcClientId={CLIENT}", ids()), "INVALID_FORMAT"),
        (format!("{}&srcCorrelationId=1", ids()), "INVALID_FORMAT"),
        (format!("{}&reason=BORED", ids()), "INVALID_VALUE"),
        (format!("{}&requestor=NOBODY", ids()), "INVALID_VALUE"),
    ] {
        let answer = merchant.call("DELETE", &format!("/cards/{CARD}?{query}"), "");
        let expected = refusal(400, "INVALID_ARGUMENT", expected);
        assert_eq!(answer.refusal(), expected, "{query}");
    }
    let other = format!("/cards/{CARD}?srcClientId={CLIENT}&serviceId=other");
    let denied = refusal(403, "PERMISSION_DENIED", "INVALID_VALUE");
    assert_eq!(merchant.call("DELETE", &other, "").refusal(), denied);
    assert!(merchant.sandbox.card(CARD).is_some());
}

#[test]
fn tokens_are_refused_to_a_program_that_may_not_have_them_and_for_another_key() {
    let merchant = Merchant::new();
    let denied = |detail: &str| refusal(403, "PERMISSION_DENIED", detail);
    let other_key = merchant.get_card("&tokenRequested=true&keyFingerprintId=abc");
    assert_eq!(other_key.refusal(), denied("NOT_FOUND"));
    let without = Merchant::with(|settings| settings.gives_tokens = false);
    let refused = without.get_card("&tokenRequested=true");
    assert_eq!(refused.refusal(), denied("INVALID_VALUE"));
    assert_eq!(without.get_card("&tokenRequested=false").status, 200);
}

#[test]
fn transactions_are_those_since_the_time_that_is_asked_for() {
    let merchant = Merchant::new();
    let path = |more: &str| format!("/cards/{CARD}/transactions?{}{more}", ids());
    let count = |answer: &Answer| answer.json()["transactions"].as_array().unwrap().len();
    assert_eq!(count(&merchant.call("GET", &path(""), "")), 4);
    let since = path("&transactionsFromTimestamp=2026-07-10T00:00:00.000%2B00:00");
    assert_eq!(count(&merchant.call("GET", &since, "")), 1);
    for time in [
        "2026-07-21T00:00:00.000Z",
        "2026-06-01T00:00:00.000Z",
        "yesterday",
    ] {
        let path = path(&format!("&transactionsFromTimestamp={time}"));
        assert_eq!(merchant.call("GET", &path, "").status, 400, "{time}");
    }
}

#[test]
fn an_id_in_the_path_is_decoded_and_is_one_segment() {
    let merchant = Merchant::new();
    let id = "a/b?c#d%e";
    let new = NewCard {
        id: Some(id.to_owned()),
        ..NewCard::default()
    };
    merchant.sandbox.create_card(new).unwrap();
    let encoded = crate::mastercard::oauth::percent_encode(id);
    let answer = merchant.call("GET", &format!("/cards/{encoded}?{}", ids()), "");
    assert_eq!(answer.json()["maskedCard"]["srcDigitalCardId"], id);
    let call = merchant.sandbox.calls().pop().unwrap();
    assert_eq!(call.card_id.as_deref(), Some(id));
    assert_eq!(merchant.call("GET", "/cards/a/b", "").status, 404);
}
