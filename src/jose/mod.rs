//! The only room that touches josekit: what is encrypted to us is opened here, what we store is sealed here.
//!
//! A token passes [`guard`] before any key is touched; [`Keyring`] then picks the private key and opens it.
//! [`StorageKeys`] seals and digests what goes into the database. [`VerificationKeys`] tell whether an answer is
//! the other side's, a [`JwsSigner`] signs for the side that has its key. [`json`] is the strict JSON of all of them.

mod digests;
mod enc;
pub(crate) mod hex;
mod hmac;
mod jwks;
mod jws_alg;
pub(crate) mod key_checks;
pub(crate) mod key_exposure;
pub(crate) mod key_files;
pub(crate) mod key_folder;
mod key_settings;
mod opening;
mod use_mark;

pub mod demonstration;
pub mod encrypting;
pub mod generating;
pub mod guard;
pub mod json;
pub mod key_description;
pub mod key_error;
pub mod keyring;
pub mod sealing;
pub mod signing;
pub mod verifying;

pub use digests::{DigestSource, KeyedDigest};
pub use enc::Enc;
pub use encrypting::{EncryptError, encrypt};
pub use generating::{MissingKey, missing_keys, public_key_pem};
pub use guard::{OpenPolicy, UnknownKid};
pub use json::JsonFault;
pub use jwks::JwksFault;
pub use jws_alg::JwsAlg;
pub use key_description::{KeyDescription, KeyPurpose, NamedKey, days_left, named_keys};
pub use key_error::KeyError;
pub use key_exposure::{Exposed, exposed_files};
pub use key_folder::{Admission, AnyKey, KeyFolder, Reload};
pub use keyring::{Keyring, PayloadKey};
pub use opening::OpenError;
pub use sealing::{Place, SealError, StorageKeys, sealed_with};
pub use signing::{JwsSigner, SignError};
pub use use_mark::UseMark;
pub use verifying::{VerificationKeys, VerifiedJws, VerifyFault};

#[cfg(test)]
pub(crate) mod tests;
