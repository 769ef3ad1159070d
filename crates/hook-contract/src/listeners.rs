//! No two things listen on one address.

use std::{net::SocketAddr, ops::Range};

use hook_core::problem::codes;

use crate::{
    Check,
    plan::IngressAdapter,
    read::{Written, find},
};

struct Claim {
    who: String,
    address: SocketAddr,
    span: Range<usize>,
}

/// Finds claims of active ingress adapters and of the admin address that collide.
pub(crate) fn collisions(check: &mut Check<'_, '_>, written: &Written<'_>, adapters: &[IngressAdapter]) {
    let mut claims: Vec<Claim> = Vec::new();
    for adapter in adapters {
        let span = find(&written.ingress, adapter.id.as_str()).map_or(0..0, |item| item.node.span_of("bind"));
        let who = format!("ingress adapter `{}`", adapter.id);
        let own = adapter.driver.claims().into_iter();
        claims.extend(own.map(|claim| Claim { who: who.clone(), address: claim.address, span: span.clone() }));
    }
    if let Some(admin) = written.root.get("admin") {
        claims.push(Claim { who: "[admin]".into(), address: written.admin.bind, span: admin.span_of("bind") });
    }
    claims.sort_by_key(|claim| claim.span.start);
    for (index, second) in claims.iter().enumerate() {
        if let Some(first) = claims[..index].iter().find(|first| collide(first.address, second.address)) {
            let message = format!("{} and {} both listen on {}", first.who, second.who, second.address);
            let help = "give one of them another port; port 0 takes a free one";
            check.findings.error(&codes::LISTENERS_COLLIDE, second.span.clone(), message, help);
        }
    }
}

fn collide(first: SocketAddr, second: SocketAddr) -> bool {
    let (first_ip, second_ip) = (first.ip().to_canonical(), second.ip().to_canonical());
    let is_same_address = match (first_ip, second_ip) {
        (first, second) if first == second => true,
        // `::` takes IPv4 as well, where the system does as it comes.
        (std::net::IpAddr::V6(all), _) | (_, std::net::IpAddr::V6(all)) if all.is_unspecified() => true,
        (first, second) => first.is_ipv4() == second.is_ipv4() && (first.is_unspecified() || second.is_unspecified()),
    };
    first.port() != 0 && first.port() == second.port() && is_same_address
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_collides_with_itself_and_with_all_addresses() {
        let collides = |first: &str, second: &str| {
            let (first, second) = (first.parse().unwrap(), second.parse().unwrap());
            assert_eq!(collide(first, second), collide(second, first), "{first} {second}");
            collide(first, second)
        };
        assert!(collides("127.0.0.1:80", "127.0.0.1:80"));
        assert!(collides("0.0.0.0:80", "127.0.0.1:80"));
        assert!(collides("[::]:80", "127.0.0.1:80"));
        assert!(collides("[::]:80", "[::1]:80"));
        assert!(collides("[::ffff:127.0.0.1]:80", "127.0.0.1:80"));
        assert!(!collides("127.0.0.1:80", "127.0.0.1:81"));
        assert!(!collides("127.0.0.1:80", "127.0.0.2:80"));
        assert!(!collides("0.0.0.0:80", "[::1]:80"));
        assert!(!collides("127.0.0.1:0", "127.0.0.1:0"));
    }
}
