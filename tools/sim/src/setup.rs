//! The settings of the engine in this world.

use roger::delivery::Role;
use roger::engine::{
    Content, Credentials, Families, Gateway, Host, Peer, RequestSockets, Setup, Strangers, Timers,
};
use roger::id::WorkerId;
use roger::packet::{SocketId, Transport};
use roger::store::HashKey;

use crate::authentication::{PASSWORD, USERNAME};
use crate::crew::Crew;
use crate::form::DOMAIN;
use crate::swarm::{Centre, LISTENER_V4, LISTENER_V6, Swarm};
use crate::tcp::STREAMS_AT;
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
            permanent_window_ms: gateway.permanent_ms,
            ..Gateway::default()
        },
        large: None,
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
    Setup { worker: id, sent_by: sent_by(swarm, worker), ..setup.clone() }
}

fn sent_by(swarm: &Swarm, worker: usize) -> Box<[Box<str>]> {
    let of = |socket| swarm.places.sockets[Crew::place(worker, SocketId(socket))];
    let streams = if swarm.tcp.is_some() { &[LISTENER_V4, LISTENER_V6][..] } else { &[] };
    let streams = streams.iter().map(|listener| written(swarm.places.sockets[*listener]));
    (0..4).map(|socket| written(of(socket))).chain(streams).map(Into::into).collect()
}

fn transports(swarm: &Swarm) -> Box<[Transport]> {
    let streams = if swarm.tcp.is_some() { 2 } else { 0 };
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
