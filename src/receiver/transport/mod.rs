//! Who may deliver: senders with a certificate of their own, or through a proxy that is trusted.
//!
//! A notification is not signed, so only the connection says who sent it. What is not known for sure
//! is refused: in the handshake, or with 401 where a proxy tells who the sender is.

mod admission;
mod certificate;
mod files;
mod refusals;
#[cfg(test)]
mod tests;
mod tls;

use std::net::SocketAddr;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::{ConnectionType, StatusCode};
use actix_web::middleware::Next;
use actix_web::rt::net::TcpStream;
use actix_web::rt::time::timeout;
use actix_web::{Error, HttpRequest, web};
use tokio_openssl::SslStream;

use super::connection::Connection;
use super::problem::Problem;
use super::rejections::Rejections;
use crate::jose::{KeyDescription, KeyError};
use crate::settings::ReceiverSettings;
use crate::store::Store;
use crate::telemetry::{Clock, Metrics};

use admission::Admission;
use files::TlsFiles;
use refusals::Refusals;

pub use files::{DatedFile, Loaded};
pub use tls::OfferedVersion;

/// A handshake must be done in this time.
const HANDSHAKE_DEADLINE: Duration = Duration::from_secs(5);

/// The other end of a connection, as far as the connection itself shows it.
#[derive(Clone, Default)]
pub struct Peer {
    pub address: Option<SocketAddr>,
    /// The name or the pin by which its certificate was accepted.
    pub certificate: Option<String>,
    /// What was trusted when it was.
    trusted: Option<Arc<Loaded>>,
}

impl Peer {
    /// One that has shown no more than its address.
    pub fn plain(address: Option<SocketAddr>) -> Self {
        Self {
            address,
            ..Self::default()
        }
    }
}

/// The public listener's ways of knowing its sender.
pub struct Transport {
    tls: Option<TlsFiles>,
    admission: Admission,
    refusals: Refusals,
}

impl Transport {
    /// Loads the certificates that the settings name, from the key folder.
    ///
    /// # Errors
    /// The first file that cannot be used.
    pub fn load(
        keys: &Path,
        settings: &ReceiverSettings,
        metrics: Metrics,
        store: Store,
        clock: Clock,
    ) -> Result<Self, KeyError> {
        let tls = match settings.tls.is_used() {
            true => {
                let (tls, metrics) = (&settings.tls, metrics.clone());
                Some(TlsFiles::load(keys, tls, metrics, store, clock)?)
            }
            false => None,
        };
        Ok(Self {
            tls,
            admission: Admission::new(settings),
            refusals: Refusals::new(metrics),
        })
    }

    /// What an inventory tells of the certificates in use.
    pub fn keys(&self) -> Vec<KeyDescription> {
        let files = self.tls.as_ref();
        files.map_or_else(Vec::new, |files| files.current().keys.clone())
    }

    /// Makes a connection of a stream, after its handshake if there is one. A peer that is refused
    /// has been told so by the handshake.
    pub async fn accept(&self, stream: TcpStream) -> Option<Connection> {
        let address = stream.peer_addr().ok();
        let Some(files) = &self.tls else {
            return Some(Connection::plain(stream));
        };
        let trusted = files.current();
        match handshake(&trusted, stream).await {
            Ok((stream, certificate)) => {
                let peer = Peer {
                    address,
                    certificate,
                    trusted: Some(trusted),
                };
                Some(Connection::encrypted(stream, peer))
            }
            Err(cause) => {
                self.refusals.count(cause, address);
                None
            }
        }
    }

    /// The certificate files in use, each with the whole days that are left of it.
    pub fn days_left(&self, now: i64) -> Vec<(String, i64)> {
        let Some(files) = &self.tls else {
            return Vec::new();
        };
        let in_use = files.current();
        let days = |file: &DatedFile| (file.name.clone(), file.days_left(now));
        in_use.files.iter().map(days).collect()
    }

    /// Who delivers with this request: a subject, or an address.
    ///
    /// # Errors
    /// 401, with nothing said about what would have been accepted.
    pub fn admit(&self, request: &HttpRequest) -> Result<String, Problem> {
        let nobody = Peer::default();
        let peer = request.conn_data::<Peer>().unwrap_or(&nobody);
        let admitted = self.admission.admit(peer, request.headers());
        admitted.map_err(|cause| {
            self.refusals.count(cause, peer.address);
            let detail = "the sender is not known here";
            let status = StatusCode::UNAUTHORIZED;
            Problem::new(status, "unknown-sender", detail).closing()
        })
    }

    /// Whether the certificates have changed since the request's connection began: it must not go on
    /// with what was trusted then.
    fn is_outdated(&self, request: &HttpRequest) -> bool {
        let peer = request.conn_data::<Peer>();
        let trusted = peer.and_then(|peer| peer.trusted.as_ref());
        let files = self.tls.as_ref().zip(trusted);
        files.is_some_and(|(files, trusted)| !Arc::ptr_eq(&files.current(), trusted))
    }

    /// Whom it has refused, for the audit.
    pub fn rejections(&self) -> &Rejections {
        &self.refusals.rejections
    }

    /// Follows the changes of the certificates' files, without end.
    pub async fn follow(&self) {
        if let Some(files) = &self.tls {
            files.follow().await;
        }
    }
}

/// Lets a connection end with its next answer, whatever that is, once the certificates have changed.
pub async fn close_outdated(
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    let mut answered = next.call(request).await?;
    let request = answered.request();
    let transport = request.app_data::<web::Data<Transport>>();
    if transport.is_some_and(|transport| transport.is_outdated(request)) {
        let head = answered.response_mut().head_mut();
        head.set_connection_type(ConnectionType::Close);
    }
    Ok(answered)
}

/// The encrypted stream, and how its peer's certificate was accepted.
type Encrypted = (SslStream<TcpStream>, Option<String>);

/// Waits without holding the thread.
async fn handshake(loaded: &Loaded, stream: TcpStream) -> Result<Encrypted, &'static str> {
    let mut stream = loaded.stream(stream).map_err(|_| refusals::HANDSHAKE)?;
    match timeout(HANDSHAKE_DEADLINE, Pin::new(&mut stream).accept()).await {
        Err(_) => Err(refusals::TIMEOUT),
        Ok(Err(error)) => Err(refusals::of_handshake(stream.ssl(), &error)),
        Ok(Ok(())) => {
            // Once more, whatever the handshake may have left out: this is what counts.
            let certificate = loaded.accepted(stream.ssl())?;
            Ok((stream, certificate))
        }
    }
}
