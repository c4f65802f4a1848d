//! Signing a JWS: what a bank asks of our requests, and what the sandbox does in the other side's place.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use openssl::pkey::{Id, PKey, Private};
use serde_json::{Map, Value};
use zeroize::Zeroizing;

use super::jws_alg::Curve;
use super::{JwsAlg, KeyDescription, KeyPurpose, demonstration, key_checks};

const NOT_A_KEY: &str = "is not an unlocked private key in PEM form";
const OTHER_KIND: &str = "is neither an RSA key nor a key on P-256, P-384 or P-521";
const OTHER_ALG: &str = "is not for the algorithm that the settings name: an RSA key signs by RS256, RS384 \
     or RS512, a key on P-256 by ES256, on P-384 by ES384, on P-521 by ES512";
const INCONSISTENT: &str =
    "has parts that do not belong together; restore it from its source or make a new key";

/// Why nothing is signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SignError {
    #[error("the key {0}")]
    Key(&'static str),
    #[error("OpenSSL failed to sign; check memory and the system's random source")]
    OpenSsl,
}

/// A private key that signs JWSs by one algorithm. It leaves this type in no form.
pub struct JwsSigner {
    alg: JwsAlg,
    signer: Box<dyn josekit::jws::JwsSigner>,
    /// Of a key without a name yet.
    description: KeyDescription,
}

impl JwsSigner {
    /// Takes a private key in PEM form. Without `alg` an RSA key signs by RS256.
    ///
    /// # Errors
    /// [`SignError::Key`] if it is none that signs, or none that signs by `alg`.
    pub fn from_pem(pem: &[u8], alg: Option<JwsAlg>) -> Result<Self, SignError> {
        // The empty passphrase keeps OpenSSL from asking for one on the terminal.
        let key = PKey::private_key_from_pem_passphrase(pem, b"");
        let key = key.map_err(|_| SignError::Key(NOT_A_KEY))?;
        let alg = match key.id() {
            Id::RSA => rsa_alg(&key, alg),
            Id::EC => curve_alg(&key, alg),
            _ => Err(OTHER_KIND),
        };
        let alg = alg.map_err(SignError::Key)?;
        let pkcs8 = key.private_key_to_pkcs8().map(Zeroizing::new);
        let description = KeyDescription::of(KeyPurpose::Signing, &key);
        let (pkcs8, description) = pkcs8
            .and_then(|pkcs8| Ok((pkcs8, description?)))
            .map_err(|_| SignError::OpenSsl)?;
        let signer = alg.signer(&pkcs8);
        Ok(Self {
            alg,
            signer: signer.map_err(|_| SignError::Key(NOT_A_KEY))?,
            description: KeyDescription {
                algorithm: alg.name().to_owned(),
                ..description
            },
        })
    }

    /// What it signs by.
    pub fn alg(&self) -> JwsAlg {
        self.alg
    }

    /// Whether everybody has this key, because it lies in the repository.
    pub fn is_demonstration(&self) -> bool {
        demonstration::SIGNING_KEYS.contains(&self.description.fingerprint.as_str())
    }

    /// What an inventory tells of the key: of which program it is, and in which file, is the caller's to say.
    pub fn description(&self) -> &KeyDescription {
        &self.description
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
        header.insert("alg".to_owned(), self.alg.name().into());
        let protected = URL_SAFE_NO_PAD.encode(Value::Object(header).to_string());
        let signed = format!("{protected}.{}", URL_SAFE_NO_PAD.encode(payload));
        let signature = self.signer.sign(signed.as_bytes());
        let signature = signature.map_err(|_| SignError::OpenSsl)?;
        self.description.used.set();
        Ok(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }
}

fn rsa_alg(key: &PKey<Private>, alg: Option<JwsAlg>) -> Result<JwsAlg, &'static str> {
    let rsa = key.rsa().map_err(|_| NOT_A_KEY)?;
    if let Some(weakness) = key_checks::weakness(rsa.n(), rsa.e()).map_err(|_| NOT_A_KEY)? {
        return Err(weakness);
    }
    if !key_checks::is_consistent(&rsa).is_ok_and(|fits| fits) {
        return Err(INCONSISTENT);
    }
    let alg = alg.unwrap_or(JwsAlg::Rs256);
    alg.is_rsa().then_some(alg).ok_or(OTHER_ALG)
}

fn curve_alg(key: &PKey<Private>, alg: Option<JwsAlg>) -> Result<JwsAlg, &'static str> {
    let ec = key.ec_key().map_err(|_| NOT_A_KEY)?;
    let curve = ec.group().curve_name().and_then(Curve::with_nid);
    let curve = curve.ok_or(OTHER_KIND)?;
    if ec.check_key().is_err() {
        return Err(INCONSISTENT);
    }
    match alg {
        Some(other) if other != curve.alg => Err(OTHER_ALG),
        _ => Ok(curve.alg),
    }
}
