//! Forgeries that other libraries have believed.

use josekit::jws::{HS256, JwsSigner as _, RS256};
use openssl::sha::sha256;

use super::jws::{ES, Keys, PAYLOAD, RS, assert_refused, compact, ec_jwk, rsa_jwk};
use super::*;
use crate::jose::VerifyFault;

/// HMAC-SHA-256 (RFC 2104) under a secret of any length: OpenSSL takes no empty one, josekit no short one.
fn hs256(secret: &[u8], signed: &[u8]) -> Vec<u8> {
    let mut block = match secret.len() {
        0..=64 => secret.to_vec(),
        _ => sha256(secret).to_vec(),
    };
    block.resize(64, 0);
    let keyed = |pad: u8, rest: &[u8]| {
        let key: Vec<u8> = block.iter().map(|byte| byte ^ pad).collect();
        sha256(&[&key, rest].concat())
    };
    keyed(0x5c, &keyed(0x36, signed)).to_vec()
}

#[test]
fn j30_none_in_any_spelling_is_not_believed() {
    let keys = Keys::new();
    let spellings = ["none", "None", "NONE", "nOnE", ""];
    for alg in spellings {
        let header = format!(r#"{{"alg":"{alg}","kid":"rsa"}}"#);
        assert_refused(
            &keys.set(),
            &keys.rs256(&header),
            VerifyFault::AlgNotAllowed,
        );
        let unsigned = compact(&header, PAYLOAD, |_| Vec::new());
        assert_refused(&keys.set(), &unsigned, VerifyFault::Malformed);
    }
    println!(
        "J-30 none in {} spellings refused, signed or not",
        spellings.len()
    );
}

#[test]
fn j30_an_hmac_keyed_with_a_public_key_is_not_believed() {
    let signer = HS256.signer_from_bytes([1; 100]).unwrap();
    assert_eq!(hs256(&[1; 100], PAYLOAD), signer.sign(PAYLOAD).unwrap());
    let keys = Keys::new();
    let (mut tried, mut believed) = (0, 0);
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
            Vec::new(),
        ] {
            for alg in ["HS256", "RS256", "ES256"] {
                let header = format!(r#"{{"alg":"{alg}","kid":"{kid}"}}"#);
                let token = compact(&header, PAYLOAD, |signed| hs256(&secret, signed));
                tried += 1;
                // Whatever the fault: what counts is that it is not believed.
                believed += u32::from(keys.set().verify(&token).is_ok());
            }
        }
    }
    println!(
        "J-30 {believed} of {tried} HMACs keyed with what is public, with zeros or with nothing believed"
    );
    assert_eq!((tried, believed), (42, 0));
}

#[test]
fn j30_the_key_decides_the_algorithm_never_the_token() {
    let keys = Keys::new();
    let swapped = [
        keys.rs256(r#"{"alg":"RS256","kid":"ec"}"#),
        keys.es256(r#"{"alg":"ES256","kid":"rsa"}"#),
        keys.rs256(r#"{"alg":"ES256","kid":"rsa"}"#),
        keys.es256(r#"{"alg":"RS256","kid":"ec"}"#),
    ];
    for token in &swapped {
        assert_refused(&keys.set(), token, VerifyFault::AlgNotAllowed);
    }
    let of_the_other = [
        keys.rs256(r#"{"alg":"ES256","kid":"ec"}"#),
        keys.es256(r#"{"alg":"RS256","kid":"rsa"}"#),
    ];
    for token in &of_the_other {
        assert_refused(&keys.set(), token, VerifyFault::WrongSignature);
    }
    let foreign = [
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
    ];
    for alg in foreign {
        let token = keys.rs256(&format!(r#"{{"alg":"{alg}","kid":"rsa"}}"#));
        assert_refused(&keys.set(), &token, VerifyFault::AlgNotAllowed);
    }
    let of_nobody = keys.rs256(r#"{"alg":"HS256","kid":"unknown"}"#);
    assert_refused(&keys.set(), &of_nobody, VerifyFault::AlgNotAllowed);
    for alg in ["null", "256", "[\"RS256\"]"] {
        let token = keys.rs256(&format!(r#"{{"alg":{alg},"kid":"rsa"}}"#));
        assert_refused(&keys.set(), &token, VerifyFault::Malformed);
    }
    println!(
        "J-30 {} other algs and {} swaps of algs and keys refused",
        foreign.len(),
        swapped.len() + of_the_other.len()
    );
}

#[test]
fn j30_a_detached_payload_is_not_believed() {
    let keys = Keys::new();
    let good = keys.rs256(RS);
    let parts: Vec<&str> = good.split('.').collect();
    let detached = [parts[0], "", parts[2]].join(".");
    let fault = keys.set().verify(&detached).err();
    println!(
        "J-30 detached payload: {}",
        fault.map_or("believed", VerifyFault::word)
    );
    assert_eq!(fault, Some(VerifyFault::WrongSignature));
}

#[test]
fn j25_a_jwe_is_no_jws_and_a_jws_no_jwe() {
    let keys = Keys::new();
    let jwe = Token::with_header(HEADER).text();
    assert_refused(&keys.set(), &jwe, VerifyFault::Malformed);
    let keyring = demonstration_keys();
    let unsigned = compact(r#"{"alg":"none"}"#, PAYLOAD, |_| Vec::new());
    for jws in [keys.rs256(RS), keys.es256(ES), unsigned] {
        assert_guarded(&keyring, &jws);
    }
    // A JWE in a JWE is the plaintext of the outer one, and opened no deeper.
    let outer = Token::sealing(jwe.as_bytes(), HEADER, &[7; 32], &[1; 12]);
    assert_eq!(*keyring.open(&outer.text(), None).unwrap(), jwe.as_bytes());
    let operations = keyring.private_operations();
    assert_eq!(operations, 1);
    // A JWS in a JWS is the payload of the outer one, and read no deeper.
    let inner = keys.rs256(RS);
    let der = keys.rsa.private_key_to_pkcs8().unwrap();
    let signer = RS256.signer_from_der(der).unwrap();
    let outer = compact(RS, inner.as_bytes(), |signed| signer.sign(signed).unwrap());
    let verified = keys.set().verify(&outer).unwrap();
    assert_eq!(*verified.payload, inner.as_bytes());
    println!(
        "J-25 1 JWE and 3 JWSs refused in each other's place; JWE in JWE: {operations} private operation"
    );
}
