//! How octets are carried: what is listened for, and how peers are reached and told apart.

use core::net::{IpAddr, SocketAddr};
use std::collections::BTreeMap;

use crate::config::choices::Listened;
use crate::config::diagnosis::Diagnosis;
use crate::config::places::{PlaceAt, peer_name};
use crate::config::reader::{Reader, place};
use crate::config::sections::{Draft, DraftListener, DraftPeer};
use crate::config::sockets::transports;
use crate::packet::Transport;

/// Judges what listeners and peers say about it.
pub(super) fn judge(reader: &mut Reader, draft: &Draft, places: &[Vec<PlaceAt>]) {
    for listener in draft.listeners.iter().chain(&draft.msrp) {
        listened_for(reader, listener);
    }
    for (peer, places) in draft.peers.iter().zip(places) {
        reachable(reader, draft, peer, places);
    }
    told_apart(reader, draft, places);
    let (all, per_source) = (&draft.connections, &draft.per_source);
    if all.sound && per_source.sound && per_source.value.0 > all.value.0 {
        reader.report(
            Diagnosis::error(
                "connections_per_source counts some of the connections, so it cannot be more",
                per_source.origin.clone(),
                format!("{} > {}", per_source.value.0, all.value.0),
            )
            .beside(&all.origin, "of each worker"),
        );
    }
}

fn listened_for(reader: &mut Reader, listener: &DraftListener) {
    let setting = &listener.transports;
    if !setting.sound {
        return;
    }
    let named = transports(listener);
    let items = &setting.value.items;
    let has_msrp = listener.names_msrp();
    let has_msrps = listener.names_msrps();
    let msrp = if has_msrps { "msrps" } else { "msrp" };
    let is_mixed = has_msrps && items.iter().any(|(item, _)| *item == Listened::Msrp);
    if has_msrp && !named.is_empty() || is_mixed {
        reader.report(
            Diagnosis::error(
                "MSRP needs an address of its own",
                setting.origin.clone(),
                if named.is_empty() {
                    "`msrps` beside `msrp`".to_owned()
                } else {
                    format!("`{msrp}` beside a transport of SIP")
                },
            )
            .because(if named.is_empty() {
                "what arrives at one port is encrypted or it is not"
            } else {
                "what arrives at one port is SIP or MSRP"
            })
            .suggest(format!(
                "add a section [[listen]] with transports = [\"{msrp}\"], usually at port 2855"
            )),
        );
    } else if named.is_empty() && !has_msrp {
        reader.report(
            Diagnosis::error(
                "a listener needs a transport",
                setting.origin.clone(),
                "nothing is listened for",
            )
            .suggest("transports = [\"udp\", \"tcp\"]"),
        );
    } else if named.len() + usize::from(has_msrp) < items.len() {
        let again = items.last().and_then(|(_, at)| at.as_ref());
        reader.report(Diagnosis::error(
            "a transport is listed twice",
            place(again, &setting.origin),
            "once is enough",
        ));
    } else if named.len() > 1 && named.contains(&Transport::Tls) {
        reader.report(
            Diagnosis::error(
                "TLS needs an address of its own",
                setting.origin.clone(),
                "`tls` beside another transport",
            )
            .because("what arrives at one port is encrypted or it is not (RFC 3261 section 26.2.1)")
            .suggest("add a section [[listen]] with transports = [\"tls\"], usually at port 5061"),
        );
    } else if named == [Transport::Udp] || named == [Transport::Tcp] {
        reader.report(
            Diagnosis::warning(
                "this address speaks one of UDP and TCP only",
                setting.origin.clone(),
                "not both",
            )
            .because(
                "RFC 3261 section 18 asks for both: a peer sends what is longer than 1300 octets\n\
                 over TCP, and may go back to UDP",
            ),
        );
    }
}

/// Requests leave from a socket of their transport and address family.
fn reachable(reader: &mut Reader, draft: &Draft, peer: &DraftPeer, places: &[PlaceAt]) {
    let setting = &peer.transport;
    let has = |address: &SocketAddr| {
        draft.listeners.iter().any(|listener| {
            // What was not understood may be the one that is needed.
            let family = listener
                .address
                .as_ref()
                .is_none_or(|bound| bound.value.ip().to_canonical().is_ipv4() == address.is_ipv4());
            let named = transports(listener);
            let is_clear = listener.transports.sound && !named.is_empty();
            family && (!is_clear || named.contains(&setting.value))
        })
    };
    if draft.listeners.is_empty() {
        return;
    }
    let addresses = places.iter().flat_map(|one| one.place.addresses.iter().map(move |a| (one, a)));
    for (at, address) in addresses {
        if has(address) {
            continue;
        }
        let (family, wildcard) =
            if address.is_ipv4() { ("IPv4", "0.0.0.0") } else { ("IPv6", "[::]") };
        let (name, upper) = match setting.value {
            Transport::Udp => ("udp", "UDP"),
            Transport::Tcp => ("tcp", "TCP"),
            Transport::Tls => ("tls", "TLS"),
        };
        let mut diagnosis = Diagnosis::error(
            format!("`{}` needs {upper} over {family}, and no listener has it", at.place.written),
            if setting.is_default() { at.at.clone() } else { setting.origin.clone() },
            format!("{upper} only"),
        );
        if !setting.is_default() {
            diagnosis = diagnosis.beside(&at.at, "its address");
        }
        reader.report(
            diagnosis
                .because(
                    "our requests to it leave from the socket of a listener, whose name they bear",
                )
                .suggest(if setting.value == Transport::Tls {
                    format!(
                        "add a section [[listen]] with address = \"{wildcard}:5061\" and\n\
                         transports = [\"tls\"]",
                    )
                } else {
                    format!("add \"{name}\" to the transports of a listener with {family}")
                }),
        );
        // Once for a peer: what is true of one of its addresses is true of its family.
        return;
    }
}

/// A connection that a peer has opened comes from any port, so that its address must say whose it is.
fn told_apart(reader: &mut Reader, draft: &Draft, places: &[Vec<PlaceAt>]) {
    let mut first: BTreeMap<IpAddr, (usize, &PlaceAt)> = BTreeMap::new();
    let all = places.iter().enumerate().flat_map(|(n, all)| all.iter().map(move |at| (n, at)));
    for (number, at) in all {
        for address in &at.place.addresses {
            let (other, its) = *first.entry(address.ip()).or_insert((number, at));
            if other == number {
                continue;
            }
            let streams = [other, number].into_iter().filter_map(|number| draft.peers.get(number));
            let streams = streams.filter(|peer| peer.transport.value.is_reliable()).count();
            if streams == 0 {
                // Datagrams come from the port that is written, as they did before.
                continue;
            }
            let names = (peer_name(draft, other), peer_name(draft, number));
            reader.report(
                Diagnosis::warning(
                    format!("connections from {} are of nobody", address.ip()),
                    at.at.clone(),
                    format!("shares it with {}", names.0),
                )
                .beside(&its.at, "the first one")
                .because(format!(
                    "a connection that a peer opens comes from any port, so that only its address\n\
                     says whose it is, and this one is of {} and {}: what arrives on\n\
                     connections that we have opened is taken, everything else is a stranger's",
                    names.0, names.1,
                ))
                .suggest("give one of them another address"),
            );
        }
    }
}
