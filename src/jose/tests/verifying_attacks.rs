//! Forgeries that other libraries have believed.

use josekit::jws::{HS256, JwsSigner as _, RS256};

use super::jws::{Keys, PAYLOAD, RS, assert_refused, compact, ec_jwk, rsa_jwk};
use super::*;
use crate::jose::{VerificationKeys, VerifyFault};

/// Whatever the fault: what counts is that it is not believed.
#[track_caller]
fn assert_not_believed(set: &VerificationKeys, token: &str) {
    let shown = &token[..token.len().min(120)];
    assert!(set.verify(token).is_err(), "{shown}");
}

#[test]
fn j30_none_in_any_spelling_is_not_believed() {
    let keys = Keys::new();
    for alg in ["none", "None", "NONE", "nOnE", ""] {
        let header = format!(r#"{{"alg":"{alg}","kid":"rsa"}}"#);
        assert_refused(
            &keys.set(),
            &keys.rs256(&header),
            VerifyFault::AlgNotAllowed,
        );
        let unsigned = compact(&header, PAYLOAD, |_| Vec::new());
        assert_refused(&keys.set(), &unsigned, VerifyFault::Malformed);
    }
}

#[test]
fn j30_an_hmac_keyed_with_a_public_key_is_not_believed() {
    let keys = Keys::new();
    for (key, jwk, kid) in [
        (&keys.rsa, rsa_jwk(&keys.rsa, "rsa"), "rsa"),
        (&keys.ec, ec_jwk(&keys.ec, "ec"), "ec"),
    ] {
        let modulus = jwk.get("n").or(jwk.get("x")).unwrap().as_str().unwrap();
        for secret in [
            key.public_key_to_pem().unwrap(),
            key.public_key_to_der().unwrap(),
            jwk.to_string().into_bytes(),
            URL_SAFE_NO_PAD.decode(modulus).unwrap(),
            modulus.as_bytes().to_vec(),
            vec![0; 32],
        ] {
            let signer = HS256.signer_from_bytes(&secret).unwrap();
            for alg in ["HS256", "RS256", "ES256"] {
                let header = format!(r#"{{"alg":"{alg}","kid":"{kid}"}}"#);
                let token = compact(&header, PAYLOAD, |signed| signer.sign(signed).unwrap());
                assert_not_believed(&keys.set(), &token);
            }
        }
    }
}

#[test]
fn j30_the_key_decides_the_algorithm_never_the_token() {
    let keys = Keys::new();
    for token in [
        keys.rs256(r#"{"alg":"RS256","kid":"ec"}"#),
        keys.es256(r#"{"alg":"ES256","kid":"rsa"}"#),
        keys.rs256(r#"{"alg":"ES256","kid":"rsa"}"#),
        keys.es256(r#"{"alg":"RS256","kid":"ec"}"#),
    ] {
        assert_refused(&keys.set(), &token, VerifyFault::AlgNotAllowed);
    }
    for token in [
        keys.rs256(r#"{"alg":"ES256","kid":"ec"}"#),
        keys.es256(r#"{"alg":"RS256","kid":"rsa"}"#),
    ] {
        assert_refused(&keys.set(), &token, VerifyFault::WrongSignature);
    }
    for alg in [
        "HS256",
        "HS384",
        "HS512",
        "RS384",
        "RS512",
        "PS256",
        "PS384",
        "PS512",
        "ES384",
        "ES512",
        "ES256K",
        "EdDSA",
        "rs256",
        "RS256 ",
        "RS256\\u0000",
        "RЅ256",
        "RSA-OAEP-256",
        "dir",
    ] {
        let token = keys.rs256(&format!(r#"{{"alg":"{alg}","kid":"rsa"}}"#));
        assert_refused(&keys.set(), &token, VerifyFault::AlgNotAllowed);
    }
    let of_nobody = keys.rs256(r#"{"alg":"HS256","kid":"unknown"}"#);
    assert_refused(&keys.set(), &of_nobody, VerifyFault::AlgNotAllowed);
    for alg in ["null", "256", "[\"RS256\"]"] {
        let token = keys.rs256(&format!(r#"{{"alg":{alg},"kid":"rsa"}}"#));
        assert_refused(&keys.set(), &token, VerifyFault::Malformed);
    }
}

#[test]
fn j30_a_detached_payload_is_not_believed() {
    let keys = Keys::new();
    let good = keys.rs256(RS);
    let parts: Vec<&str> = good.split('.').collect();
    let detached = [parts[0], "", parts[2]].join(".");
    assert_refused(&keys.set(), &detached, VerifyFault::WrongSignature);
}

#[test]
fn j25_a_jwe_is_no_jws_and_a_jws_no_jwe() {
    let keys = Keys::new();
    let jwe = Token::with_header(HEADER).text();
    assert_refused(&keys.set(), &jwe, VerifyFault::Malformed);
    assert_guarded(&demonstration_keys(), &keys.rs256(RS));
    // A JWS in a JWS is the payload of the outer one, and read no deeper.
    let inner = keys.rs256(RS);
    let der = keys.rsa.private_key_to_pkcs8().unwrap();
    let signer = RS256.signer_from_der(der).unwrap();
    let outer = compact(RS, inner.as_bytes(), |signed| signer.sign(signed).unwrap());
    let verified = keys.set().verify(&outer).unwrap();
    assert_eq!(*verified.payload, inner.as_bytes());
}
