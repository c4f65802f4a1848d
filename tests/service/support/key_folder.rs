//! A key folder of a test's own, which may change while a service runs.

use std::fs;
use std::path::Path;

use openssl::pkey::PKey;
use openssl::rsa::Rsa;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokenkeep::jose::encrypt;
use tokenkeep::settings::{Overrides, Settings};

use super::{App, Backend, keys};

/// A copy of the demonstration keys.
pub struct KeyFolder(TempDir);

impl KeyFolder {
    pub fn copy() -> Self {
        let folder = tempfile::tempdir().unwrap();
        for name in ["payload", "storage"] {
            let to = folder.path().join(name);
            fs::create_dir(&to).unwrap();
            for file in fs::read_dir(keys().join(name)).unwrap() {
                let file = file.unwrap();
                fs::copy(file.path(), to.join(file.file_name())).unwrap();
            }
        }
        fs::copy(keys().join("keys.toml"), folder.path().join("keys.toml")).unwrap();
        Self(folder)
    }

    /// A copy of all of the demonstration folder.
    pub fn whole() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let from = format!("{}/.", keys().display());
        let copied = std::process::Command::new("cp")
            .args(["-r", &from])
            .arg(folder.path())
            .status();
        assert!(copied.unwrap().success());
        Self(folder)
    }

    /// Adds a storage key and makes it the one that seals.
    pub fn seal_with(&self, id: &str) {
        let digits: String = id
            .bytes()
            .cycle()
            .take(32)
            .map(|b| format!("{b:02x}"))
            .collect();
        fs::write(self.path().join(format!("storage/{id}.key")), digits).unwrap();
        let file = self.path().join("keys.toml");
        let kept = fs::read_to_string(&file).unwrap();
        let kept: Vec<&str> = kept
            .lines()
            .filter(|l| !l.starts_with("storage ="))
            .collect();
        fs::write(file, format!("storage = \"{id}\"\n{}\n", kept.join("\n"))).unwrap();
    }

    /// Takes a storage key away.
    pub fn remove_storage(&self, id: &str) {
        fs::remove_file(self.path().join(format!("storage/{id}.key"))).unwrap();
    }

    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// Puts a payload key file there, whole at once.
    pub fn put(&self, kid: &str, pem: &[u8]) {
        let new = self.path().join("new");
        fs::write(&new, pem).unwrap();
        fs::rename(new, self.path().join(format!("payload/{kid}.pem"))).unwrap();
    }

    pub fn remove(&self, kid: &str) {
        fs::remove_file(self.path().join(format!("payload/{kid}.pem"))).unwrap();
    }

    /// A service that looks at this folder every second.
    pub fn spawn(&self, backend: Backend) -> App {
        App::spawn_with(backend, |settings| {
            let every_second = Overrides {
                values: vec![("processor.key_reload", 1.into())],
                ..Overrides::default()
            };
            settings.processor = Settings::load(&every_second, []).unwrap().processor;
            settings.keys = self.path().to_owned();
        })
    }
}

/// A payload key that the service does not have yet.
pub struct LateKey {
    pub kid: &'static str,
    pub pem: Vec<u8>,
}

impl LateKey {
    pub fn new(kid: &'static str) -> Self {
        let key = PKey::from_rsa(Rsa::generate(2048).unwrap()).unwrap();
        let pem = key.private_key_to_pem_pkcs8().unwrap();
        Self { kid, pem }
    }

    /// Encrypts for this key.
    pub fn jwe(&self, plaintext: &Value) -> String {
        let plaintext = plaintext.to_string();
        encrypt(
            plaintext.as_bytes(),
            &self.pem,
            Some(self.kid),
            "A128GCM",
            12,
        )
        .unwrap()
    }

    pub fn payment_jwe(&self, number: &str, (month, year): (&str, &str)) -> String {
        self.jwe(&json!({ "paymentToken": {
            "paymentToken": number,
            "tokenExpirationMonth": month,
            "tokenExpirationYear": year,
        }}))
    }
}
