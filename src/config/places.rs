//! Where peers are: what their names resolve to, and that each address is of one peer and not ours.

use core::net::{IpAddr, SocketAddr};
use core::ops::Range;
use std::collections::BTreeMap;

use crate::config::diagnosis::{Diagnosis, Origin};
use crate::config::msrp;
use crate::config::reader::{Reader, Setting, place};
use crate::config::relations::remark;
use crate::config::sections::Draft;
use crate::config::value::Several;
use crate::config::{HostPort, Machine, Names, Place};
use crate::limits::PEER_ADDRESSES_MAX;

/// A place of a peer and where in the file it stands.
#[derive(Clone, Debug)]
pub(super) struct PlaceAt {
    pub(super) place: Place,
    pub(super) at: Origin,
}

pub(super) fn resolve(
    reader: &mut Reader,
    draft: &Draft,
    names: &mut dyn Names,
) -> Vec<Vec<PlaceAt>> {
    let listening = |v4: bool| {
        let mut addresses = draft.listeners.iter().map(|one| one.address.as_ref());
        // A listener that was not understood may be the one of this family.
        draft.listeners.is_empty()
            || addresses.any(|address| {
                address.is_none_or(|one| one.value.ip().to_canonical().is_ipv4() == v4)
            })
    };
    let families = (listening(true), listening(false));
    draft
        .peers
        .iter()
        .enumerate()
        .map(|(number, peer)| match &peer.addresses {
            Some(written) => {
                let resolved: Vec<PlaceAt> = written
                    .value
                    .items
                    .iter()
                    .filter_map(|(host_port, at)| {
                        resolve_one(reader, (host_port, at.as_ref()), written, names, families)
                    })
                    .collect();
                if written.value.items.is_empty() && written.sound {
                    reader.report(Diagnosis::error(
                        "a peer has at least one address",
                        written.origin.clone(),
                        "none",
                    ));
                }
                remark_resolved(reader, number, &resolved);
                count_addresses(reader, written, &resolved);
                resolved
            }
            None => Vec::new(),
        })
        .collect()
}

fn resolve_one(
    reader: &mut Reader,
    (written, at): (&HostPort, Option<&Range<usize>>),
    setting: &Setting<Several<HostPort>>,
    names: &mut dyn Names,
    (v4, v6): (bool, bool),
) -> Option<PlaceAt> {
    let at = place(at, &setting.origin);
    let usable = |address: &SocketAddr| if address.is_ipv4() { v4 } else { v6 };
    let mut addresses = match written.literal() {
        Some(address) => Vec::from([address]),
        None => match names.resolve(&written.host, written.port) {
            Ok(addresses) => addresses,
            Err(error) => {
                let message = format!("`{}` does not resolve", written.host);
                reader.report(
                    Diagnosis::error(message, at, error)
                        .because("names are resolved once, at the start")
                        .of_surroundings(),
                );
                return None;
            }
        },
    };
    for address in &mut addresses {
        address.set_ip(address.ip().to_canonical());
    }
    addresses.sort_unstable();
    addresses.dedup();
    if let Some(wrong) = addresses.iter().find(|one| !is_somebody(one.ip())) {
        let message = format!("nobody has the address {}", wrong.ip());
        reader.report(Diagnosis::error(message, at, "not the address of a host"));
        return None;
    }
    if !addresses.iter().any(usable) {
        let family = if addresses.iter().any(SocketAddr::is_ipv4) { "IPv4" } else { "IPv6" };
        let wildcard = if family == "IPv4" { "0.0.0.0" } else { "[::]" };
        reader.report(
            Diagnosis::error(
                format!("`{written}` needs {family}, and no listener has it"),
                at,
                format!("{family} only"),
            )
            .because("what comes from there could not arrive, and nothing could be sent there")
            .suggest(format!("add a section [[listen]] with address = \"{wildcard}:5060\"")),
        );
        return None;
    }
    addresses.retain(usable);
    Some(PlaceAt { place: Place { written: written.clone(), addresses }, at })
}

