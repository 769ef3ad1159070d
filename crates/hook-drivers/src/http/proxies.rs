//! Who really sent a request that came through a proxy.

use std::net::{IpAddr, SocketAddr};

use http::{HeaderMap, header::FORWARDED};
use ipnet::IpNet;

/// The address of the sender: the peer, or behind trusted proxies the right-most address that no trusted proxy has.
///
/// A proxy overwrites one of the two headers and may pass the other on as the client wrote it. Where both are there and
/// disagree, neither is believed: the sender is counted as the proxy itself.
pub(super) fn client_address(peer: IpAddr, headers: &HeaderMap, trusted: &[IpNet]) -> IpAddr {
    let peer = peer.to_canonical();
    let is_trusted = |address: &IpAddr| trusted.iter().any(|network| network.contains(address));
    if !is_trusted(&peer) {
        return peer;
    }
    let walk = |chain: Vec<Option<IpAddr>>| right_most_untrusted(peer, chain, is_trusted);
    match (x_forwarded_for(headers), forwarded(headers)) {
        (None, None) => peer,
        (Some(chain), None) | (None, Some(chain)) => walk(chain),
        (Some(one), Some(other)) => {
            let (one, other) = (walk(one), walk(other));
            if one == other { one } else { peer }
        }
    }
}

/// Walks from the nearest hop outwards. A hop that cannot be read ends the walk at the last one that could.
fn right_most_untrusted(peer: IpAddr, chain: Vec<Option<IpAddr>>, is_trusted: impl Fn(&IpAddr) -> bool) -> IpAddr {
    let mut nearest = peer;
    for hop in chain.into_iter().rev() {
        let Some(address) = hop else { return nearest };
        nearest = address;
        if !is_trusted(&address) {
            return address;
        }
    }
    nearest
}

fn x_forwarded_for(headers: &HeaderMap) -> Option<Vec<Option<IpAddr>>> {
    hops(headers, "x-forwarded-for", parse_node)
}

/// RFC 7239, section 4: the `for` parameter of every element.
fn forwarded(headers: &HeaderMap) -> Option<Vec<Option<IpAddr>>> {
    hops(headers, FORWARDED.as_str(), |element| {
        let node = element.split(';').find_map(|pair| {
            let (name, value) = pair.trim().split_once('=')?;
            name.eq_ignore_ascii_case("for").then_some(value)
        })?;
        parse_node(node.trim().trim_matches('"'))
    })
}

fn hops(headers: &HeaderMap, name: &str, parse: impl Fn(&str) -> Option<IpAddr>) -> Option<Vec<Option<IpAddr>>> {
    let mut chain = Vec::new();
    for line in headers.get_all(name) {
        match line.to_str() {
            Ok(text) => chain.extend(text.split(',').map(|element| parse(element.trim()))),
            Err(_) => chain.push(None),
        }
    }
    (!chain.is_empty()).then_some(chain)
}

/// An address, with or without brackets and port.
fn parse_node(text: &str) -> Option<IpAddr> {
    let address = text
        .parse::<IpAddr>()
        .or_else(|_| text.parse::<SocketAddr>().map(|node| node.ip()))
        .or_else(|_| text.trim_start_matches('[').trim_end_matches(']').parse());
    address.ok().map(|address| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(peer: &str, headers: &[(&'static str, &'static str)], expected: &str) {
        let trusted: Vec<IpNet> = vec!["10.0.0.0/8".parse().unwrap(), "fd00::/8".parse().unwrap()];
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, value.parse().unwrap());
        }
        let address = client_address(peer.parse().unwrap(), &map, &trusted);
        assert_eq!(address, expected.parse::<IpAddr>().unwrap(), "{peer} {headers:?}");
    }

    #[test]
    fn a_peer_that_is_no_trusted_proxy_is_the_sender_whatever_it_writes() {
        check("9.9.9.9", &[("x-forwarded-for", "1.1.1.1")], "9.9.9.9");
        check("9.9.9.9", &[("forwarded", "for=1.1.1.1")], "9.9.9.9");
    }

    #[test]
    fn the_right_most_untrusted_address_is_the_sender() {
        check("10.0.0.1", &[], "10.0.0.1");
        check("10.0.0.1", &[("x-forwarded-for", "1.1.1.1")], "1.1.1.1");
        check("10.0.0.1", &[("x-forwarded-for", "6.6.6.6, 1.1.1.1, 10.0.0.2")], "1.1.1.1");
        check("10.0.0.1", &[("x-forwarded-for", "6.6.6.6"), ("x-forwarded-for", "1.1.1.1")], "1.1.1.1");
        check("10.0.0.1", &[("x-forwarded-for", "10.0.0.3, 10.0.0.2")], "10.0.0.3");
        check("::ffff:10.0.0.1", &[("x-forwarded-for", "1.1.1.1:4711")], "1.1.1.1");
        check("10.0.0.1", &[("x-forwarded-for", "[2001:db8::1]:80")], "2001:db8::1");
        check("fd00::1", &[("forwarded", "for=6.6.6.6;proto=https, For=\"[2001:db8::1]:80\"")], "2001:db8::1");
    }

    #[test]
    fn an_unreadable_hop_ends_the_walk() {
        check("10.0.0.1", &[("x-forwarded-for", "1.1.1.1, unknown, 10.0.0.2")], "10.0.0.2");
        check("10.0.0.1", &[("x-forwarded-for", "")], "10.0.0.1");
        check("10.0.0.1", &[("forwarded", "for=_hidden")], "10.0.0.1");
        check("10.0.0.1", &[("forwarded", "proto=https")], "10.0.0.1");
    }

    #[test]
    fn two_headers_that_disagree_are_not_believed() {
        check("10.0.0.1", &[("x-forwarded-for", "1.1.1.1"), ("forwarded", "for=1.1.1.1")], "1.1.1.1");
        check("10.0.0.1", &[("x-forwarded-for", "1.1.1.1"), ("forwarded", "for=2.2.2.2")], "10.0.0.1");
    }
}
