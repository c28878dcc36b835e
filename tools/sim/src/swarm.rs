//! What a seed makes of a run: which faults are armed, how strongly, and how big the engine is.
//!
//! Swarm testing: a run that has every fault at once finds less than many runs that have a few, so
//! each fault is armed in one run of four, and then its strength is drawn uniformly. One run in ten
//! has no fault at all: it shows that the world itself is in order.

use roger::delivery::Role;
use roger::engine::Recipient;
use roger::packet::Endpoint;

use crate::chance::Chance;
use crate::crew::Crew;
use crate::large::Large;
use crate::tcp::Tcp;

/// Nanoseconds of a millisecond.
pub(crate) const MS: u64 = 1_000_000;

/// Nanoseconds of a second.
pub(crate) const SECOND: u64 = 1_000 * MS;

/// Faults of the network and of the kernel; shares are of ten thousand.
#[derive(Clone, Debug, Default)]
pub(crate) struct Faults {
    /// Datagrams lost.
    pub(crate) loss: u64,
    /// Datagrams that come twice.
    pub(crate) duplicate: u64,
    /// Mean of an exponential delay in nanoseconds.
    pub(crate) delay: u64,
    /// Datagrams that come 2 to 45 seconds late.
    pub(crate) straggle: u64,
    /// Datagrams that lose their end.
    pub(crate) truncate: u64,
    /// Datagrams in which up to four bits are turned.
    pub(crate) flip: u64,
    /// Datagrams to the IM side that meet an ICMP error instead.
    pub(crate) icmp: u64,
    /// Departures that the kernel refuses for certain (EMSGSIZE, ENETUNREACH, EPERM).
    pub(crate) refuse: u64,
    /// Departures that end with an errno which proves nothing.
    pub(crate) refuse_other: u64,
    /// The longest time in nanoseconds for which the kernel holds a slot.
    pub(crate) hold: u64,
    /// How many one-way blocks of up to 60 seconds there are.
    pub(crate) blocks: u64,
    /// How often an IM server crashes.
    pub(crate) crashes: u64,
    /// How often the worker stands still, for up to 10 seconds.
    pub(crate) stalls: u64,
    /// The longest time in nanoseconds from an event to the turn that sees it.
    pub(crate) lag: u64,
}

/// What IM servers do, as weights; every kind that is not armed has none.
#[derive(Clone, Debug, Default)]
pub(crate) struct Manners {
    /// Weights of the kinds of IM behaviour, in the order of [`crate::im`].
    pub(crate) im: [u64; crate::im::KINDS],
    /// Weights of the kinds of requests, in the order of [`crate::sms`].
    pub(crate) sms: [u64; crate::sms::KINDS],
    /// How many datagrams strangers send.
    pub(crate) strangers: u64,
}

/// Everything that the seed decides before the first event.
#[derive(Clone, Debug)]
pub(crate) struct Swarm {
    /// What goes wrong below SIP.
    pub(crate) faults: Faults,
    /// What goes wrong in SIP.
    pub(crate) manners: Manners,
    /// How many messages the SMS side sends while faults are on.
    pub(crate) messages: u64,
    /// Over which time they are spread, in nanoseconds.
    pub(crate) spread: u64,
    /// T1 and T2 in milliseconds.
    pub(crate) t1_ms: u32,
    /// See [`Swarm::t1_ms`].
    pub(crate) t2_ms: u32,
    /// The deadline of the verdict in milliseconds.
    pub(crate) deadline_ms: u32,
    /// Capacity for open messages.
    pub(crate) messages_max: u32,
    /// Capacity for long ones.
    pub(crate) messages_large_max: u32,
    /// Capacity for finished ones.
    pub(crate) finished_max: u32,
    /// Whether one of the capacities is so small that refusals are right.
    pub(crate) tight: bool,
    /// Whether strangers are told 403.
    pub(crate) forbid_strangers: bool,
    /// Whether requests leave from the listening socket.
    pub(crate) single_port: bool,
    /// Whether the Request-URI says where to, because no outbound proxy is set.
    pub(crate) route_by_uri: bool,
    /// When new work is first announced as unwelcome, then refused, then welcome again.
    pub(crate) drain: Option<[u64; 3]>,
    /// Whether the process is told to end while the last messages are open.
    pub(crate) abandon: bool,
    /// Where everybody lives.
    pub(crate) places: Places,
    /// Short messages, and who has them.
    pub(crate) gateway: Gateway,
    /// The workers.
    pub(crate) crew: Crew,
    /// Connections, if there are any.
    pub(crate) tcp: Option<Tcp>,
    /// Large Messages, if there are any.
    pub(crate) large: Option<Large>,
}

