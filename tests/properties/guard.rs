//! Tokens and key sets.

use std::cell::Cell;
use std::fs;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use serde_json::Value;
use tokenkeep::jose::encrypt;

use crate::checks::{guard, recipient, repository};
use crate::generated::{cases, changed, input};

/// Authentic tokens, made once: they come out differently each time.
fn tokens() -> Vec<Vec<u8>> {
    static TOKENS: OnceLock<Vec<Vec<u8>>> = OnceLock::new();
    TOKENS.get_or_init(made).clone()
}

/// Of Mastercard's library, made by hand, and of the kinds that are let in besides.
fn made() -> Vec<Vec<u8>> {
    let files = fs::read_dir(repository("tests/data/jose/tokens")).unwrap();
    let files = files.map(|file| fs::read_to_string(file.unwrap().path()).unwrap());
    let made = |enc, iv| encrypt(b"{}", recipient(), None, enc, iv).unwrap();
    let made = [
        made("A128GCM", 12),
        made("A192GCM", 16),
        made("A128CBC-HS256", 16),
    ];
    let all = files.chain(made);
    all.map(|token| token.trim_end().as_bytes().to_vec())
        .collect()
}

fn key_sets() -> Vec<Vec<u8>> {
    let files = [
        "keys/verification/sandbox.json",
        "keys/verification/alliance/sandbox.json",
    ];
    files
        .map(|file| fs::read(repository(file)).unwrap())
        .to_vec()
}

/// The tokens of Project Wycheproof's files, where there are any.
fn vectors() -> Vec<Vec<u8>> {
    let Some(folder) = std::env::var_os("WYCHEPROOF_DIR") else {
        return Vec::new();
    };
    let mut tokens = Vec::new();
    for file in ["encryption", "crypto", "signature", "key"] {
        let name = format!("json_web_{file}_test.json");
        let bytes = fs::read(std::path::Path::new(&folder).join(name)).unwrap();
        let content: Value = serde_json::from_slice(&bytes).unwrap();
        let groups = content["testGroups"].as_array().unwrap();
        let tests = groups
            .iter()
            .flat_map(|group| group["tests"].as_array().unwrap());
        let texts = tests.filter_map(|test| test.get("jwe").or(test.get("jws"))?.as_str());
        tokens.extend(texts.map(|text| text.as_bytes().to_vec()));
    }
    tokens
}

fn all() -> Vec<Vec<u8>> {
    [tokens(), key_sets(), vectors()].concat()
}

#[test]
fn every_authentic_token_opens() {
    for token in tokens() {
        assert!(guard::open(str::from_utf8(&token).unwrap()));
    }
}

/// Puts generated inputs to a property and tells how many there were, and the longest time that one took.
fn put(
    what: &str,
    inputs: impl Strategy<Value = Vec<u8>>,
    property: impl Fn(&[u8]) -> Result<(), TestCaseError>,
) {
    let (count, slowest) = (Cell::new(0), Cell::new(Duration::ZERO));
    let timed = |input: Vec<u8>| {
        let begun = Instant::now();
        property(&input)?;
        slowest.set(slowest.get().max(begun.elapsed()));
        count.set(count.get() + 1);
        Ok(())
    };
    TestRunner::new(cases(1024)).run(&inputs, timed).unwrap();
    let slowest = slowest.get().as_secs_f64() * 1000.0;
    println!(
        "J-06 {what}: {} inputs, 0 panics, slowest {slowest:.1} ms",
        count.get()
    );
}

#[test]
fn j06_whatever_calls_itself_a_token_or_a_key_set_is_read_without_a_panic() {
    put("tokens and key sets", input(all()), |bytes| {
        guard::check(bytes);
        Ok(())
    });
}

#[test]
fn j06_a_changed_token_stays_closed() {
    put("changed tokens", changed(tokens()), |token| {
        let is_changed = !tokens().iter().any(|known| known == token);
        if let Ok(text) = str::from_utf8(token) {
            prop_assert_eq!(guard::open(text), !is_changed);
        }
        Ok(())
    });
}
