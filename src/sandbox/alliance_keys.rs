//! The keys of the bank: what it signs with, and whose requests it believes.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use openssl::bn::{BigNum, BigNumContext};
use openssl::nid::Nid;
use openssl::pkey::{PKey, Public};
use serde_json::{Map, Value, json};

use super::keys::public_half;
use crate::jose::{JwsSigner, KeyError, SignError, VerificationKeys};

/// The bank's private key for answers. It lies in the repository, so everybody can sign with it.
const JWS_KEY: &[u8] = include_bytes!("keys/alliance-answers.pem");
/// Its kid in `keys/verification/alliance/`.
pub(super) const KID: &str = "60b2f8d4-6c1b-4c53-9b4f-0a3b6d3f1c77";
/// A kid that is in no key set.
pub(super) const FOREIGN_KID: &str = "3d9a51c0-7f3e-4a86-b1d2-5c0e94f7a618";

const NOT_A_KEY: &str =
    "is not an unlocked private key or a public key in PEM form, RSA or on P-256";

pub(super) struct AllianceKeys {
    signer: JwsSigner,
    /// The public half of the key that the merchant signs requests with.
    pub(super) merchant: VerificationKeys,
}

impl AllianceKeys {
    /// Takes the public half of the merchant's key from a key folder. Without the file nobody is
    /// believed: who does not use the bank need not have such a key.
    pub(super) fn load(folder: &Path, signing_key: &Path, kid: &str) -> Result<Self, KeyError> {
        let signer = JwsSigner::from_pem(JWS_KEY, None);
        let signer = signer.map_err(|_| KeyError::OpenSsl {
            kid: KID.to_owned(),
        })?;
        let file = folder.join(signing_key);
        let merchant = match fs::read(&file) {
            Ok(pem) => merchant(&pem, kid).ok_or(KeyError::Unusable {
                file,
                problem: NOT_A_KEY,
            })?,
            Err(error) if error.kind() == ErrorKind::NotFound => VerificationKeys::default(),
            Err(error) => {
                let kind = error.kind();
                return Err(KeyError::Io { file, kind });
            }
        };
        Ok(Self { signer, merchant })
    }

    /// A JWS of the bank, with the header members that its answers have.
    pub(super) fn sign(&self, payload: &Value, kid: &str) -> Result<String, SignError> {
        let header = Map::from_iter([("kid".to_owned(), kid.into())]);
        self.signer.sign(header, payload.to_string().as_bytes())
    }
}

/// The merchant's key as the one key of a set.
fn merchant(pem: &[u8], kid: &str) -> Option<VerificationKeys> {
    let mut jwk = jwk(&public_half(pem)?)?;
    jwk.insert("kid".to_owned(), kid.into());
    let set = json!({ "keys": [jwk] }).to_string();
    let keys = VerificationKeys::parse_jwks(set.as_bytes()).ok()?;
    let is_known = keys.kids().next().is_some();
    is_known.then_some(keys)
}

fn jwk(key: &PKey<Public>) -> Option<Map<String, Value>> {
    let members = match key.rsa() {
        Ok(rsa) => vec![
            ("kty", "RSA".to_owned()),
            ("n", encode(&rsa.n().to_vec())),
            ("e", encode(&rsa.e().to_vec())),
        ],
        Err(_) => point(key)?,
    };
    let members = members.into_iter();
    Some(
        members
            .map(|(name, value)| (name.to_owned(), value.into()))
            .collect(),
    )
}

fn point(key: &PKey<Public>) -> Option<Vec<(&'static str, String)>> {
    let key = key.ec_key().ok()?;
    let group = key.group();
    if group.curve_name() != Some(Nid::X9_62_PRIME256V1) {
        return None;
    }
    let (mut x, mut y) = (BigNum::new().ok()?, BigNum::new().ok()?);
    let mut context = BigNumContext::new().ok()?;
    let point = key.public_key();
    point
        .affine_coordinates(group, &mut x, &mut y, &mut context)
        .ok()?;
    Some(vec![
        ("kty", "EC".to_owned()),
        ("crv", "P-256".to_owned()),
        ("x", encode(&x.to_vec_padded(32).ok()?)),
        ("y", encode(&y.to_vec_padded(32).ok()?)),
    ])
}

fn encode(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}
