//! The wire form: unknown names and values, and text of every kind.

use rstest::rstest;
use serde_json::{Value, json};

use crate::support::build::{CARD, encrypted, plain, status};
use crate::support::{App, Backend, START};
use crate::wire::{latest, post, shown, verdict};

/// An element with something unknown at every depth.
fn with_unknown_fields(card: &str, time: i64) -> Value {
    let unknown = json!({ "deeper": [{ "and": { "deeper": [null, 1.5, "x", true] } }] });
    let mut element = status(card, Some(time), "ACTIVE");
    element["unknown"] = unknown.clone();
    element["status"] = "SUSPENDED".into();
    element["srcClientId"] = "client".into();
    element["maskedCard"]["unknown"] = unknown.clone();
    element["maskedCard"]["status"] = "CANCELLED".into();
    element["maskedCard"]["digitalCardData"]["unknown"] = unknown.clone();
    element["maskedCard"]["digitalCardData"]["panLastFour"] = "9999".into();
    element["maskedCard"]["digitalCardData"][""] = unknown;
    element
}

#[test]
fn w18_unknown_fields_at_any_depth_change_nothing() {
    let app = App::spawn(Backend::Sqlite);
    for (card, is_plain) in [("plain", true), ("encrypted", false)] {
        app.deliver(&plain(&[status(card, Some(START - 2_000), "ACTIVE")]));
        let before = shown(&app, card);
        let mut list = plain(&[with_unknown_fields(card, START - 1_000)]);
        list["eventType"] = "unknown".into();
        list["batch"] = json!({ "id": 7 });
        app.deliver(&if is_plain { list } else { encrypted(&list) });
        let verdicts = app.verdicts(card);
        println!(
            "W-18 unknown fields at every depth, {card}: {}",
            verdicts[1]
        );
        assert_eq!(verdicts, ["applied", "no_change"], "{card}");
        assert_eq!(shown(&app, card), before, "{card}");
    }
}

#[test]
fn w18_unknown_reason_codes_change_nothing_and_are_carried_through() {
    let app = App::spawn(Backend::Sqlite);
    app.deliver(&plain(&[status(CARD, Some(START - 9_000), "ACTIVE")]));
    let before = shown(&app, CARD);
    let long = "R".repeat(200);
    for (age, reason) in [
        (8_000, json!("CANCELLED")),
        (7_000, json!("SOMETHING_NEW")),
        (6_000, json!("")),
        (5_000, json!("token refresh")),
        (4_000, json!(long)),
    ] {
        let mut element = status(CARD, Some(START - age), "ACTIVE");
        element["reasonCode"] = reason.clone();
        app.deliver(&plain(&[element]));
        assert_eq!(verdict(&latest(&app)), "no_change", "{reason}");
        assert_eq!(shown(&app, CARD), before, "{reason}");
        let kept = latest(&app).reason.unwrap();
        assert!(reason.as_str().unwrap().starts_with(&kept), "{reason}");
        assert!(
            kept.len() == reason.as_str().unwrap().len().min(64),
            "{reason}"
        );
    }
    let verdicts = app.verdicts(CARD);
    let unchanged = verdicts.iter().filter(|verdict| *verdict == "no_change");
    println!(
        "W-18 unknown reasons: {} of {} change nothing",
        unchanged.count(),
        verdicts.len() - 1
    );
}

