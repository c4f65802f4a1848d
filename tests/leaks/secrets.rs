//! What is looked for: the tests' numbers and texts, the demonstration keys, and the API keys that tests made.

use std::path::{Path, PathBuf};

use openssl::pkey::PKey;

use crate::canaries;

/// A key is looked for in pieces of this length, so that one is whole in each line of a PEM file.
const PIECE: usize = 16;

/// All of them. `made` holds a key a line.
pub fn all(made: &[PathBuf]) -> Vec<Vec<u8>> {
    let mut secrets = canaries::all();
    let keys = Path::new(env!("CARGO_MANIFEST_DIR")).join("keys");
    let mut files = Vec::new();
    for folder in ["payload", "signing", "storage"] {
        crate::files(&keys.join(folder), &mut files);
    }
    secrets.extend(files.iter().flat_map(|file| pieces(file)));
    for file in made {
        let lines = std::fs::read_to_string(file).unwrap();
        secrets.extend(lines.lines().map(|line| line.as_bytes().to_vec()));
    }
    secrets
}

/// What is secret in a key file: a prime of an RSA key, the number of one on a curve, all of a storage key.
fn pieces(file: &Path) -> Vec<Vec<u8>> {
    let text = std::fs::read_to_string(file).unwrap();
    let secret = match PKey::private_key_from_pem(text.as_bytes()) {
        Ok(key) => match (key.rsa(), key.ec_key()) {
            (Ok(rsa), _) => rsa.p().unwrap().to_vec(),
            (_, Ok(curve)) => curve.private_key().to_vec(),
            _ => panic!("{} is another kind of key", file.display()),
        },
        Err(_) => from_hex(text.trim()),
    };
    secret.chunks_exact(PIECE).map(<[u8]>::to_vec).collect()
}

fn from_hex(text: &str) -> Vec<u8> {
    let bytes = (0..text.len()).step_by(2).map(|at| &text[at..at + 2]);
    bytes
        .map(|byte| u8::from_str_radix(byte, 16).unwrap())
        .collect()
}
