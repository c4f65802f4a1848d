//! Request bodies.

use std::fs;

use proptest::prelude::*;
use serde_json::{Value, json};

use crate::checks::{body, repository};
use crate::generated::{cases, input, json_value};

pub fn fixtures() -> Vec<Vec<u8>> {
    let files = fs::read_dir(repository("fixtures")).unwrap();
    let mut paths: Vec<_> = files.map(|file| file.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|found| found == "json"));
    paths.sort();
    paths.iter().map(|path| fs::read(path).unwrap()).collect()
}

/// An element that names a card, with further fields.
fn element() -> impl Strategy<Value = Value> {
    (json_value(), json_value()).prop_map(|(mut element, masked)| {
        let mut masked_card = json!({ "srcDigitalCardId": "card-1" });
        if let (Value::Object(known), Value::Object(more)) = (&mut masked_card, masked) {
            known.extend(more);
        }
        if let Value::Object(fields) = &mut element {
            fields.insert("maskedCard".to_owned(), masked_card);
        }
        element
    })
}

#[test]
fn the_fixtures_are_kept_and_read_the_same_when_they_are_written_anew() {
    for fixture in fixtures() {
        body::check(&fixture);
    }
}

proptest! {
    #![proptest_config(cases(256))]

    #[test]
    fn any_body_is_kept_or_refused_and_reads_the_same_when_it_is_written_anew(
        body in input(fixtures()),
    ) {
        body::check(&body);
    }

    #[test]
    fn any_elements_read_the_same_when_they_are_written_anew(
        list in prop::collection::vec(element(), 0..4),
    ) {
        body::check(json!({ "digitalCardUpdateNotifications": list }).to_string().as_bytes());
    }
}
