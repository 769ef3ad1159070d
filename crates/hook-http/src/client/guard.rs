//! The guard against requests into places that the contract did not mean (server-side request forgery).
//!
//! It looks at addresses, not at names, and at the moment of connecting: a name that resolved to a public address when it
//! was checked may resolve to a private one when it is used.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use thiserror::Error;

/// Where clouds hand out credentials to whoever asks from the right machine. Never a destination of events.
const METADATA: [IpAddr; 10] = [
    v4(169, 254, 169, 254), // most clouds
    v4(169, 254, 170, 2),   // AWS, tasks
    v4(169, 254, 170, 23),  // AWS, pods
    v4(100, 100, 100, 200), // Alibaba Cloud
    v4(168, 63, 129, 16),   // Azure
    v4(192, 0, 0, 192),     // Oracle Cloud
    v6([0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254]),
    v6([0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x23]),
    v6([0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254]),
    v6([0xfe80, 0, 0, 0, 0, 0, 0xa9fe, 0xa9fe]),
];

/// IPv4 networks that are not of the public internet (IANA special-purpose registry).
const SPECIAL_V4: [(Ipv4Addr, u8); 16] = [
    (Ipv4Addr::new(0, 0, 0, 0), 8),
    (Ipv4Addr::new(10, 0, 0, 0), 8),
    (Ipv4Addr::new(100, 64, 0, 0), 10),
    (Ipv4Addr::new(127, 0, 0, 0), 8),
    (Ipv4Addr::new(169, 254, 0, 0), 16),
    (Ipv4Addr::new(172, 16, 0, 0), 12),
    (Ipv4Addr::new(192, 0, 0, 0), 24),
    (Ipv4Addr::new(192, 0, 2, 0), 24),
    (Ipv4Addr::new(192, 88, 99, 0), 24),
    (Ipv4Addr::new(192, 168, 0, 0), 16),
    (Ipv4Addr::new(198, 18, 0, 0), 15),
    (Ipv4Addr::new(198, 51, 100, 0), 24),
    (Ipv4Addr::new(203, 0, 113, 0), 24),
    (Ipv4Addr::new(224, 0, 0, 0), 4),
    (Ipv4Addr::new(240, 0, 0, 0), 4),
    (Ipv4Addr::new(168, 63, 129, 16), 32),
];

/// IPv6 networks that are not of the public internet (IANA special-purpose registry).
const SPECIAL_V6: [(Ipv6Addr, u8); 11] = [
    (Ipv6Addr::UNSPECIFIED, 96), // unspecified, loopback, and the deprecated IPv4-compatible addresses
    (Ipv6Addr::new(0x64, 0xff9b, 1, 0, 0, 0, 0, 0), 48),
    (Ipv6Addr::new(0x100, 0, 0, 0, 0, 0, 0, 0), 64),
    (Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0), 23), // protocol assignments, Teredo, ORCHID, benchmarking
    (Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0), 32),
    (Ipv6Addr::new(0x3fff, 0, 0, 0, 0, 0, 0, 0), 20),
    (Ipv6Addr::new(0x5f00, 0, 0, 0, 0, 0, 0, 0), 16),
    (Ipv6Addr::new(0xfc00, 0, 0, 0, 0, 0, 0, 0), 7),
    (Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0), 10),
    (Ipv6Addr::new(0xfec0, 0, 0, 0, 0, 0, 0, 0), 10),
    (Ipv6Addr::new(0xff00, 0, 0, 0, 0, 0, 0, 0), 8),
];

const fn v4(a: u8, b: u8, c: u8, d: u8) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(a, b, c, d))
}

const fn v6(segments: [u16; 8]) -> IpAddr {
    let [a, b, c, d, e, f, g, h] = segments;
    IpAddr::V6(Ipv6Addr::new(a, b, c, d, e, f, g, h))
}