#[test]
fn w18_an_unknown_or_missing_status_never_makes_a_card_active() {
    let app = App::spawn(Backend::Sqlite);
    let words = [
        json!("active"),
        json!("ACTIVE "),
        json!("ACTIVE,"),
        json!("A\u{200b}CTIVE"),
        json!("LOCKED"),
        json!("PENDING_VERIFICATION"),
        json!("ACTIVE\u{0}"),
        json!(""),
        json!(1),
        json!(true),
        json!(["ACTIVE"]),
        json!({ "status": "ACTIVE" }),
        Value::Null,
    ];
    for (place, word) in words.iter().enumerate() {
        let (new, active) = (format!("new-{place}"), format!("active-{place}"));
        app.deliver(&plain(&[status(&active, Some(START - 3_000), "ACTIVE")]));
        for card in [&new, &active] {
            let mut element = status(card, Some(START - 2_000), "ACTIVE");
            element["maskedCard"]["digitalCardData"]["status"] = word.clone();
            app.deliver(&plain(&[element]));
            assert_eq!(verdict(&latest(&app)), "parked(status-unknown)", "{word}");
            let shown = shown(&app, card);
            assert_eq!(shown["status"], Value::Null, "{word}");
            assert_eq!(shown["display"]["greyed"], true, "{word}");
            assert_eq!(shown["display"]["panLastFour"], Value::Null, "{word}");
            // The other parts of the same item apply.
            assert_eq!(shown["display"]["descriptorName"], "Test Bank", "{word}");
        }
        app.deliver(&plain(&[status(&new, Some(START - 1_000), "ACTIVE")]));
        assert_eq!(shown(&app, &new)["status"], "ACTIVE", "{word}");
    }
    let parked = "SELECT count(*) AS number FROM notifications WHERE hold = 'status-unknown'";
    println!(
        "W-18 {} unknown statuses, of a new and of an active card: {} parked",
        words.len(),
        app.database.number(parked)
    );
    for data in [Value::Null, json!([]), json!("ACTIVE")] {
        let mut element = status(CARD, Some(START - 2_000), "ACTIVE");
        element["maskedCard"]["digitalCardData"] = data;
        app.deliver(&plain(&[element]));
        assert_eq!(shown(&app, CARD)["status"], Value::Null);
    }
}

#[test]
fn w18_unknown_values_of_descriptive_fields_are_carried_through() {
    let app = App::spawn(Backend::Sqlite);
    let mut element = status(CARD, Some(START - 1_000), "ACTIVE");
    let masked = &mut element["maskedCard"];
    masked["paymentCardType"] = "CRYPTO".into();
    masked["paymentCardDescriptor"] = "MasterCard".into();
    masked["countryCode"] = "Atlantis".into();
    masked["digitalCardFeatures"] = json!([{ "content": "x", "contentType": "HOLOGRAM" }]);
    masked["dcf"] = json!({ "applicationType": "TOASTER", "new": [1] });
    masked["digitalCardData"]["pendingEvents"] = json!(["PENDING_SCA", "PENDING_MOON", 7]);
    masked["digitalCardData"]["authenticationMethods"] =
        json!([{ "authenticationMethodType": "TELEPATHY" }]);
    masked["digitalCardData"]["foregroundColor"] = "not a colour".into();
    let mut sent = masked.clone();
    app.deliver(&plain(&[element]));
    assert_eq!(app.verdicts(CARD), ["applied"]);
    let shown = shown(&app, CARD)["maskedCard"].take();
    println!(
        "W-18 unknown values of descriptive fields: kept as sent {}",
        shown == sent
    );
    assert_eq!(shown, sent.take());
}

