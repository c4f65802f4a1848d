//! The private key that signs requests: from a PKCS#12 file, as Mastercard's portal gives it out, or a
//! PEM file.

use std::path::Path;

use openssl::error::ErrorStack;
use openssl::hash::MessageDigest;
use openssl::pkcs12::Pkcs12;
use openssl::pkey::{PKey, Private};
use openssl::rsa::Rsa;
use openssl::sha::sha256;
use openssl::sign::Signer;
use zeroize::Zeroizing;

use crate::jose::key_description::seconds_of;
use crate::jose::{
    KeyDescription, KeyError, KeyPurpose, UseMark, demonstration, hex, key_checks, key_files,
};

/// The first byte of every DER file, and of no PEM file.
const DER_SEQUENCE: u8 = 0x30;

const NOT_PKCS12: &str = "is neither PEM nor PKCS#12; fetch it from the portal again";
const WRONG_PASSWORD: &str = "does not open with the password given for it; check signing_key_password_file or the environment";
const OLD_ENCRYPTION: &str = "cannot be opened: it may be encrypted in a way that OpenSSL has retired; \
     write it anew with `openssl pkcs12 -legacy -in FILE -nodes | openssl pkcs12 -export -out NEW`";
const NO_KEY: &str = "holds no RSA private key; export it again together with its key";

/// A private key that does nothing but sign. It leaves this type in no form.
pub struct SigningKey {
    key: PKey<Private>,
    /// When the certificate beside it ends, in seconds since 1970, if there is one.
    ends_at: Option<i64>,
    used: UseMark,
}

impl SigningKey {
    /// Loads the key from a file of the key folder `root`. `password` opens a PKCS#12 file.
    ///
    /// # Errors
    /// [`KeyError`], naming the file and what to do.
    pub fn load(root: &Path, file: &Path, password: &str) -> Result<Self, KeyError> {
        let bytes = key_files::read(root, file)?;
        let (key, ends_at) = match bytes.first() {
            Some(&DER_SEQUENCE) => {
                let opened =
                    opened_pkcs12(&bytes, password).map_err(|problem| KeyError::Unusable {
                        file: file.to_owned(),
                        problem,
                    })?;
                (key_checks::private_key(file, &opened.pem)?, opened.ends_at)
            }
            _ => (key_checks::private_key(file, &bytes)?, None),
        };
        let key = PKey::from_rsa(key).map_err(|_| KeyError::OpenSsl {
            kid: file.display().to_string(),
        })?;
        Ok(Self {
            key,
            ends_at,
            used: UseMark::default(),
        })
    }

    /// What an inventory tells of the key: of which program it is, and in which file, is the caller's to say.
    ///
    /// # Errors
    /// Where OpenSSL cannot write its public half.
    pub fn description(&self) -> Result<KeyDescription, ErrorStack> {
        Ok(KeyDescription {
            algorithm: "RSA-SHA256".to_owned(),
            ends_at: self.ends_at,
            used: self.used.clone(),
            ..KeyDescription::of(KeyPurpose::Signing, &self.key)?
        })
    }

    /// Signs with RSASSA-PKCS1-v1_5 and SHA-256.
    pub(super) fn sign(&self, text: &[u8]) -> Result<Vec<u8>, ErrorStack> {
        let signed = Signer::new(MessageDigest::sha256(), &self.key)?.sign_oneshot_to_vec(text)?;
        self.used.set();
        Ok(signed)
    }

    /// Whether everybody has this key, because it lies in the repository.
    pub fn is_demonstration(&self) -> bool {
        let spki = self.key.public_key_to_der().unwrap_or_default();
        demonstration::SIGNING_KEYS.contains(&hex::encode(&sha256(&spki)).as_str())
    }
}

/// What is in a PKCS#12 file.
struct Opened {
    /// The key as PEM, so that it passes the same checks as one from a PEM file.
    pem: Zeroizing<Vec<u8>>,
    ends_at: Option<i64>,
}

fn opened_pkcs12(der: &[u8], password: &str) -> Result<Opened, &'static str> {
    let opened = Pkcs12::from_der(der)
        .map_err(|_| NOT_PKCS12)?
        .parse2(password)
        .map_err(|errors| problem_of(&errors))?;
    let rsa: Option<Rsa<Private>> = opened.pkey.and_then(|key| key.rsa().ok());
    let pem = rsa.and_then(|key| key.private_key_to_pem().ok());
    let ends_at = opened.cert.as_ref().map(|own| seconds_of(own.not_after()));
    Ok(Opened {
        pem: pem.map(Zeroizing::new).ok_or(NO_KEY)?,
        ends_at: ends_at.and_then(Result::ok),
    })
}

fn problem_of(errors: &ErrorStack) -> &'static str {
    let says = |reason: &str| {
        let mut reasons = errors.errors().iter().filter_map(|error| error.reason());
        reasons.any(|said| said == reason)
    };
    if says("mac verify failure") {
        WRONG_PASSWORD
    } else {
        OLD_ENCRYPTION
    }
}
