//! What settings must not say together, or to this machine; and the [`Config`] that remains.

use core::net::{IpAddr, SocketAddr};
use core::ops::Range;
use std::collections::BTreeMap;

use crate::config::diagnosis::{Diagnosis, Origin};
use crate::config::reader::{Reader, Setting, place};
use crate::config::sections::{Draft, DraftListener, DraftPeer};
use crate::config::surroundings::{Machine, Names};
use crate::config::value::{Millis, nearest};
use crate::config::{
    Capacity, Config, Cpus, HostPort, Listener, Peer, PeerSide, Place, Polling, Requests, Sources,
    Timers, Workers, peering,
};
use crate::delivery::{Mapping, Role};
use crate::engine::{Content, Credentials, Recipient};
use crate::limits::{
    DATAGRAM_SIZE_MAX, PEER_ADDRESSES_MAX, PEERS_MAX, REMEMBERED_SIZE, SOCKETS_MAX,
};

/// Judges the draft as a whole.
pub(super) fn settle(
    reader: &mut Reader,
    draft: &Draft,
    sources: Sources<'_>,
    names: &mut dyn Names,
) -> Option<Config> {
    let machine = sources.machine;
    let cpu = cpu(reader, draft, machine);
    listeners(reader, draft, machine);
    let requests = requests(reader, draft);
    timers(reader, draft);
    capacity(reader, draft, machine);
    sides(reader, draft);
    names_are_unique(reader, &draft.peers);
    let places = resolve(reader, draft, names);
    addresses_are_unique(reader, draft, &places);
    nobody_is_us(reader, draft, &places, machine);
    let outbound_proxies = outbound_proxies(reader, draft);
    let gateway = peering::gateway(reader, draft);
    let terms: Vec<Terms> =
        draft.peers.iter().map(|peer| Terms::of(reader, draft, peer, sources)).collect();
    Some(Config {
        node: u8::try_from(draft.node.value.0).ok()?,
        workers: Workers { cpu, driver: draft.driver.value, polling: draft.polling.value },
        listeners: draft.listeners.iter().map(listener).collect::<Option<_>>()?,
        requests: requests?,
        peers: draft.peers.iter().zip(places).zip(terms).map(peer).collect::<Option<_>>()?,
        outbound_proxies,
        gateway: gateway?,
        timers: Timers {
            t1_ms: draft.timers.t1.value.0,
            t2_ms: draft.timers.t2.value.0,
            sync_deadline_ms: draft.timers.sync_deadline.value.0,
            drain_announce_ms: draft.timers.drain_announce.value.0,
            drain_timeout_ms: draft.timers.drain_timeout.value.0,
        },
        capacity: Capacity {
            rate: draft.rate.value.0,
            open: draft.open.value.0,
            open_large: draft.open_large.value.0,
        },
        strangers: draft.strangers.value,
        status_socket: draft.status_socket.as_ref().map(|socket| socket.value.clone()),
        warnings: Vec::new(),
        effective: Vec::new(),
    })
}

fn listener(draft: &DraftListener) -> Option<Listener> {
    let advertise = draft.advertise.as_ref().map(|advertise| advertise.value.clone());
    Some(Listener { address: draft.address.as_ref()?.value, advertise })
}

/// What was judged of a peer by itself.
struct Terms {
    mapping: Mapping,
    credentials: Option<Credentials>,
}

impl Terms {
    fn of(reader: &mut Reader, draft: &Draft, peer: &DraftPeer, sources: Sources<'_>) -> Self {
        peering::peer(reader, draft, peer);
        let mapping = peering::mapping(reader, peer, sources);
        Self { mapping, credentials: peering::credentials(reader, peer) }
    }
}

