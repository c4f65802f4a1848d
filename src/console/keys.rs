//! Keys: what opens, seals, signs and lets in, when it was last used, and how long certificates still last.

use actix_web::{HttpResponse, web};
use askama::Template;

use super::Console;
use super::guard::SignedIn;
use super::page::{Fault, Frame, html};
use crate::domain::Hold;
use crate::jose::{KeyDescription, KeyPurpose, PayloadKey};
use crate::store::LastUses;

const SECTION: &str = "Keys";
/// A certificate that ends sooner is to be renewed now.
pub const SOON_DAYS: i64 = 30;

/// A key or a certificate file, as it is shown.
#[derive(Default)]
pub struct Key {
    /// The kid, the id or the file's name.
    name: String,
    purpose: String,
    /// SHA-256 of the public key, of a key pair.
    fingerprint: Option<String>,
    /// What else is worth knowing.
    remarks: Vec<&'static str>,
    /// Of what ends by itself.
    pub days_left: Option<i64>,
    /// Milliseconds since 1970.
    last_used: Option<i64>,
}

#[derive(Template)]
#[template(path = "keys.html")]
struct KeysPage {
    frame: Frame,
    keys: Vec<Key>,
    /// Notifications that wait for a key which is not loaded.
    waiting: i64,
}

/// All of them, as this process has them.
pub async fn show(
    signed_in: web::ReqData<SignedIn>,
    console: web::Data<Console>,
) -> Result<HttpResponse, Fault> {
    let asked = console.api.read(|tx| Ok((tx.last_uses()?, tx.stuck()?)));
    let (uses, stuck) = asked.await?;
    let held = stuck.held.iter();
    let held = held.filter(|(_, hold, _)| hold.as_deref() == Some(Hold::UNKNOWN_KEY.0));
    html(&KeysPage {
        frame: Frame::new(&signed_in, SECTION, SECTION),
        keys: console.keys(&uses),
        waiting: held.map(|(.., count)| count).sum(),
    })
}

impl Console {
    fn keys(&self, uses: &LastUses) -> Vec<Key> {
        let keyring = self.api.calls.keyring();
        let mut keys: Vec<Key> = (keyring.keys()).map(|key| payload_key(key, uses)).collect();
        let storage = self.api.store.keys();
        keys.extend(storage.descriptions().iter().map(|key| Key {
            purpose: match key.kid == storage.active_id() {
                true => "seals what is stored".to_owned(),
                false => "opens what was stored earlier".to_owned(),
            },
            fingerprint: None,
            remarks: remarks(&[(storage.is_demonstration(), "demonstration")]),
            ..self.described(key, uses)
        }));
        let of_programs = self.api.calls.program_keys();
        keys.extend(of_programs.iter().map(|key| self.described(key, uses)));
        keys.extend(self.listener(uses));
        keys
    }

    /// What ends by itself: certificates of programs, and those of the public listener, if this process has it.
    pub fn certificates(&self) -> Vec<Key> {
        let uses = LastUses::default();
        let of_programs = self.api.calls.program_keys();
        let ending = of_programs.iter().filter(|key| key.ends_at.is_some());
        let mut certificates: Vec<Key> = ending.map(|key| self.described(key, &uses)).collect();
        certificates.extend(self.listener(&uses));
        certificates
    }

    /// The certificate files of the public listener, if this process has it.
    fn listener(&self, uses: &LastUses) -> Vec<Key> {
        let Some(transport) = &self.transport else {
            return Vec::new();
        };
        let inside = transport.keys();
        let files = transport.days_left(self.api.clock.now());
        let certificate = |(name, days): (String, i64)| {
            let in_file = inside.iter().filter(|key| key.file == name);
            Key {
                last_used: in_file.filter_map(|key| uses.of(key)).max(),
                name,
                purpose: "lets Mastercard in at the public listener".to_owned(),
                remarks: of_days(days),
                days_left: Some(days),
                ..Key::default()
            }
        };
        files.into_iter().map(certificate).collect()
    }

    fn described(&self, key: &KeyDescription, uses: &LastUses) -> Key {
        let days_left = key.days_left(self.api.clock.now());
        Key {
            name: key.kid.clone(),
            purpose: purpose(key),
            fingerprint: Some(key.fingerprint.clone()),
            remarks: days_left.map_or_else(Vec::new, of_days),
            days_left,
            last_used: uses.of(key),
        }
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

fn payload_key(key: &PayloadKey, uses: &LastUses) -> Key {
    Key {
        name: key.kid().to_owned(),
        purpose: "opens what Mastercard encrypts".to_owned(),
        fingerprint: Some(key.spki_sha256_hex()),
        remarks: remarks(&[
            (key.is_default(), "default"),
            (key.is_retired(), "retired"),
            (key.is_demonstration(), "demonstration"),
        ]),
        days_left: None,
        last_used: uses.of(&key.description()),
    }
}

/// What a program's key is for.
fn purpose(key: &KeyDescription) -> String {
    let program = &key.program;
    match key.purpose {
        KeyPurpose::Signing => format!("signs our requests to {program}"),
        KeyPurpose::Verification => format!("verifies answers of {program}"),
        KeyPurpose::Encryption => format!("our requests to {program} are encrypted to it"),
        other => other.word().to_owned(),
    }
}

fn of_days(days: i64) -> Vec<&'static str> {
    remarks(&[
        (days < 0, "has ended"),
        ((0..SOON_DAYS).contains(&days), "ends soon"),
    ])
}

fn remarks(all: &[(bool, &'static str)]) -> Vec<&'static str> {
    all.iter()
        .filter(|(is, _)| *is)
        .map(|(_, word)| *word)
        .collect()
}
