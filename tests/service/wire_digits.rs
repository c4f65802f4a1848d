//! The wire form: digits, months and truth values in the types and lengths of Mastercard's samples.

use serde_json::{Value, json};
use tokenkeep::domain::Flag;

use crate::support::build::{CARD, jwe, plain, refresh_with};
use crate::support::{App, Backend, START};
use crate::wire::{latest, shown};
use crate::wire_masked::with;

#[test]
fn numbers_as_strings_and_strings_as_numbers_are_one_value() {
    let app = App::spawn(Backend::Sqlite);
    let masked = [
        ("panBin", json!("512034"), json!(512_034)),
        ("panLastFour", json!("8747"), json!(8747)),
        ("panExpirationMonth", json!("03"), json!(3)),
        ("panExpirationYear", json!("2029"), json!(2029)),
        ("tokenBinRange", json!("5234"), json!(5234)),
        ("tokenLastFour", json!("1596"), json!(1596)),
        ("tokenExpirationMonth", json!("12"), json!(12)),
        ("tokenExpirationYear", json!("2031"), json!(2031)),
    ];
    let digital = [
        ("artHeight", json!("639"), json!(639)),
        ("artWidth", json!("9"), json!(9)),
    ];
    let object = |fields: &[(&str, Value, Value)], as_text: bool| -> Value {
        let of = |(name, text, number): &(&str, Value, Value)| {
            let value = if as_text { text } else { number };
            ((*name).to_owned(), value.clone())
        };
        Value::Object(fields.iter().map(of).collect())
    };
    for (card, text_first) in [("text-first", true), ("number-first", false)] {
        for (age, as_text) in [(2_000, text_first), (1_000, !text_first)] {
            let element = with(
                card,
                age,
                &object(&masked, as_text),
                &object(&digital, as_text),
            );
            app.deliver(&plain(&[element]));
        }
        assert_eq!(app.verdicts(card), ["applied", "no_change"], "{card}");
        let kept = shown(&app, card)["maskedCard"].clone();
        for (name, text, _) in &masked {
            assert_eq!(kept[name], *text, "{card} {name}");
        }
    }
}

#[test]
fn unpadded_months_are_padded_for_the_pan_and_never_make_a_token_disagree() {
    let app = App::spawn(Backend::Sqlite);
    for (card, month) in [
        ("text", json!("3")),
        ("number", json!(3)),
        ("padded", json!("03")),
    ] {
        let masked = json!({
            "panExpirationMonth": month, "panExpirationYear": "2029",
            "tokenExpirationMonth": month, "tokenExpirationYear": "2031",
        });
        app.deliver(&plain(&[with(card, 2_000, &masked, &json!({}))]));
        assert_eq!(shown(&app, card)["display"]["panExpirationMonth"], "03");
        let mut refresh = with(card, 1_000, &masked, &json!({}));
        refresh["paymentData"] = payment("5480980000000011", "03").into();
        app.deliver(&plain(&[refresh]));
        assert_eq!(latest(&app).flags, [], "{card}");
        let shown = shown(&app, card);
        assert_eq!(shown["token"]["expirationMonth"], "03", "{card}");
        assert_eq!(shown["maskedCard"]["tokenExpirationMonth"], "03", "{card}");
    }
}

fn payment(number: &str, month: &str) -> String {
    jwe(&json!({
        "paymentToken": number, "tokenExpirationMonth": month, "tokenExpirationYear": "2031",
    }))
}

