//! By which algorithms a Checkout answer may be signed.

use std::fs;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use openssl::pkey::PKey;
use openssl::rsa::Rsa;
use serde_json::{Value, json};

use super::support::*;
use crate::jose::{JwsAlg, JwsSigner};

#[test]
fn an_algorithm_that_mastercard_does_not_sign_by_is_not_accepted_even_if_the_key_set_names_it() {
    let key = PKey::from_rsa(Rsa::generate(2048).unwrap()).unwrap();
    let pem = key.private_key_to_pem_pkcs8().unwrap();
    for (alg, refusal) in [
        (JwsAlg::Rs256, None),
        (JwsAlg::Rs384, Some("jws-alg-not-allowed")),
        (JwsAlg::Rs512, Some("jws-alg-not-allowed")),
    ] {
        let keys = key_folder();
        let mut set: Value = serde_json::from_str(&jwks_of(&key, KID)).unwrap();
        set["keys"][0]["alg"] = alg.name().into();
        let file = keys.path().join("verification/set.json");
        fs::write(file, set.to_string()).unwrap();
        let signer = JwsSigner::from_pem(&pem, Some(alg)).unwrap();
        let other = Recorder::start(move |request| {
            let answer: Value = serde_json::from_str(&checkout_answer(request, |_| ())).unwrap();
            let jws = answer["checkoutResponseJWS"].as_str().unwrap();
            let mut parts = jws
                .split('.')
                .map(|part| URL_SAFE_NO_PAD.decode(part).unwrap());
            let header = serde_json::from_slice(&parts.next().unwrap()).unwrap();
            let jws = signer.sign(header, &parts.next().unwrap()).unwrap();
            ok(&json!({ "checkoutResponseJWS": jws }).to_string())
        });
        let client = client(&other.address(), "", &keys);
        let answer = client.checkout(&checkout_request(), keyring());
        let reason = answer.err().map(|failure| failure.reason);
        assert_eq!(reason.as_deref(), refusal);
    }
}
