//! What a program signs its requests with, as its settings name it.

use std::path::Path;

use zeroize::Zeroizing;

use super::oauth::{Signer, SigningKey};
use crate::jose::{KeyDescription, KeyError, key_files};
use crate::settings::BaseStringForm;
use crate::upstream::ClientError;

/// In front of the program's name, in capitals.
const PASSWORD_VARIABLE: &str = "TOKENKEEP_SIGNING_PASSWORD_";
/// How Mastercard has requests signed.
pub(super) const OAUTH: &str = "OAuth 1.0a RSA-SHA256";
const NOT_TEXT: &str = "is not UTF-8; save the password as UTF-8 text";

/// The settings of a program that its signer is made of.
pub(super) struct Credential<'a> {
    /// The program's name.
    pub(super) program: &'a str,
    pub(super) consumer_key: &'a str,
    pub(super) signing_key: &'a str,
    pub(super) password_file: &'a str,
    pub(super) form: BaseStringForm,
}

impl Credential<'_> {
    /// Loads the signing key from the key folder.
    pub(super) fn signer(&self, keys_folder: &Path) -> Result<Signer, ClientError> {
        let needed = [
            ("consumer_key", self.consumer_key),
            ("signing_key", self.signing_key),
        ];
        ClientError::first_unset(self.program, &needed)?;
        let password = self.password(keys_folder)?;
        let file = keys_folder.join(self.signing_key);
        let key = SigningKey::load(keys_folder, &file, &password)?;
        Ok(Signer::new(self.consumer_key, key, self.form))
    }

    /// What an inventory tells of the signing key.
    pub(super) fn description(&self, signer: &Signer) -> Result<KeyDescription, KeyError> {
        let of_file = |_| KeyError::openssl(self.signing_key);
        Ok(KeyDescription {
            program: self.program.to_owned(),
            kid: self.signing_key.to_owned(),
            file: self.signing_key.to_owned(),
            ..signer.key().description().map_err(of_file)?
        })
    }

    /// The password of the key: from the file that is named, else from the environment, else none.
    fn password(&self, keys_folder: &Path) -> Result<Zeroizing<String>, KeyError> {
        if self.password_file.is_empty() {
            let password = std::env::var(password_variable(self.program));
            return Ok(Zeroizing::new(password.unwrap_or_default()));
        }
        let file = keys_folder.join(self.password_file);
        // Secrets are often mounted in a folder of their own.
        let root = match Path::new(self.password_file).parent() {
            Some(folder) if folder.is_absolute() => folder,
            _ => keys_folder,
        };
        let bytes = key_files::read(root, &file)?;
        let text = std::str::from_utf8(&bytes).map_err(|_| KeyError::Unusable {
            file: file.clone(),
            problem: NOT_TEXT,
        })?;
        // An editor ends the line.
        Ok(Zeroizing::new(
            text.trim_end_matches(['\r', '\n']).to_owned(),
        ))
    }
}

/// `TOKENKEEP_SIGNING_PASSWORD_MY_SHOP` for the program `my-shop`.
pub(super) fn password_variable(name: &str) -> String {
    let letter = |c: char| match c.is_ascii_alphanumeric() {
        true => c.to_ascii_uppercase(),
        false => '_',
    };
    let name: String = name.chars().map(letter).collect();
    format!("{PASSWORD_VARIABLE}{name}")
}
