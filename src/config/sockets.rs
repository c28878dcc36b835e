//! Where we listen and where our own requests leave from: what can be bound, and found by others.

use core::net::SocketAddr;

use crate::config::choices::Listened;
use crate::config::diagnosis::{Diagnosis, Origin};
use crate::config::reader::{Reader, Setting};
use crate::config::sections::{Draft, DraftListener};
use crate::config::{Machine, PortRange, Requests};
use crate::limits::SOCKETS_MAX;
use crate::packet::Transport;

pub(super) fn listeners(reader: &mut Reader, draft: &Draft, machine: &Machine) {
    /// Two more are kept for own requests: IPv4 and IPv6.
    const LISTENERS_MAX: usize = SOCKETS_MAX - 2;
    if draft.listeners.is_empty() {
        let mut diagnosis = Diagnosis::error("there is nothing to listen on", Origin::Default, "")
            .suggest("add a section [[listen]] with address = \"192.0.2.1:5060\"");
        if !draft.msrp.is_empty() {
            "nothing listens for SIP".clone_into(&mut diagnosis.message);
            diagnosis =
                diagnosis.because("every message comes over SIP, and so does every session");
        }
        reader.report(diagnosis);
    }
    if let Some(one) = draft.listeners.get(LISTENERS_MAX) {
        reader.report(Diagnosis::error(
            format!("there are more than {LISTENERS_MAX} listeners"),
            one.at.clone(),
            "one too many",
        ));
    }
    for (index, one) in draft.listeners.iter().enumerate() {
        let Some(address) = &one.address else { continue };
        let earlier = draft.listeners.iter().take(index).filter(|other| share(other, one));
        let earlier = earlier.filter_map(|one| one.address.as_ref());
        if let Some(other) = earlier.into_iter().find(|other| overlap(other.value, address.value)) {
            reader.report(
                Diagnosis::error(
                    format!("{} is listened on twice", address.value),
                    address.origin.clone(),
                    "the second time",
                )
                .beside(&other.origin, "the first time"),
            );
        }
        listener_address(reader, one, address, machine, Named::InVia);
    }
}

/// Where others find the name of a listener.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Named {
    /// In the Via of requests.
    InVia,
    /// In MSRP URIs.
    InUris,
}

impl Named {
    /// What names it, why it must name one, and the usual port.
    const fn words(self) -> (&'static str, &'static str, u16) {
        match self {
            Self::InVia => {
                ("our Via", "must name one address or host where responses find us", 5_060)
            }
            Self::InUris => {
                ("our MSRP URIs", "must name one address or host where clients find us", 2_855)
            }
        }
    }
}

/// Judges the address of a listener and what is advertised for it.
pub(super) fn listener_address(
    reader: &mut Reader,
    one: &DraftListener,
    address: &Setting<SocketAddr>,
    machine: &Machine,
    named: Named,
) {
    let (bearer, purpose, port) = named.words();
    let ip = address.value.ip();
    let at = address.origin.clone();
    if ip.to_canonical() != ip {
        reader.report(
            Diagnosis::error("this is an IPv4 address in IPv6 clothes", at, "not bound as such")
                .because("IPv4 and IPv6 have sockets of their own")
                .suggest(format!("write \"{}:{}\"", ip.to_canonical(), address.value.port())),
        );
    } else if ip.is_multicast() {
        reader.report(Diagnosis::error("nobody can listen here", at, "a multicast address"));
    } else if ip.is_unspecified() {
        if !one.advertises {
            reader.report(
                Diagnosis::error(
                    format!("{} needs an `advertise`", address.value),
                    at,
                    "stands for every address of this machine",
                )
                .because(format!("{bearer} {purpose}"))
                .suggest(format!("advertise = \"roger.example.net:{port}\", as peers reach it")),
            );
        }
    } else if !(machine.owns)(ip) {
        reader.report(
            Diagnosis::warning(format!("this machine does not have the address {ip}"), at, "")
                .because("it cannot be bound unless it appears before the start"),
        );
    }
    if address.value.port() == 0 && !ip.is_loopback() {
        reader.report(
            Diagnosis::warning(
                "port 0 means any free port",
                address.origin.clone(),
                "peers cannot know which",
            )
            .suggest(format!("write a port, usually {port}")),
        );
    }
    if let Some(advertise) = &one.advertise
        && advertise.value.literal().is_some_and(|address| address.ip().is_unspecified())
    {
        reader.report(
            Diagnosis::error(
                match named {
                    Named::InVia => "no response can find this",
                    Named::InUris => "no client can find this",
                },
                advertise.origin.clone(),
                "must be an address or a host of ours",
            )
            .because(match named {
                Named::InVia => "it is what our Via says",
                Named::InUris => "it is what our MSRP URIs say",
            }),
        );
    }
}

