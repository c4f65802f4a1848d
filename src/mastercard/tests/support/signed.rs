//! Checkout answers as Mastercard signs and encrypts them.

use std::sync::OnceLock;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use openssl::hash::MessageDigest;
use openssl::pkey::{PKey, Private};
use openssl::rsa::Rsa;
use openssl::sign::Signer;
use serde_json::{Value, json};

use super::{CARD, Heard, NOW, repository};
use crate::jose::encrypt;

pub const KID: &str = "20230207164613-sandbox-payload-verification-src-mastercard-int";

/// An answer before it is encrypted and signed.
pub struct Parts {
    pub header: Value,
    pub payload: Value,
    pub plaintext: Value,
    /// The payload key that it is encrypted to.
    pub recipient: &'static str,
}

/// The answer to a request, changed by `change`.
pub fn checkout_answer(request: &Heard, change: impl FnOnce(&mut Parts)) -> String {
    let mut parts = Parts {
        header: json!({
            "alg": "RS256", "kid": KID, "iss": "https://mastercard.com",
            "iat": (NOW / 1000).to_string(), "jti": uuid::Uuid::now_v7().to_string(),
        }),
        payload: json!({
            "srcCorrelationId": request.json()["srcCorrelationId"],
            "maskedCard": {
                "srcDigitalCardId": CARD, "panLastFour": "0747", "tokenLastFour": "1596",
                "digitalCardData": { "status": "ACTIVE", "descriptorName": "Test Bank" },
            },
        }),
        plaintext: json!({
            "token": {
                "paymentToken": "5480983162311596",
                "tokenExpirationMonth": "12",
                "tokenExpirationYear": "2031",
            },
            "dynamicData": {
                "dynamicDataValue": "AAABBBCCCDDDEEEFFF0001112223==",
                "dynamicDataType": "CARD_APPLICATION_CRYPTOGRAM_SHORT_FORM",
                "dynamicDataExpiration": "2026-07-25T13:44:45.385Z",
            },
        }),
        recipient: "demo-payload-2026",
    };
    change(&mut parts);
    let payload = parts.payload.as_object_mut().unwrap();
    if !payload.contains_key("encryptedPayload") {
        let key = repository(&format!("keys/payload/{}.pem", parts.recipient));
        let key = std::fs::read(key).unwrap();
        let plaintext = parts.plaintext.to_string();
        let kid = Some(parts.recipient);
        let token = encrypt(plaintext.as_bytes(), &key, kid, "A128GCM", 12).unwrap();
        payload.insert("encryptedPayload".to_owned(), token.into());
    }
    let payload = parts.payload.to_string();
    json!({ "checkoutResponseJWS": signed_with(key(), &parts.header, &payload) }).to_string()
}

/// A compact JWS by RS256, whatever its header says.
pub fn signed_with(key: &PKey<Private>, header: &Value, payload: &str) -> String {
    let part = |text: &str| URL_SAFE_NO_PAD.encode(text);
    let signed = format!("{}.{}", part(&header.to_string()), part(payload));
    let mut signer = Signer::new(MessageDigest::sha256(), key).unwrap();
    let signature = signer.sign_oneshot_to_vec(signed.as_bytes()).unwrap();
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
}

/// The key set that verifies [`checkout_answer`], its key under any kid.
pub fn jwks(kid: &str) -> String {
    jwks_of(key(), kid)
}

pub fn jwks_of(key: &PKey<Private>, kid: &str) -> String {
    let rsa = key.rsa().unwrap();
    let number = |bytes: Vec<u8>| URL_SAFE_NO_PAD.encode(bytes);
    let (n, e) = (number(rsa.n().to_vec()), number(rsa.e().to_vec()));
    json!({ "keys": [{ "kty": "RSA", "kid": kid, "use": "sig", "n": n, "e": e }] }).to_string()
}

/// Made once for all tests.
fn key() -> &'static PKey<Private> {
    static KEY: OnceLock<PKey<Private>> = OnceLock::new();
    KEY.get_or_init(|| PKey::from_rsa(Rsa::generate(2048).unwrap()).unwrap())
}
