//! Signing a JWS by each algorithm, and verifying it under the key that is for it.

use openssl::nid::Nid;
use openssl::pkey::{PKey, Private};
use openssl::rsa::Rsa;
use openssl::symm::Cipher;
use serde_json::{Map, Value, json};

use super::jws::{Keys, PAYLOAD, assert_refused, ec_jwk, key_on, rsa_jwk};
use super::*;
use crate::jose::{JwsAlg, JwsSigner, SignError, VerificationKeys, VerifyFault};

const ALGS: [JwsAlg; 6] = [
    JwsAlg::Rs256,
    JwsAlg::Rs384,
    JwsAlg::Rs512,
    JwsAlg::Es256,
    JwsAlg::Es384,
    JwsAlg::Es512,
];

fn pem(key: &PKey<Private>) -> Vec<u8> {
    key.private_key_to_pem_pkcs8().unwrap()
}

/// A key for each algorithm, in their order; the RSA key is the same for all three.
fn keys() -> [PKey<Private>; 6] {
    let rsa = Keys::new().rsa;
    let curves = [Nid::X9_62_PRIME256V1, Nid::SECP384R1, Nid::SECP521R1];
    let [p256, p384, p521] = curves.map(key_on);
    [rsa.clone(), rsa.clone(), rsa, p256, p384, p521]
}

/// The set of their public halves, each under its algorithm's name as the kid.
fn set(keys: &[PKey<Private>; 6]) -> VerificationKeys {
    let jwk = |(key, alg): (&PKey<Private>, JwsAlg)| {
        let name = alg.name();
        let mut jwk = match key.rsa().is_ok() {
            true => rsa_jwk(key, name),
            false => ec_jwk(key, name),
        };
        jwk["alg"] = name.into();
        jwk
    };
    let list: Vec<Value> = keys.iter().zip(ALGS).map(jwk).collect();
    VerificationKeys::parse_jwks(json!({ "keys": list }).to_string().as_bytes()).unwrap()
}

fn sign(signer: &JwsSigner, kid: &str) -> String {
    let header = Map::from_iter([("kid".to_owned(), Value::from(kid))]);
    signer.sign(header, PAYLOAD).unwrap()
}

#[track_caller]
fn refusal(pem: &[u8], alg: Option<JwsAlg>) -> String {
    match JwsSigner::from_pem(pem, alg).err() {
        Some(SignError::Key(problem)) => problem.to_owned(),
        other => panic!("not refused for the key: {other:?}"),
    }
}

#[test]
fn each_algorithm_signs_what_the_key_that_is_for_it_verifies_and_no_other() {
    let keys = keys();
    let set = set(&keys);
    for (key, alg) in keys.iter().zip(ALGS) {
        let signer = JwsSigner::from_pem(&pem(key), Some(alg)).unwrap();
        assert_eq!(signer.alg(), alg);
        let verified = set.verify(&sign(&signer, alg.name())).unwrap();
        assert_eq!(verified.alg, alg);
        assert_eq!(verified.header["alg"], alg.name());
        assert_eq!(*verified.payload, PAYLOAD);
        for other in ALGS.into_iter().filter(|other| *other != alg) {
            let token = sign(&signer, other.name());
            assert_refused(&set, &token, VerifyFault::AlgNotAllowed);
            // The same signature under a header that says what the key is for.
            let header = json!({ "alg": other.name(), "kid": other.name() }).to_string();
            let rest = token.split_once('.').unwrap().1;
            let token = format!("{}.{rest}", URL_SAFE_NO_PAD.encode(header));
            assert_refused(&set, &token, VerifyFault::WrongSignature);
        }
    }
}

#[test]
fn a_key_without_an_alg_of_its_own_signs_and_verifies_by_the_one_it_is_for() {
    let keys = keys();
    for (place, alg) in [(0, JwsAlg::Rs256), (3, ALGS[3]), (4, ALGS[4]), (5, ALGS[5])] {
        let signer = JwsSigner::from_pem(&pem(&keys[place]), None).unwrap();
        assert_eq!(signer.alg(), alg);
        let jwk = match place {
            0 => rsa_jwk(&keys[place], "k"),
            _ => ec_jwk(&keys[place], "k"),
        };
        let set = json!({ "keys": [jwk] }).to_string();
        let set = VerificationKeys::parse_jwks(set.as_bytes()).unwrap();
        assert_eq!(set.verify(&sign(&signer, "k")).unwrap().alg, alg);
    }
    let rs512 = JwsSigner::from_pem(&pem(&keys[0]), Some(JwsAlg::Rs512)).unwrap();
    let set = json!({ "keys": [rsa_jwk(&keys[0], "k")] }).to_string();
    let set = VerificationKeys::parse_jwks(set.as_bytes()).unwrap();
    assert_refused(&set, &sign(&rs512, "k"), VerifyFault::AlgNotAllowed);
}

