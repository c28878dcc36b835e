//! Where MSRP is listened for: a port for each worker, which its MSRP URIs name.

use core::net::SocketAddr;
use core::ops::RangeInclusive;

use crate::config::Machine;
use crate::config::diagnosis::Diagnosis;
use crate::config::reader::{Reader, Setting};
use crate::config::relations::remark;
use crate::config::sections::{Draft, DraftListener};
use crate::config::sockets::{self, Named, transports};
use crate::limits::MSRP_HOST_SIZE_MAX;

/// Why there is a port for each worker.
const WHY: &str = "each worker listens for MSRP on a port of its own, which its MSRP URIs name, so that\n\
                   a connection comes to the worker that has the session (RFC 4975 section 5.4)";

/// The ports from that of the first worker on; `None` where they are left to chance, or where there are
/// not so many.
pub(super) fn ports(address: SocketAddr, workers: usize) -> Option<RangeInclusive<u16>> {
    let first = Some(address.port()).filter(|port| *port != 0)?;
    let last = usize::from(first).checked_add(workers.saturating_sub(1))?;
    Some(first..=u16::try_from(last).ok()?)
}

/// Judges the listeners for MSRP.
pub(super) fn listeners(reader: &mut Reader, draft: &Draft, workers: usize, machine: &Machine) {
    for (index, one) in draft.msrp.iter().enumerate() {
        let Some(address) = &one.address else { continue };
        sockets::listener_address(reader, one, address, machine, Named::InUris);
        let others = || draft.msrp.iter().take(index);
        let alike = others().filter(|other| other.names_msrps() == one.names_msrps());
        let earlier = alike.filter_map(|other| other.address.as_ref());
        let is_alike =
            |other: &&Setting<SocketAddr>| other.value.is_ipv4() == address.value.is_ipv4();
        if let Some(other) = earlier.into_iter().find(is_alike) {
            let family = if address.value.is_ipv4() { "IPv4" } else { "IPv6" };
            let tls = if one.names_msrps() { "TLS and " } else { "" };
            reader.report(
                Diagnosis::error(
                    format!("there is one address for MSRP over {tls}{family}"),
                    address.origin.clone(),
                    "the second one",
                )
                .beside(&other.origin, "the first one")
                .because("the MSRP URIs of a worker name one address of each family"),
            );
            continue;
        }
        if enough_ports(reader, draft, address, workers) {
            nobody_elses(reader, draft, address, workers);
            apart(
                reader,
                draft,
                (others().filter_map(|one| one.address.as_ref()), address),
                workers,
            );
            shown(reader, one, address.value, workers);
        }
        advertised(reader, draft, one, workers);
    }
}

/// Whether each worker has a port.
fn enough_ports(
    reader: &mut Reader,
    draft: &Draft,
    address: &Setting<SocketAddr>,
    workers: usize,
) -> bool {
    let first = address.value.port();
    if first == 0 || ports(address.value, workers).is_some() {
        return true;
    }
    let there = 1 + usize::from(u16::MAX - first);
    let mut diagnosis = Diagnosis::error(
        format!(
            "{workers} workers need {workers} ports for MSRP, and from {first} on there are {there}"
        ),
        address.origin.clone(),
        "the port of the first worker",
    )
    .beside(&draft.workers.count_origin(), "so many workers")
    .because(WHY);
    if let Some(free) = free(draft, address.value, 2_855, workers) {
        diagnosis = diagnosis.suggest(format!("address = \"{free}\""));
    }
    reader.report(diagnosis);
    false
}

/// That no port is one that SIP has. Ports of datagrams are apart.
fn nobody_elses(reader: &mut Reader, draft: &Draft, address: &Setting<SocketAddr>, workers: usize) {
    let Some(other) = taken(draft, address.value, workers) else { return };
    let (port, first) = (other.value.port(), address.value.port());
    let last = ports(address.value, workers).map_or(first, |ports| *ports.end());
    let mut diagnosis = Diagnosis::error(
        format!("port {port} is listened on for SIP over TCP or TLS"),
        address.origin.clone(),
        match workers {
            1 => "for MSRP too".to_owned(),
            _ => format!("MSRP has {first} to {last}"),
        },
    )
    .beside(&other.origin, "here");
    if workers > 1 {
        diagnosis = diagnosis.because(WHY);
    }
    if let Some(free) = free(draft, address.value, port.saturating_add(1), workers) {
        diagnosis = diagnosis.suggest(format!("address = \"{free}\""));
    }
    reader.report(diagnosis);
}