/// What becomes of short messages: how they come, and how they are answered for.
#[derive(Clone, Debug)]
pub(crate) struct Gateway {
    /// How many short messages are composed while faults are on; 0 for a run without any.
    pub(crate) messages: u64,
    /// The service centres, as peers of ours behind those of [`Places`].
    pub(crate) centres: Vec<Centre>,
    /// Whether an instant message to this server is message/cpim.
    pub(crate) cpim: Vec<bool>,
    /// Whether we have credentials for this server.
    pub(crate) known_to: Vec<bool>,
    /// Whether acceptance by this server is acknowledged where nobody asked for a status report.
    pub(crate) ack_accepted: Vec<bool>,
    /// How often a server that knows us asks for credentials, of ten thousand.
    pub(crate) challenge: u64,
    /// How long an instant message waits for another one, in milliseconds.
    pub(crate) uri_wait_ms: u32,
    /// How long a permanent failure is remembered, in milliseconds.
    pub(crate) permanent_ms: u32,
    /// Different recipients and originators: few of them wait for each other.
    pub(crate) recipients: u64,
    /// See [`Gateway::recipients`].
    pub(crate) originators: u64,
    /// Whether there is something beside short messages for users of ours.
    pub(crate) odd: bool,
    /// How often, of ten thousand, a service centre tries again while the first try is open.
    pub(crate) again_at_once: u64,
    /// After an RP-ERROR.
    pub(crate) again_after_error: u64,
    /// After silence.
    pub(crate) again_after_silence: u64,
    /// After an RP-ACK.
    pub(crate) again_after_ack: u64,
    /// Whether references are drawn, so that many submissions share one.
    pub(crate) references_drawn: bool,
    /// Weights of what is done with our reports, in the order of [`crate::centre`].
    pub(crate) reports: [u64; crate::centre::KINDS],
}

/// A service centre, or what stands for it.
#[derive(Clone, Debug)]
pub(crate) struct Centre {
    /// Its addresses; it listens at each, and sends from the first.
    pub(crate) addresses: Vec<Endpoint>,
    /// Where recipients are named.
    pub(crate) recipient: Recipient,
    /// Whether we have credentials for it.
    pub(crate) known: bool,
    /// The Route of reports, empty for none.
    pub(crate) route: &'static str,
}

/// Addresses of everybody.
#[derive(Clone, Debug)]
pub(crate) struct Places {
    /// Our sockets: listener v4, listener v6, and for each worker a pair for requests of its own.
    pub(crate) sockets: Vec<Endpoint>,
    /// The SMS side.
    pub(crate) clients: Vec<Client>,
    /// The IM side.
    pub(crate) servers: Vec<Server>,
    /// Those whom nobody knows.
    pub(crate) strangers: Vec<Endpoint>,
}

/// A host on the SMS side.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    /// Where it listens.
    pub(crate) endpoint: Endpoint,
    /// Whether its asserted identities are believed.
    pub(crate) trusted: bool,
}

/// A host on the IM side.
#[derive(Clone, Debug)]
pub(crate) struct Server {
    /// Its addresses; it listens at each.
    pub(crate) addresses: Vec<Endpoint>,
    /// Who originates what it answers.
    pub(crate) role: Role,
    /// Whether asserted identities are shown to it.
    pub(crate) trusted: bool,
}

/// The socket that IPv4 clients reach.
pub(crate) const LISTENER_V4: usize = 0;

/// The socket that IPv6 clients reach.
pub(crate) const LISTENER_V6: usize = 1;

impl Swarm {
    /// The parameters of `seed`.
    pub(crate) fn new(chance: &mut Chance) -> Self {
        let faultless = chance.one_in(10);
        let tight = !faultless && chance.one_in(6);
        let (t1_ms, t2_ms) = chance.pick(&[(500, 4_000), (500, 4_000), (100, 800), (50, 400)]);
        let deadline_ms = chance.pick(&[28_000, 28_000, 28_000, 5_000, 40_000]);
        let spread = chance.between(1, 40) * SECOND;
        let small = |chance: &mut Chance, usual: u32, least: u64| {
            let few = u32::try_from(chance.between(least, least + 12)).unwrap_or(1);
            if tight && chance.one_in(2) { few } else { usual }
        };
        Self {
            faults: if faultless { Faults::none() } else { Faults::draw(chance) },
            manners: Manners::draw(chance, faultless),
            messages: chance.between(50, 250),
            spread,
            t1_ms,
            t2_ms,
            deadline_ms,
            messages_max: small(chance, 1_024, 1),
            messages_large_max: small(chance, 256, 0),
            finished_max: small(chance, 8_192, 16),
            tight,
            forbid_strangers: chance.one_in(2),
            single_port: chance.one_in(2),
            route_by_uri: chance.one_in(2),
            drain: (!faultless && chance.one_in(5)).then(|| {
                let first = chance.below(spread);
                let second = first + chance.below(5 * SECOND);
                [first, second, second + chance.below(20 * SECOND)]
            }),
            abandon: chance.one_in(8),
            places: Places::draw(chance),
            gateway: Gateway::none(),
            crew: Crew::ALONE,
            tcp: None,
            large: None,
        }
        .with_gateway(faultless, chance)
        .with_crew(faultless, chance)
        .with_tcp(faultless, chance)
        .with_large(faultless, chance)
    }

