//! Who listens where: addresses that are shared by path, and those that collide.

use std::{net::SocketAddr, ops::Range};

use hook_core::{ports::ingress::AddressClaim, problem::codes};

use crate::{
    Check,
    plan::{EgressAdapter, IngressAdapter},
    read::{Item, Written, find},
    written::AdapterHead,
};

struct Claim {
    /// Which of the ingress adapters; `None` for those that share no address: destinations, and `[admin]`.
    adapter: Option<usize>,
    who: String,
    claim: AddressClaim,
    /// Whether it names no address of its own.
    is_guest: bool,
    /// Whether destinations connect to it.
    is_destination: bool,
    span: Range<usize>,
}

/// Finds claims of active adapters and of the admin address that collide, and notes which adapters share the address of which.
pub(crate) fn share(
    check: &mut Check<'_, '_>,
    written: &Written<'_>,
    adapters: &mut [IngressAdapter],
    egress: &[EgressAdapter],
) {
    let mut claims = claims(written, adapters, egress);
    settle(check, &mut claims);
    for (index, second) in claims.iter().enumerate() {
        let colliding = claims[..index].iter().find_map(|first| Some((first, collide_at(first, second)?)));
        let Some((first, address)) = colliding else { continue };
        if let (Some(host), Some(guest)) = (first.adapter, second.adapter)
            && first.claim.address == second.claim.address
            && !first.claim.overlaps(&second.claim)
        {
            let host = adapters[host].beside.clone().unwrap_or_else(|| adapters[host].id.clone());
            adapters[guest].beside = Some(host);
            continue;
        }
        let message = format!("{} and {} both listen on {address}", first.who, second.who);
        let help = match first.claim.address == second.claim.address && first.adapter.and(second.adapter).is_some() {
            true => "give one of them another path, such as one that begins in another way, or another port",
            false if first.is_destination || second.is_destination => {
                "an address to which destinations connect is shared with nobody: give one of them another port"
            }
            false => "give one of them another port; port 0 takes a free one",
        };
        check.findings.error(&codes::LISTENERS_COLLIDE, second.span.clone(), message, help);
    }
    share_tls(check, written, adapters);
}

/// Adapters of one address have one TLS: who leaves it out has that of the others.
fn share_tls(check: &mut Check<'_, '_>, written: &Written<'_>, adapters: &mut [IngressAdapter]) {
    for host in 0..adapters.len() {
        let id = adapters[host].id.clone();
        let members: Vec<usize> = (0..adapters.len())
            .filter(|&member| member == host || adapters[member].beside.as_ref() == Some(&id))
            .collect();
        let Some(&first) = members.iter().find(|&&member| adapters[member].tls.is_some()) else { continue };
        let shared = adapters[first].tls.clone();
        for &member in &members {
            if adapters[member].tls.as_ref().is_some_and(|own| Some(own) != shared.as_ref()) {
                let (one, other) = (&adapters[first].id, &adapters[member].id);
                let message =
                    format!("ingress adapters `{one}` and `{other}` share an address, and their `tls` differs");
                let help =
                    format!("write the same in both, or leave `tls` out of `{other}`: it has that of `{one}` then");
                let span = find(&written.ingress, other.as_str()).map_or(0..0, |item| item.node.span_of("tls"));
                check.findings.error(&codes::LISTENERS_COLLIDE, span, message, help);
            }
            adapters[member].tls.clone_from(&shared);
        }
    }
}

/// In the order in which the contract has them.
fn claims(written: &Written<'_>, ingress: &[IngressAdapter], egress: &[EgressAdapter]) -> Vec<Claim> {
    let mut claims = Vec::new();
    for (index, adapter) in ingress.iter().enumerate() {
        let span = span(&written.ingress, adapter.id.as_str());
        let who = format!("ingress adapter `{}`", adapter.id);
        let own = adapter.driver.claims().into_iter();
        claims.extend(own.map(|claim| Claim {
            adapter: Some(index),
            who: who.clone(),
            is_guest: claim.address.is_none(),
            is_destination: false,
            claim,
            span: span.clone(),
        }));
    }
    for adapter in egress {
        let span = span(&written.egress, adapter.id.as_str());
        let who = format!("egress adapter `{}`", adapter.id);
        let own = adapter.driver.claims().into_iter();
        claims.extend(own.map(|claim| Claim {
            adapter: None,
            who: who.clone(),
            is_guest: false,
            is_destination: true,
            claim,
            span: span.clone(),
        }));
    }
    if let Some(admin) = written.root.get("admin") {
        let claim = AddressClaim { address: Some(written.admin.bind), path: String::new() };
        let span = admin.span_of("bind");
        claims.push(Claim {
            adapter: None,
            who: "[admin]".into(),
            claim,
            is_guest: false,
            is_destination: false,
            span,
        });
    }
    claims.sort_by_key(|claim| claim.span.start);
    claims
}

fn span(items: &[Item<'_, AdapterHead>], id: &str) -> Range<usize> {
    find(items, id).map_or(0..0, |item| {
        let key = if item.node.get("bind").is_some() { "bind" } else { "driver" };
        item.node.span_of(key)
    })
}

/// Gives those that name no address the only one that they can mean. They come behind it then.
fn settle(check: &mut Check<'_, '_>, claims: &mut Vec<Claim>) {
    let hosts = || claims.iter().filter(|claim| claim.adapter.is_some() && !claim.claim.path.is_empty());
    let mut addresses: Vec<SocketAddr> = hosts().filter_map(|host| host.claim.address).collect();
    let listening = addresses.len();
    addresses.dedup();
    let only = match addresses[..] {
        // Each of two that ask for a free port gets one of its own.
        [only] if only.port() != 0 || listening == 1 => Some(only),
        _ => None,
    };
    let (mut settled, homeless): (Vec<_>, Vec<_>) =
        std::mem::take(claims).into_iter().partition(|claim| claim.claim.address.is_some());
    for mut claim in homeless {
        if only.is_none() {
            let message = match listening {
                0 => format!("{} has no `bind`, and no other adapter listens", claim.who),
                _ => format!("{} has no `bind`, and {listening} others listen on addresses of their own", claim.who),
            };
            let help = "write the address to listen on, such as `bind = \"127.0.0.1:8080\"`";
            check.findings.error(&codes::NO_ADDRESS, claim.span, message, help);
            continue;
        }
        claim.claim.address = only;
        settled.push(claim);
    }
    *claims = settled;
}

/// The address that two want.
fn collide_at(first: &Claim, second: &Claim) -> Option<SocketAddr> {
    let (one, two) = (first.claim.address?, second.claim.address?);
    (collide(one, two) || (second.is_guest && one == two)).then_some(two)
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
