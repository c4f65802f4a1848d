//! The keys of the other side: what it signs with, what it encrypts to, and whose requests it believes.

use std::fs;
use std::path::Path;

use openssl::pkey::{Id, PKey, Private, Public};
use serde_json::{Map, Value};
use uuid::Uuid;

use super::opening;
use crate::jose::{
    EncryptError, JwsSigner, KeyError, Keyring, OpenPolicy, SignError, encrypt, public_key_pem,
};

/// The sandbox's private key for answers. It lies in the repository, so a production start refuses the key set below.
const JWS_KEY: &[u8] = include_bytes!("keys/payload-verification.pem");
/// The public half, as `keys/verification/` holds it.
pub(super) const JWKS: &str = include_str!("../../keys/verification/sandbox.json");
/// Its kid there.
const JWS_KID: &str = "tokenkeep-sandbox-payload-verification";
/// The private key that opens what is encrypted to the sandbox; `keys/encryption/` holds its public half.
const OPENING_KEY: &[u8] = include_bytes!("keys/payload-encryption.pem");

const NOT_A_KEY: &str = "is not an unlocked RSA private key or a public key in PEM form";
const NO_PAYLOAD_KEY: &str = "holds no payload key to encrypt to; run `tokenkeep keys generate`";

pub(super) struct Keys {
    signer: JwsSigner,
    opening: PKey<Private>,
    payload_pem: String,
    /// Of the payload key: its kid and its fingerprint.
    pub(super) kid: String,
    pub(super) fingerprint: String,
    /// The public half of the key that the merchant signs requests with.
    pub(super) merchant: PKey<Public>,
}

impl Keys {
    /// Takes the public halves of the default payload key and of the signing key from a key folder.
    pub(super) fn load(folder: &Path, signing_key: &Path) -> Result<Self, KeyError> {
        let keyring = Keyring::load(folder, OpenPolicy::default())?;
        let unusable = |problem| {
            move |file: &Path| KeyError::Unusable {
                file: file.to_owned(),
                problem,
            }
        };
        let payload = keyring.keys().next();
        let payload = payload.ok_or_else(|| unusable(NO_PAYLOAD_KEY)(folder))?;
        let file = folder.join(signing_key);
        let pem = fs::read(&file).map_err(|error| KeyError::Io {
            kind: error.kind(),
            file: file.clone(),
        })?;
        let merchant = public_half(&pem).filter(|key| key.id() == Id::RSA);
        let signer = JwsSigner::from_pem(JWS_KEY, None);
        Ok(Self {
            signer: signer.map_err(|_| KeyError::OpenSsl {
                kid: JWS_KID.to_owned(),
            })?,
            opening: private_key(OPENING_KEY).ok_or_else(|| KeyError::OpenSsl {
                kid: "payload-encryption".to_owned(),
            })?,
            payload_pem: public_key_pem(payload)?,
            kid: payload.kid().to_owned(),
            fingerprint: payload.spki_sha256_hex(),
            merchant: merchant.ok_or_else(|| unusable(NOT_A_KEY)(&file))?,
        })
    }

    /// A JWE for the merchant, under its kid or another.
    pub(super) fn encrypt(
        &self,
        plaintext: &Value,
        kid: &str,
        (enc, iv): (&str, usize),
    ) -> Result<String, EncryptError> {
        let plaintext = plaintext.to_string();
        let recipient = self.payload_pem.as_bytes();
        encrypt(plaintext.as_bytes(), recipient, Some(kid), enc, iv)
    }

    /// Opens a JWE to the sandbox.
    pub(super) fn open(&self, token: &str) -> Option<Vec<u8>> {
        opening::open(&self.opening, token)
    }

    /// A JWS of the other side, with the header members that Mastercard's have.
    pub(super) fn sign(&self, payload: &Value, stamp: &Stamp) -> Result<String, SignError> {
        let header = [
            ("kid", stamp.kid.to_owned()),
            ("iss", "https://mastercard.com".to_owned()),
            ("iat", (stamp.at / 1000).to_string()),
            ("jti", stamp.jti.clone()),
        ];
        let header = header.map(|(name, value)| (name.to_owned(), Value::from(value)));
        self.signer
            .sign(Map::from_iter(header), payload.to_string().as_bytes())
    }
}

/// What the header of a JWS says of it.
pub(super) struct Stamp {
    pub(super) kid: &'static str,
    /// Milliseconds since 1970.
    pub(super) at: i64,
    pub(super) jti: String,
}

impl Stamp {
    pub(super) fn new(at: i64) -> Self {
        Self {
            kid: JWS_KID,
            at,
            jti: Uuid::now_v7().to_string(),
        }
    }
}

/// A JWS with the signature of another one in place of its own.
pub(super) fn wrongly_signed(jws: &str, other: &str) -> Option<String> {
    let ((signed, _), (_, signature)) = jws.rsplit_once('.').zip(other.rsplit_once('.'))?;
    Some(format!("{signed}.{signature}"))
}

fn private_key(pem: &[u8]) -> Option<PKey<Private>> {
    // The empty passphrase keeps OpenSSL from asking for one on the terminal.
    PKey::private_key_from_pem_passphrase(pem, b"").ok()
}

/// The public half of a private key, or a public key as it is.
pub(super) fn public_half(pem: &[u8]) -> Option<PKey<Public>> {
    match private_key(pem) {
        Some(private) => PKey::public_key_from_der(&private.public_key_to_der().ok()?).ok(),
        None => PKey::public_key_from_pem(pem).ok(),
    }
}
