//! Which addresses are public: those that mean the same machine wherever they are called from; and
//! which are of private networks.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::settings::Reach;

/// Where clouds hand a machine its own credentials (IMDS), although these are private addresses.
const METADATA: [Ipv6Addr; 2] = [
    Ipv6Addr::new(0xfd00, 0x0ec2, 0, 0, 0, 0, 0, 0x0254),
    Ipv6Addr::new(0xfd20, 0x00ce, 0, 0, 0, 0, 0, 0x0254),
];

/// Whether an address may be called.
pub(super) fn is_within(reach: Reach, address: IpAddr) -> bool {
    match reach {
        Reach::Anywhere => true,
        Reach::Public => is_public(address),
        Reach::PublicOrPrivate => is_public(address) || is_private(address),
    }
}

/// Whether an address is one of a private network (RFC 1918, RFC 4193).
fn is_private(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => address.is_private(),
        IpAddr::V6(address) => address.is_unique_local() && !METADATA.contains(&address),
    }
}

/// Whether an address is public. What is reserved for anything else counts as private.
fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let is_reserved = match address.octets() {
        [0 | 127 | 240..=255, ..] => true,
        // Between a provider and its customers (RFC 6598), for protocols, and for measurements.
        [100, 64..=127, ..] | [192, 0, 0, _] | [198, 18 | 19, ..] => true,
        _ => false,
    };
    !is_reserved
        && !address.is_private()
        && !address.is_link_local()
        && !address.is_multicast()
        && !address.is_documentation()
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    match address.segments() {
        // An address of IPv4 in the form that a network without IPv4 gives it (RFC 6052).
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => {
            is_public_v4(Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low)))
        }
        // Tunnels that hold another address, and documentation.
        [0x2001, 0 | 0x0db8, ..] | [0x2002, ..] | [0x3fff, ..] => false,
        [first, ..] => first & 0xe000 == 0x2000,
    }
}