#[test]
fn last_fours_that_lost_their_zeros_are_kept_as_they_came_and_never_make_a_token_disagree() {
    let app = App::spawn(Backend::Sqlite);
    for (card, pan, token, number) in [
        ("three", json!("297"), json!("297"), "5480980000000297"),
        ("one", json!("7"), json!("2"), "5480980000000002"),
        ("numbers", json!(297), json!(2), "5480980000000002"),
    ] {
        let masked = json!({ "panLastFour": pan, "tokenLastFour": token });
        app.deliver(&plain(&[with(card, 2_000, &masked, &json!({}))]));
        let kept = shown(&app, card)["maskedCard"].clone();
        let text = |value: &Value| value.as_str().map_or(value.to_string(), str::to_owned);
        assert_eq!(kept["panLastFour"], text(&pan), "{card}");
        assert_eq!(kept["tokenLastFour"], text(&token), "{card}");
        let mut refresh = with(card, 1_000, &masked, &json!({}));
        refresh["paymentData"] = payment(number, "12").into();
        app.deliver(&plain(&[refresh]));
        assert_eq!(latest(&app).flags, [], "{card}");
        let shown = shown(&app, card);
        assert_eq!(shown["token"]["lastFour"], number[12..], "{card}");
        assert_eq!(shown["maskedCard"]["tokenLastFour"], number[12..], "{card}");
    }
}

#[test]
fn last_fours_that_lost_their_zeros_are_padded_for_display() {
    let app = App::spawn(Backend::Sqlite);
    for (card, came, displayed) in [("three", "297", "0297"), ("one", "7", "0007")] {
        let masked = json!({ "panLastFour": came });
        app.deliver(&plain(&[with(card, 1_000, &masked, &json!({}))]));
        assert_eq!(shown(&app, card)["display"]["panLastFour"], displayed);
        assert_eq!(shown(&app, card)["maskedCard"]["panLastFour"], came);
    }
}

#[test]
fn is_co_branded_is_one_value_as_string_as_truth_value_and_with_a_comma_in_it() {
    let app = App::spawn(Backend::Sqlite);
    for (card, expected, forms) in [
        (
            "true",
            "true",
            [json!("true"), json!(true), json!("true,"), json!("true")],
        ),
        (
            "false",
            "false",
            [json!(false), json!("false,"), json!("false"), json!(false)],
        ),
    ] {
        for (age, form) in (1_000..)
            .step_by(1_000)
            .zip(&forms)
            .collect::<Vec<_>>()
            .iter()
            .rev()
        {
            let digital = json!({ "isCoBranded": form });
            app.deliver(&plain(&[with(card, *age, &json!({}), &digital)]));
            let kept = shown(&app, card)["maskedCard"]["digitalCardData"]["isCoBranded"].clone();
            assert_eq!(kept, expected, "{form}");
        }
        let expected = ["applied", "no_change", "no_change", "no_change"];
        assert_eq!(app.verdicts(card), expected, "{card}");
    }
}

#[test]
fn a_decrypted_number_beats_masked_digits_that_disagree() {
    let app = App::spawn(Backend::Sqlite);
    let mut element = refresh_with(CARD, START - 1_000, &payment("5480980000000011", "12"));
    element["maskedCard"]["tokenLastFour"] = "9999".into();
    app.deliver(&plain(&[element]));
    assert_eq!(latest(&app).flags, [Flag::DigitsDisagree]);
    assert_eq!(shown(&app, CARD)["maskedCard"]["tokenLastFour"], "0011");
}

#[test]
fn empty_digits_say_nothing() {
    let app = App::spawn(Backend::Sqlite);
    let empty = json!({
        "panLastFour": "", "tokenLastFour": "", "tokenExpirationMonth": "",
        "tokenExpirationYear": "",
    });
    let mut element = with(CARD, 2_000, &empty, &json!({}));
    element["paymentData"] = payment("5480980000000011", "12").into();
    app.deliver(&plain(&[element]));
    assert_eq!(latest(&app).flags, []);
    assert_eq!(shown(&app, CARD)["display"]["panLastFour"], Value::Null);
    app.deliver(&plain(&[with(CARD, 1_000, &empty, &json!({}))]));
    assert_eq!(latest(&app).flags, []);
    assert_eq!(app.verdicts(CARD), ["applied", "no_change"]);
}
