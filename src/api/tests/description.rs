//! The description against what is mounted and read.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::api::openapi::DOCUMENT;
use crate::api::routes;

type Routes = BTreeSet<(String, String)>;

/// Every operation of the description.
fn operations(document: &Value) -> Vec<(String, String, &Value)> {
    let paths = document["paths"].as_object().unwrap().iter();
    let all = paths.flat_map(|(path, item)| {
        let operations = item.as_object().unwrap().iter();
        operations.map(move |(method, it)| (method.to_uppercase(), path.clone(), it))
    });
    all.collect()
}

#[test]
fn the_routes_described_are_those_mounted() {
    let mounted = routes::all().into_iter();
    let mounted: Routes = mounted
        .map(|route| (route.method.to_string(), route.path.to_owned()))
        .collect();
    let document = json!(*DOCUMENT);
    let described: Routes = operations(&document)
        .into_iter()
        .map(|(method, path, _)| (method, path))
        .collect();
    assert_eq!(described, mounted);
}

#[test]
fn every_operation_has_a_name_of_its_own_and_says_who_may_use_it() {
    let document = json!(*DOCUMENT);
    let mut names = BTreeSet::new();
    for (_, path, operation) in operations(&document) {
        let name = operation["operationId"].as_str().unwrap();
        assert!(names.insert(name), "{name} is there twice");
        assert!(operation["summary"].is_string(), "{name}");
        let has_roles = !operation["x-roles"].is_null();
        assert_eq!(has_roles, path.starts_with("/v1/"), "{path}");
        assert_eq!(operation["security"].is_array(), has_roles, "{path}");
        for (status, response) in operation["responses"].as_object().unwrap() {
            assert!(response["description"].is_string(), "{path} {status}");
            let refuses = status.starts_with(['4', '5']) && path != "/readyz";
            assert_eq!(response["x-codes"].is_array(), refuses, "{path} {status}");
        }
    }
}

/// Every name of a schema that something refers to.
fn references(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(fields) => {
            if let Some(Value::String(at)) = fields.get("$ref") {
                found.insert(at.rsplit('/').next().unwrap().to_owned());
            }
            fields.values().for_each(|value| references(value, found));
        }
        Value::Array(items) => items.iter().for_each(|value| references(value, found)),
        _ => {}
    }
}

#[test]
fn every_schema_is_there_that_is_referred_to_and_no_other() {
    let document = json!(*DOCUMENT);
    let mut wanted = BTreeSet::new();
    references(&document, &mut wanted);
    let schemas = document["components"]["schemas"].as_object().unwrap();
    let there: BTreeSet<String> = schemas.keys().cloned().collect();
    assert_eq!(there, wanted);
}