/// That no port is one that MSRP has with TLS or without.
fn apart<'d>(
    reader: &mut Reader,
    draft: &Draft,
    (mut others, address): (impl Iterator<Item = &'d Setting<SocketAddr>>, &Setting<SocketAddr>),
    workers: usize,
) {
    let Some(own) = ports(address.value, workers) else { return };
    let meets = |other: &&Setting<SocketAddr>| {
        let theirs = ports(other.value, workers);
        is_one_host(address.value, other.value)
            && theirs.is_some_and(|it| it.start() <= own.end() && own.start() <= it.end())
    };
    let Some(other) = others.find(meets) else { return };
    let mut diagnosis = Diagnosis::error(
        "MSRP with TLS and without needs ports apart from each other",
        address.origin.clone(),
        match workers {
            1 => format!("port {}", own.start()),
            _ => format!("{} to {}", own.start(), own.end()),
        },
    )
    .beside(&other.origin, "the first one");
    if workers > 1 {
        diagnosis = diagnosis.because(WHY);
    }
    let behind = ports(other.value, workers).and_then(|it| it.end().checked_add(1));
    if let Some(free) = behind.and_then(|from| free(draft, address.value, from, workers)) {
        diagnosis = diagnosis.suggest(format!("address = \"{free}\""));
    }
    reader.report(diagnosis);
}

/// Whether the same ports of two addresses cannot be bound at the same time.
fn is_one_host(one: SocketAddr, other: SocketAddr) -> bool {
    let wild = one.ip().is_unspecified() || other.ip().is_unspecified();
    one.is_ipv4() == other.is_ipv4() && (wild || one.ip() == other.ip())
}

/// The listener of SIP whose port a worker would need.
fn taken(draft: &Draft, address: SocketAddr, workers: usize) -> Option<&Setting<SocketAddr>> {
    let ports = ports(address, workers)?;
    let streams = draft
        .listeners
        .iter()
        .filter(|one| transports(one).iter().any(|transport| transport.is_reliable()));
    streams
        .filter_map(|one| one.address.as_ref())
        .find(|other| ports.contains(&other.value.port()) && is_one_host(address, other.value))
}

/// The same address at the first port from `from` on that leaves all workers theirs.
fn free(draft: &Draft, address: SocketAddr, from: u16, workers: usize) -> Option<SocketAddr> {
    let mut candidate = SocketAddr::new(address.ip(), from);
    loop {
        ports(candidate, workers)?;
        let Some(other) = taken(draft, candidate, workers) else { return Some(candidate) };
        candidate.set_port(other.value.port().checked_add(1)?);
    }
}

/// What MSRP URIs say instead of the address.
fn advertised(reader: &mut Reader, draft: &Draft, one: &DraftListener, workers: usize) {
    let Some(advertise) = &one.advertise else { return };
    let (host, first) = (&advertise.value.host, advertise.value.port);
    if host.len() > MSRP_HOST_SIZE_MAX {
        reader.report(
            Diagnosis::error(
                "this host is too long for an MSRP URI",
                advertise.origin.clone(),
                format!("{} octets, {MSRP_HOST_SIZE_MAX} at most", host.len()),
            )
            .because("every chunk of every message carries it twice"),
        );
    }
    let there = 1 + usize::from(u16::MAX - first);
    if there < workers {
        reader.report(
            Diagnosis::error(
                format!("{workers} workers advertise {workers} ports, and from {first} on there are {there}"),
                advertise.origin.clone(),
                "that of the first worker",
            )
            .beside(&draft.workers.count_origin(), "so many workers")
            .because(WHY),
        );
    }
}

/// Says which ports there are beside the effective address.
fn shown(reader: &mut Reader, one: &DraftListener, address: SocketAddr, workers: usize) {
    let each = match (ports(address, workers), workers) {
        (_, 1) => return,
        (Some(ports), _) => {
            format!("worker 0 at {}, the last one at {}", ports.start(), ports.end())
        }
        (None, _) => "each worker at a port of its own".to_owned(),
    };
    remark(reader, "[[listen]]", one.number, "address", &each);
}
