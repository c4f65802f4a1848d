//! How a client is made: what must be set, which keys are taken, what an operator is told.

use std::fs;

use openssl::asn1::Asn1Time;
use openssl::hash::MessageDigest;
use openssl::pkey::PKey;
use openssl::rsa::Rsa;
use openssl::x509::X509;

use super::support::*;

const NOWHERE: &str = "http://127.0.0.1:9";

fn refusal(keys: &tempfile::TempDir, more: &str) -> String {
    let settings = settings(NOWHERE, more);
    made(keys, &settings).err().unwrap().to_string()
}

#[test]
fn a_program_that_cannot_be_called_says_which_setting_is_empty() {
    let keys = key_folder();
    let mut unset = settings(NOWHERE, "");
    unset.1.encryption_key.clear();
    let told = made(&keys, &unset).err().unwrap().to_string();
    assert_eq!(told, "programs.issuer.encryption_key is empty");
    unset.1.payload_encryption = false;
    assert!(made(&keys, &unset).is_ok());
    unset.1.consumer_key.clear();
    let told = made(&keys, &unset).err().unwrap().to_string();
    assert_eq!(told, "programs.issuer.consumer_key is empty");
}

#[test]
fn the_key_to_encrypt_to_is_a_public_one_or_a_certificate() {
    let keys = key_folder();
    let file = keys.path().join("encryption/issuer.pem");
    let own = PKey::from_rsa(Rsa::generate(2048).unwrap()).unwrap();
    let mut certificate = X509::builder().unwrap();
    certificate.set_pubkey(&own).unwrap();
    certificate
        .set_not_before(&Asn1Time::days_from_now(0).unwrap())
        .unwrap();
    certificate
        .set_not_after(&Asn1Time::days_from_now(1).unwrap())
        .unwrap();
    certificate.sign(&own, MessageDigest::sha256()).unwrap();
    for usable in [
        own.public_key_to_pem().unwrap(),
        certificate.build().to_pem().unwrap(),
    ] {
        fs::write(&file, usable).unwrap();
        assert!(made(&keys, &settings(NOWHERE, "")).is_ok());
    }
    fs::write(&file, own.private_key_to_pem_pkcs8().unwrap()).unwrap();
    assert!(refusal(&keys, "").contains("encryption/issuer.pem: holds a private key"));
    let small = PKey::from_rsa(Rsa::generate(1024).unwrap()).unwrap();
    for unfit in [b"nonsense".to_vec(), small.public_key_to_pem().unwrap()] {
        fs::write(&file, unfit).unwrap();
        assert!(refusal(&keys, "").contains("encryption/issuer.pem: is not an RSA public key"));
    }
    fs::remove_file(&file).unwrap();
    assert!(refusal(&keys, "").contains("encryption/issuer.pem: entity not found"));
}

#[test]
fn a_demonstration_key_is_known_whether_it_signs_or_is_encrypted_to() {
    let keys = key_folder();
    let settings = settings(NOWHERE, "");
    let holds = || made(&keys, &settings).unwrap().holds_demonstration_key();
    assert!(holds());
    let own = PKey::from_rsa(Rsa::generate(2048).unwrap()).unwrap();
    let private = own.private_key_to_pem_pkcs8().unwrap();
    fs::write(keys.path().join("signing/issuer.pem"), private).unwrap();
    assert!(holds());
    let public = own.public_key_to_pem().unwrap();
    fs::write(keys.path().join("encryption/issuer.pem"), public).unwrap();
    assert!(!holds());
}

#[test]
fn an_operator_is_told_that_payloads_are_not_encrypted() {
    let keys = key_folder();
    let remarks = |more: &str| {
        let client = made(&keys, &settings(NOWHERE, more)).unwrap();
        client.remarks().to_vec()
    };
    assert!(remarks("").is_empty());
    let plain = remarks("payload_encryption = false");
    assert_eq!(plain.len(), 1);
    assert!(plain[0].contains("programs.issuer.payload_encryption is off"));
}
