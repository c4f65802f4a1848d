//! Addresses of the other side: what is one, and which are on this machine.

use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

pub(super) const PLAIN_HTTP: &str = "http://";
pub(super) const NOT_AN_ADDRESS: &str =
    "not an address: https://HOST/PATH, without user, query and fragment";

/// The host of a well-formed address over http or https.
pub(super) fn host_of(url: &str) -> Option<&str> {
    let rest = ["https://", PLAIN_HTTP]
        .iter()
        .find_map(|scheme| url.strip_prefix(scheme))?;
    let authority = rest.split('/').next()?;
    let (host, port) = match authority.strip_prefix('[') {
        Some(bracketed) => bracketed.split_once(']')?,
        None => authority.split_at(authority.find(':').unwrap_or(authority.len())),
    };
    let is_port = match port.strip_prefix(':') {
        Some(digits) => digits.parse::<u16>().is_ok(),
        None => port.is_empty(),
    };
    (is_port && !host.is_empty()).then_some(host)
}

pub(super) fn is_loopback(host: &str) -> bool {
    let address = host.parse::<std::net::IpAddr>();
    address.map_or(host == "localhost", |address| address.is_loopback())
}

/// Whether a host is a name that everybody can look up: no number in any of its forms, no name of this
/// machine or of its neighbours, and no dot at the end, behind which it would be another one.
pub(super) fn is_public_name(host: &str) -> bool {
    let mut labels = host.rsplit('.');
    let last = labels.next().unwrap_or_default();
    // No number has a last part that begins with a letter, and no domain one that does not.
    last.starts_with(|first: char| first.is_ascii_alphabetic())
        && !last.eq_ignore_ascii_case("localhost")
        && host.contains('.')
        && !host.contains(':')
        && labels.all(|label| !label.is_empty())
}

/// An address to call: a user, a query or a fragment in it is a mistake, and so is what is not plain
/// visible ASCII.
fn is_address(url: &str) -> bool {
    host_of(url).is_some()
        && url.bytes().all(|byte| byte.is_ascii_graphic())
        && !url.contains(['?', '#', '@', '\\', '"', '<', '>'])
}

/// An address, or empty text where there is none.
pub(super) fn address_or_none<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<String, D::Error> {
    let url = String::deserialize(deserializer)?;
    match url.is_empty() || is_address(&url) {
        true => Ok(url),
        false => Err(D::Error::custom(NOT_AN_ADDRESS)),
    }
}

/// The same for an address that paths are appended to.
pub(super) fn base_address_or_none<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<String, D::Error> {
    let url = address_or_none(deserializer)?;
    Ok(url.trim_end_matches('/').to_owned())
}