#[rstest]
fn w15_text_is_stored_verbatim_whatever_it_is(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let app = App::spawn(backend);
    let long = "é".repeat(40_000);
    let texts = [
        "MÃ¶belbank AG,",
        "Bänk 🏦👩\u{200d}💻 ﷽",
        "\u{202e}txet eht snrut\u{202c} \u{2066}x\u{2069}",
        "line\u{2028}paragraph\u{2029}end",
        "nul\u{0}inside",
        "\u{0}",
        "\u{1b}[31mred\r\n\t\u{7f}\u{85}",
        "\u{feff}bom \u{fffd} \u{fffe} \u{10ffff}",
        r#"quotes " ' \ \u0000 -- ; DROP TABLE cards"#,
        "",
        " ",
        &long,
    ];
    for (place, text) in texts.iter().enumerate() {
        let card = format!("card-{place}");
        let mut element = status(&card, Some(START - 1_000), "ACTIVE");
        let masked = &mut element["maskedCard"];
        masked["countryCode"] = (*text).into();
        masked["digitalCardData"]["descriptorName"] = (*text).into();
        masked["digitalCardFeatures"] = json!([{ "content": "x", "style": text }]);
        masked[*text] = (*text).into();
        element["note"] = json!({ *text: text });
        element["reasonCode"] = (*text).into();
        let mut sent = element["maskedCard"].clone();
        sent.as_object_mut().unwrap().remove(*text);
        app.deliver(&plain(&[element.clone()]));
        app.deliver(&plain(&[element]));
        let shown = shown(&app, &card);
        assert!(shown["maskedCard"] == sent, "{place}");
        assert_eq!(shown["display"]["descriptorName"], *text, "{place}");
        assert_eq!(app.verdicts(&card), ["applied", "duplicate"], "{place}");
        let reason = latest(&app).reason.unwrap();
        assert!(!reason.contains(char::is_control), "{place}");
        let listed = app.get(&format!("/v1/notifications?card={card}")).json();
        assert_eq!(
            listed["notifications"][0]["verdict"], "duplicate",
            "{place}"
        );
    }
    println!(
        "W-15 {backend:?}: {} texts shown as sent, {} deliveries, the second of each a duplicate",
        texts.len(),
        app.database.deliveries()
    );
}

#[rstest]
fn w15_bytes_that_are_no_text_are_refused_and_nothing_is_kept(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let app = App::spawn(backend);
    let body = plain(&[status(CARD, Some(START), "ACTIVE")]).to_string();
    let with = |bytes: &[u8]| {
        let (before, after) = body.split_once("Test Bank").unwrap();
        [before.as_bytes(), bytes, after.as_bytes()].concat()
    };
    let utf16 = |unit: fn(u16) -> [u8; 2]| body.encode_utf16().flat_map(unit).collect::<Vec<u8>>();
    let bodies = [
        ("invalid", with(b"\xff\xfe")),
        ("latin 1", with(b"M\xf6bel")),
        ("overlong", with(b"\xc0\xaf")),
        ("surrogate as UTF-8", with(b"\xed\xa0\x80")),
        ("beyond Unicode", with(b"\xf4\x90\x80\x80")),
        ("cut off", with(b"\xe2\x82")),
        ("lone high surrogate", with(br"\ud83c")),
        ("lone low surrogate", with(br"\udfe6")),
        ("control character", with(b"a\nb")),
        ("raw nul", with(b"a\0b")),
        (
            "byte order mark",
            [b"\xef\xbb\xbf", body.as_bytes()].concat(),
        ),
        ("UTF-16 LE", utf16(u16::to_le_bytes)),
        ("UTF-16 BE", utf16(u16::to_be_bytes)),
        ("empty", Vec::new()),
    ];
    for (name, bytes) in &bodies {
        let answer = post(&app, "/notifications/card", bytes, &[]);
        assert_eq!(
            (answer.status, &*answer.code()),
            (400, "not-a-notification"),
            "{name}"
        );
        assert!(!answer.text.contains(CARD), "{name}");
    }
    app.settle();
    assert!(app.card(CARD).is_none());
    println!(
        "W-15 {backend:?}: {} more that are no text refused, {} kept",
        bodies.len(),
        app.database.deliveries()
    );
    assert_eq!(
        post(&app, "/notifications/card", &with(br"\ud83c\udfe6"), &[]).status,
        204
    );
    app.settle();
    assert_eq!(shown(&app, CARD)["display"]["descriptorName"], "🏦");
}

#[rstest]
fn w15_a_text_of_a_megabyte_is_stored_verbatim(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let app = App::spawn(backend);
    let long = "é".repeat(520_000);
    let mut element = status(CARD, Some(START), "ACTIVE");
    element["maskedCard"]["digitalCardData"]["longDescription"] = (*long).into();
    app.deliver(&plain(&[element]));
    assert_eq!(app.verdicts(CARD), ["applied"]);
    let kept = shown(&app, CARD)["maskedCard"]["digitalCardData"]["longDescription"].clone();
    println!(
        "W-15 {backend:?}: a text of {} bytes kept as sent: {}",
        long.len(),
        kept == long
    );
    assert!(kept == long);
}
