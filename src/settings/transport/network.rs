//! Networks of addresses, as CIDR writes them.

use std::net::IpAddr;

use serde::Deserialize;

/// `10.1.0.0/16`, `fd00::/8`, or one address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Network {
    address: IpAddr,
    prefix: u32,
}

impl Network {
    /// Whether an address is in it. An IPv4 address written as IPv6 counts as what it is.
    pub fn contains(&self, address: IpAddr) -> bool {
        let (ours, theirs) = (bits(self.address), bits(address.to_canonical()));
        self.address.is_ipv4() == address.to_canonical().is_ipv4()
            && under(ours, self.prefix) == under(theirs, self.prefix)
    }

    /// Whether there is nothing outside of it.
    pub fn is_everybody(&self) -> bool {
        self.prefix == 0
    }
}

/// The address from the left.
fn bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => u128::from(address.to_bits()) << 96,
        IpAddr::V6(address) => address.to_bits(),
    }
}

fn under(bits: u128, prefix: u32) -> u128 {
    // A shift by all 128 bits does not exist.
    bits & u128::MAX.checked_shl(128 - prefix).unwrap_or(0)
}

impl TryFrom<String> for Network {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let wrong = "a network is an address with a prefix: 10.1.0.0/16";
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (&*text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| wrong)?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        let prefix = match prefix {
            Some(prefix) => prefix.parse().map_err(|_| wrong)?,
            None => most,
        };
        if prefix > most {
            return Err(wrong);
        }
        if under(bits(address), prefix) != bits(address) {
            return Err("the network's address has bits beyond its prefix");
        }
        // Senders are compared as what they are: so is a network of IPv4 that is written as IPv6.
        match (address, address.to_canonical()) {
            (IpAddr::V6(_), address @ IpAddr::V4(_)) => {
                let prefix = prefix.checked_sub(96).ok_or(wrong)?;
                Ok(Self { address, prefix })
            }
            (address, _) => Ok(Self { address, prefix }),
        }
    }
}