fn peer(((draft, places), terms): ((&DraftPeer, Vec<PlaceAt>), Terms)) -> Option<Peer> {
    let side = draft.side.as_ref()?.value;
    let value = |truth: &Option<Setting<bool>>| truth.as_ref().is_some_and(|truth| truth.value);
    Some(Peer {
        name: draft.name.as_ref()?.value.0.clone(),
        side,
        role: draft.role.as_ref().map_or(Role::Proxy, |role| role.value),
        trusted: draft.trusted.value,
        places: places.into_iter().map(|at| at.place).collect(),
        mapping: terms.mapping,
        sync_deadline_ms: draft.sync_deadline.as_ref().map(|deadline| deadline.value.0),
        recipient: draft.recipient.as_ref().map_or(Recipient::CalledParty, |one| one.value),
        route: draft.route.as_ref().map(|route| route.value.header_field_value()),
        content: draft.content.as_ref().map_or(Content::Text, |content| content.value),
        ack_accepted: value(&draft.ack_accepted),
        credentials: terms.credentials,
    })
}

fn cpu(reader: &mut Reader, draft: &Draft, machine: &Machine) -> Option<usize> {
    if draft.polling.value == Polling::Spin && machine.cpus.len() == 1 {
        reader.report(
            Diagnosis::warning(
                "the worker spins on the only CPU",
                draft.polling.origin.clone(),
                "leaves nothing to anybody else",
            )
            .suggest("polling = \"adaptive\""),
        );
    }
    let Cpus::Set(cpus) = &draft.cpus.value else { return None };
    let [cpu] = cpus.as_slice() else {
        reader.report(
            Diagnosis::error(
                format!("{} CPUs are listed, and there is one worker", cpus.len()),
                draft.cpus.origin.clone(),
                "must be one CPU",
            )
            .because("a message has its home on one worker, and there is one")
            .suggest(format!("cpus = \"{}\"", cpus.last().copied().unwrap_or(0))),
        );
        return None;
    };
    if !machine.cpus.is_empty() && !machine.cpus.contains(cpu) {
        let usable: Vec<String> = machine.cpus.iter().map(ToString::to_string).collect();
        reader.report(
            Diagnosis::error(
                format!("this process cannot run on CPU {cpu}"),
                draft.cpus.origin.clone(),
                "not there, or not allowed",
            )
            .suggest(format!("CPUs that it can run on: {}", usable.join(", "))),
        );
    }
    Some(*cpu)
}

fn listeners(reader: &mut Reader, draft: &Draft, machine: &Machine) {
    /// Two more are kept for own requests: IPv4 and IPv6.
    const LISTENERS_MAX: usize = SOCKETS_MAX - 2;
    if draft.listeners.is_empty() {
        reader.report(
            Diagnosis::error("there is nothing to listen on", Origin::Default, "")
                .suggest("add a section [[listen]] with address = \"192.0.2.1:5060\""),
        );
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
        let earlier = draft.listeners.iter().take(index).filter_map(|one| one.address.as_ref());
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
        listener_address(reader, one, address, machine);
    }
}

fn listener_address(
    reader: &mut Reader,
    one: &DraftListener,
    address: &Setting<SocketAddr>,
    machine: &Machine,
) {
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
                .because("our Via must name one address or host where responses find us")
                .suggest("advertise = \"roger.example.net:5060\", as peers reach it"),
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
            .suggest("write a port, usually 5060"),
        );
    }
    if let Some(advertise) = &one.advertise
        && advertise.value.literal().is_some_and(|address| address.ip().is_unspecified())
    {
        reader.report(
            Diagnosis::error(
                "no response can find this",
                advertise.origin.clone(),
                "must be an address or a host of ours",
            )
            .because("it is what our Via says"),
        );
    }
}

/// Whether two sockets cannot be bound at the same time.
fn overlap(one: SocketAddr, other: SocketAddr) -> bool {
    let wild = one.ip().is_unspecified() || other.ip().is_unspecified();
    one.port() == other.port()
        && one.port() != 0
        && one.is_ipv4() == other.is_ipv4()
        && (wild || one.ip() == other.ip())
}