fn is_somebody(ip: IpAddr) -> bool {
    let broadcast = IpAddr::V4(core::net::Ipv4Addr::BROADCAST);
    !ip.is_unspecified() && !ip.is_multicast() && ip != broadcast
}

fn remark_resolved(reader: &mut Reader, number: usize, places: &[PlaceAt]) {
    let names = places.iter().filter(|one| one.place.written.literal().is_none());
    let resolved: Vec<String> =
        names.flat_map(|one| one.place.addresses.iter().map(ToString::to_string)).collect();
    if !resolved.is_empty() {
        let resolved = format!("resolves to {}", resolved.join(", "));
        remark(reader, "[[peer]]", number, "address", &resolved);
    }
}

fn count_addresses(reader: &mut Reader, written: &Setting<Several<HostPort>>, places: &[PlaceAt]) {
    let count: usize = places.iter().map(|one| one.place.addresses.len()).sum();
    if count > PEER_ADDRESSES_MAX {
        reader.report(Diagnosis::error(
            format!("a peer has at most {PEER_ADDRESSES_MAX} addresses"),
            written.origin.clone(),
            format!("these are {count}"),
        ));
    }
}

pub(super) fn addresses_are_unique(reader: &mut Reader, draft: &Draft, places: &[Vec<PlaceAt>]) {
    let mut first: BTreeMap<SocketAddr, (usize, &Origin)> = BTreeMap::new();
    for (number, place) in
        places.iter().enumerate().flat_map(|(n, all)| all.iter().map(move |p| (n, p)))
    {
        for address in &place.place.addresses {
            let Some((other, at)) = first.get(address) else {
                first.insert(*address, (number, &place.at));
                continue;
            };
            let diagnosis = if *other == number {
                Diagnosis::error(
                    format!("{address} is listed twice"),
                    place.at.clone(),
                    "the second time",
                )
            } else {
                let names = (peer_name(draft, *other), peer_name(draft, number));
                Diagnosis::error(
                    format!("{address} belongs to two peers: {} and {}", names.0, names.1),
                    place.at.clone(),
                    "the second one",
                )
                .because("what comes from there must be of one of them")
            };
            reader.report(diagnosis.beside(at, "the first one"));
        }
    }
}

pub(super) fn peer_name(draft: &Draft, number: usize) -> String {
    let name = draft.peers.get(number).and_then(|peer| peer.name.as_ref());
    name.map_or_else(|| format!("number {}", number + 1), |name| format!("`{}`", name.value.0))
}

pub(super) fn nobody_is_us(
    reader: &mut Reader,
    draft: &Draft,
    places: &[Vec<PlaceAt>],
    machine: &Machine,
) {
    let workers = draft.workers.count();
    let sip = draft.listeners.iter().map(|listener| (listener, 1));
    for (listener, workers) in sip.chain(draft.msrp.iter().map(|listener| (listener, workers))) {
        let Some(bound) = &listener.address else { continue };
        let ports = msrp::ports(bound.value, workers);
        let is_us = |address: &SocketAddr| {
            let wild = bound.value.ip().is_unspecified()
                && bound.value.is_ipv4() == address.is_ipv4()
                && (address.ip().is_loopback() || (machine.owns)(address.ip()));
            ports.as_ref().is_some_and(|ports| ports.contains(&address.port()))
                && (wild || address.ip() == bound.value.ip())
        };
        let advertised = listener.advertise.as_ref().map(|advertise| &advertise.value);
        for place in places.iter().flatten() {
            let ours = place.place.addresses.iter().any(is_us)
                || advertised.is_some_and(|advertised| *advertised == place.place.written);
            if ours {
                let message = format!("the peer at `{}` is this process", place.place.written);
                reader.report(
                    Diagnosis::error(message, place.at.clone(), "ourselves")
                        .beside(&bound.origin, "we listen here")
                        .because("a message would be sent round in circles"),
                );
            }
        }
    }
}
