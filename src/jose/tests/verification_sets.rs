//! JWK sets: which keys are taken, which are left out, and what refuses a whole set.

use openssl::nid::Nid;
use openssl::pkey::{PKey, Private};
use openssl::rsa::Rsa;
use serde_json::{Value, json};

use super::jws::{Keys, ec_jwk, key_on, rsa_jwk};
use super::*;
use crate::jose::{JsonFault, JwksFault, VerificationKeys, VerifyFault};

fn parse(keys: &[Value]) -> Result<VerificationKeys, JwksFault> {
    VerificationKeys::parse_jwks(json!({ "keys": keys }).to_string().as_bytes())
}

fn kids(set: &VerificationKeys) -> Vec<&str> {
    set.kids().collect()
}

fn with(jwk: &Value, name: &str, value: Value) -> Value {
    let mut jwk = jwk.clone();
    jwk[name] = value;
    jwk
}

/// The place and the problem of the key for which a set is refused.
#[track_caller]
fn problem(keys: &[Value]) -> (usize, &'static str) {
    match parse(keys).err() {
        Some(JwksFault::Unfit { place, problem }) => (place, problem),
        other => panic!("not refused for a key: {other:?}"),
    }
}

fn refused_key(name: &str) -> PKey<Private> {
    let file = format!("tests/data/jose/refused-keys/{name}.pem");
    PKey::private_key_from_pem(&fs::read(repository(&file)).unwrap()).unwrap()
}

#[test]
fn keys_for_other_uses_and_of_other_kinds_are_left_out() {
    let keys = Keys::new();
    let rsa = rsa_jwk(&keys.rsa, "a");
    let ec = ec_jwk(&keys.ec, "a");
    let p384 = ec_jwk(&key_on(Nid::SECP384R1), "a");
    for left_out in [
        with(&rsa, "use", json!("enc")),
        with(&rsa, "use", json!(7)),
        with(&rsa, "key_ops", json!(["encrypt", "wrapKey"])),
        with(&rsa, "key_ops", json!([])),
        with(&rsa, "key_ops", json!("verify")),
        with(&rsa, "alg", json!("RSA-OAEP-256")),
        with(&rsa, "alg", json!("ES256")),
        with(&rsa, "alg", json!("rs512")),
        with(&rsa, "alg", json!("PS256")),
        with(&rsa, "alg", json!("HS256")),
        with(&ec, "alg", json!("ES384")),
        with(&ec, "alg", json!("ES521")),
        with(&ec, "alg", json!("RS256")),
        with(&p384, "alg", json!("ES256")),
        with(&ec, "crv", json!("secp256k1")),
        with(&ec, "crv", json!("p-256")),
        with(&ec, "crv", json!(null)),
        json!({ "kty": "OKP", "crv": "Ed25519", "kid": "a", "x": "AAAA" }),
        json!({ "kty": "new", "kid": "a" }),
        json!({ "kty": "new" }),
    ] {
        let set = parse(&[left_out.clone(), rsa_jwk(&keys.rsa, "b")]);
        let set = set.unwrap_or_else(|fault| panic!("{left_out}: {fault}"));
        assert_eq!(kids(&set), ["b"], "{left_out}");
    }
    assert!(kids(&parse(&[]).unwrap()).is_empty());
}

#[test]
fn a_key_may_say_that_it_is_there_to_verify() {
    let keys = Keys::new();
    let rsa = with(&rsa_jwk(&keys.rsa, "rsa"), "use", json!("sig"));
    let rsa = with(&rsa, "alg", json!("RS256"));
    let ec = with(&ec_jwk(&keys.ec, "ec"), "key_ops", json!(["verify"]));
    let ec = with(&ec, "alg", json!("ES256"));
    let set = parse(&[with(&rsa, "x5t#S256", json!("AAAA")), ec]).unwrap();
    assert_eq!(kids(&set), ["ec", "rsa"]);
}

#[test]
fn a_symmetric_key_or_a_private_member_refuses_the_whole_set() {
    let keys = Keys::new();
    let good = rsa_jwk(&keys.rsa, "good");
    let secret = "holds a private or symmetric key, which has no place in a set of public keys";
    let symmetric = json!({ "kty": "oct", "kid": "k", "k": "AAAA" });
    assert_eq!(problem(&[good.clone(), symmetric]), (2, secret));
    // Also where the key would be left out for its use.
    let left_out = json!({ "kty": "oct", "kid": "k", "use": "enc" });
    assert_eq!(problem(&[left_out, good.clone()]), (1, secret));
    for name in ["d", "p", "q", "dp", "dq", "qi", "oth", "k"] {
        let private = with(&rsa_jwk(&keys.rsa, "r"), name, json!(null));
        assert_eq!(problem(&[good.clone(), private]), (2, secret), "{name}");
    }
}

#[test]
fn two_keys_of_one_kid_refuse_the_set_however_they_are_used() {
    let keys = Keys::new();
    let rsa = rsa_jwk(&keys.rsa, "same");
    let duplicate = "has the kid of a key before it";
    for other in [
        ec_jwk(&keys.ec, "same"),
        rsa.clone(),
        with(&rsa, "use", json!("enc")),
    ] {
        assert_eq!(problem(&[rsa.clone(), other]), (2, duplicate));
    }
    let nameless = json!({ "kty": "RSA", "n": rsa["n"], "e": rsa["e"] });
    assert_eq!(
        problem(&[nameless]),
        (1, "has no kid, so no token can name it")
    );
}

