//! The algorithms that sign and verify a JWS, and the keys that each is for.

use josekit::JoseError;
use josekit::jws::{ES256, ES384, ES512, JwsSigner, JwsVerifier, RS256, RS384, RS512};
use openssl::nid::Nid;
use serde::Deserialize;

/// `alg` of a JWS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum JwsAlg {
    Rs256,
    Rs384,
    Rs512,
    Es256,
    Es384,
    Es512,
}

/// A curve of which there are keys.
pub(super) struct Curve {
    /// `crv` of a JWK.
    pub(super) name: &'static str,
    pub(super) nid: Nid,
    /// The one algorithm that keys on it are for.
    pub(super) alg: JwsAlg,
    /// What is wrong with a JWK of this curve without such a point.
    pub(super) not_a_point: &'static str,
}

const CURVES: [Curve; 3] = [
    Curve {
        name: "P-256",
        nid: Nid::X9_62_PRIME256V1,
        alg: JwsAlg::Es256,
        not_a_point: "does not hold a point of P-256 (x, y)",
    },
    Curve {
        name: "P-384",
        nid: Nid::SECP384R1,
        alg: JwsAlg::Es384,
        not_a_point: "does not hold a point of P-384 (x, y)",
    },
    Curve {
        name: "P-521",
        nid: Nid::SECP521R1,
        alg: JwsAlg::Es512,
        not_a_point: "does not hold a point of P-521 (x, y)",
    },
];

impl Curve {
    pub(super) fn named(name: &str) -> Option<&'static Self> {
        CURVES.iter().find(|curve| curve.name == name)
    }

    pub(super) fn with_nid(nid: Nid) -> Option<&'static Self> {
        CURVES.iter().find(|curve| curve.nid == nid)
    }
}

impl JwsAlg {
    /// Every one that is known.
    pub const ALL: [Self; 6] = [
        Self::Rs256,
        Self::Rs384,
        Self::Rs512,
        Self::Es256,
        Self::Es384,
        Self::Es512,
    ];

    /// The algorithm of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|alg| alg.name() == name)
    }

    /// Its name in RFC 7518.
    pub fn name(self) -> &'static str {
        match self {
            Self::Rs256 => "RS256",
            Self::Rs384 => "RS384",
            Self::Rs512 => "RS512",
            Self::Es256 => "ES256",
            Self::Es384 => "ES384",
            Self::Es512 => "ES512",
        }
    }

    /// Whether it is one for RSA keys.
    pub(super) fn is_rsa(self) -> bool {
        matches!(self, Self::Rs256 | Self::Rs384 | Self::Rs512)
    }

    /// Takes a private key in PKCS#8 form.
    pub(super) fn signer(self, pkcs8: &[u8]) -> Result<Box<dyn JwsSigner>, JoseError> {
        Ok(match self {
            Self::Rs256 => Box::new(RS256.signer_from_der(pkcs8)?),
            Self::Rs384 => Box::new(RS384.signer_from_der(pkcs8)?),
            Self::Rs512 => Box::new(RS512.signer_from_der(pkcs8)?),
            Self::Es256 => Box::new(ES256.signer_from_der(pkcs8)?),
            Self::Es384 => Box::new(ES384.signer_from_der(pkcs8)?),
            Self::Es512 => Box::new(ES512.signer_from_der(pkcs8)?),
        })
    }

    /// Takes a public key as SubjectPublicKeyInfo.
    pub(super) fn verifier(self, spki: &[u8]) -> Result<Box<dyn JwsVerifier>, JoseError> {
        Ok(match self {
            Self::Rs256 => Box::new(RS256.verifier_from_der(spki)?),
            Self::Rs384 => Box::new(RS384.verifier_from_der(spki)?),
            Self::Rs512 => Box::new(RS512.verifier_from_der(spki)?),
            Self::Es256 => Box::new(ES256.verifier_from_der(spki)?),
            Self::Es384 => Box::new(ES384.verifier_from_der(spki)?),
            Self::Es512 => Box::new(ES512.verifier_from_der(spki)?),
        })
    }
}