/// Why an address is not connected to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Forbidden {
    /// It is not of the public internet, and the contract does not permit it.
    #[error("the name resolves to {0}, which is not a public address; allow_networks can permit it")]
    Private(IpAddr),
    /// It hands out credentials.
    #[error("the name resolves to {0}, a cloud metadata address, which is never reached")]
    Metadata(IpAddr),
}

/// Whether an address, or the IPv4 address that it carries, hands out a machine's credentials.
pub(super) fn is_metadata(address: IpAddr) -> bool {
    METADATA.contains(&address) || METADATA.contains(&carried(address))
}

fn is_special(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => {
            SPECIAL_V4.iter().any(|&(network, prefix)| Ipv4Net::new_assert(network, prefix).contains(&address))
        }
        IpAddr::V6(address) => {
            SPECIAL_V6.iter().any(|&(network, prefix)| Ipv6Net::new_assert(network, prefix).contains(&address))
        }
    }
}

/// The IPv4 address inside an IPv6 address, where a translator on the way would use it: IPv4-mapped (RFC 4291),
/// IPv4-compatible (RFC 4291), NAT64 (RFC 6052) and 6to4 (RFC 3056). Otherwise the address itself.
fn carried(address: IpAddr) -> IpAddr {
    let IpAddr::V6(v6) = address else { return address };
    let join = |high: u16, low: u16| IpAddr::V4(Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low)));
    match v6.segments() {
        [0, 0, 0, 0, 0, 0xffff, high, low] => join(high, low),
        [0, 0, 0, 0, 0, 0, high, low] if high != 0 => join(high, low),
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => join(high, low),
        [0x2002, high, low, ..] => join(high, low),
        _ => address,
    }
}

/// Resolves names to the addresses that may be connected to.
#[derive(Debug, Clone, Default)]
pub struct Guard {
    allowed: Vec<IpNet>,
    allows_localhost: bool,
}

impl Guard {
    /// A guard that permits these networks, and `localhost` to be this machine where the contract's URL names it.
    pub fn new(allowed: Vec<IpNet>, allows_localhost: bool) -> Self {
        Self { allowed, allows_localhost }
    }

    /// Whether a name may lead to this address.
    fn admit(&self, name: &str, address: IpAddr) -> Result<(), Forbidden> {
        let carried = carried(address);
        if is_metadata(address) {
            return Err(Forbidden::Metadata(carried));
        }
        let is_allowed = self.allowed.iter().any(|network| network.contains(&address) || network.contains(&carried));
        let is_localhost = self.allows_localhost && name == "localhost" && carried.is_loopback();
        if is_allowed || is_localhost || !(is_special(address) || is_special(carried)) {
            return Ok(());
        }
        Err(Forbidden::Private(carried))
    }

    /// The addresses that may be connected to; where there is none, why.
    fn filter(&self, name: &str, addresses: impl Iterator<Item = SocketAddr>) -> Result<Vec<SocketAddr>, Forbidden> {
        let mut admitted = Vec::new();
        let mut forbidden = None;
        for address in addresses {
            match self.admit(name, address.ip()) {
                Ok(()) => admitted.push(address),
                Err(reason) => forbidden = Some(reason),
            }
        }
        match forbidden {
            Some(reason) if admitted.is_empty() => Err(reason),
            _ => Ok(admitted),
        }
    }
}

