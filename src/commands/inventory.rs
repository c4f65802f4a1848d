//! What is in use of keys, certificates, TLS and algorithms: for `keys list`, and at the end of `check`.

use std::io;

use serde_json::{Value, json};

use super::programs::{Callable, callable};
use super::tables::{print_json, print_table};
use crate::dispatcher::ProgramClient;
use crate::jose::{KeyDescription, KeyPurpose, Keyring, PayloadKey, StorageKeys};
use crate::receiver::{LoadedTls, OfferedVersion};
use crate::settings::{ProgramSettings, Role, Settings};
use crate::store::LastUses;
use crate::telemetry::{Clock, timestamp};

/// How payload keys are used; what is encrypted with it is a setting.
const OPENING: &str = "RSA-OAEP-256";
const SEALING: &str = "AES-256-GCM";
const DIGESTS: &str = "HMAC-SHA-256";

/// Everything in use, as far as it can be loaded. What cannot is told by `check`.
pub struct Inventory<'a> {
    settings: &'a Settings,
    keyring: Option<Keyring>,
    storage: Option<StorageKeys>,
    programs: Vec<(&'a str, ProgramClient)>,
    tls: Option<LoadedTls>,
    /// As far as the database was asked.
    uses: LastUses,
    now: i64,
}

impl<'a> Inventory<'a> {
    /// Loads what the settings name.
    pub fn load(settings: &'a Settings) -> Self {
        let (clock, keys) = (Clock::system(), &settings.keys);
        let client = |(name, program): (&'a String, &ProgramSettings)| match callable(
            settings, name, program, &clock,
        ) {
            Callable::Yes(client) => Some((name.as_str(), client)),
            Callable::NotYet(_) | Callable::Wrong(_) => None,
        };
        let tls = &settings.receiver.tls;
        let has_tls = settings.has_role(Role::Receive) && tls.is_used();
        Self {
            settings,
            keyring: Keyring::load(keys, settings.processor.opening()).ok(),
            storage: StorageKeys::load(keys).ok(),
            programs: settings.programs.iter().filter_map(client).collect(),
            tls: has_tls.then(|| LoadedTls::load(keys, tls).ok()).flatten(),
            uses: LastUses::default(),
            now: clock.now(),
        }
    }

    /// The same with when each key was last used.
    pub fn used(self, uses: LastUses) -> Self {
        Self { uses, ..self }
    }

    /// What is told of each key and certificate.
    pub fn keys(&self) -> Vec<KeyDescription> {
        let programs = self.programs.iter().map(|(_, client)| client);
        [
            (self.keyring.as_ref()).map_or_else(Vec::new, Keyring::descriptions),
            (self.storage.as_ref()).map_or_else(Vec::new, StorageKeys::descriptions),
            programs.flat_map(ProgramClient::keys).collect(),
            (self.tls.as_ref()).map_or_else(Vec::new, |tls| tls.keys.clone()),
        ]
        .concat()
    }

    /// Prints it for people.
    pub fn print(&self) -> io::Result<()> {
        let cells = |key: KeyDescription| {
            let days = key.days_left(self.now);
            let marks = self.marks(&key).into_iter().map(str::to_owned);
            let names = key.aliases.iter().map(|alias| format!("also {alias}"));
            let marks: Vec<String> = marks.chain(names).collect();
            vec![
                key.purpose.word().to_owned(),
                key.program.clone(),
                key.kid.clone(),
                format!("{} {}", key.kind, key.bits),
                key.algorithm.clone(),
                days.map_or_else(|| "no end".to_owned(), |days| days.to_string()),
                self.uses.of(&key).map(timestamp).unwrap_or_default(),
                key.fingerprint.clone(),
                marks.join(", "),
            ]
        };
        print_table(
            &[
                "PURPOSE",
                "PROGRAM",
                "KID",
                "KEY",
                "ALGORITHM",
                "DAYS LEFT",
                "LAST USED",
                "FINGERPRINT",
                "",
            ],
            self.keys().into_iter().map(cells),
        )?;
        for listener in self.listeners() {
            let (name, address) = (listener.name, listener.address);
            if listener.versions.is_empty() {
                println!("{name} listener {address}: no TLS");
            }
            for version in listener.versions {
                let ciphers = version.ciphers.join(", ");
                println!("{name} listener {address}: {}: {ciphers}", version.name);
            }
        }
        for (name, client) in &self.programs {
            let algorithms = client.algorithms();
            println!(
                "program {name}: requests: {}",
                algorithms.requests.join(", ")
            );
            if !algorithms.answers.is_empty() {
                println!("program {name}: answers: {}", algorithms.answers.join(", "));
            }
        }
        println!(
            "what is encrypted to us: JWE {OPENING} {}",
            self.enc().join(", ")
        );
        if let Some(storage) = &self.storage {
            let active = storage.active_id();
            println!("at rest: {SEALING} under {active}, digests {DIGESTS}");
        }
        Ok(())
    }

