//! The properties, each a function that panics where its own does not hold.

pub mod body;
pub mod guard;
pub mod plaintext;
pub mod settings;
pub mod upstream;

use std::path::PathBuf;
use std::sync::OnceLock;

use serde_json::Value;
use tokenkeep::domain::without_full_numbers;
use tokenkeep::jose::{Enc, Keyring, OpenPolicy};

/// 20 July 2026, 10:00 UTC, in milliseconds.
const NOW: i64 = 1_784_541_600_000;
const KID: &str = "demo-payload-2026";
/// The shortest token number has as many digits.
const SHORTEST_NUMBER: usize = 12;

/// A file of the repository: the fuzzer's package lies one folder below.
pub fn repository(path: &str) -> PathBuf {
    let package = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let root = match package.join("fixtures").is_dir() {
        true => package,
        false => package.join(".."),
    };
    root.join(path)
}

/// The demonstration keys, letting in whatever may be let in. Loaded once: their checks take time.
pub fn keyring() -> &'static Keyring {
    static KEYS: OnceLock<Keyring> = OnceLock::new();
    KEYS.get_or_init(|| {
        let policy = OpenPolicy {
            enc: vec![Enc::A128Gcm, Enc::A192Gcm, Enc::A256Gcm, Enc::A128CbcHs256],
            ..OpenPolicy::default()
        };
        Keyring::load(&repository("keys"), policy).unwrap()
    })
}

/// The public half of the key that tokens are made for, in PEM form.
pub fn recipient() -> &'static [u8] {
    static PEM: OnceLock<Vec<u8>> = OnceLock::new();
    PEM.get_or_init(|| {
        let key = keyring().keys().find(|key| key.kid() == KID).unwrap();
        tokenkeep::jose::public_key_pem(key).unwrap().into_bytes()
    })
}

/// Asserts that a text which may be logged or stored holds nothing that could be a token number.
fn assert_no_number(text: &str) {
    let together: String = text.chars().filter(|c| !"-_ ".contains(*c)).collect();
    let mut runs = together.split(|c: char| !c.is_ascii_digit());
    assert!(
        runs.all(|run| run.len() < SHORTEST_NUMBER),
        "a number got out: {text}"
    );
    assert!(
        !without_full_numbers(&Value::from(text)).is_null(),
        "a number got out: {text}"
    );
}
