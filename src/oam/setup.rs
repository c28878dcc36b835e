//! From a [`Config`] and the sockets that were bound for it to what the engine is told.

use core::net::SocketAddr;
use std::sync::Arc;

use crossbeam::atomic::AtomicCell;

use crate::config::{Config, HostPort, MsrpTransport, Strangers};
use crate::engine::{self, Families, RequestSockets, Setup, Timers};
use crate::id::WorkerId;
use crate::limits::SUBMISSIONS_MAX;
use crate::oam::identity::Identity;
use crate::packet::{Endpoint, SocketId, Transport};

/// A socket that was bound.
#[derive(Clone, Debug)]
pub(super) struct Local {
    /// How octets are carried to and from it.
    pub(super) transport: Transport,
    /// Where it is bound.
    pub(super) address: SocketAddr,
    /// What our Via says instead, if the configuration says so.
    pub(super) advertise: Option<HostPort>,
    /// Whether our own requests leave from it. Connections of our own leave from the first socket of
    /// their transport and address family, whatever this says.
    pub(super) requests: bool,
}

impl Local {
    /// What our Via says.
    fn sent_by(&self) -> String {
        match &self.advertise {
            Some(advertise) => advertise.to_string(),
            None => self.address.to_string(),
        }
    }
}

/// A socket on which one worker listens for MSRP.
#[derive(Clone, Debug)]
pub(super) struct MsrpLocal {
    /// Where it is bound.
    pub(super) address: SocketAddr,
    /// What MSRP URIs that lead to it say.
    pub(super) authority: HostPort,
    /// Whether it has TLS.
    pub(super) is_tls: bool,
}

/// What means this process in a Route, a Request-URI or a Via, whichever worker sees it.
#[derive(Clone, Debug, Default)]
pub(super) struct Own {
    endpoints: Vec<Endpoint>,
    hosts: Vec<(Box<str>, u16)>,
}

impl Own {
    /// With the sockets of all workers.
    pub(super) fn of<'a>(locals: impl Iterator<Item = &'a Local> + Clone) -> Self {
        let advertised = || locals.clone().filter_map(|local| local.advertise.as_ref());
        let bound =
            locals.clone().map(|local| local.address).filter(|at| !at.ip().is_unspecified());
        let all = bound.chain(advertised().filter_map(HostPort::literal)).map(Endpoint::from);
        let mut own = Self::default();
        for endpoint in all {
            if !own.endpoints.contains(&endpoint) {
                own.endpoints.push(endpoint);
            }
        }
        for host in advertised().filter_map(host) {
            if !own.hosts.contains(&host) {
                own.hosts.push(host);
            }
        }
        own
    }
}

/// What the engine of a worker is told, whose sockets are `locals`.
pub(super) fn setup<'a>(
    config: &Config,
    worker: WorkerId,
    locals: impl Iterator<Item = &'a Local> + Clone,
    own: &Own,
    identity: &Identity,
    accounts: bool,
) -> Setup {
    let share = config.per_worker();
    let request_socket = |transport: Transport, v4: bool| {
        let leaves = |local: &Local| {
            local.transport == transport
                && local.address.is_ipv4() == v4
                && (local.requests || transport.is_reliable())
        };
        Some(SocketId(u8::try_from(locals.clone().position(leaves)?).ok()?))
    };
    let families = |transport| Families {
        v4: request_socket(transport, true),
        v6: request_socket(transport, false),
    };
    Setup {
        worker,
        node: config.node,
        epoch: identity.epoch,
        key: identity.key,
        peers: config.peers.iter().map(|one| peer(one, config)).collect(),
        own_endpoints: own.endpoints.as_slice().into(),
        own_hosts: own.hosts.as_slice().into(),
        sent_by: locals.clone().map(|local| local.sent_by().into()).collect(),
        transports: locals.clone().map(|local| local.transport).collect(),
        request_sockets: RequestSockets {
            udp: families(Transport::Udp),
            tcp: families(Transport::Tcp),
            tls: families(Transport::Tls),
        },
        next_servers: next_servers(config).collect(),
        timers: Timers { t1_ms: config.timers.t1_ms, t2_ms: config.timers.t2_ms },
        gateway: engine::Gateway { remembered_max: share.remembered_max, ..config.gateway.clone() },
        large: None,
        strangers: match config.strangers {
            Strangers::Silence => engine::Strangers::Silence,
            Strangers::Forbid => engine::Strangers::Forbid,
        },
        messages_max: share.messages_max,
        messages_large_max: share.messages_large_max,
        finished_max: share.finished_max,
        accounts,
    }
}