    /// Prints it as one JSON document.
    pub fn print_json(&self) -> io::Result<()> {
        let listeners = self.listeners();
        let listeners = listeners.iter().map(|listener| {
            let version = |of: &OfferedVersion| json!({ "name": of.name, "ciphers": of.ciphers });
            let versions: Vec<Value> = listener.versions.iter().map(version).collect();
            json!({ "name": listener.name, "address": listener.address, "tls": versions })
        });
        let program = |(name, client): &(&str, ProgramClient)| {
            let algorithms = client.algorithms();
            json!({ "name": name, "requests": algorithms.requests, "answers": algorithms.answers })
        };
        let at_rest = self.storage.as_ref().map(|storage| {
            json!({ "algorithm": SEALING, "digests": DIGESTS, "activeKey": storage.active_id() })
        });
        let payload = self.keyring.iter().flat_map(Keyring::keys);
        print_json(&json!({
            "payload": payload.map(payload_view).collect::<Vec<_>>(),
            "keys": self.keys().iter().map(|key| self.view(key)).collect::<Vec<_>>(),
            "listeners": listeners.collect::<Vec<_>>(),
            "programs": self.programs.iter().map(program).collect::<Vec<_>>(),
            "opening": { "alg": OPENING, "enc": self.enc() },
            "atRest": at_rest,
        }))
    }

    fn view(&self, key: &KeyDescription) -> Value {
        let given = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        json!({
            "purpose": key.purpose.word(),
            "program": given(&key.program),
            "kid": key.kid,
            "aliases": key.aliases,
            "file": given(&key.file),
            "kind": key.kind,
            "bits": key.bits,
            "algorithm": key.algorithm,
            "fingerprint": key.fingerprint,
            "endsAt": key.ends_at.map(|at| timestamp(at.saturating_mul(1000))),
            "daysLeft": key.days_left(self.now),
            "lastUsedAt": self.uses.of(key).map(timestamp),
        })
    }

    /// What is special about a key of ours.
    fn marks(&self, key: &KeyDescription) -> Vec<&'static str> {
        let mut payload = self.keyring.iter().flat_map(Keyring::keys);
        let marks = match key.purpose {
            KeyPurpose::Payload => match payload.find(|own| own.kid() == key.kid) {
                Some(own) => vec![
                    (own.is_default(), "default"),
                    (own.is_retired(), "retired"),
                    (own.is_demonstration(), "demonstration"),
                ],
                None => Vec::new(),
            },
            KeyPurpose::Storage => {
                let active = self.storage.as_ref().map(StorageKeys::active_id);
                let seals = active == Some(key.kid.as_str());
                vec![(seals, "seals"), (!seals, "only opens")]
            }
            _ => Vec::new(),
        };
        let true_ones = marks.into_iter().filter(|(is, _)| *is);
        true_ones.map(|(_, word)| word).collect()
    }

    /// The content encryptions that are opened.
    fn enc(&self) -> Vec<&'static str> {
        let allowed = self.settings.processor.opening().enc;
        allowed.iter().map(|enc| enc.name()).collect()
    }

    fn listeners(&self) -> Vec<Listener<'_>> {
        let settings = self.settings;
        let public = settings.has_role(Role::Receive).then(|| Listener {
            name: "public",
            address: &settings.listen,
            versions: (self.tls.as_ref()).map_or_else(Vec::new, LoadedTls::offered),
        });
        let api = Listener {
            name: "API",
            address: &settings.api_listen,
            versions: Vec::new(),
        };
        public.into_iter().chain([api]).collect()
    }
}

struct Listener<'a> {
    name: &'static str,
    address: &'a str,
    /// None where it speaks plain HTTP.
    versions: Vec<OfferedVersion>,
}

fn payload_view(key: &PayloadKey) -> Value {
    json!({
        "kid": key.kid(),
        "aliases": key.aliases,
        "fingerprint": key.spki_sha256_hex(),
        "bits": key.bits(),
        "default": key.is_default(),
        "retired": key.is_retired(),
        "demonstration": key.is_demonstration(),
    })
}
