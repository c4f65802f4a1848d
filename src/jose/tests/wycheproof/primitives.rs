//! The two operations behind the guard: unwrapping a CEK by RSA-OAEP-256, and AES-GCM.

use josekit::jwe::JweDecrypter as _;
use serde_json::Value;

use super::*;

/// An OAEP file by the size of its keys.
fn oaep(id: &str, bits: u32) -> Option<Vec<Value>> {
    let file = format!("rsa_oaep_{bits}_sha256_mgf1sha256_test.json");
    groups(id, &file, 37)
}

fn keyring_of_group(group: &Value) -> Keyring {
    keyring_of(
        "vector",
        group["privateKeyPem"].as_str().unwrap().as_bytes(),
    )
}

#[test]
fn j02_oaep_unwraps_what_is_valid_without_a_label_and_nothing_else() {
    let (mut accepted, mut refused) = (0, 0);
    for bits in [2048, 3072, 4096] {
        let Some(groups) = oaep("J-02", bits) else {
            return;
        };
        for group in groups {
            let keyring = keyring_of_group(&group);
            let key = keyring.keys().next().unwrap();
            for test in tests_of(&group) {
                let wrapped = bytes(test, "ct");
                let enc = Enc::A256Gcm.josekit();
                let unwrapped = key
                    .decrypter
                    .decrypt(Some(&wrapped), enc, &JweHeader::new());
                // JWE knows no labels: one in a vector makes it another message.
                let is_ours = test["result"] == "valid" && test["label"] == "";
                assert_eq!(unwrapped.is_ok(), is_ours, "{bits} {}", id(test));
                match unwrapped {
                    Ok(message) => {
                        assert_eq!(*message, bytes(test, "msg"), "{bits} {}", id(test));
                        accepted += 1;
                    }
                    Err(_) => refused += 1,
                }
            }
        }
    }
    println!("J-02 {accepted} accepted, {refused} refused");
    assert_eq!((accepted, refused), (30, 81));
}

#[test]
fn j03_gcm_decides_as_the_vectors_do_where_the_iv_is_one_that_is_let_in() {
    let Some(groups) = groups("J-03", "aes_gcm_test.json", 316) else {
        return;
    };
    let (mut valid, mut invalid, mut refused_by_policy) = (0, 0, 0);
    for group in groups {
        let enc = match group["keySize"].as_u64() {
            Some(128) => Enc::A128Gcm,
            Some(192) => Enc::A192Gcm,
            _ => Enc::A256Gcm,
        };
        for test in tests_of(&group) {
            let [key, iv, aad, sealed, tag] =
                ["key", "iv", "aad", "ct", "tag"].map(|name| bytes(test, name));
            assert_eq!((key.len(), tag.len()), (enc.josekit().key_len(), 16));
            if !enc.takes_iv_of(iv.len()) {
                refused_by_policy += 1;
                continue;
            }
            let josekit = enc.josekit();
            let plain = josekit.decrypt(&key, Some(&iv), &sealed, &aad, Some(&tag));
            match plain {
                Ok(plain) => {
                    assert_eq!(test["result"], "valid", "{}", id(test));
                    assert_eq!(plain, bytes(test, "msg"), "{}", id(test));
                    valid += 1;
                }
                Err(_) => {
                    assert_eq!(test["result"], "invalid", "{}", id(test));
                    invalid += 1;
                }
            }
        }
    }
    println!("J-03 {valid} valid, {invalid} invalid, {refused_by_policy} refused by policy");
    // 96 and 128 bits: 116 and 58 valid, 81 forged; all other lengths, 61 in number, are let in nowhere.
    assert_eq!((valid, invalid, refused_by_policy), (174, 81, 61));
}

#[test]
fn j19_a_vector_of_bad_oaep_padding_is_answered_like_every_other_failure() {
    let mut count = 0;
    for bits in [2048, 3072, 4096] {
        let Some(groups) = oaep("J-19", bits) else {
            return;
        };
        for group in groups {
            let keyring = keyring_of_group(&group);
            let bad = tests_of(&group).iter();
            for test in bad.filter(|test| has_flag(test, "InvalidOaepPadding")) {
                let header = br#"{"alg":"RSA-OAEP-256","enc":"A256GCM"}"#.to_vec();
                let rest = [vec![1; 12], vec![2; 40], vec![3; 16]];
                let [iv, sealed, tag] = rest;
                let token = Token([header, bytes(test, "ct"), iv, sealed, tag]);
                let refused = keyring.open(&token.text(), None).unwrap_err();
                assert_eq!(refused, OpenError::Refused, "{bits} {}", id(test));
                count += 1;
            }
            assert_eq!(keyring.private_operations(), 13);
        }
    }
    println!("J-19 {count} vectors of bad padding, one answer");
    assert_eq!(count, 39);
}
