//! Who a request comes from, where a proxy may stand in front.

use std::net::{IpAddr, SocketAddr};

use actix_web::http::header::{HeaderMap, HeaderValue};

use super::Peer;
use super::refusals;
use crate::settings::{ClientSubject, ProxySettings, ReceiverSettings};

/// What is believed of whom.
pub struct Admission {
    subjects: Vec<ClientSubject>,
    proxy: ProxySettings,
}

impl Admission {
    pub fn new(settings: &ReceiverSettings) -> Self {
        Self {
            subjects: settings.tls.client_subjects.clone(),
            proxy: settings.proxy.clone(),
        }
    }

    /// Who delivers, or why this is refused. A header counts from the proxy only: anybody can write
    /// one.
    pub fn admit(&self, peer: &Peer, headers: &HeaderMap) -> Result<String, &'static str> {
        let address = peer.address.map(|address| address.ip().to_canonical());
        if address.is_some_and(|address| self.is_proxy(address)) {
            return match self.proxy.certificate_header.is_empty() {
                true => Ok(shown(self.last_hop(headers).or(address))),
                // Also if the proxy has a certificate of its own: it says nothing of the sender.
                false => self.subject(headers),
            };
        }
        match &peer.certificate {
            Some(certificate) => Ok(certificate.clone()),
            None if self.proxy.trusted.is_empty() => Ok(shown(address)),
            None => Err(refusals::UNTRUSTED),
        }
    }

    fn is_proxy(&self, address: IpAddr) -> bool {
        let mut trusted = self.proxy.trusted.iter();
        trusted.any(|network| network.contains(address))
    }

    /// The subject that the proxy tells. Two headers are none: one of them may be the sender's own.
    fn subject(&self, headers: &HeaderMap) -> Result<String, &'static str> {
        let mut values = headers.get_all(&self.proxy.certificate_header);
        let (Some(value), None) = (values.next(), values.next()) else {
            return Err(refusals::NO_HEADER);
        };
        let holds = self.proxy.certificate_header_holds;
        let subject = self.subjects.iter().find(|subject| {
            subject.kind() == holds && subject.name().as_bytes() == value.as_bytes()
        });
        let subject = subject.ok_or(refusals::SUBJECT)?;
        Ok(subject.to_string())
    }

    /// The address that the proxy has appended; what stands before it the sender may have written.
    fn last_hop(&self, headers: &HeaderMap) -> Option<IpAddr> {
        if self.proxy.address_header.is_empty() {
            return None;
        }
        let last = headers.get_all(&self.proxy.address_header).next_back();
        let (_, last) = last
            .map(HeaderValue::to_str)?
            .map(|value| value.rsplit_once(',').unwrap_or(("", value)))
            .ok()?;
        let last = last.trim();
        let address = last.parse::<IpAddr>().ok();
        address.or_else(|| Some(last.parse::<SocketAddr>().ok()?.ip()))
    }
}

fn shown(address: Option<IpAddr>) -> String {
    address.map_or_else(|| "unknown".to_owned(), |address| address.to_string())
}