    /// Drawn behind everything else, for the same reason.
    fn with_large(mut self, faultless: bool, chance: &mut Chance) -> Self {
        if self.gateway.messages > 0 {
            self.large = Large::draw(faultless, self.places.servers.len(), chance);
        }
        self
    }

    /// Drawn after that, for the same reason.
    fn with_tcp(mut self, faultless: bool, chance: &mut Chance) -> Self {
        self.tcp = Tcp::draw(faultless, self.places.servers.len(), chance);
        self
    }

    /// Drawn late, so that the rest is the same with and without short messages.
    fn with_gateway(mut self, faultless: bool, chance: &mut Chance) -> Self {
        if !chance.one_in(4) {
            self.gateway = Gateway::draw(faultless, self.places.servers.len(), chance);
        }
        self
    }

    /// Drawn last, so that the rest is the same with one worker and with many.
    fn with_crew(mut self, faultless: bool, chance: &mut Chance) -> Self {
        self.crew = Crew::draw(faultless, self.transaction(), chance);
        for worker in 1..u16::try_from(self.crew.workers).unwrap_or(1) {
            for own in [LISTENER_V4, LISTENER_V6] {
                let Endpoint { ip, .. } = self.places.sockets[own];
                self.places.sockets.push(Endpoint { ip, port: 5070 + worker });
            }
        }
        self
    }

    /// 64*T1 in nanoseconds: timers F and J.
    pub(crate) fn transaction(&self) -> u64 {
        u64::from(self.t1_ms) * 64 * MS
    }

    /// Whether finished transactions have so much room that what ended while nobody looked need not
    /// give way.
    pub(crate) const fn remembers(&self) -> bool {
        self.finished_max > 1_000
    }

    /// The deadline of the verdict in nanoseconds.
    pub(crate) fn deadline(&self) -> u64 {
        u64::from(self.deadline_ms) * MS
    }
}

impl Gateway {
    fn none() -> Self {
        Self {
            messages: 0,
            centres: Vec::new(),
            cpim: Vec::new(),
            known_to: Vec::new(),
            ack_accepted: Vec::new(),
            challenge: 0,
            uri_wait_ms: 2_000,
            permanent_ms: 3_600_000,
            recipients: 1,
            originators: 1,
            odd: false,
            again_at_once: 0,
            again_after_error: 0,
            again_after_silence: 0,
            again_after_ack: 0,
            references_drawn: false,
            reports: [0; crate::centre::KINDS],
        }
    }

    fn draw(faultless: bool, servers: usize, chance: &mut Chance) -> Self {
        let centres = (0..chance.between(1, 2)).map(|index| Centre::draw(index, chance)).collect();
        let mut armed = |high: u64| if chance.one_in(4) { chance.between(1, high) } else { 0 };
        let (challenge, again_after_ack) = (armed(5_000), armed(3_000));
        let many = armed(1) > 0 && armed(1) > 0;
        let mut reports = [0; crate::centre::KINDS];
        for (kind, weight) in reports.iter_mut().enumerate() {
            *weight = match kind {
                0 => 100,
                _ if faultless => 0,
                _ => armed(60),
            };
        }
        Self {
            messages: if many { chance.between(200, 500) } else { chance.between(10, 80) },
            centres,
            cpim: (0..servers).map(|_| chance.one_in(2)).collect(),
            known_to: (0..servers).map(|_| chance.one_in(2)).collect(),
            ack_accepted: (0..servers).map(|_| chance.one_in(3)).collect(),
            challenge,
            uri_wait_ms: chance.pick(&[2_000, 2_000, 2_000, 500, 10_000]),
            permanent_ms: chance.pick(&[3_600_000, 3_600_000, 60_000]),
            recipients: chance.pick(&[2, 20, 20, 200]),
            originators: chance.pick(&[1, 5, 50]),
            odd: chance.one_in(2),
            again_at_once: if chance.one_in(2) { chance.between(1, 3_000) } else { 0 },
            again_after_error: chance.between(2_000, 10_000),
            again_after_silence: chance.between(2_000, 10_000),
            again_after_ack,
            references_drawn: chance.one_in(2),
            reports,
        }
    }
}

