//! JWSs and key sets, verified with the public keys that each is for.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::*;
use crate::jose::{JwsAlg, VerificationKeys};

/// The tokens of a file that are believed, with what each was signed by, and how many are not.
pub(crate) fn believed(
    id_of_test: &str,
    file: &str,
    tests: usize,
) -> Option<(BTreeMap<u64, JwsAlg>, usize)> {
    let mut believed = BTreeMap::new();
    let mut refused = 0;
    for group in groups(id_of_test, file, tests)? {
        let set = VerificationKeys::parse_jwks(set_of(&group).to_string().as_bytes());
        for test in tests_of(&group) {
            let Some(token) = token(test, "jws") else {
                continue;
            };
            let verified = set.as_ref().ok().and_then(|set| set.verify(&token).ok());
            match verified {
                Some(jws) => {
                    assert_eq!(test["result"], "valid", "{}", id(test));
                    believed.insert(id(test), jws.alg);
                }
                None => refused += 1,
            }
        }
    }
    Some((believed, refused))
}

/// The keys that verify, or where there are no public ones, all that there are: such a set is refused.
fn set_of(group: &Value) -> Value {
    let keys = match &group["public"] {
        Value::Null => &group["private"],
        public => public,
    };
    match keys.get("keys") {
        Some(_) => keys.clone(),
        None => json!({ "keys": [keys] }),
    }
}

fn under(believed: &BTreeMap<u64, JwsAlg>, alg: JwsAlg) -> Vec<u64> {
    let ids = believed.iter().filter(|(_, known)| **known == alg);
    ids.map(|(id, _)| *id).collect()
}

#[test]
fn j29_each_algorithm_believes_its_valid_signatures_and_nothing_else() {
    let Some((believed, refused)) = believed("J-29", "json_web_signature_test.json", 401) else {
        return;
    };
    println!("J-29 JWS: {} believed, {refused} refused", believed.len());
    assert_eq!(
        under(&believed, JwsAlg::Rs256),
        [33, 259, 260, 261, 262, 263, 345, 349]
    );
    assert_eq!(under(&believed, JwsAlg::Es256), [18, 378]);
    assert_eq!(under(&believed, JwsAlg::Rs384), [264, 265, 266, 267]);
    assert_eq!(under(&believed, JwsAlg::Rs512), [268, 269, 270, 271]);
    // 347 and 351 are valid by ES512, but their keys name an algorithm that does not exist (ES521). The other
    // valid ones are by HS and PS, which nobody here signs by; two of these (372, 373) are no base64url, and two
    // that count as invalid (367, 370) are the same as a valid one (357): all are by HS256.
    assert_eq!((believed.len(), refused), (18, 383));
}

#[test]
fn j29_the_mixed_file_has_one_right_signature_of_each_kind() {
    let Some((believed, refused)) = believed("J-29", "json_web_crypto_test.json", 83) else {
        return;
    };
    println!("J-29 JWC: {} believed, {refused} refused", believed.len());
    // Not 46, whose key can be factored, nor 47 and 48, whose sets hold symmetric keys.
    assert_eq!(under(&believed, JwsAlg::Es256), [18]);
    assert_eq!(under(&believed, JwsAlg::Rs256), [33]);
    assert_eq!((believed.len(), refused), (2, 47));
}

#[test]
fn j01_of_the_key_sets_only_the_sound_public_one_verifies() {
    let Some((believed, refused)) = believed("J-01", "json_web_key_test.json", 26) else {
        return;
    };
    println!("J-01 JWK: {} believed, {refused} refused", believed.len());
    assert_eq!(under(&believed, JwsAlg::Rs256), [5]);
    assert_eq!((believed.len(), refused), (1, 25));
}

#[test]
fn j01_a_set_that_holds_a_private_or_symmetric_key_is_refused_whatever_else_it_holds() {
    let mut refused = 0;
    for (file, tests) in [
        ("json_web_key_test.json", 26),
        ("json_web_signature_test.json", 401),
    ] {
        let Some(groups) = groups("J-01", file, tests) else {
            return;
        };
        for group in groups {
            let private = json!({ "public": group["private"] });
            let set = set_of(&private).to_string();
            if !group["private"].is_null() {
                assert!(VerificationKeys::parse_jwks(set.as_bytes()).is_err());
                refused += 1;
            }
        }
    }
    println!("J-01 {refused} sets with a private or symmetric key refused");
    assert_ne!(refused, 0);
}
