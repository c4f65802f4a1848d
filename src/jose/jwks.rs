//! Reading a JWK set: which of its keys verify signatures, and what must not be in it at all.

use std::collections::{BTreeMap, HashSet};

use josekit::jws::{ES256, JwsVerifier, RS256};
use openssl::bn::BigNum;
use openssl::ec::{EcGroup, EcKey};
use openssl::nid::Nid;
use openssl::rsa::Rsa;
use openssl::sha::sha256;
use serde_json::{Map, Value};

use super::verifying::VerificationKey;
use super::{JsonFault, guard, json, key_checks};

/// Largest set that is read, in bytes; Mastercard's own has a few keys.
const MAX_SET: usize = 256 * 1024;

/// Members that hold a private or symmetric key.
const PRIVATE: [&str; 8] = ["d", "p", "q", "dp", "dq", "qi", "oth", "k"];

/// Length of a coordinate on P-256, in bytes.
const COORDINATE: usize = 32;

const NOT_AN_OBJECT: &str = "is not an object with a kty";
const HOLDS_PRIVATE_KEY: &str =
    "holds a private or symmetric key, which has no place in a set of public keys";
const NO_KID: &str = "has no kid, so no token can name it";
const DUPLICATE_KID: &str = "has the kid of a key before it";
const NOT_RSA: &str = "does not hold an RSA modulus and exponent (n, e)";
const NOT_P256: &str = "does not hold a point of P-256 (x, y)";

/// Why a JWK set is not used, neither in whole nor in part. Nothing of the set is quoted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum JwksFault {
    #[error("the key set is larger than {MAX_SET} bytes")]
    TooLarge,
    #[error("the key set is {0}")]
    Json(#[from] JsonFault),
    #[error("the key set has no list of keys")]
    NotASet,
    /// One of its keys must not be there, or cannot be used. The first key has place 1.
    #[error("key {place} of the set {problem}")]
    Unfit { place: usize, problem: &'static str },
    /// Two sets hold different keys under one kid.
    #[error("two key sets name different keys by the same kid")]
    Substituted,
}

/// The keys of a set that verify RS256 or ES256, by their kids. Keys for other uses are left out.
pub(super) fn parse(bytes: &[u8]) -> Result<BTreeMap<String, VerificationKey>, JwksFault> {
    if bytes.len() > MAX_SET {
        return Err(JwksFault::TooLarge);
    }
    let set = json::parse(bytes)?;
    let list = set.get("keys").and_then(Value::as_array);
    let mut kids = HashSet::new();
    let mut keys = BTreeMap::new();
    for (place, jwk) in (1..).zip(list.ok_or(JwksFault::NotASet)?) {
        let unfit = |problem| JwksFault::Unfit { place, problem };
        let jwk = jwk.as_object().ok_or(unfit(NOT_AN_OBJECT))?;
        let kid = text(jwk, "kid");
        // Two keys of one name are refused even where one is left out: which of them is meant is anybody's guess.
        if kid.is_some_and(|kid| !kids.insert(kid)) {
            return Err(unfit(DUPLICATE_KID));
        }
        if let Some(key) = verification_key(jwk).map_err(unfit)? {
            keys.insert(kid.ok_or(unfit(NO_KID))?.to_owned(), key);
        }
    }
    Ok(keys)
}

/// The key, if it is one that verifies RS256 or ES256.
fn verification_key(jwk: &Map<String, Value>) -> Result<Option<VerificationKey>, &'static str> {
    let kty = text(jwk, "kty").ok_or(NOT_AN_OBJECT)?;
    if kty == "oct" || PRIVATE.iter().any(|name| jwk.contains_key(*name)) {
        return Err(HOLDS_PRIVATE_KEY);
    }
    let is_for = |alg: &str| jwk.get("alg").is_none_or(|named| named == alg);
    if !is_to_verify(jwk) {
        return Ok(None);
    }
    match (kty, text(jwk, "crv")) {
        ("RSA", _) if is_for("RS256") => rsa(jwk).map(Some),
        ("EC", Some("P-256")) if is_for("ES256") => p256(jwk).map(Some),
        _ => Ok(None),
    }
}

/// What neither `use` nor `key_ops` forbids.
fn is_to_verify(jwk: &Map<String, Value>) -> bool {
    let verifies = |operations: &Value| {
        let list = operations.as_array();
        list.is_some_and(|list| list.iter().any(|operation| operation == "verify"))
    };
    jwk.get("use").is_none_or(|named| named == "sig") && jwk.get("key_ops").is_none_or(verifies)
}

fn rsa(jwk: &Map<String, Value>) -> Result<VerificationKey, &'static str> {
    let (n, e) = (number(jwk, "n"), number(jwk, "e"));
    let (n, e) = n.zip(e).ok_or(NOT_RSA)?;
    if let Some(weakness) = key_checks::weakness(&n, &e).map_err(|_| NOT_RSA)? {
        return Err(weakness);
    }
    let spki = Rsa::from_public_components(n, e).and_then(|key| key.public_key_to_der());
    let spki = spki.map_err(|_| NOT_RSA)?;
    let verifier = RS256.verifier_from_der(&spki).map_err(|_| NOT_RSA)?;
    Ok(key(verifier, &spki))
}

fn p256(jwk: &Map<String, Value>) -> Result<VerificationKey, &'static str> {
    let coordinate = |name| bytes(jwk, name).filter(|bytes| bytes.len() == COORDINATE);
    let (x, y) = coordinate("x").zip(coordinate("y")).ok_or(NOT_P256)?;
    let spki = (|| {
        let group = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1)?;
        let (x, y) = (BigNum::from_slice(&x)?, BigNum::from_slice(&y)?);
        // Refuses a point that is not on the curve.
        EcKey::from_public_key_affine_coordinates(&group, &x, &y)?.public_key_to_der()
    })();
    let spki = spki.map_err(|_| NOT_P256)?;
    let verifier = ES256.verifier_from_der(&spki).map_err(|_| NOT_P256)?;
    Ok(key(verifier, &spki))
}

fn key(verifier: impl JwsVerifier + 'static, spki: &[u8]) -> VerificationKey {
    VerificationKey {
        verifier: Box::new(verifier),
        spki_sha256: sha256(spki),
    }
}

fn text<'a>(jwk: &'a Map<String, Value>, name: &str) -> Option<&'a str> {
    jwk.get(name).and_then(Value::as_str)
}

fn bytes(jwk: &Map<String, Value>, name: &str) -> Option<Vec<u8>> {
    guard::decode(text(jwk, name)?).ok()
}

fn number(jwk: &Map<String, Value>, name: &str) -> Option<BigNum> {
    BigNum::from_slice(&bytes(jwk, name)?).ok()
}