#[test]
fn signatures_on_a_curve_have_their_full_length_whatever_their_numbers() {
    let keys = keys();
    let set = set(&keys);
    // On P-256 as many hold a number that begins with a zero byte, but for a chance of one in thirty; on
    // P-521 half of them do.
    for (place, length, count) in [(3, 64, 450), (4, 96, 20), (5, 132, 20)] {
        let signer = JwsSigner::from_pem(&pem(&keys[place]), None).unwrap();
        for _ in 0..count {
            let token = sign(&signer, ALGS[place].name());
            let signature = token.rsplit_once('.').unwrap().1;
            assert_eq!(URL_SAFE_NO_PAD.decode(signature).unwrap().len(), length);
            assert!(set.verify(&token).is_ok());
        }
    }
}

#[test]
fn an_algorithm_that_does_not_fit_the_key_is_refused_in_a_clear_sentence() {
    let keys = keys();
    for (place, key) in keys.iter().enumerate() {
        for (other, alg) in ALGS.into_iter().enumerate() {
            if place == other || (place < 3 && other < 3) {
                continue;
            }
            let problem = refusal(&pem(key), Some(alg));
            assert!(problem.starts_with("is not for the algorithm"), "{problem}");
        }
    }
}

#[test]
fn what_is_no_key_that_signs_is_refused() {
    let rsa = Keys::new().rsa;
    let locked = rsa.private_key_to_pem_pkcs8_passphrase(Cipher::aes_256_cbc(), b"secret");
    let not_a_key = "is not an unlocked private key in PEM form";
    for unusable in [
        b"".as_slice(),
        b"secret",
        &locked.unwrap(),
        &rsa.public_key_to_pem().unwrap(),
        &rsa.private_key_to_der().unwrap(),
    ] {
        assert_eq!(refusal(unusable, None), not_a_key);
    }
    let other_kind = "is neither an RSA key nor a key on P-256, P-384 or P-521";
    for key in [
        key_on(Nid::SECP256K1),
        key_on(Nid::SECP224R1),
        PKey::generate_ed25519().unwrap(),
    ] {
        assert_eq!(refusal(&pem(&key), None), other_kind);
        assert_eq!(refusal(&pem(&key), Some(JwsAlg::Es256)), other_kind);
    }
    let small = PKey::from_rsa(Rsa::generate(1024).unwrap()).unwrap();
    let problem = refusal(&pem(&small), None);
    assert!(problem.ends_with("make a new key"), "{problem}");
}

#[test]
fn the_repositorys_keys_for_the_bank_are_known_on_both_sides() {
    let merchant = fs::read(repository("keys/signing/demo-alliance.pem")).unwrap();
    let merchant = JwsSigner::from_pem(&merchant, None).unwrap();
    assert_eq!(merchant.alg(), JwsAlg::Es256);
    assert!(merchant.is_demonstration());
    let own = JwsSigner::from_pem(&pem(&key_on(Nid::X9_62_PRIME256V1)), None).unwrap();
    assert!(!own.is_demonstration());

    let set = fs::read(repository("keys/verification/alliance/sandbox.json")).unwrap();
    let set = VerificationKeys::parse_jwks(&set).unwrap();
    assert!(set.holds_demonstration_key());
    let kid = set.kids().next().unwrap();
    let bank = fs::read(repository("src/sandbox/keys/alliance-answers.pem")).unwrap();
    let bank = JwsSigner::from_pem(&bank, None).unwrap();
    assert_eq!(*set.verify(&sign(&bank, kid)).unwrap().payload, PAYLOAD);
    assert_refused(&set, &sign(&merchant, kid), VerifyFault::WrongSignature);
}

#[test]
fn algorithms_are_named_as_in_the_rfc() {
    for alg in ALGS {
        assert_eq!(JwsAlg::from_name(alg.name()), Some(alg));
        assert_eq!(
            serde_json::from_value::<JwsAlg>(alg.name().into()).unwrap(),
            alg
        );
    }
    for name in ["", "none", "rs256", "HS256", "PS256", "ES256K", "EdDSA"] {
        assert_eq!(JwsAlg::from_name(name), None);
        assert!(serde_json::from_value::<JwsAlg>(name.into()).is_err());
    }
}