/// Of so many sessions, one may have a message for the SMS side under way: each has some 2 KiB, and one in four
/// of them 33 KiB for its octets.
const SUBMISSIONS_SHARE: u32 = 2;

/// How Large Messages are sent, over the MSRP sockets of a worker, of which the first has the number
/// `first`; `None` where nothing listens for MSRP. `fingerprint` is that of our own certificate.
pub(super) fn large(
    config: &Config,
    msrp: &[MsrpLocal],
    first: usize,
    fingerprint: &Arc<AtomicCell<[u8; 32]>>,
) -> Option<engine::Large> {
    let large = config.large.as_ref()?;
    let of = |is_tls: bool, v4: bool| {
        let is_it = |local: &MsrpLocal| local.is_tls == is_tls && local.address.is_ipv4() == v4;
        let (number, local) = (first..).zip(msrp).find(|(_, local)| is_it(local))?;
        Some((SocketId(u8::try_from(number).ok()?), local.authority.to_string()))
    };
    let doors = |is_tls: bool| {
        let (v4, v6) = (of(is_tls, true).unzip(), of(is_tls, false).unzip());
        let text = |one: Option<String>| one.map_or_else(Box::default, Box::from);
        (Families { v4: v4.0, v6: v6.0 }, text(v4.1), text(v6.1))
    };
    let (sockets, authority_v4, authority_v6) = doors(false);
    let secure = msrp.iter().any(|local| local.is_tls).then(|| {
        let (sockets, authority_v4, authority_v6) = doors(true);
        let fingerprint = Arc::clone(fingerprint);
        engine::Secure { sockets, authority_v4, authority_v6, fingerprint }
    });
    Some(engine::Large {
        sessions_max: config.per_worker().sessions_max,
        message_size: large.message_size,
        submissions_max: if config.peers.iter().any(|peer| peer.smsc.is_some()) {
            config.per_worker().sessions_max.div_ceil(SUBMISSIONS_SHARE).min(SUBMISSIONS_MAX)
        } else {
            0
        },
        connections_max: large.connections,
        places_max: config.capacity.connections.saturating_add(large.connections),
        sockets,
        authority_v4,
        authority_v6,
        secure,
        invite_wait_ms: large.invite_wait_ms,
        response_wait_ms: large.response_wait_ms,
        report_wait_ms: large.report_wait_ms,
        session_idle_ms: large.session_idle_ms,
        carried_max: config.carried_max(),
        carried_ring: large.carry.map_or(0, |carry| carry.buffer),
    })
}

/// The outbound proxies in the order in which they are tried.
pub(super) fn next_servers(config: &Config) -> impl Iterator<Item = Endpoint> {
    config
        .outbound_proxies
        .iter()
        .filter_map(|&number| config.peers.get(number))
        .flat_map(|peer| peer.places.iter().flat_map(|place| &place.addresses))
        .map(|&address| Endpoint::from(address))
}

fn peer(peer: &crate::config::Peer, config: &Config) -> engine::Peer {
    let addresses = peer.places.iter().flat_map(|place| &place.addresses);
    engine::Peer {
        sms: peer.side.is_sms(),
        im: peer.side.is_im(),
        trusted: peer.trusted,
        mapping: peer.mapping.clone(),
        sync_deadline_ms: peer.sync_deadline_ms.unwrap_or(config.timers.sync_deadline_ms),
        recipient: peer.recipient,
        report_route: peer.route.as_deref().unwrap_or_default().into(),
        ack_accepted: peer.ack_accepted,
        content: peer.content,
        msrp: peer.msrp,
        msrp_tls: peer.msrp_transport == MsrpTransport::Tls,
        profile: peer.profile,
        submit: peer.smsc.as_deref().map(Into::into),
        credentials: peer.credentials.clone(),
        transport: peer.transport,
        addresses: addresses.map(|&address| Endpoint::from(address)).collect(),
        hosts: peer.places.iter().flat_map(hosts).collect(),
        ..engine::Peer::new(&peer.name, peer.role)
    }
}

