//! Keys: what opens, seals and lets in, and how long certificates still last.

use actix_web::{HttpResponse, web};
use askama::Template;

use super::Console;
use super::guard::SignedIn;
use super::page::{Fault, Frame, html};
use crate::jose::PayloadKey;

const SECTION: &str = "Keys";
/// A certificate that ends sooner is to be renewed now.
pub const SOON_DAYS: i64 = 30;

/// A key or a certificate file, as it is shown.
pub struct Key {
    /// The kid, the id or the file's name.
    name: String,
    purpose: &'static str,
    /// SHA-256 of the public key, of a key pair.
    fingerprint: Option<String>,
    /// What else is worth knowing.
    remarks: Vec<&'static str>,
    /// Of what ends by itself.
    pub days_left: Option<i64>,
}

#[derive(Template)]
#[template(path = "keys.html")]
struct KeysPage {
    frame: Frame,
    keys: Vec<Key>,
}

/// All of them, as this process has them.
pub async fn show(
    signed_in: web::ReqData<SignedIn>,
    console: web::Data<Console>,
) -> Result<HttpResponse, Fault> {
    html(&KeysPage {
        frame: Frame::new(&signed_in, SECTION, SECTION),
        keys: console.keys(),
    })
}

impl Console {
    fn keys(&self) -> Vec<Key> {
        let keyring = self.api.calls.keyring();
        let mut keys: Vec<Key> = keyring.keys().map(payload_key).collect();
        let storage = self.api.store.keys();
        let seals = |id: &str, purpose| Key {
            name: id.to_owned(),
            purpose,
            fingerprint: None,
            remarks: remarks(&[(storage.is_demonstration(), "demonstration")]),
            days_left: None,
        };
        keys.push(seals(storage.active_id(), "seals what is stored"));
        keys.extend(
            storage
                .earlier_ids()
                .map(|id| seals(id, "opens what was stored earlier")),
        );
        keys.extend(self.certificates());
        keys
    }

    /// The certificate files of the public listener, if this process has it.
    pub fn certificates(&self) -> Vec<Key> {
        let now = self.api.clock.now();
        let files = self.transport.iter().flat_map(|it| it.days_left(now));
        let certificate = |(name, days): (String, i64)| Key {
            name,
            purpose: "lets Mastercard in at the public listener",
            fingerprint: None,
            remarks: remarks(&[
                (days < 0, "has ended"),
                ((0..SOON_DAYS).contains(&days), "ends soon"),
            ]),
            days_left: Some(days),
        };
        files.map(certificate).collect()
    }
}

impl Key {
    /// What is wrong with a certificate that ends soon, or has ended.
    pub fn warning(&self) -> Option<String> {
        let days = self.days_left.filter(|days| *days < SOON_DAYS)?;
        Some(match days < 0 {
            true => format!("The certificate {} has ended.", self.name),
            false => format!("The certificate {} ends in {days} days.", self.name),
        })
    }
}

fn payload_key(key: &PayloadKey) -> Key {
    Key {
        name: key.kid().to_owned(),
        purpose: "opens what Mastercard encrypts",
        fingerprint: Some(key.spki_sha256_hex()),
        remarks: remarks(&[
            (key.is_default(), "default"),
            (key.is_retired(), "retired"),
            (key.is_demonstration(), "demonstration"),
        ]),
        days_left: None,
    }
}

fn remarks(all: &[(bool, &'static str)]) -> Vec<&'static str> {
    all.iter()
        .filter(|(is, _)| *is)
        .map(|(_, word)| *word)
        .collect()
}
