//! Reading a JWK set: which of its keys verify signatures, and what must not be in it at all.

use std::collections::{BTreeMap, HashSet};

use openssl::bn::BigNum;
use openssl::ec::{EcGroup, EcKey};
use openssl::pkey::PKey;
use openssl::rsa::Rsa;
use openssl::sha::sha256;
use serde_json::{Map, Value};

use super::jws_alg::Curve;
use super::verifying::VerificationKey;
use super::{JsonFault, JwsAlg, UseMark, guard, json, key_checks};

/// Largest set that is read, in bytes; Mastercard's own has a few keys.
const MAX_SET: usize = 256 * 1024;

/// Members that hold a private or symmetric key.
const PRIVATE: [&str; 8] = ["d", "p", "q", "dp", "dq", "qi", "oth", "k"];

const NOT_AN_OBJECT: &str = "is not an object with a kty";
const HOLDS_PRIVATE_KEY: &str =
    "holds a private or symmetric key, which has no place in a set of public keys";
const NO_KID: &str = "has no kid, so no token can name it";
const DUPLICATE_KID: &str = "has the kid of a key before it";
const NOT_RSA: &str = "does not hold an RSA modulus and exponent (n, e)";

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

/// The keys of a set that verify by a [`JwsAlg`], by their kids. Keys for other uses are left out.
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

/// The key, if it is one that verifies by a [`JwsAlg`].
fn verification_key(jwk: &Map<String, Value>) -> Result<Option<VerificationKey>, &'static str> {
    let kty = text(jwk, "kty").ok_or(NOT_AN_OBJECT)?;
    if kty == "oct" || PRIVATE.iter().any(|name| jwk.contains_key(*name)) {
        return Err(HOLDS_PRIVATE_KEY);
    }
    if !is_to_verify(jwk) {
        return Ok(None);
    }
    let named = jwk.get("alg");
    match kty {
        // A key that names no alg is for RS256: it is never the token that chooses.
        "RSA" => named
            .map_or(Some(JwsAlg::Rs256), rsa_alg)
            .map(|alg| rsa(jwk, alg))
            .transpose(),
        "EC" => text(jwk, "crv")
            .and_then(Curve::named)
            .filter(|curve| named.is_none_or(|named| named == curve.alg.name()))
            .map(|curve| point(jwk, curve))
            .transpose(),
        _ => Ok(None),
    }
}

fn rsa_alg(named: &Value) -> Option<JwsAlg> {
    let alg = JwsAlg::from_name(named.as_str()?)?;
    alg.is_rsa().then_some(alg)
}

/// What neither `use` nor `key_ops` forbids.
fn is_to_verify(jwk: &Map<String, Value>) -> bool {
    let verifies = |operations: &Value| {
        let list = operations.as_array();
        list.is_some_and(|list| list.iter().any(|operation| operation == "verify"))
    };
    jwk.get("use").is_none_or(|named| named == "sig") && jwk.get("key_ops").is_none_or(verifies)
}

fn rsa(jwk: &Map<String, Value>, alg: JwsAlg) -> Result<VerificationKey, &'static str> {
    let (n, e) = (number(jwk, "n"), number(jwk, "e"));
    let (n, e) = n.zip(e).ok_or(NOT_RSA)?;
    if let Some(weakness) = key_checks::weakness(&n, &e).map_err(|_| NOT_RSA)? {
        return Err(weakness);
    }
    let spki = Rsa::from_public_components(n, e).and_then(|key| key.public_key_to_der());
    key(alg, &spki.map_err(|_| NOT_RSA)?).ok_or(NOT_RSA)
}

fn point(jwk: &Map<String, Value>, curve: &Curve) -> Result<VerificationKey, &'static str> {
    let spki = || {
        let group = EcGroup::from_curve_name(curve.nid).ok()?;
        let length = usize::try_from(group.degree()).ok()?.div_ceil(8);
        let coordinate = |name| {
            let bytes = bytes(jwk, name).filter(|bytes| bytes.len() == length)?;
            BigNum::from_slice(&bytes).ok()
        };
        let (x, y) = (coordinate("x")?, coordinate("y")?);
        // Refuses a point that is not on the curve.
        let key = EcKey::from_public_key_affine_coordinates(&group, &x, &y).ok()?;
        key.public_key_to_der().ok()
    };
    spki()
        .and_then(|spki| key(curve.alg, &spki))
        .ok_or(curve.not_a_point)
}

fn key(alg: JwsAlg, spki: &[u8]) -> Option<VerificationKey> {
    Some(VerificationKey {
        alg,
        verifier: alg.verifier(spki).ok()?,
        spki_sha256: sha256(spki),
        bits: PKey::public_key_from_der(spki).ok()?.bits(),
        used: UseMark::default(),
    })
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
