//! Strict JSON.

use super::super::JsonFault;
use super::super::json::{canonical, parse};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

#[test]
fn ordinary_json_is_read_as_serde_json_reads_it() {
    let text =
        r#" {"a":[1,-2,3.5,1e3,18446744073709551615],"b":{"c":null,"d":true,"é":"\u00e9\n"}} "#;
    assert_eq!(
        parse(text.as_bytes()),
        Ok(serde_json::from_str::<Value>(text).unwrap())
    );
}

#[test]
fn w13_a_name_that_stands_twice_is_refused_at_every_depth_and_however_spelled() {
    for text in [
        r#"{"a":1,"a":1}"#,
        r#"{"a":1,"\u0061":2}"#,
        r#"{"x":{"y":[{"a":1,"b":2,"a":3}]}}"#,
        r#"{"":1,"":2}"#,
    ] {
        assert_eq!(
            parse(text.as_bytes()),
            Err(JsonFault::DuplicateKey),
            "{text}"
        );
    }
    assert!(parse(br#"{"a":{"a":1},"A":1}"#).is_ok());
}

#[test]
fn w15_what_is_not_utf8_or_not_json_is_refused_with_its_place_only() {
    for text in [
        &b""[..],
        b"{\"a\":1}{}",
        b"{} x",
        b"\xef\xbb\xbf{}",
        b"{\"a\":\"\xff\"}",
        b"\"\xc0\xaf\"",
        b"\"\\ud800\"",
        b"NaN",
        b"1e400",
        b"+1",
        b"01",
        b"{\"a\":1,}",
        b"{'a':1}",
        b"// comment\n1",
    ] {
        assert!(
            matches!(parse(text), Err(JsonFault::NotJson { .. })),
            "{text:?}"
        );
    }
    let fault = parse(b"{\n \"pan\":5480983162311596x}").unwrap_err();
    assert_eq!(
        fault,
        JsonFault::NotJson {
            line: 2,
            column: 24
        }
    );
    assert_eq!(fault.to_string(), "not JSON (line 2, column 24)");
    assert_eq!(
        parse(b"[\n\"\xff\"]"),
        Err(JsonFault::NotJson { line: 2, column: 2 })
    );
}

#[test]
fn w12_sixty_four_levels_are_read_and_one_more_is_not() {
    let nested = |levels: usize| "[".repeat(levels) + &"]".repeat(levels);
    assert!(parse(nested(64).as_bytes()).is_ok());
    assert_eq!(parse(nested(65).as_bytes()), Err(JsonFault::TooDeep));
    let objects = r#"{"a":"#.repeat(65) + "1" + &"}".repeat(65);
    assert_eq!(parse(objects.as_bytes()), Err(JsonFault::TooDeep));
}

#[test]
fn w12_a_megabyte_of_brackets_is_refused_within_20_ms() {
    for bytes in [vec![b'['; 1 << 20], br#"{"a":"#.repeat(200_000)] {
        let start = Instant::now();
        assert_eq!(parse(&bytes), Err(JsonFault::TooDeep));
        assert!(start.elapsed() < Duration::from_millis(20));
    }
}

#[test]
fn the_canonical_text_does_not_depend_on_the_order_of_names_or_on_white_space() {
    let one = parse(br#"{ "b":[{"z":1,"y":2}], "a":"x" , "\u00e9":null}"#).unwrap();
    let other = parse("{\"é\":null,\"a\":\"x\",\"b\":[{\"y\":2,\"z\":1}]}".as_bytes()).unwrap();
    assert_eq!(*canonical(&one), *canonical(&other));
    assert_eq!(
        *canonical(&one),
        "{\"a\":\"x\",\"b\":[{\"y\":2,\"z\":1}],\"é\":null}".as_bytes()
    );
}

#[test]
fn the_canonical_text_says_the_same_as_the_value() {
    let value = json!({"a": "\"\\/\n\u{0}\u{7f}😀", "b": [], "c": {}, "d": [true, false, null, -1, 1.5, u64::MAX], "e": [[1], {"f": 2}]});
    assert_eq!(parse(&canonical(&value)), Ok(value));
}
