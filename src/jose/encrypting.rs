//! Encrypting to a payload key: how fixtures and the sandbox's notifications are made.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use josekit::jwe::{JweEncrypter as _, JweHeader, RSA_OAEP_256};
use openssl::error::ErrorStack;
use openssl::pkey::PKey;
use openssl::rand::rand_bytes;
use openssl::rsa::Rsa;
use openssl::x509::X509;
use serde_json::{Map, Value};
use zeroize::Zeroizing;

use super::enc::Enc;

/// Why nothing was encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EncryptError {
    /// The recipient's key cannot be used.
    #[error(
        "the recipient's key is not an RSA public key, certificate or unlocked private key of 2048 bits or more in PEM form"
    )]
    Recipient,
    /// The content encryption is not known.
    #[error("enc is none of A128GCM, A192GCM, A256GCM and A128CBC-HS256")]
    Enc,
    /// The IV does not fit the content encryption.
    #[error("the IV has 12 or 16 bytes, with A128CBC-HS256 always 16")]
    IvLength,
    /// OpenSSL failed where the input cannot be to blame.
    #[error("OpenSSL failed to encrypt; check memory and the system's random source")]
    OpenSsl,
}

/// Makes a compact JWE with RSA-OAEP-256 and the named `enc`, in the form that Mastercard's library writes.
///
/// `recipient_pem` is a public key, a certificate or a private key, of which the public half is used;
/// `iv_length` is in bytes, 12 or 16.
///
/// # Errors
/// See [`EncryptError`].
pub fn encrypt(
    plaintext: &[u8],
    recipient_pem: &[u8],
    kid: Option<&str>,
    enc: &str,
    iv_length: usize,
) -> Result<String, EncryptError> {
    let known = Enc::from_name(enc).ok_or(EncryptError::Enc)?;
    if !known.takes_iv_of(iv_length) {
        return Err(EncryptError::IvLength);
    }
    let recipient = spki(recipient_pem).map_err(|_| EncryptError::Recipient)?;
    let encrypter = RSA_OAEP_256
        .encrypter_from_der(recipient)
        .map_err(|_| EncryptError::Recipient)?;
    let cek = random(known.josekit().key_len())?;
    let iv = random(iv_length)?;
    let encrypted_key = encrypter
        .encrypt(&cek, &JweHeader::new(), &mut JweHeader::new())
        .map_err(|_| EncryptError::OpenSsl)?
        .unwrap_or_default();
    let protected = URL_SAFE_NO_PAD.encode(header(kid, enc));
    let (ciphertext, tag) = known
        .josekit()
        .encrypt(&cek, Some(&iv), plaintext, protected.as_bytes())
        .map_err(|_| EncryptError::OpenSsl)?;
    let parts = [&encrypted_key, &*iv, &ciphertext, &tag.unwrap_or_default()];
    Ok(parts.into_iter().fold(protected, |token, part| {
        token + "." + &URL_SAFE_NO_PAD.encode(part)
    }))
}

fn header(kid: Option<&str>, enc: &str) -> String {
    let members = [
        ("alg", Some("RSA-OAEP-256")),
        ("enc", Some(enc)),
        ("kid", kid),
        ("cty", Some("application/json")),
    ];
    let present = members
        .into_iter()
        .filter_map(|(name, value)| Some((name.to_owned(), Value::from(value?))));
    Value::Object(Map::from_iter(present)).to_string()
}

/// The DER SubjectPublicKeyInfo of whatever the PEM text holds.
fn spki(pem: &[u8]) -> Result<Vec<u8>, ErrorStack> {
    let holds = |label: &[u8]| pem.windows(label.len()).any(|window| window == label);
    if holds(b"-----BEGIN CERTIFICATE") {
        X509::from_pem(pem)?.public_key()?.public_key_to_der()
    } else if holds(b"PRIVATE KEY-----") {
        // The empty passphrase keeps OpenSSL from asking for one on the terminal.
        PKey::private_key_from_pem_passphrase(pem, b"")?.public_key_to_der()
    } else if holds(b"-----BEGIN RSA PUBLIC KEY") {
        Rsa::public_key_from_pem_pkcs1(pem)?.public_key_to_der()
    } else {
        PKey::public_key_from_pem(pem)?.public_key_to_der()
    }
}

fn random(length: usize) -> Result<Zeroizing<Vec<u8>>, EncryptError> {
    let mut bytes = Zeroizing::new(vec![0; length]);
    rand_bytes(&mut bytes).map_err(|_| EncryptError::OpenSsl)?;
    Ok(bytes)
}
