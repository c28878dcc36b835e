//! Who is at the other end of a flow.

use crate::engine::setup::Peer;
use crate::packet::Endpoint;

/// The peers, found by address.
#[derive(Debug)]
pub(super) struct Peers {
    list: Box<[Peer]>,
    /// Sorted by address and port.
    by_endpoint: Box<[(Endpoint, u8)]>,
    /// Sorted by address; `None` where several peers share it.
    by_ip: Box<[([u8; 16], Option<u8>)]>,
}

impl Peers {
    pub(super) fn new(list: Box<[Peer]>) -> Self {
        let numbers = 0..u8::try_from(list.len()).unwrap_or(u8::MAX);
        let addresses = || {
            list.iter()
                .zip(numbers.clone())
                .flat_map(|(peer, number)| peer.addresses.iter().map(move |at| (*at, number)))
        };
        let mut by_endpoint: Box<[(Endpoint, u8)]> = addresses().collect();
        by_endpoint.sort_unstable();
        let mut by_ip: Box<[([u8; 16], Option<u8>)]> = addresses()
            .map(|(at, number)| {
                let shared = addresses().any(|(other, owner)| other.ip == at.ip && owner != number);
                (at.ip, (!shared).then_some(number))
            })
            .collect();
        by_ip.sort_unstable();
        Self { list, by_endpoint, by_ip }
    }

    /// The peer with this address and port, else the only peer with this address.
    pub(super) fn of(&self, source: Endpoint) -> Option<u8> {
        self.at(source).or_else(|| {
            let found = self.by_ip.binary_search_by(|(ip, _)| ip.cmp(&source.ip)).ok()?;
            self.by_ip[found].1
        })
    }

    /// The peer with exactly this address and port.
    pub(super) fn at(&self, endpoint: Endpoint) -> Option<u8> {
        let found = self.by_endpoint.binary_search_by(|(at, _)| at.cmp(&endpoint)).ok()?;
        Some(self.by_endpoint[found].1)
    }

    /// What IM-side peers have behind this host name.
    pub(super) fn named(&self, host: &[u8], port: u16) -> impl Iterator<Item = Endpoint> {
        let hosts = self.list.iter().filter(|peer| peer.im).flat_map(|peer| &peer.hosts);
        hosts
            .filter(move |at| at.port == port && at.name.as_bytes().eq_ignore_ascii_case(host))
            .map(|at| at.endpoint)
    }

    /// What is configured about a peer.
    pub(super) fn get(&self, number: u8) -> &Peer {
        &self.list[usize::from(number)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::delivery::Role;
    use crate::engine::setup::Host;
    use std::net::SocketAddr;

    fn peer(name: &str, addresses: &[&str]) -> Peer {
        Peer {
            sms: true,
            im: true,
            addresses: addresses.iter().map(|text| endpoint(text)).collect(),
            hosts: Box::new([
                Host { name: "Im.Example".into(), port: 5060, endpoint: endpoint(addresses[0]) },
                Host { name: "b.example".into(), port: 5060, endpoint: endpoint("10.0.0.9:5060") },
            ]),
            ..Peer::new(name, Role::Proxy)
        }
    }

    fn endpoint(text: &str) -> Endpoint {
        Endpoint::from(text.parse::<SocketAddr>().unwrap())
    }

    #[test]
    fn the_port_decides_where_an_address_is_shared() {
        let list = [
            peer("a", &["10.0.0.1:5060"]),
            peer("b", &["10.0.0.2:5060", "10.0.0.2:5070"]),
            peer("c", &["10.0.0.1:5070"]),
        ];
        let peers = Peers::new(Box::new(list));
        assert_eq!(peers.of(endpoint("10.0.0.1:5060")), Some(0));
        assert_eq!(peers.of(endpoint("10.0.0.1:5070")), Some(2));
        assert_eq!(peers.of(endpoint("10.0.0.1:9999")), None);
        assert_eq!(peers.of(endpoint("10.0.0.2:9999")), Some(1));
        assert_eq!(peers.of(endpoint("10.0.0.3:5060")), None);
        assert_eq!(peers.at(endpoint("10.0.0.2:9999")), None);
    }

    #[test]
    fn names_are_compared_without_case_and_with_their_port() {
        let peers = Peers::new(Box::new([peer("a", &["10.0.0.1:5060"])]));
        let named = |host: &[u8], port| peers.named(host, port).collect::<Vec<_>>();
        assert_eq!(named(b"im.example", 5060), [endpoint("10.0.0.1:5060")]);
        assert_eq!(named(b"B.example", 5060), [endpoint("10.0.0.9:5060")], "each its own");
        assert!(named(b"im.example", 5061).is_empty());
    }
}
