//! What the tests of JWSs share: keys, key sets, and tokens with any header.

use josekit::jws::{ES256, JwsSigner as _, RS256};
use openssl::bn::{BigNum, BigNumContext, BigNumRef};
use openssl::ec::{EcGroup, EcKey};
use openssl::nid::Nid;
use openssl::pkey::{PKey, Private};
use serde_json::{Value, json};

use super::*;
use crate::jose::{VerificationKeys, VerifyFault};

pub const PAYLOAD: &[u8] = br#"{"srcCorrelationId":"ff97ef9b"}"#;

/// One RSA and one P-256 key, under the kids "rsa" and "ec".
pub struct Keys {
    pub rsa: PKey<Private>,
    pub ec: PKey<Private>,
}

impl Keys {
    pub fn new() -> Self {
        let pem = fs::read(repository("src/sandbox/keys/payload-verification.pem")).unwrap();
        Self {
            rsa: PKey::private_key_from_pem(&pem).unwrap(),
            ec: key_on(Nid::X9_62_PRIME256V1),
        }
    }

    pub fn set(&self) -> VerificationKeys {
        let set = json!({ "keys": [rsa_jwk(&self.rsa, "rsa"), ec_jwk(&self.ec, "ec")] });
        VerificationKeys::parse_jwks(set.to_string().as_bytes()).unwrap()
    }

    /// Signed by the RSA key, whatever the header says.
    pub fn rs256(&self, header: &str) -> String {
        let der = self.rsa.private_key_to_pkcs8().unwrap();
        let signer = RS256.signer_from_der(der).unwrap();
        compact(header, PAYLOAD, |signed| signer.sign(signed).unwrap())
    }

    /// Signed by the P-256 key, whatever the header says.
    pub fn es256(&self, header: &str) -> String {
        let der = self.ec.private_key_to_pkcs8().unwrap();
        let signer = ES256.signer_from_der(der).unwrap();
        compact(header, PAYLOAD, |signed| signer.sign(signed).unwrap())
    }
}

pub fn compact(header: &str, payload: &[u8], sign: impl Fn(&[u8]) -> Vec<u8>) -> String {
    let signed = [header.as_bytes(), payload].map(|part| URL_SAFE_NO_PAD.encode(part));
    let signed = signed.join(".");
    let signature = sign(signed.as_bytes());
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
}

pub fn rsa_jwk(key: &PKey<Private>, kid: &str) -> Value {
    let rsa = key.rsa().unwrap();
    let number = |number: &BigNumRef| URL_SAFE_NO_PAD.encode(number.to_vec());
    json!({ "kty": "RSA", "kid": kid, "n": number(rsa.n()), "e": number(rsa.e()) })
}

pub fn ec_jwk(key: &PKey<Private>, kid: &str) -> Value {
    let ec = key.ec_key().unwrap();
    let (crv, length) = match ec.group().curve_name().unwrap() {
        Nid::SECP384R1 => ("P-384", 48),
        Nid::SECP521R1 => ("P-521", 66),
        _ => ("P-256", 32),
    };
    let (mut x, mut y) = (BigNum::new().unwrap(), BigNum::new().unwrap());
    let mut context = BigNumContext::new().unwrap();
    ec.public_key()
        .affine_coordinates(ec.group(), &mut x, &mut y, &mut context)
        .unwrap();
    let number = |number: BigNum| URL_SAFE_NO_PAD.encode(number.to_vec_padded(length).unwrap());
    json!({ "kty": "EC", "crv": crv, "kid": kid, "x": number(x), "y": number(y) })
}

pub fn key_on(curve: Nid) -> PKey<Private> {
    let group = EcGroup::from_curve_name(curve).unwrap();
    PKey::from_ec_key(EcKey::generate(&group).unwrap()).unwrap()
}

#[track_caller]
pub fn assert_refused(set: &VerificationKeys, token: &str, fault: VerifyFault) {
    let shown = &token[..token.len().min(120)];
    assert_eq!(set.verify(token).err(), Some(fault), "{shown}");
}

pub const RS: &str = r#"{"alg":"RS256","kid":"rsa"}"#;
pub const ES: &str = r#"{"alg":"ES256","kid":"ec"}"#;
