//! Networks as a contract writes them: `10.0.0.0/8`, or one address.

use std::net::IpAddr;

use hook_core::catalog::Fault;
use ipnet::IpNet;

/// Parses a list of networks; every entry that is none becomes a fault at its place.
pub fn parse(pointer: &str, texts: &[String]) -> Result<Vec<IpNet>, Vec<Fault>> {
    let mut faults = Vec::new();
    let mut networks = Vec::new();
    for (index, text) in texts.iter().enumerate() {
        match parse_one(text) {
            Some(network) => networks.push(network),
            None => faults.push(Fault::at(
                &format!("{pointer}/{index}"),
                "this is not a network",
                "write a network such as `10.0.0.0/8` or `fd00::/8`, or one address such as `10.1.2.3`",
            )),
        }
    }
    if faults.is_empty() { Ok(networks) } else { Err(faults) }
}

fn parse_one(text: &str) -> Option<IpNet> {
    text.parse().ok().or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_or_an_address_is_taken_and_anything_else_is_a_fault_at_its_place() {
        let texts = ["10.0.0.0/8", "::1", "10.0.0.0/33", "example.com"].map(String::from);
        assert_eq!(parse("/n", &texts[..2]).unwrap().len(), 2);
        let pointers: Vec<_> = parse("/n", &texts).unwrap_err().into_iter().map(|fault| fault.pointer).collect();
        assert_eq!(pointers, ["/n/2", "/n/3"]);
    }
}
