//! Opening what is encrypted to the other side.
//!
//! On OpenSSL alone: that the merchant's side has encrypted rightly is not told by its own code.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use openssl::encrypt::Decrypter;
use openssl::hash::MessageDigest;
use openssl::pkey::{PKey, Private};
use openssl::rsa::Padding;
use openssl::symm::{Cipher, decrypt_aead};

use crate::jose::json;

const ALG: &str = "RSA-OAEP-256";
const TAG_LENGTH: usize = 16;
const IV_LENGTHS: [usize; 2] = [12, 16];

/// The plaintext of a compact JWE with RSA-OAEP-256 and AES-GCM; none if it is not one to this key.
pub(super) fn open(key: &PKey<Private>, token: &str) -> Option<Vec<u8>> {
    let parts: Vec<&str> = token.split('.').collect();
    let [protected, cek, iv, ciphertext, tag] = parts.as_slice() else {
        return None;
    };
    let cipher = cipher(&decode(protected)?)?;
    let (iv, ciphertext, tag) = (decode(iv)?, decode(ciphertext)?, decode(tag)?);
    let cek = unwrap(key, &decode(cek)?)?;
    // OpenSSL takes shorter tags too, and the binding panics at a key of another length.
    let fits =
        cek.len() == cipher.key_len() && tag.len() == TAG_LENGTH && IV_LENGTHS.contains(&iv.len());
    if !fits {
        return None;
    }
    let aad = protected.as_bytes();
    decrypt_aead(cipher, &cek, Some(&iv), aad, &ciphertext, &tag).ok()
}

fn cipher(header: &[u8]) -> Option<Cipher> {
    let header = json::parse(header).ok()?;
    if header.get("alg")? != ALG {
        return None;
    }
    match header.get("enc")?.as_str()? {
        "A128GCM" => Some(Cipher::aes_128_gcm()),
        "A192GCM" => Some(Cipher::aes_192_gcm()),
        "A256GCM" => Some(Cipher::aes_256_gcm()),
        _ => None,
    }
}

/// The key of the content, as it was encrypted to ours.
fn unwrap(key: &PKey<Private>, encrypted: &[u8]) -> Option<Vec<u8>> {
    let mut decrypter = Decrypter::new(key).ok()?;
    decrypter.set_rsa_padding(Padding::PKCS1_OAEP).ok()?;
    decrypter.set_rsa_oaep_md(MessageDigest::sha256()).ok()?;
    decrypter.set_rsa_mgf1_md(MessageDigest::sha256()).ok()?;
    let mut cek = vec![0; decrypter.decrypt_len(encrypted).ok()?];
    let length = decrypter.decrypt(encrypted, &mut cek).ok()?;
    cek.truncate(length);
    Some(cek)
}

fn decode(part: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(part).ok()
}