impl Resolve for Guard {
    fn resolve(&self, name: Name) -> Resolving {
        let guard = self.clone();
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let admitted = guard.filter(name.as_str(), found)?;
            if admitted.is_empty() {
                return Err(io::Error::new(io::ErrorKind::NotFound, "the name has no address").into());
            }
            Ok(Box::new(admitted.into_iter()) as Addrs)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admit(guard: &Guard, name: &str, address: &str) -> Result<(), Forbidden> {
        guard.admit(name, address.parse().unwrap())
    }

    #[test]
    fn public_addresses_are_admitted() {
        let guard = Guard::default();
        for address in ["1.1.1.1", "140.82.112.3", "172.32.0.1", "100.128.0.1", "2606:4700::1111", "64:ff9b::101:101"] {
            assert_eq!(admit(&guard, "example.com", address), Ok(()), "{address}");
        }
    }

    #[test]
    fn addresses_that_are_not_public_are_not_admitted() {
        let guard = Guard::default();
        for address in [
            "0.0.0.0",
            "10.1.2.3",
            "100.64.0.1",
            "127.0.0.1",
            "127.8.8.8",
            "169.254.1.1",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.1",
            "192.0.2.1",
            "192.168.1.1",
            "198.18.0.1",
            "198.51.100.1",
            "203.0.113.1",
            "224.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::7f00:1",
            "::ffff:10.0.0.1",
            "::ffff:127.0.0.1",
            "64:ff9b::a00:1",
            "64:ff9b:1::1",
            "100::1",
            "2001::1",
            "2001:db8::1",
            "2002:a00:1::1",
            "2002:7f00:1::",
            "3fff::1",
            "fc00::1",
            "fdff::1",
            "fe80::1",
            "fec0::1",
            "ff02::1",
        ] {
            assert!(matches!(admit(&guard, "example.com", address), Err(Forbidden::Private(_))), "{address}");
        }
    }

    #[test]
    fn metadata_addresses_are_not_admitted_even_where_everything_is_allowed() {
        let guard = Guard::new(vec!["0.0.0.0/0".parse().unwrap(), "::/0".parse().unwrap()], true);
        assert_eq!(admit(&guard, "example.com", "10.0.0.1"), Ok(()));
        for address in [
            "169.254.169.254",
            "169.254.170.2",
            "169.254.170.23",
            "100.100.100.200",
            "168.63.129.16",
            "192.0.0.192",
            "fd00:ec2::254",
            "fd00:ec2::23",
            "fd20:ce::254",
            "fe80::a9fe:a9fe",
            "::ffff:169.254.169.254",
            "::ffff:100.100.100.200",
            "64:ff9b::a9fe:a9fe",
            "2002:a9fe:a9fe::1",
            "::a9fe:a9fe",
        ] {
            assert!(matches!(admit(&guard, "localhost", address), Err(Forbidden::Metadata(_))), "{address}");
            assert!(is_metadata(address.parse().unwrap()), "{address}");
        }
    }

    #[test]
    fn a_network_that_is_allowed_is_admitted_in_every_spelling_and_no_other_is() {
        let guard = Guard::new(vec!["10.0.0.0/8".parse().unwrap()], false);
        for address in ["10.1.2.3", "::ffff:10.1.2.3"] {
            assert_eq!(admit(&guard, "example.com", address), Ok(()), "{address}");
        }
        assert!(admit(&guard, "example.com", "192.168.1.1").is_err());
    }

    #[test]
    fn localhost_is_this_machine_only_where_the_contract_writes_it() {
        let written = Guard::new(Vec::new(), true);
        assert_eq!(admit(&written, "localhost", "127.0.0.1"), Ok(()));
        assert_eq!(admit(&written, "localhost", "::1"), Ok(()));
        assert!(admit(&written, "localhost", "10.0.0.1").is_err());
        assert!(admit(&written, "example.com", "127.0.0.1").is_err());
        assert!(admit(&Guard::default(), "localhost", "127.0.0.1").is_err());
    }

    #[test]
    fn a_name_with_one_public_address_is_reached_there_only() {
        let addresses = ["10.0.0.1:0", "1.1.1.1:0"].map(|text| text.parse().unwrap());
        let guard = Guard::default();
        assert_eq!(guard.filter("example.com", addresses.into_iter()), Ok(vec!["1.1.1.1:0".parse().unwrap()]));
        assert!(guard.filter("example.com", addresses.into_iter().take(1)).is_err());
    }
}
