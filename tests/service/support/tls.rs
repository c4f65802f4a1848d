//! A sender that speaks TLS, and a service that asks who it is.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::time::Duration;

use openssl::ssl::{SslConnector, SslMethod, SslOptions, SslStream, SslVerifyMode, SslVersion};

use super::build::{CARD, plain, status};
use super::certificates::{Certificate, Wish};
use super::key_folder::KeyFolder;
use super::raw::{Reply, head, parse};
use super::{App, Backend, START};
use crate::wire_settings::load;

/// The longest wait for an answer.
const PATIENCE: Duration = Duration::from_secs(9);
/// The name that the tests' senders are known by.
pub const SENDER: &str = "ws.sender.example";

pub const BOTH: [SslVersion; 2] = [SslVersion::TLS1_2, SslVersion::TLS1_3];

/// Settings that ask for a certificate of `authorities.pem` with the tests' common name.
pub const ASKING: &str = "[receiver.tls]\nreload = 1\ncertificate = \"tls/server.pem\"\n\
    private_key = \"tls/server.key\"\nclient_authorities = [\"tls/authorities.pem\"]\n\
    client_subjects = [\"cn:ws.sender.example\"]\n";

/// The demonstration keys with a folder of certificates.
pub struct TlsFolder(KeyFolder);

impl TlsFolder {
    /// With a certificate of the listener's own, and these authorities.
    pub fn new(authorities: &[&Certificate]) -> Self {
        let folder = Self(KeyFolder::copy());
        fs::create_dir(folder.path().join("tls")).unwrap();
        folder.put_listener();
        folder.put_authorities(authorities);
        folder
    }

    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// Puts a file there, whole at once.
    pub fn put(&self, name: &str, content: &[u8]) {
        let new = self.path().join("new");
        fs::write(&new, content).unwrap();
        fs::rename(new, self.path().join("tls").join(name)).unwrap();
    }

    /// Another certificate for the listener, first its certificate, then its key.
    pub fn put_listener(&self) {
        let own = Certificate::self_signed(&Wish {
            is_for_clients: false,
            ..Wish::client(&["localhost"])
        });
        self.put("server.pem", &own.pem());
        self.put("server.key", &own.key_pem());
    }

    pub fn put_authorities(&self, authorities: &[&Certificate]) {
        let bundle: Vec<u8> = authorities.iter().flat_map(|one| one.pem()).collect();
        self.put("authorities.pem", &bundle);
    }

    /// A service with these settings of its receiver.
    pub fn spawn(&self, text: &str) -> App {
        App::spawn_with(Backend::Sqlite, |settings| {
            settings.receiver = load(text).unwrap().receiver;
            settings.keys = self.path().to_owned();
        })
    }
}

/// The body of a notification that is kept.
pub fn body() -> String {
    plain(&[status(CARD, Some(START), "ACTIVE")]).to_string()
}

/// Whoever sends, with a certificate or without, and as careless as can be.
pub fn sender(certificate: Option<&Certificate>, version: SslVersion) -> SslConnector {
    let mut builder = SslConnector::builder(SslMethod::tls_client()).unwrap();
    builder.set_verify(SslVerifyMode::NONE);
    builder.set_security_level(0);
    // The old versions and signatures have to be asked for.
    builder.clear_options(SslOptions::NO_TLSV1 | SslOptions::NO_TLSV1_1);
    builder.set_cipher_list("ALL:@SECLEVEL=0").unwrap();
    builder.set_min_proto_version(Some(version)).unwrap();
    builder.set_max_proto_version(Some(version)).unwrap();
    if let Some(certificate) = certificate {
        builder.set_certificate(&certificate.own).unwrap();
        builder.set_private_key(&certificate.key).unwrap();
        for intermediate in &certificate.intermediates {
            builder.add_extra_chain_cert(intermediate.clone()).unwrap();
        }
    }
    builder.build()
}

/// A notification that is kept, with these headers.
pub fn request(headers: &str) -> String {
    let head = head("/notifications/card", body().len());
    let head = head.replace("\r\n\r\n", &format!("\r\n{headers}\r\n"));
    format!("{head}{}", body())
}

/// Posts a notification on a connection of its own; none if there is no whole answer.
pub fn post(address: SocketAddr, sender: &SslConnector) -> Option<Reply> {
    exchange(address, sender, &request(""))
}

/// Sends bytes on an encrypted connection of their own.
pub fn exchange(address: SocketAddr, sender: &SslConnector, request: &str) -> Option<Reply> {
    ask(&mut connect(address, sender)?, request)
}

/// An encrypted connection; none if its handshake fails.
pub fn connect(address: SocketAddr, sender: &SslConnector) -> Option<SslStream<TcpStream>> {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut setup = sender.configure().unwrap();
    setup.set_verify_hostname(false);
    setup.connect("localhost", stream).ok()
}

/// Sends bytes on a connection, and reads the answer.
pub fn ask(stream: &mut SslStream<TcpStream>, request: &str) -> Option<Reply> {
    stream.write_all(request.as_bytes()).ok()?;
    let (mut bytes, mut chunk) = (Vec::new(), [0; 4096]);
    loop {
        match stream.read(&mut chunk).ok()? {
            0 => return None,
            length => bytes.extend_from_slice(&chunk[..length]),
        }
        if let Some((reply, _)) = parse(&bytes) {
            return Some(reply);
        }
    }
}

/// How many senders were refused for a cause.
pub fn refused(app: &App, cause: &str) -> u32 {
    let metrics = app.client.get(&app.api_url("/metrics"), "").text;
    let series = format!("tokenkeep_senders_refused_total{{cause=\"{cause}\"}} ");
    let mut lines = metrics.lines();
    let count = lines.find_map(|line| line.strip_prefix(&series)?.parse().ok());
    count.unwrap_or(0)
}
