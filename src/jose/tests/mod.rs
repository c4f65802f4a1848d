//! What the tests of this room share: the demonstration keys, and tokens with any part out of order.

mod base64url;
mod binding;
mod encrypting;
mod generating;
mod guard;
mod guard_headers;
mod json;
mod jws;
mod keyring;
mod mac;
mod memory;
mod opening;
mod rsa_attacks;
mod sealing;
mod signing;
mod verification_sets;
mod verifying;
mod verifying_attacks;
pub(crate) mod wycheproof;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use josekit::jwe::{JweEncrypter as _, JweHeader, RSA_OAEP_256};
use openssl::symm::{Cipher, encrypt_aead};
use tempfile::TempDir;

use super::generating::missing_keys;
use super::{Enc, KeyError, Keyring, OpenError, OpenPolicy, public_key_pem};

pub const PLAINTEXT: &[u8] = br#"{"paymentToken":"5480983162311596"}"#;
pub const HEADER: &str = r#"{"alg":"RSA-OAEP-256","enc":"A256GCM","kid":"demo-payload-2026"}"#;

pub fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

pub fn demonstration_keys() -> Keyring {
    Keyring::load(&repository("keys"), OpenPolicy::default()).unwrap()
}

/// A policy that lets in CBC too.
pub fn with_cbc() -> OpenPolicy {
    let mut policy = OpenPolicy::default();
    policy.enc.push(Enc::A128CbcHs256);
    policy
}

/// Makes whatever a folder lacks; returns the new files.
pub fn make_missing(root: &Path, kid: Option<&str>, bits: u32) -> Result<Vec<PathBuf>, KeyError> {
    let missing = missing_keys(root, kid, bits, "2026-01-31")?;
    let made = missing
        .iter()
        .map(|key| key.make().map(|()| key.file().to_owned()));
    made.collect()
}

/// A key folder with these payload keys, all of them new.
pub fn folder_of_new_keys(kids: &[&str]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for kid in kids {
        make_missing(folder.path(), Some(kid), 2048).unwrap();
    }
    folder
}

pub fn load(folder: &TempDir) -> Keyring {
    Keyring::load(folder.path(), OpenPolicy::default()).unwrap()
}

pub fn write_settings(folder: &TempDir, text: &str) {
    fs::write(folder.path().join("keys.toml"), text).unwrap();
}

pub fn public_pem(keyring: &Keyring, kid: &str) -> Vec<u8> {
    let key = keyring.keys().find(|key| key.kid() == kid).unwrap();
    public_key_pem(key).unwrap().into_bytes()
}

/// The decoded parts of a compact JWE, each of which a test may spoil.
#[derive(Clone)]
pub struct Token(pub [Vec<u8>; 5]);

impl Token {
    /// An authentic token for the current demonstration key, its CEK as long as A256GCM wants.
    pub fn with_header(header: &str) -> Token {
        Token::new(header, &[7; 32], &[1; 12])
    }

    pub fn new(header: &str, cek: &[u8], iv: &[u8]) -> Token {
        Token::sealing(PLAINTEXT, header, cek, iv)
    }

    pub fn sealing(plaintext: &[u8], header: &str, cek: &[u8], iv: &[u8]) -> Token {
        let pem = public_pem(&demonstration_keys(), "demo-payload-2026");
        let encrypter = RSA_OAEP_256.encrypter_from_pem(pem).unwrap();
        let key = encrypter
            .encrypt(cek, &JweHeader::new(), &mut JweHeader::new())
            .unwrap()
            .unwrap();
        let cipher = match cek.len() {
            16 => Cipher::aes_128_gcm(),
            24 => Cipher::aes_192_gcm(),
            _ => Cipher::aes_256_gcm(),
        };
        // A CEK or IV with which OpenSSL cannot encrypt still makes a token that must be refused.
        let content_key = [cek, &[0; 32]].concat();
        let content_iv = if (1..=128).contains(&iv.len()) {
            iv
        } else {
            &[1; 12]
        };
        let aad = URL_SAFE_NO_PAD.encode(header);
        let mut tag = [0; 16];
        let content_key = &content_key[..cipher.key_len()];
        let sealed = encrypt_aead(
            cipher,
            content_key,
            Some(content_iv),
            aad.as_bytes(),
            plaintext,
            &mut tag,
        )
        .unwrap();
        Token([header.into(), key, iv.to_vec(), sealed, tag.to_vec()])
    }

    pub fn text(&self) -> String {
        self.0
            .each_ref()
            .map(|part| URL_SAFE_NO_PAD.encode(part))
            .join(".")
    }
}

/// The shortest of three times: a longer one may be the machine's fault.
pub fn quickest(mut act: impl FnMut()) -> Duration {
    let times = [(); 3].map(|()| {
        let begun = Instant::now();
        act();
        begun.elapsed()
    });
    times.into_iter().min().unwrap()
}

/// Asserts that the token is refused and that no private key was used for it.
#[track_caller]
pub fn assert_guarded(keyring: &Keyring, token: &str) {
    let before = keyring.private_operations();
    let shown = &token[..token.len().min(80)];
    assert_eq!(
        keyring.open(token, None).err(),
        Some(OpenError::Refused),
        "{shown}"
    );
    assert_eq!(keyring.private_operations(), before, "{shown}");
}
