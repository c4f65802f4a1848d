//! Signing a JWS: what the sandbox does in Mastercard's place.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use josekit::jws::alg::rsassa::RsassaJwsSigner;
use josekit::jws::{JwsSigner as _, RS256};
use openssl::pkey::PKey;
use serde_json::{Map, Value};

/// Why nothing is signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SignError {
    #[error("the key is not an unlocked RSA private key of 2048 bits or more in PEM form")]
    Key,
    #[error("OpenSSL failed to sign; check memory and the system's random source")]
    OpenSsl,
}

/// A private key that signs JWSs by RS256.
pub struct JwsSigner(RsassaJwsSigner);

impl JwsSigner {
    /// Takes a private key in PEM form.
    ///
    /// # Errors
    /// [`SignError::Key`] if it is none that signs.
    pub fn from_pem(pem: &[u8]) -> Result<Self, SignError> {
        // The empty passphrase keeps OpenSSL from asking for one on the terminal.
        let key = PKey::private_key_from_pem_passphrase(pem, b"").map_err(|_| SignError::Key)?;
        let der = key.private_key_to_pkcs8().map_err(|_| SignError::Key)?;
        let signer = RS256.signer_from_der(der).map_err(|_| SignError::Key)?;
        Ok(Self(signer))
    }

    /// Makes a compact JWS. `header` is taken as it is, but for its `alg`.
    ///
    /// # Errors
    /// [`SignError::OpenSsl`] where OpenSSL fails.
    pub fn sign(
        &self,
        mut header: Map<String, Value>,
        payload: &[u8],
    ) -> Result<String, SignError> {
        header.insert("alg".to_owned(), "RS256".into());
        let protected = URL_SAFE_NO_PAD.encode(Value::Object(header).to_string());
        let signed = format!("{protected}.{}", URL_SAFE_NO_PAD.encode(payload));
        let signature = self.0.sign(signed.as_bytes());
        let signature = signature.map_err(|_| SignError::OpenSsl)?;
        Ok(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }
}