fn requests(reader: &mut Reader, draft: &Draft) -> Option<Requests> {
    let single = &draft.single_port;
    match (&draft.ports, single.value) {
        (Some(ports), false) => {
            own_ports(reader, draft, ports);
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

fn own_ports(reader: &mut Reader, draft: &Draft, ports: &Setting<crate::config::PortRange>) {
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

fn timers(reader: &mut Reader, draft: &Draft) {
    let timers = &draft.timers;
    let (t1, t2) = (timers.t1.value.0, timers.t2.value.0);
    if t2 < t1 && timers.t1.sound && timers.t2.sound {
        let both = (timers.t1.value, timers.t2.value);
        reader.report(
            Diagnosis::error(
                "T2 must not be shorter than T1",
                either(&timers.t2, &timers.t1),
                format!("T2 = {} < T1 = {}", both.1, both.0),
            )
            .because("T1 is the first interval between retransmissions and T2 the longest"),
        );
    }
    sync_deadline(reader, draft);
    drain(reader, draft);
}

fn sync_deadline(reader: &mut Reader, draft: &Draft) {
    judge_deadline(reader, &draft.timers.t1, &draft.timers.sync_deadline);
}

/// The bounds of a deadline, of a peer or of all.
pub(super) fn judge_deadline(
    reader: &mut Reader,
    t1: &Setting<Millis>,
    deadline: &Setting<Millis>,
) {
    if !t1.sound || !deadline.sound {
        return;
    }
    let at = either(deadline, t1);
    let (timer_f, trying) = (Millis(64 * t1.value.0), Millis(7 * t1.value.0));
    if deadline.value >= timer_f {
        reader.report(
            Diagnosis::error(
                "sync_deadline must be shorter than timer F",
                at,
                format!("{} >= {timer_f} (64*T1)", deadline.value),
            )
            .because(
                "after 64*T1 the sender has given up (RFC 3261 section 17.1.2.2), so that a\n\
                 verdict would reach nobody",
            )
            .suggest(format!("sync_deadline = \"{}\"", Millis(56 * t1.value.0))),
        );
    } else if deadline.value <= trying {
        reader.report(
            Diagnosis::error(
                "sync_deadline must be longer than 7*T1",
                at,
                format!("{} <= {trying} (7*T1)", deadline.value),
            )
            .because(
                "until then an answer is still normal (RFC 4320 section 4.1), so that slow\n\
                 deliveries would end as unknown",
            )
            .suggest(format!("sync_deadline = \"{}\"", Millis(56 * t1.value.0))),
        );
    }
}

fn drain(reader: &mut Reader, draft: &Draft) {
    let timers = &draft.timers;
    let (announce, timeout) = (&timers.drain_announce, &timers.drain_timeout);
    if !announce.sound || !timeout.sound {
        return;
    }
    let last = Millis(announce.value.0.saturating_add(64 * timers.t1.value.0));
    if timeout.value <= announce.value {
        reader.report(
            Diagnosis::error(
                "drain_timeout must be longer than drain_announce",
                either(timeout, announce),
                format!("{} <= {}", timeout.value, announce.value),
            )
            .because("both run from the signal, and messages are accepted until drain_announce"),
        );
    } else if timeout.value < last && timers.t1.sound {
        reader.report(
            Diagnosis::warning(
                "a drain may end before the last message has",
                either(timeout, announce),
                format!("{} < {last} (drain_announce + 64*T1)", timeout.value),
            )
            .because("messages that are open then end as unknown, without a report"),
        );
    }
}

/// Where to point when two settings disagree: at the one that somebody wrote.
fn either<T, U>(one: &Setting<T>, other: &Setting<U>) -> Origin {
    if one.is_default() { other.origin.clone() } else { one.origin.clone() }
}

fn capacity(reader: &mut Reader, draft: &Draft, machine: &Machine) {
    /// A record, its stored request and its share of the tables.
    const OPEN_SIZE: u64 = 2_560;
    /// One finished transaction.
    const FINISHED_SIZE: u64 = 32;
    let (rate, open, large) = (&draft.rate, &draft.open, &draft.open_large);
    if !rate.sound || !open.sound || !large.sound || !draft.timers.t1.sound {
        return;
    }
    if large.value.0 > open.value.0 {
        reader.report(Diagnosis::error(
            "open_large counts some of the open messages, so it cannot be more",
            either(large, open),
            format!("{} > {}", large.value.0, open.value.0),
        ));
    }
    let finished = u64::from(rate.value.0) * 64 * u64::from(draft.timers.t1.value.0) / 1_000;
    if finished >= u64::from(u32::MAX / 2) {
        reader.report(
            Diagnosis::error(
                format!("{finished} finished transactions cannot be kept"),
                either(rate, &draft.timers.t1),
                "at most 2147483646",
            )
            .because("rate * 64*T1 transactions must stay answerable (RFC 3261 timer J)"),
        );
        return;
    }
    let large_size = u64::try_from(DATAGRAM_SIZE_MAX).unwrap_or(u64::MAX);
    let remembered = u64::from(peering::remembered_max(rate.value.0));
    let remembered_size = u64::try_from(REMEMBERED_SIZE).unwrap_or(u64::MAX);
    let needed = u64::from(open.value.0) * OPEN_SIZE
        + remembered * remembered_size
        + u64::from(large.value.0) * large_size
        + finished * FINISHED_SIZE;
    if machine.memory > 0 && needed > machine.memory / 4 * 3 {
        reader.report(
            Diagnosis::warning(
                format!(
                    "this capacity needs about {} MiB, and the machine has {}",
                    needed >> 20,
                    machine.memory >> 20,
                ),
                if open.is_default() { either(rate, large) } else { open.origin.clone() },
                "all of it is allocated at the start",
            )
            .because(format!(
                "{} open messages, {} of them large, and {finished} finished ones (rate * 64*T1)",
                open.value.0, large.value.0,
            )),
        );
    }
}

fn sides(reader: &mut Reader, draft: &Draft) {
    if let Some(one) = draft.peers.get(PEERS_MAX) {
        let message = format!("there are more than {PEERS_MAX} peers");
        reader.report(Diagnosis::error(message, one.at.clone(), "one too many"));
    }
    // A peer whose side was not understood may be the one that is missing.
    let sides: Option<Vec<PeerSide>> =
        draft.peers.iter().map(|peer| Some(peer.side.as_ref()?.value)).collect();
    let Some(sides) = sides else { return };
    for (what, there, consequence) in [
        ("sms", sides.iter().any(|side| side.is_sms()), "no message would ever be accepted"),
        ("im", sides.iter().any(|side| side.is_im()), "no message could ever be delivered"),
    ] {
        if !there {
            let message = format!("no peer is on the {} side", what.to_uppercase());
            reader.report(
                Diagnosis::error(message, Origin::Default, "")
                    .because(consequence)
                    .suggest(format!("add a section [[peer]] with side = \"{what}\"")),
            );
        }
    }
    for role in draft.peers.iter().filter_map(|peer| peer.role.as_ref()) {
        if !role.value.speaks_for_the_recipient() {
            reader.report(
                Diagnosis::warning(
                    "a 200 from this peer passes unchanged but never proves delivery",
                    role.origin.clone(),
                    "verdict A at best",
                )
                .because("it accepts messages on behalf of recipients who may never get them"),
            );
        }
    }
}

fn names_are_unique(reader: &mut Reader, peers: &[DraftPeer]) {
    let mut first: BTreeMap<&str, &Origin> = BTreeMap::new();
    for name in peers.iter().filter_map(|peer| peer.name.as_ref()) {
        if let Some(other) = first.get(name.value.0.as_str()) {
            reader.report(
                Diagnosis::error(
                    format!("two peers are called `{}`", name.value.0),
                    name.origin.clone(),
                    "the second one",
                )
                .beside(other, "the first one"),
            );
        } else {
            first.insert(&name.value.0, &name.origin);
        }
    }
}

/// A place of a peer and where in the file it stands.
#[derive(Clone, Debug)]
struct PlaceAt {
    place: Place,
    at: Origin,
}

fn resolve(reader: &mut Reader, draft: &Draft, names: &mut dyn Names) -> Vec<Vec<PlaceAt>> {
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
    setting: &Setting<crate::config::value::Several<HostPort>>,
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

/// Says more about an effective setting.
pub(super) fn remark(reader: &mut Reader, header: &str, number: usize, key: &str, text: &str) {
    let mut entries = reader.effective.iter_mut();
    let entry = entries.find(|one| one.header == header && one.number == number && one.key == key);
    if let Some(entry) = entry {
        text.clone_into(&mut entry.remark);
    }
}

fn count_addresses(
    reader: &mut Reader,
    written: &Setting<crate::config::value::Several<HostPort>>,
    places: &[PlaceAt],
) {
    let count: usize = places.iter().map(|one| one.place.addresses.len()).sum();
    if count > PEER_ADDRESSES_MAX {
        reader.report(Diagnosis::error(
            format!("a peer has at most {PEER_ADDRESSES_MAX} addresses"),
            written.origin.clone(),
            format!("these are {count}"),
        ));
    }
}

fn addresses_are_unique(reader: &mut Reader, draft: &Draft, places: &[Vec<PlaceAt>]) {
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

fn peer_name(draft: &Draft, number: usize) -> String {
    let name = draft.peers.get(number).and_then(|peer| peer.name.as_ref());
    name.map_or_else(|| format!("number {}", number + 1), |name| format!("`{}`", name.value.0))
}

fn nobody_is_us(reader: &mut Reader, draft: &Draft, places: &[Vec<PlaceAt>], machine: &Machine) {
    for listener in &draft.listeners {
        let Some(bound) = &listener.address else { continue };
        let is_us = |address: &SocketAddr| {
            let wild = bound.value.ip().is_unspecified()
                && bound.value.is_ipv4() == address.is_ipv4()
                && (address.ip().is_loopback() || (machine.owns)(address.ip()));
            address.port() == bound.value.port() && (wild || address.ip() == bound.value.ip())
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

fn outbound_proxies(reader: &mut Reader, draft: &Draft) -> Vec<usize> {
    let setting = &draft.outbound_proxies;
    let named = |peer: &DraftPeer, name: &str| {
        peer.name.as_ref().is_some_and(|setting| setting.value.0 == name)
    };
    let mut proxies = Vec::new();
    for (name, at) in &setting.value.items {
        let at = place(at.as_ref(), &setting.origin);
        let name = name.0.as_str();
        let Some(number) = draft.peers.iter().position(|peer| named(peer, name)) else {
            // A peer whose name was not understood may be the one that is meant.
            if draft.peers.iter().all(|peer| peer.name.is_some()) {
                let names = draft.peers.iter().filter_map(|peer| peer.name.as_ref());
                let near = nearest(name, names.map(|name| name.value.0.as_str()));
                let mut diagnosis =
                    Diagnosis::error(format!("no peer is called `{name}`"), at, "unknown");
                diagnosis.suggestion = near.map(|near| format!("did you mean `{near}`?"));
                reader.report(diagnosis);
            }
            continue;
        };
        let peer = draft.peers.get(number);
        if let Some(side) = peer.and_then(|peer| peer.side.as_ref())
            && !side.value.is_im()
        {
            reader.report(
                Diagnosis::error(
                    format!("`{name}` cannot be an outbound proxy"),
                    at.clone(),
                    "not on the IM side",
                )
                .beside(&side.origin, "its side")
                .because("outbound proxies are where messages go when no Route says otherwise"),
            );
        }
        if proxies.contains(&number) {
            reader.report(Diagnosis::error(format!("`{name}` is listed twice"), at, "again"));
        }
        proxies.push(number);
    }
    proxies
}