/// How SIP is listened for, each once.
pub(super) fn transports(draft: &DraftListener) -> Vec<Transport> {
    let items = &draft.transports.value.items;
    let named = |one: &Transport| items.iter().any(|(item, _)| *item == Listened::Sip(*one));
    [Transport::Udp, Transport::Tcp, Transport::Tls].into_iter().filter(named).collect()
}

/// Whether two listeners need sockets of one kind: ports of datagrams and of connections are apart.
fn share(one: &DraftListener, other: &DraftListener) -> bool {
    let (one, other) = (transports(one), transports(other));
    one.iter().any(|one| other.iter().any(|other| one.is_reliable() == other.is_reliable()))
}

/// Whether two sockets cannot be bound at the same time.
fn overlap(one: SocketAddr, other: SocketAddr) -> bool {
    let wild = one.ip().is_unspecified() || other.ip().is_unspecified();
    one.port() == other.port()
        && one.port() != 0
        && one.is_ipv4() == other.is_ipv4()
        && (wild || one.ip() == other.ip())
}

pub(super) fn requests(reader: &mut Reader, draft: &Draft, workers: usize) -> Option<Requests> {
    let single = &draft.single_port;
    match (&draft.ports, single.value) {
        (Some(ports), false) => {
            own_ports(reader, draft, ports);
            enough_ports(reader, draft, ports, workers);
            Some(Requests::Ports(ports.value))
        }
        (Some(ports), true) => {
            reader.report(
                Diagnosis::error(
                    "own requests leave from the listening port or from a range, not from both",
                    ports.origin.clone(),
                    "means single_port = false",
                )
                .beside(&single.origin, "says the opposite")
                .suggest("leave one of the two out"),
            );
            None
        }
        (None, true) => Some(Requests::SinglePort),
        // The range was not understood, which was reported.
        (None, false) if single.is_default() => None,
        (None, false) => {
            reader.report(
                Diagnosis::error(
                    "own requests have no port to leave from",
                    single.origin.clone(),
                    "needs a range of ports",
                )
                .because("peers and firewalls must know the ports that requests come from")
                .suggest("ports = \"5070-5079\""),
            );
            None
        }
    }
}

fn own_ports(reader: &mut Reader, draft: &Draft, ports: &Setting<PortRange>) {
    let range = ports.value.first..=ports.value.last;
    let taken = draft.listeners.iter().filter_map(|one| one.address.as_ref());
    for listener in taken.filter(|address| range.contains(&address.value.port())) {
        reader.report(
            Diagnosis::error(
                format!("port {} is listened on", listener.value.port()),
                ports.origin.clone(),
                "lies in this range",
            )
            .beside(&listener.origin, "here")
            .because("own requests have a port of their own so that responses come home"),
        );
    }
}

/// IPv4 and IPv6 have ports of their own, so that one range serves both.
fn enough_ports(reader: &mut Reader, draft: &Draft, ports: &Setting<PortRange>, workers: usize) {
    let PortRange { first, last } = ports.value;
    let there = 1 + usize::from(last) - usize::from(first);
    if there >= workers {
        return;
    }
    let has = if there == 1 { "1 port".to_owned() } else { format!("{there} ports") };
    let mut diagnosis = Diagnosis::error(
        format!("{workers} workers need {workers} ports, and this range has {there}"),
        ports.origin.clone(),
        has,
    )
    .beside(&draft.workers.count_origin(), "so many workers")
    .because("each worker has a port of its own, so that responses come home to it");
    let end = usize::from(first).checked_add(workers - 1);
    if let Some(end) = end.and_then(|end| u16::try_from(end).ok()) {
        diagnosis = diagnosis.suggest(format!("ports = \"{first}-{end}\""));
    }
    reader.report(diagnosis);
}