/// A name with its port; nothing for an address.
fn host(written: &HostPort) -> Option<(Box<str>, u16)> {
    written.literal().is_none().then(|| (written.host.as_str().into(), written.port))
}

/// A name with each of its addresses; nothing where an address was written.
fn hosts(place: &crate::config::Place) -> impl Iterator<Item = engine::Host> {
    place.addresses.iter().filter(|_| place.written.literal().is_none()).map(|&address| {
        engine::Host {
            name: place.written.host.as_str().into(),
            port: place.written.port,
            endpoint: Endpoint::from(address),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Machine, Names, Sources, examine};
    use crate::delivery::{Asked, Final, MsrpRole};
    use crate::store::HashKey;

    struct Hosts;

    impl Names for Hosts {
        fn resolve(&mut self, _: &str, port: u16) -> Result<Vec<SocketAddr>, String> {
            let ips = ["192.0.2.20", "2001:db8::20", "192.0.2.19"];
            Ok(ips.map(|ip| SocketAddr::new(ip.parse().unwrap(), port)).into())
        }
    }

    const TEXT: &str = r#"
        node = 9
        [[listen]]
        address = "0.0.0.0:5060"
        advertise = "Roger.Example.Net:5061"
        [[listen]]
        address = "[::1]:5060"
        [[peer]]
        name = "smsc"
        side = "sms"
        address = "127.0.0.1:5070"
        trusted = true
        sync_deadline = "4s"
        recipient = "to"
        route = "sip:scscf.example.net:6060"
        [[peer]]
        name = "im"
        side = "im"
        role = "gateway"
        address = ["im.example.net:5080", "127.0.0.1:5081"]
        content = "cpim"
        transport = "tcp"
        ack_accepted = true
        preset = "kamailio"
        [peer.map]
        404 = "T"
        [route]
        outbound_proxies = "im"
        [timers]
        t1 = "100ms"
        sync_deadline = "5s"
        [capacity]
        rate = 100
        [strangers]
        answer = "forbid"
    "#;

    fn local(address: &str, advertise: Option<&str>, requests: bool) -> Local {
        let advertise = advertise.map(|host| HostPort { host: host.to_owned(), port: 5_061 });
        Local { transport: Transport::Udp, address: address.parse().unwrap(), advertise, requests }
    }

    fn configured(text: &str) -> Config {
        let machine =
            Machine { cpus: Vec::new(), memory: 0, owns: |_| true, state_directory: None };
        let sources = Sources { name: "x", text, overrides: &[], machine: &machine };
        let examination = examine(sources, &mut Hosts);
        examination.config.unwrap_or_else(|| panic!("{:#?}", examination.diagnoses))
    }

    fn built(locals: &[Local]) -> Setup {
        let config = configured(TEXT);
        let identity = Identity::unlocked(HashKey([1, 2]), 7);
        setup(&config, WorkerId(0), locals.iter(), &Own::of(locals.iter()), &identity, true)
    }

    fn endpoint(text: &str) -> Endpoint {
        Endpoint::from(text.parse::<SocketAddr>().unwrap())
    }

    #[test]
    fn the_engine_is_told_what_is_configured() {
        let setup = built(&[]);
        assert_eq!((setup.node, setup.epoch), (9, 7));
        assert_eq!(setup.timers, Timers { t1_ms: 100, t2_ms: 4_000 });
        assert_eq!(&*setup.gateway.domain, "roger.example.net");
        // 100 a second for 64 times 100 ms.
        assert_eq!(setup.finished_max, 640);
        assert_eq!(setup.strangers, engine::Strangers::Forbid);
        let [smsc, im] = &*setup.peers else { panic!("two peers") };
        assert!(smsc.sms && !smsc.im && smsc.trusted && smsc.hosts.is_empty());
        assert!(!im.sms && im.im && !im.trusted);
        assert_eq!((smsc.sync_deadline_ms, im.sync_deadline_ms), (4_000, 5_000));
        assert_eq!(smsc.recipient, engine::Recipient::To);
        assert_eq!(&*smsc.report_route, "<sip:scscf.example.net:6060;lr>");
        assert_eq!((im.content, im.ack_accepted), (engine::Content::Cpim, true));
        assert_eq!((smsc.transport, im.transport), (Transport::Udp, Transport::Tcp));
        assert!(im.report_route.is_empty() && im.credentials.is_none());
        for (status, verdict) in [(404, 'T'), (477, 'T'), (403, 'P'), (200, 'A')] {
            let role = im.role;
            let response = Final { status, role, retry_after: false, asked: Asked::Once };
            assert_eq!(im.mapping.verdict(response).letter(), verdict, "{status}");
        }
        let named = |text: &str| engine::Host {
            name: "im.example.net".into(),
            port: 5_080,
            endpoint: endpoint(text),
        };
        assert_eq!(
            *im.hosts,
            ["192.0.2.19:5080", "192.0.2.20:5080", "[2001:db8::20]:5080"].map(named)
        );
        let addresses =
            ["192.0.2.19:5080", "192.0.2.20:5080", "[2001:db8::20]:5080", "127.0.0.1:5081"];
        assert_eq!(*im.addresses, addresses.map(endpoint));
        assert_eq!(setup.next_servers, im.addresses);
    }

    #[test]
    fn own_requests_leave_from_their_socket_under_the_advertised_name() {
        let single = built(&[
            local("0.0.0.0:5060", Some("roger.example.net"), true),
            local("[::1]:5060", None, true),
        ]);
        assert_eq!(*single.sent_by, ["roger.example.net:5061", "[::1]:5060"].map(Box::from));
        let udp = Families { v4: Some(SocketId(0)), v6: Some(SocketId(1)) };
        assert_eq!(single.request_sockets, RequestSockets { udp, ..RequestSockets::default() });
        assert_eq!(*single.own_endpoints, [endpoint("[::1]:5060")]);
        assert_eq!(*single.own_hosts, [(Box::from("roger.example.net"), 5_061)]);

        let own = built(&[
            local("192.0.2.1:5060", Some("192.0.2.99"), false),
            local("192.0.2.1:5070", None, true),
        ]);
        assert_eq!(own.request_sockets.udp, Families { v4: Some(SocketId(1)), v6: None });
        let expected = ["192.0.2.1:5060", "192.0.2.1:5070", "192.0.2.99:5061"].map(endpoint);
        assert_eq!(*own.own_endpoints, expected);
        assert!(own.own_hosts.is_empty());
    }

    fn local_of_msrp(is_tls: bool, address: &str, authority: &str) -> MsrpLocal {
        let (host, port) = authority.rsplit_once(':').unwrap();
        let host = host.trim_matches(['[', ']']).to_owned();
        let authority = HostPort { host, port: port.parse().unwrap() };
        MsrpLocal { address: address.parse().unwrap(), authority, is_tls }
    }

    #[test]
    fn large_messages_have_the_sockets_behind_all_others() {
        let more = "[[listen]]\naddress = \"127.0.0.1:2855\"\ntransports = \"msrp\"\n\
                    [large]\nsessions = 9\nmessage_size = 5000\nconnections = 3\n\
                    invite_wait = \"2s\"\n\
                    response_wait = \"9s\"\nreport_wait = \"7s\"\n";
        let role = "preset = \"kamailio\"\nmsrp = \"b2bua\"\nim.profile = \"cpm\"";
        let text = TEXT.replace("preset = \"kamailio\"", role) + more;
        let config = configured(&text);
        let both = [
            local_of_msrp(false, "[::1]:2855", "[2001:db8::1]:7000"),
            local_of_msrp(false, "127.0.0.1:2855", "msrp.example.net:7000"),
        ];
        let own = Arc::new(AtomicCell::new([7; 32]));
        let large = large(&config, &both, 4, &own).unwrap();
        let (v4, v6) = (Some(SocketId(5)), Some(SocketId(4)));
        assert_eq!(large.sockets, Families { v4, v6 });
        assert_eq!(&*large.authority_v4, "msrp.example.net:7000");
        assert_eq!(&*large.authority_v6, "[2001:db8::1]:7000");
        assert_eq!((large.sessions_max, large.message_size, large.connections_max), (9, 5_000, 3));
        assert_eq!((large.invite_wait_ms, large.report_wait_ms), (2_000, 7_000));
        assert_eq!(large.response_wait_ms, 9_000);
        let one = super::large(&config, &both[1..], 4, &own).unwrap();
        assert_eq!(one.sockets, Families { v4: Some(SocketId(4)), v6: None });
        assert!(one.authority_v6.is_empty() && one.secure.is_none());
        let [v6, v4] = both;
        let with_tls = local_of_msrp(true, "127.0.0.1:2865", "msrp.example.net:7010");
        let three = super::large(&config, &[v6, with_tls, v4], 4, &own).unwrap();
        assert_eq!(three.sockets, Families { v4: Some(SocketId(6)), v6: Some(SocketId(4)) });
        let secure = three.secure.unwrap();
        assert_eq!(secure.sockets, Families { v4: Some(SocketId(5)), v6: None });
        assert_eq!(&*secure.authority_v4, "msrp.example.net:7010");
        assert!(secure.authority_v6.is_empty() && secure.fingerprint.load() == [7; 32]);
        let im = peer(&config.peers[1], &config);
        assert_eq!((im.msrp, im.profile), (Some(MsrpRole::B2bua), engine::Profile::Cpm));
        assert_eq!(peer(&config.peers[0], &config).msrp, None);
        assert!(super::large(&configured(TEXT), &[], 4, &own).is_none());
    }

    #[test]
    fn sessions_pass_where_that_is_said() {
        let role = "preset = \"kamailio\"\nmsrp = \"b2bua\"";
        let second = "[[peer]]\nname = \"im-2\"\nside = \"im\"\nrole = \"endpoint\"\n\
                      msrp = \"relay\"\naddress = \"192.0.2.77:5066\"\n";
        let of = |keys: &str| {
            let more = format!(
                "[[listen]]\naddress = \"127.0.0.1:2855\"\ntransports = \"msrp\"\n{second}\
                 [large]\nsessions = 9\n{keys}"
            );
            let config = configured(&(TEXT.replace("preset = \"kamailio\"", role) + &more));
            let local = [local_of_msrp(false, "127.0.0.1:2855", "127.0.0.1:2855")];
            let large = large(&config, &local, 4, &Arc::new(AtomicCell::new([7; 32]))).unwrap();
            (large.carried_max, large.carried_ring)
        };
        assert_eq!(of("").0, 0, "two peers with MSRP are not enough");
        assert_eq!(of("carry = true\n"), (5, 16_384));
        assert_eq!(of("carry = true\ncarry_messages = 3\ncarry_buffer = 8192\n"), (3, 8_192));
        assert_eq!(of("carry_messages = 3\n").0, 0);
    }

    #[test]
    fn connections_of_our_own_are_of_the_first_stream_socket_of_their_family() {
        let stream = |transport, address| Local { transport, ..local(address, None, false) };
        let setup = built(&[
            local("192.0.2.1:5060", None, false),
            local("192.0.2.1:5070", None, true),
            stream(Transport::Tls, "192.0.2.1:5061"),
            stream(Transport::Tcp, "[::1]:5060"),
            stream(Transport::Tcp, "192.0.2.1:5060"),
            stream(Transport::Tcp, "192.0.2.2:5060"),
        ]);
        let of = |v4: Option<u8>, v6: Option<u8>| Families {
            v4: v4.map(SocketId),
            v6: v6.map(SocketId),
        };
        let (udp, tcp, tls) = (of(Some(1), None), of(Some(4), Some(3)), of(Some(2), None));
        assert_eq!(setup.request_sockets, RequestSockets { udp, tcp, tls });
        let (udp, tcp) = (Transport::Udp, Transport::Tcp);
        assert_eq!(*setup.transports, [udp, udp, Transport::Tls, tcp, tcp, tcp]);
        // One address is one endpoint, whatever is carried there.
        assert_eq!(setup.own_endpoints.len(), 5);
    }
}