impl Centre {
    fn draw(index: u64, chance: &mut Chance) -> Self {
        let last = u8::try_from(index * 10 + 1).unwrap_or(1);
        let mut addresses = Vec::new();
        for address in 0..u8::try_from(chance.between(1, 2)).unwrap_or(1) {
            let at = [10, 0, 3, last + address];
            addresses.push(Endpoint::from(core::net::SocketAddr::from((at, 5060))));
        }
        let rules = [
            Recipient::CalledParty,
            Recipient::CalledParty,
            Recipient::CalledParty,
            Recipient::To,
            Recipient::RequestUri,
        ];
        Self {
            addresses,
            recipient: chance.pick(&rules),
            known: chance.one_in(2),
            route: chance.pick(&["", "", "<sip:scscf.sms.example;lr>"]),
        }
    }
}

impl Faults {
    /// Nothing goes wrong.
    pub(crate) fn none() -> Self {
        Self { lag: 100_000, ..Self::default() }
    }

    fn draw(chance: &mut Chance) -> Self {
        let mut armed = |high: u64| if chance.one_in(4) { chance.between(1, high) } else { 0 };
        Self {
            loss: armed(3_000),
            duplicate: armed(1_000),
            delay: armed(500 * MS),
            straggle: armed(300),
            truncate: armed(300),
            flip: armed(200),
            icmp: armed(500),
            refuse: armed(1_000),
            refuse_other: armed(500),
            hold: armed(20 * MS),
            blocks: armed(3),
            crashes: armed(3),
            stalls: armed(3),
            lag: 100_000 + armed(5 * MS),
        }
    }

    /// Whether octets may differ from what was sent.
    pub(crate) fn corrupting(&self) -> bool {
        self.truncate > 0 || self.flip > 0
    }
}

impl Manners {
    fn draw(chance: &mut Chance, faultless: bool) -> Self {
        let mut manners = Self::default();
        for (kind, weight) in manners.im.iter_mut().enumerate() {
            let harmless = kind < crate::im::KINDS_HONEST;
            *weight = match (kind, harmless, faultless) {
                (0, ..) => 100,
                (_, true, _) => chance.below(60),
                (_, false, false) if chance.one_in(4) => chance.between(1, 60),
                (_, false, _) => 0,
            };
        }
        for (kind, weight) in manners.sms.iter_mut().enumerate() {
            let harmless = kind < crate::sms::KINDS_HONEST;
            *weight = match (kind, harmless, faultless) {
                (0, ..) => 200,
                (_, true, _) => chance.below(40),
                (_, false, false) if chance.one_in(4) => chance.between(1, 60),
                (_, false, _) => 0,
            };
        }
        if !faultless && chance.one_in(4) {
            manners.strangers = chance.between(1, 100);
        }
        manners
    }
}

impl Places {
    fn draw(chance: &mut Chance) -> Self {
        let v4 = |third: u8, last: u8, port: u16| {
            Endpoint::from(core::net::SocketAddr::from(([10, 0, third, last], port)))
        };
        let v6 = |third: u16, last: u16, port: u16| {
            let ip = [0x2001, 0xDB8, 0, 0, 0, 0, third, last];
            Endpoint::from(core::net::SocketAddr::from((ip, port)))
        };
        let trusted = |chance: &mut Chance| chance.one_in(2);
        let mut servers = Vec::new();
        for index in 0..u8::try_from(chance.between(1, 4)).unwrap_or(1) {
            let family_v6 = chance.one_in(4);
            let mut addresses = Vec::new();
            for address in 0..u8::try_from(chance.between(1, 2)).unwrap_or(1) {
                addresses.push(if family_v6 {
                    v6(2, u16::from(index * 10 + address), 5060)
                } else {
                    v4(2, index * 10 + address, 5060)
                });
            }
            let roles = [Role::Proxy, Role::Endpoint, Role::ImServer, Role::Gateway];
            servers.push(Server { addresses, role: chance.pick(&roles), trusted: trusted(chance) });
        }
        Self {
            sockets: [v4(0, 1, 5060), v6(0, 1, 5060), v4(0, 1, 5070), v6(0, 1, 5070)].into(),
            clients: [v4(1, 1, 5060), v4(1, 2, 5080), v6(1, 1, 5060)]
                .into_iter()
                .map(|endpoint| Client { endpoint, trusted: trusted(chance) })
                .collect(),
            servers,
            strangers: [v4(9, 1, 5060), v6(9, 1, 4_000)].into(),
        }
    }
}
