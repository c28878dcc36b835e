//! The settings of the engine in this world.

use roger::delivery::Role;
use roger::engine::{
    Content, Credentials, Families, Gateway, Host, Large, Peer, Profile, RequestSockets, Setup,
    Strangers, Timers,
};
use roger::id::WorkerId;
use roger::packet::{SocketId, Transport};
use roger::store::HashKey;

use crate::authentication::{PASSWORD, USERNAME};
use crate::crew::Crew;
use crate::form::DOMAIN;
use crate::swarm::{Centre, LISTENER_V4, LISTENER_V6, Swarm};
use crate::tcp::{MSRP_AT, STREAMS_AT, msrp_at};
use crate::text::written;

/// What the engine of the first worker is told about this world.
pub(crate) fn setup(swarm: &Swarm, seed: u64) -> Setup {
    let places = &swarm.places;
    let clients = places.clients.iter().enumerate().map(|(index, client)| Peer {
        sms: true,
        trusted: client.trusted,
        sync_deadline_ms: swarm.deadline_ms,
        addresses: [client.endpoint].into(),
        ..Peer::new(&format!("sms-{index}"), Role::Proxy)
    });
    let servers = places.servers.iter().enumerate().map(|(index, server)| Peer {
        im: true,
        trusted: server.trusted,
        addresses: server.addresses.clone().into(),
        hosts: [Host {
            name: format!("im{index}.example").into(),
            port: 5060,
            endpoint: server.addresses[0],
        }]
        .into(),
        transport: if swarm.is_tcp_server(index) { Transport::Tcp } else { Transport::Udp },
        ..Peer::new(&format!("im-{index}"), server.role)
    });
    let gateway = &swarm.gateway;
    let servers = servers.enumerate().map(|(index, server)| as_receiver(server, index, swarm));
    let centres = gateway.centres.iter().enumerate().map(|(index, c)| centre(c, index, swarm));
    let request_sockets = if swarm.single_port { [0, 1] } else { [2, 3] };
    Setup {
        worker: WorkerId(0),
        node: 1,
        epoch: 7,
        key: HashKey([seed, !seed]),
        peers: clients.chain(servers).chain(centres).collect(),
        own_endpoints: places.sockets.clone().into(),
        own_hosts: [("relay.example".into(), 5060)].into(),
        sent_by: sent_by(swarm, 0),
        transports: transports(swarm),
        request_sockets: RequestSockets {
            udp: Families {
                v4: Some(SocketId(request_sockets[0])),
                v6: Some(SocketId(request_sockets[1])),
            },
            tcp: match &swarm.tcp {
                Some(_) => {
                    Families { v4: Some(SocketId(STREAMS_AT)), v6: Some(SocketId(STREAMS_AT + 1)) }
                }
                None => Families::default(),
            },
            ..RequestSockets::default()
        },
        next_servers: if swarm.route_by_uri {
            [].into()
        } else {
            places.servers.iter().map(|server| server.addresses[0]).collect()
        },
        timers: Timers { t1_ms: swarm.t1_ms, t2_ms: swarm.t2_ms },
        gateway: Gateway {
            domain: DOMAIN.into(),
            uri_wait_ms: gateway.uri_wait_ms,
            pager_max: swarm.large.as_ref().map_or(PAGER_MAX, |large| large.pager_max),
            permanent_window_ms: gateway.permanent_ms,
            ..Gateway::default()
        },
        large: large(swarm, 0),
        strangers: if swarm.forbid_strangers { Strangers::Forbid } else { Strangers::Silence },
        messages_max: swarm.messages_max,
        messages_large_max: swarm.messages_large_max,
        finished_max: swarm.finished_max,
        accounts: true,
    }
}

/// The settings of another worker: its name, and the ports of its own requests.
pub(crate) fn of_worker(setup: &Setup, worker: usize, swarm: &Swarm) -> Setup {
    let id = WorkerId(u8::try_from(worker).unwrap_or(0));
    let (sent_by, large) = (sent_by(swarm, worker), large(swarm, worker));
    Setup { worker: id, sent_by, large, ..setup.clone() }
}

/// Octets of a MESSAGE at most where there is nothing else: what an engine has anyway.
const PAGER_MAX: u16 = 1_150;

/// How this worker sends Large Messages.
fn large(swarm: &Swarm, worker: usize) -> Option<Large> {
    let large = swarm.large.as_ref()?;
    let authority =
        |listener: usize| written(msrp_at(worker, swarm.places.sockets[listener])).into_boxed_str();
    Some(Large {
        sessions_max: large.sessions_max,
        message_size: 4_096,
        connections_max: large.connections_max,
        sockets: Families { v4: Some(SocketId(MSRP_AT)), v6: Some(SocketId(MSRP_AT + 1)) },
        authority_v4: authority(LISTENER_V4),
        authority_v6: authority(LISTENER_V6),
        invite_wait_ms: large.invite_wait_ms,
        report_wait_ms: large.report_wait_ms,
        session_idle_ms: large.session_idle_ms,
        ..Large::default()
    })
}

fn sent_by(swarm: &Swarm, worker: usize) -> Box<[Box<str>]> {
    let of = |socket| swarm.places.sockets[Crew::place(worker, SocketId(socket))];
    let listeners = [LISTENER_V4, LISTENER_V6, LISTENER_V4, LISTENER_V6];
    let streams = &listeners[..streams(swarm)];
    let streams = streams.iter().map(|listener| written(swarm.places.sockets[*listener]));
    (0..4).map(|socket| written(of(socket))).chain(streams).map(Into::into).collect()
}

/// Sockets of connections: two, and two of MSRP behind them.
const fn streams(swarm: &Swarm) -> usize {
    match (&swarm.tcp, &swarm.large) {
        (_, Some(_)) => 4,
        (Some(_), None) => 2,
        (None, None) => 0,
    }
}

fn transports(swarm: &Swarm) -> Box<[Transport]> {
    let streams = streams(swarm);
    let datagrams = core::iter::repeat_n(Transport::Udp, usize::from(STREAMS_AT));
    datagrams.chain(core::iter::repeat_n(Transport::Tcp, streams)).collect()
}

/// What an IM server is to instant messages of ours.
fn as_receiver(server: Peer, index: usize, swarm: &Swarm) -> Peer {
    let gateway = &swarm.gateway;
    let is = |list: &[bool]| list.get(index).is_some_and(|is| *is);
    Peer {
        content: if is(&gateway.cpim) { Content::Cpim } else { Content::Text },
        ack_accepted: is(&gateway.ack_accepted),
        credentials: is(&gateway.known_to).then(credentials),
        msrp: swarm.large.as_ref().map(|large| large.roles[index]),
        profile: match &swarm.large {
            Some(large) if large.is_cpm[index] && is(&gateway.cpim) => Profile::Cpm,
            Some(_) | None => Profile::SimpleIm,
        },
        ..server
    }
}

fn centre(centre: &Centre, index: usize, swarm: &Swarm) -> Peer {
    Peer {
        sms: true,
        trusted: true,
        sync_deadline_ms: swarm.deadline_ms,
        recipient: centre.recipient,
        report_route: centre.route.into(),
        credentials: centre.known.then(credentials),
        addresses: centre.addresses.clone().into(),
        ..Peer::new(&format!("centre-{index}"), Role::Proxy)
    }
}

fn credentials() -> Credentials {
    Credentials { username: USERNAME.into(), password: PASSWORD.into() }
}
