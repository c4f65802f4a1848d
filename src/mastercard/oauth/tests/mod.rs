//! The signer against the vectors that Mastercard's own libraries are tested with, and its edges.

mod base_string;
mod header;
mod signing_keys;

use super::{Parameters, SigningKey};

/// The signing key that lies in the repository.
fn demonstration_key() -> SigningKey {
    let keys = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("keys");
    SigningKey::load(&keys, &keys.join("signing/demo-signing.pem"), "").unwrap()
}

fn parameters(pairs: &[(&str, &str)]) -> Parameters {
    let owned = |(name, value): &(&str, &str)| (name.to_string(), value.to_string());
    pairs.iter().map(owned).collect()
}
