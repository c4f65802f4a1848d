//! Encrypting to a payload key.

use super::*;
use crate::jose::{EncryptError, encrypt};

const ENCS: [&str; 4] = ["A128GCM", "A192GCM", "A256GCM", "A128CBC-HS256"];

#[test]
fn what_is_encrypted_opens_with_every_enc_and_iv_length() {
    let keyring = Keyring::load(&repository("keys"), with_cbc()).unwrap();
    let pem = public_pem(&keyring, "demo-payload-2026");
    for enc in ENCS {
        for iv_length in [12, 16] {
            for kid in [None, Some("demo-payload-2026")] {
                match encrypt(PLAINTEXT, &pem, kid, enc, iv_length) {
                    Ok(token) => assert_eq!(*keyring.open(&token, None).unwrap(), PLAINTEXT),
                    Err(error) => assert_eq!(
                        (error, enc, iv_length),
                        (EncryptError::IvLength, "A128CBC-HS256", 12)
                    ),
                }
            }
        }
    }
}

#[test]
fn a_private_key_and_a_certificate_stand_for_their_public_key() {
    let keyring = demonstration_keys();
    let private = fs::read(repository("keys/payload/demo-payload-2026.pem")).unwrap();
    let token = encrypt(PLAINTEXT, &private, None, "A256GCM", 16).unwrap();
    assert_eq!(*keyring.open(&token, None).unwrap(), PLAINTEXT);
    // The private key stands in front of the certificate in this file.
    let both = fs::read_to_string(repository(
        "tests/data/jose/refused-keys/with-certificate.pem",
    ))
    .unwrap();
    let certificate = &both[both.find("-----BEGIN CERTIFICATE").unwrap()..];
    assert!(encrypt(PLAINTEXT, certificate.as_bytes(), None, "A256GCM", 16).is_ok());
}

#[test]
fn the_header_is_in_the_form_of_mastercards_library() {
    let pem = public_pem(&demonstration_keys(), "demo-payload-2026");
    let token = encrypt(PLAINTEXT, &pem, Some("k\"1"), "A256GCM", 16).unwrap();
    let header = URL_SAFE_NO_PAD
        .decode(token.split('.').next().unwrap())
        .unwrap();
    let expected =
        r#"{"alg":"RSA-OAEP-256","enc":"A256GCM","kid":"k\"1","cty":"application/json"}"#;
    assert_eq!(String::from_utf8(header).unwrap(), expected);
}

#[test]
fn unfit_recipients_encs_and_ivs_are_refused() {
    let pem = public_pem(&demonstration_keys(), "demo-payload-2026");
    assert_eq!(
        encrypt(b"x", &pem, None, "A256CBC-HS512", 16),
        Err(EncryptError::Enc)
    );
    assert_eq!(
        encrypt(b"x", &pem, None, "A256GCM", 13),
        Err(EncryptError::IvLength)
    );
    for name in [
        "elliptic-curve",
        "passphrase",
        "truncated",
        "garbage",
        "rsa-1024",
    ] {
        let file = repository("tests/data/jose/refused-keys")
            .join(name)
            .with_extension("pem");
        let refused = encrypt(b"x", &fs::read(file).unwrap(), None, "A256GCM", 16);
        assert_eq!(refused, Err(EncryptError::Recipient), "{name}");
    }
}
