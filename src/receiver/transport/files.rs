//! The certificates in use, followed through changes of their files.

use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use actix_web::rt::net::TcpStream;
use actix_web::rt::task::spawn_blocking;
use actix_web::rt::time::sleep;
use openssl::asn1::Asn1TimeRef;
use openssl::error::ErrorStack;
use openssl::ssl::{Ssl, SslContext, SslRef};
use tokio_openssl::SslStream;

use super::certificate::Wanted;
use super::refusals;
use super::tls::{self, OfferedVersion};
use crate::jose::key_description::{fingerprint, seconds_of};
use crate::jose::key_folder::{Admission, Seen, seen};
use crate::jose::{KeyDescription, KeyError, KeyPurpose, days_left};
use crate::settings::TlsSettings;
use crate::store::Store;
use crate::telemetry::{Clock, Metrics};

/// A file, and when the first of what it holds ends.
pub struct DatedFile {
    /// Relative to the key folder.
    pub name: String,
    /// Seconds since 1970.
    pub ends_at: i64,
}

impl DatedFile {
    pub(super) fn new<'a>(
        name: &Path,
        ends: impl IntoIterator<Item = &'a Asn1TimeRef>,
    ) -> Result<Self, ErrorStack> {
        let mut ends_at = i64::MAX;
        for end in ends {
            ends_at = ends_at.min(seconds_of(end)?);
        }
        Ok(Self {
            name: name.display().to_string(),
            ends_at,
        })
    }

    /// Whole days that are left, less than 0 once it has ended. `now` is in milliseconds since 1970.
    pub fn days_left(&self, now: i64) -> i64 {
        days_left(self.ends_at, now)
    }
}

/// Certificates as loaded at one time.
pub struct Loaded {
    context: SslContext,
    /// Of whom a certificate is asked for, if one is.
    wanted: Option<Wanted>,
    is_required: bool,
    pub files: Vec<DatedFile>,
    /// The listener's own certificate first.
    pub keys: Vec<KeyDescription>,
}

impl Loaded {
    /// Loads the files that the settings name, relative to the key folder.
    ///
    /// # Errors
    /// The first file that cannot be used.
    pub fn load(keys: &Path, settings: &TlsSettings) -> Result<Self, KeyError> {
        let loaded = tls::load(keys, settings)?;
        let asks = !settings.client_authorities.is_empty();
        Ok(Self {
            context: loaded.context,
            wanted: asks.then(|| Wanted::new(settings)),
            is_required: settings.client_required,
            files: loaded.files,
            keys: loaded.keys,
        })
    }

    /// The versions and cipher suites that it negotiates.
    pub fn offered(&self) -> Vec<OfferedVersion> {
        tls::offered_with(self.keys.first().map_or("", |own| own.kind))
    }

    /// A stream whose handshake is still to be done.
    pub(super) fn stream(&self, stream: TcpStream) -> Result<SslStream<TcpStream>, ErrorStack> {
        SslStream::new(Ssl::new(&self.context)?, stream)
    }

    /// How the certificate of a finished handshake is accepted.
    pub(super) fn accepted(&self, ssl: &SslRef) -> Result<Option<String>, &'static str> {
        let accepted = match (&self.wanted, ssl.peer_certificate()) {
            (None, _) => None,
            (Some(_), None) if self.is_required => return Err(refusals::NO_CERTIFICATE),
            (Some(_), None) => None,
            (Some(wanted), Some(own)) => Some(wanted.entry_of(&own).ok_or(refusals::SUBJECT)?),
        };
        self.mark_used(ssl);
        Ok(accepted)
    }

    /// Our own certificate was shown, and the peer's was issued by what its chain leads to.
    fn mark_used(&self, ssl: &SslRef) {
        let chain = ssl.verified_chain().into_iter().flatten();
        let keys = chain.filter_map(|certificate| certificate.public_key().ok());
        let prints: Vec<String> = keys.filter_map(|key| fingerprint(&key).ok()).collect();
        for key in &self.keys {
            if key.purpose == KeyPurpose::Listener || prints.contains(&key.fingerprint) {
                key.used.set();
            }
        }
    }
}

/// The files that the settings name, with what was last loaded from them.
pub struct TlsFiles {
    keys: PathBuf,
    settings: TlsSettings,
    metrics: Metrics,
    store: Store,
    clock: Clock,
    current: RwLock<Arc<Loaded>>,
    /// As they were when the process began.
    seen: Vec<Seen>,
}

impl TlsFiles {
    pub fn load(
        keys: &Path,
        settings: &TlsSettings,
        metrics: Metrics,
        store: Store,
        clock: Clock,
    ) -> Result<Self, KeyError> {
        // Before the files: what changes meanwhile is seen at the next look.
        let seen = seen(paths(keys, settings));
        let loaded = Loaded::load(keys, settings)?;
        measure(&loaded, &metrics);
        Ok(Self {
            keys: keys.to_owned(),
            settings: settings.clone(),
            metrics,
            store,
            clock,
            current: RwLock::new(Arc::new(loaded)),
            seen,
        })
    }

    /// For the next handshake.
    pub fn current(&self) -> Arc<Loaded> {
        let current = self.current.read();
        Arc::clone(&current.unwrap_or_else(PoisonError::into_inner))
    }

    /// Loads the files anew whenever they have changed. What cannot be loaded, or is not admitted, leaves the
    /// old in place, and is tried again at each look: of two files that belong together one comes first.
    pub async fn follow(&self) {
        let Some(every) = self.settings.reload() else {
            return;
        };
        let (mut used, mut told) = (self.seen.clone(), None);
        loop {
            sleep(every).await;
            let now = seen(paths(&self.keys, &self.settings));
            if now == used {
                continue;
            }
            match self.load_admitted(told.as_ref()).await {
                Ok(newer) => {
                    measure(&newer, &self.metrics);
                    *self.current.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(newer);
                    (used, told) = (now, None);
                    log::info!("the listener's certificates were loaded anew");
                }
                Err(reason) if told.as_ref() == Some(&reason) => {}
                Err(reason) => {
                    log::error!("the listener's certificates changed, those in use stay: {reason}");
                    told = Some(reason);
                }
            }
        }
    }

    /// What is in the files now, if it may be used. A refusal is recorded unless it was `told` already.
    async fn load_admitted(&self, told: Option<&String>) -> Result<Loaded, String> {
        let newer = Loaded::load(&self.keys, &self.settings).map_err(|error| error.to_string())?;
        let (store, keys, now) = (self.store.clone(), newer.keys.clone(), self.clock.now());
        let told = told.cloned();
        let admit = move || -> Admission {
            match store.admit_keys(&keys, false, now)? {
                Err(fault) if told != Some(fault.to_string()) => store.admit_keys(&keys, true, now),
                asked => Ok(asked),
            }
        };
        // The database may be slow, and this thread accepts connections.
        let asked = spawn_blocking(admit).await;
        let admitted = asked.map_err(|error| error.to_string())??;
        admitted.map_err(|error| error.to_string())?;
        Ok(newer)
    }
}

fn measure(loaded: &Loaded, metrics: &Metrics) {
    for file in &loaded.files {
        metrics.certificate(&file.name, file.ends_at);
    }
}

fn paths(keys: &Path, settings: &TlsSettings) -> Vec<PathBuf> {
    let own = [&settings.certificate, &settings.private_key];
    let of_clients = settings.client_authorities.iter();
    own.into_iter()
        .map(PathBuf::from)
        .chain(of_clients.chain(&settings.client_revocations).cloned())
        .map(|name| keys.join(name))
        .collect()
}