#[test]
fn j32_weak_and_broken_keys_refuse_the_set() {
    let keys = Keys::new();
    let weak = [
        "rsa-1024",
        "exponent-1",
        "exponent-3",
        "exponent-even",
        "roca",
        "rsa-4104",
    ];
    for name in weak {
        let jwk = rsa_jwk(&refused_key(name), name);
        let (place, problem) = problem(&[rsa_jwk(&keys.rsa, "good"), jwk]);
        assert!(
            place == 2 && problem.ends_with("make a new key"),
            "{name}: {problem}"
        );
    }
    let rsa = rsa_jwk(&keys.rsa, "a");
    let ec = ec_jwk(&keys.ec, "a");
    // The same number with a zero byte in front.
    let x = URL_SAFE_NO_PAD.decode(ec["x"].as_str().unwrap()).unwrap();
    let longer = URL_SAFE_NO_PAD.encode([&[0], x.as_slice()].concat());
    let not_rsa = "does not hold an RSA modulus and exponent (n, e)";
    let not_p256 = "does not hold a point of P-256 (x, y)";
    let broken = [
        (with(&rsa, "n", json!(null)), not_rsa),
        (with(&rsa, "n", json!("not base64")), not_rsa),
        (with(&rsa, "n", json!([1])), not_rsa),
        (with(&rsa, "e", json!("AQAB=")), not_rsa),
        (with(&rsa, "e", json!(65537)), not_rsa),
        (with(&ec, "x", ec["y"].clone()), not_p256),
        (with(&ec, "x", json!("")), not_p256),
        (with(&ec, "y", json!("A".repeat(43))), not_p256),
        (with(&ec, "y", json!(null)), not_p256),
        (with(&ec, "x", json!(longer)), not_p256),
        (json!({ "kid": "a" }), "is not an object with a kty"),
        (json!("a"), "is not an object with a kty"),
        (json!(null), "is not an object with a kty"),
    ];
    for (jwk, expected) in &broken {
        assert_eq!(problem(std::slice::from_ref(jwk)), (1, *expected));
    }
    let (_, problem) = problem(&[with(&rsa, "n", json!(""))]);
    assert!(
        problem.starts_with("has a modulus of less than"),
        "{problem}"
    );
    println!(
        "J-32 JWK: {} weak and {} broken keys refused",
        weak.len(),
        broken.len() + 1
    );
}

#[test]
fn a_point_must_lie_on_the_curve_that_is_named_and_have_its_length() {
    let keys = [Nid::X9_62_PRIME256V1, Nid::SECP384R1, Nid::SECP521R1];
    let keys = keys.map(|curve| ec_jwk(&key_on(curve), "a"));
    for jwk in &keys {
        assert_eq!(kids(&parse(std::slice::from_ref(jwk)).unwrap()), ["a"]);
        for crv in ["P-256", "P-384", "P-521"] {
            let expected = match crv {
                "P-256" => "does not hold a point of P-256 (x, y)",
                "P-384" => "does not hold a point of P-384 (x, y)",
                _ => "does not hold a point of P-521 (x, y)",
            };
            let named = with(jwk, "crv", json!(crv));
            if jwk["crv"] != crv {
                assert_eq!(problem(std::slice::from_ref(&named)), (1, expected));
            }
            let swapped = with(&named, "x", named["y"].clone());
            assert_eq!(problem(&[swapped]), (1, expected));
            let y = URL_SAFE_NO_PAD.decode(jwk["y"].as_str().unwrap()).unwrap();
            for y in [&y[1..], &[&[0], y.as_slice()].concat()] {
                let misfit = with(&named, "y", json!(URL_SAFE_NO_PAD.encode(y)));
                assert_eq!(problem(&[misfit]), (1, expected));
            }
        }
    }
}

#[test]
fn what_is_no_key_set_is_refused_without_a_word_of_it() {
    let not_a_set = Some(JwksFault::NotASet);
    for text in [
        "{}",
        "[]",
        "7",
        r#"{"keys":{}}"#,
        r#"{"keys":null}"#,
        r#"{"Keys":[]}"#,
    ] {
        assert_eq!(
            VerificationKeys::parse_jwks(text.as_bytes()).err(),
            not_a_set,
            "{text}"
        );
    }
    let twice = VerificationKeys::parse_jwks(br#"{"keys":[],"keys":[]}"#).err();
    assert_eq!(twice, Some(JwksFault::Json(JsonFault::DuplicateKey)));
    let text = VerificationKeys::parse_jwks(b"<html>secret").err().unwrap();
    assert_eq!(
        text.to_string(),
        "the key set is not JSON (line 1, column 1)"
    );
    let long = VerificationKeys::parse_jwks(&vec![b' '; 256 * 1024 + 1]).err();
    assert_eq!(long, Some(JwksFault::TooLarge));
}

#[test]
fn sets_are_merged_unless_a_kid_names_two_keys() {
    let keys = Keys::new();
    let ec = parse(&[ec_jwk(&keys.ec, "ec")]).unwrap();
    let mut set = VerificationKeys::default();
    set.merge(ec).unwrap();
    set.merge(keys.set()).unwrap();
    assert_eq!(kids(&set), ["ec", "rsa"]);

    let other = PKey::from_rsa(Rsa::generate(2048).unwrap()).unwrap();
    let substituted = parse(&[rsa_jwk(&other, "new"), rsa_jwk(&other, "rsa")]).unwrap();
    assert_eq!(set.merge(substituted), Err(JwksFault::Substituted));
    assert_eq!(kids(&set), ["ec", "rsa"]);
    let token = keys.rs256(r#"{"alg":"RS256","kid":"rsa"}"#);
    assert!(set.verify(&token).is_ok());
    let unknown = keys.rs256(r#"{"alg":"RS256","kid":"new"}"#);
    assert_eq!(set.verify(&unknown).err(), Some(VerifyFault::UnknownKid));
}
