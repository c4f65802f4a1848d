//! How the public listener knows its sender: by a certificate, or from a proxy in front.

mod names;
mod network;
#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;

use super::ReceiverSettings;

pub use names::{ClientPin, ClientSubject, SubjectKind};
pub use network::Network;

/// The listener's own TLS. See `default.toml` for what each setting means.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TlsSettings {
    /// Empty: plain HTTP.
    pub certificate: String,
    pub private_key: String,
    pub client_authorities: Vec<PathBuf>,
    pub client_subjects: Vec<ClientSubject>,
    pub client_pins: Vec<ClientPin>,
    pub client_revocations: Vec<PathBuf>,
    pub client_required: bool,
    reload: u64,
}

impl TlsSettings {
    pub fn is_used(&self) -> bool {
        !self.certificate.is_empty()
    }

    /// Time between two looks at the files; none means never.
    pub fn reload(&self) -> Option<Duration> {
        (self.reload > 0).then(|| Duration::from_secs(self.reload))
    }
}

/// A proxy in front of the listener. See `default.toml` for what each setting means.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProxySettings {
    pub trusted: Vec<Network>,
    /// Empty: whoever the proxy lets through is believed.
    pub certificate_header: String,
    pub certificate_header_holds: SubjectKind,
    pub address_header: String,
}

impl ReceiverSettings {
    /// Whether nobody can deliver who has not shown who he is, to this process or to the proxy.
    pub fn is_authenticated(&self) -> bool {
        let by_certificate = !self.tls.client_authorities.is_empty() && self.tls.client_required;
        by_certificate || !self.proxy.trusted.is_empty()
    }
}

/// The first contradiction among these settings, with the setting it is in.
pub(super) fn mistake(receiver: &ReceiverSettings) -> Option<String> {
    let found = tls_mistake(receiver).or_else(|| proxy_mistake(receiver));
    found.map(|(setting, what)| format!("receiver.{setting}: {what}"))
}

type Mistake = (&'static str, &'static str);

fn tls_mistake(receiver: &ReceiverSettings) -> Option<Mistake> {
    let (tls, proxy) = (&receiver.tls, &receiver.proxy);
    let names_nobody = tls.client_subjects.is_empty() && tls.client_pins.is_empty();
    let has_authorities = !tls.client_authorities.is_empty();
    if tls.certificate.is_empty() != tls.private_key.is_empty() {
        return Some(("tls", "certificate and private_key belong together"));
    }
    if has_authorities && !tls.is_used() {
        let what = "client certificates are asked for over TLS only: tls.certificate is empty";
        return Some(("tls.client_authorities", what));
    }
    if has_authorities && names_nobody {
        let what = "a certificate authority alone is no authentication, for others get their \
                    certificates there as well: name the sender in tls.client_subjects or tls.client_pins";
        return Some(("tls.client_authorities", what));
    }
    if !has_authorities && !tls.client_pins.is_empty() {
        let what = "nothing looks at them without tls.client_authorities";
        return Some(("tls.client_pins", what));
    }
    if !has_authorities && !tls.client_subjects.is_empty() && proxy.certificate_header.is_empty() {
        let what =
            "nothing looks at them without tls.client_authorities or proxy.certificate_header";
        return Some(("tls.client_subjects", what));
    }
    if !has_authorities && !tls.client_revocations.is_empty() {
        let what = "nothing looks at them without tls.client_authorities";
        return Some(("tls.client_revocations", what));
    }
    None
}

fn proxy_mistake(receiver: &ReceiverSettings) -> Option<Mistake> {
    let (subjects, proxy) = (&receiver.tls.client_subjects, &receiver.proxy);
    if proxy.trusted.iter().any(Network::is_everybody) {
        let what = "a network of every address trusts everybody";
        return Some(("proxy.trusted", what));
    }
    for (setting, header) in [
        ("proxy.certificate_header", &proxy.certificate_header),
        ("proxy.address_header", &proxy.address_header),
    ] {
        // Some proxies and servers read `_` as `-`: a name with it would be two.
        if !header
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'-')
        {
            return Some((setting, "a header's name has letters, digits and - only"));
        }
    }
    if proxy.certificate_header.is_empty() {
        return None;
    }
    if proxy.trusted.is_empty() {
        let what = "nobody's header is believed: proxy.trusted is empty";
        return Some(("proxy.certificate_header", what));
    }
    let holds = proxy.certificate_header_holds;
    let is_named = subjects.iter().any(|subject| subject.kind() == holds);
    let what = "no entry of tls.client_subjects is of the kind that \
                proxy.certificate_header_holds says";
    (!is_named).then_some(("proxy.certificate_header", what))
}
