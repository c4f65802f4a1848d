//! Project Wycheproof's vectors (C2SP/wycheproof, `testvectors_v1`) through the functions that open and verify.
//!
//! They are read from the folder that `WYCHEPROOF_DIR` names. Each verdict is held against a list: what is valid
//! there but of no use here must be refused, too.

mod jwe;
mod jws;
mod primitives;

use std::io::Write as _;
use std::path::PathBuf;

use serde_json::Value;

pub(crate) use jws::believed;

use super::*;

/// All test groups of a file, which must hold so many tests. None where no folder is named: then the test with
/// this id says so and ends. A folder that does not hold the file fails the test.
pub(crate) fn groups(id: &str, file: &str, tests: usize) -> Option<Vec<Value>> {
    let Some(folder) = std::env::var_os("WYCHEPROOF_DIR") else {
        let said = format!("{id} not run: WYCHEPROOF_DIR names no folder that holds {file}");
        println!("{said}");
        // Not by a macro, whose words would be kept from whoever runs the tests by cargo.
        let said = format!("{said}\n");
        std::io::stderr().write_all(said.as_bytes()).unwrap();
        return None;
    };
    let path = PathBuf::from(folder).join(file);
    let bytes = fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let content: Value = serde_json::from_slice(&bytes).unwrap();
    let groups = content["testGroups"].as_array().unwrap().clone();
    let found: usize = groups.iter().map(|group| tests_of(group).len()).sum();
    assert_eq!(found, tests, "{file}");
    Some(groups)
}

fn tests_of(group: &Value) -> &[Value] {
    group["tests"].as_array().unwrap()
}

/// A test's JWS or JWE, if it has one: compact, or in a JSON serialisation as its text.
fn token(test: &Value, name: &str) -> Option<String> {
    match test.get(name)? {
        Value::String(token) => Some(token.clone()),
        serialised => Some(serialised.to_string()),
    }
}

fn id(test: &Value) -> u64 {
    test["tcId"].as_u64().unwrap()
}

fn bytes(test: &Value, name: &str) -> Vec<u8> {
    let digits = test[name].as_str().unwrap().as_bytes();
    let byte = |pair: &[u8]| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap();
    digits.chunks(2).map(byte).collect()
}

fn has_flag(test: &Value, flag: &str) -> bool {
    test["flags"].as_array().unwrap().iter().any(|f| f == flag)
}

/// A keyring of this one private key.
fn keyring_of(kid: &str, pem: &[u8]) -> Keyring {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("payload")).unwrap();
    fs::write(folder.path().join(format!("payload/{kid}.pem")), pem).unwrap();
    load(&folder)
}
