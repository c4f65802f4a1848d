//! Where the signing key comes from, and which keys are refused.

use std::fs;
use std::path::PathBuf;

use openssl::asn1::Asn1Time;
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkcs12::Pkcs12;
use openssl::pkey::{PKey, Private};
use openssl::rsa::Rsa;
use openssl::x509::X509;
use rstest::rstest;
use tempfile::TempDir;

use super::super::SigningKey;

/// Made once: a fresh key for every test would take most of their time.
fn key() -> PKey<Private> {
    let pem = include_bytes!("../../../../keys/signing/demo-signing.pem");
    PKey::private_key_from_pem(pem).unwrap()
}

fn certificate(key: &PKey<Private>) -> X509 {
    let mut certificate = X509::builder().unwrap();
    certificate.set_pubkey(key).unwrap();
    let now = Asn1Time::days_from_now(0).unwrap();
    certificate.set_not_before(&now).unwrap();
    certificate.set_not_after(&now).unwrap();
    certificate.sign(key, MessageDigest::sha256()).unwrap();
    certificate.build()
}

fn pkcs12(key: &PKey<Private>, password: &str, encryption: Nid) -> Vec<u8> {
    let mut file = Pkcs12::builder();
    file.name("keyalias").pkey(key).cert(&certificate(key));
    file.key_algorithm(encryption).cert_algorithm(encryption);
    file.build2(password).unwrap().to_der().unwrap()
}

fn folder_with(name: &str, content: &[u8]) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join(name);
    fs::write(&file, content).unwrap();
    (folder, file)
}

fn load(name: &str, content: &[u8], password: &str) -> Result<SigningKey, String> {
    let (folder, file) = folder_with(name, content);
    SigningKey::load(folder.path(), &file, password).map_err(|error| error.to_string())
}

/// The same text signed by a loaded key and by the key itself: the signature has no random part.
fn signs_as(loaded: &SigningKey, key: &PKey<Private>) -> bool {
    let mut signer = openssl::sign::Signer::new(MessageDigest::sha256(), key).unwrap();
    loaded.sign(b"text").unwrap() == signer.sign_oneshot_to_vec(b"text").unwrap()
}

#[test]
fn a_pem_file_is_taken_in_both_of_its_forms() {
    let key = key();
    let pkcs8 = key.private_key_to_pem_pkcs8().unwrap();
    let pkcs1 = key.rsa().unwrap().private_key_to_pem().unwrap();
    assert!(pkcs1.starts_with(b"-----BEGIN RSA PRIVATE KEY-----"));
    for pem in [pkcs8, pkcs1] {
        let loaded = load("shop.pem", &pem, "").unwrap();
        assert!(signs_as(&loaded, &key));
    }
}

/// The older one is what browsers and the portal write.
#[rstest]
#[case::current(Nid::AES_256_CBC)]
#[case::older(Nid::PBE_WITHSHA1AND3_KEY_TRIPLEDES_CBC)]
fn a_pkcs12_file_is_opened_with_its_password(#[case] encryption: Nid) {
    let key = key();
    let file = pkcs12(&key, "keystorepassword", encryption);
    let loaded = load("shop.p12", &file, "keystorepassword").unwrap();
    assert!(signs_as(&loaded, &key));
}

#[test]
fn a_wrong_password_is_told_as_one_with_the_file_and_without_itself() {
    let file = pkcs12(&key(), "keystorepassword", Nid::AES_256_CBC);
    for password in ["", "hunter2"] {
        let told = load("shop.p12", &file, password).err().unwrap();
        assert!(
            told.contains("shop.p12: does not open with the password"),
            "{told}"
        );
        assert!(!told.contains("hunter2"), "{told}");
    }
}

#[test]
fn an_encryption_that_openssl_has_retired_is_told_with_the_way_out() {
    let file = include_bytes!("../../../../tests/data/signing/rc2-40.p12");
    let told = load("shop.p12", file, "keystorepassword").err().unwrap();
    assert!(told.contains("openssl pkcs12 -legacy"), "{told}");
}

#[test]
fn a_file_that_is_no_key_that_signs_is_refused_with_its_name() {
    let locked = key()
        .private_key_to_pem_pkcs8_passphrase(openssl::symm::Cipher::aes_128_cbc(), b"secret")
        .unwrap();
    let small = PKey::from_rsa(Rsa::generate(1024).unwrap()).unwrap();
    let small_pkcs12 = pkcs12(&small, "", Nid::AES_256_CBC);
    let small_pem = small.private_key_to_pem_pkcs8().unwrap();
    let public = key().public_key_to_pem().unwrap();
    let mut no_key = Pkcs12::builder();
    let no_key = no_key.cert(&certificate(&key())).build2("").unwrap();
    let no_key = no_key.to_der().unwrap();
    let cases: [(&[u8], &str); 8] = [
        (b"", "is not one RSA private key"),
        (b"garbage", "is not one RSA private key"),
        (b"0garbage", "is neither PEM nor PKCS#12"),
        (&locked, "is protected by a passphrase"),
        (&small_pem, "has a modulus of less than 2048"),
        (&small_pkcs12, "has a modulus of less than 2048"),
        (&public, "is not one RSA private key"),
        (&no_key, "holds no RSA private key"),
    ];
    for (content, problem) in cases {
        let told = load("shop.key", content, "").err().unwrap();
        assert!(told.contains("shop.key: "), "{told}");
        assert!(told.contains(problem), "{told}");
    }
}

#[test]
fn a_file_that_is_missing_or_outside_of_the_key_folder_is_refused_with_its_name() {
    let (folder, file) = folder_with("shop.pem", b"");
    let missing = SigningKey::load(folder.path(), &folder.path().join("no.pem"), "");
    let told = missing.err().unwrap().to_string();
    assert!(told.contains("no.pem: entity not found"), "{told}");
    let other = tempfile::tempdir().unwrap();
    let outside = SigningKey::load(other.path(), &file, "");
    let told = outside.err().unwrap().to_string();
    assert!(told.contains("out of the key folder"), "{told}");
}

#[test]
fn the_key_of_the_repository_is_known_as_one_that_everybody_has() {
    assert!(super::demonstration_key().is_demonstration());
    let own = PKey::from_rsa(Rsa::generate(2048).unwrap()).unwrap();
    let own = load("own.pem", &own.private_key_to_pem_pkcs8().unwrap(), "").unwrap();
    assert!(!own.is_demonstration());
}
