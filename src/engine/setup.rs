//! What an engine is told once, before its first packet.

use std::sync::Arc;

use crossbeam::atomic::AtomicCell;

use crate::delivery::{Mapping, MsrpRole, Role};
use crate::id::WorkerId;
use crate::packet::{Endpoint, SocketId, Transport};
use crate::store::HashKey;

/// Everything an engine needs to know; built from the configuration, or by a simulator.
#[derive(Clone, Debug)]
pub struct Setup {
    /// Which worker this engine is.
    pub worker: WorkerId,
    /// Which node of a group this process is; part of every id that is minted.
    pub node: u8,
    /// Rises at each start of the process; part of every id that is minted.
    pub epoch: u32,
    /// The secret under every id and fingerprint.
    pub key: HashKey,
    /// Who may talk to us.
    pub peers: Box<[Peer]>,
    /// Addresses that mean us in a Route or a Request-URI.
    pub own_endpoints: Box<[Endpoint]>,
    /// Host names that mean us there, with their port.
    pub own_hosts: Box<[(Box<str>, u16)]>,
    /// The `sent-by` of our Via, by the socket that a request leaves from.
    pub sent_by: Box<[Box<str>]>,
    /// How octets are carried, by socket.
    pub transports: Box<[Transport]>,
    /// The sockets from which requests of ours leave.
    pub request_sockets: RequestSockets,
    /// The outbound proxies of the IM side in the order in which they are tried; when there is
    /// none, the Request-URI must name a peer.
    pub next_servers: Box<[Endpoint]>,
    /// The timers of RFC 3261.
    pub timers: Timers,
    /// How short messages become instant messages.
    pub gateway: Gateway,
    /// How Large Messages are sent; none where there is no MSRP.
    pub large: Option<Large>,
    /// What a source outside the peers' list gets.
    pub strangers: Strangers,
    /// How many messages may be open at once.
    pub messages_max: u32,
    /// How many of them may be longer than [`crate::limits::REQUEST_SMALL_SIZE`].
    pub messages_large_max: u32,
    /// How many finished server transactions stay answerable: rate times timer J.
    pub finished_max: u32,
    /// Whether accounts are wanted.
    pub accounts: bool,
}

impl Setup {
    /// The `sent-by` of requests that leave from `socket`.
    pub(super) fn sent_by_of(&self, socket: SocketId) -> &[u8] {
        self.sent_by.get(usize::from(socket.0)).map_or(&[], |text| text.as_bytes())
    }

    /// How octets are carried to and from `socket`.
    pub(super) fn transport_of(&self, socket: SocketId) -> Transport {
        self.transports.get(usize::from(socket.0)).copied().unwrap_or_default()
    }
}

/// The sockets from which requests of ours leave, by transport.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct RequestSockets {
    /// In datagrams.
    pub udp: Families,
    /// On connections.
    pub tcp: Families,
    /// On connections that are encrypted.
    pub tls: Families,
}

/// A socket for each address family, where there is one.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Families {
    /// To IPv4 addresses.
    pub v4: Option<SocketId>,
    /// To IPv6 addresses.
    pub v6: Option<SocketId>,
}

impl RequestSockets {
    /// The sockets of a transport.
    pub const fn of(&self, transport: Transport) -> Families {
        match transport {
            Transport::Udp => self.udp,
            Transport::Tcp => self.tcp,
            Transport::Tls => self.tls,
        }
    }

    /// The socket from which requests leave to there.
    pub const fn to(&self, remote: Endpoint, transport: Transport) -> Option<SocketId> {
        let families = self.of(transport);
        if remote.is_v4() { families.v4 } else { families.v6 }
    }
}

/// Somebody who may talk to us.
#[derive(Clone, Debug)]
pub struct Peer {
    /// Its name in the configuration.
    pub name: Box<str>,
    /// Whether messages come from it.
    pub sms: bool,
    /// Whether messages go to it.
    pub im: bool,
    /// Who originates the final responses that come from it.
    pub role: Role,
    /// What its final responses mean.
    pub mapping: Mapping,
    /// Whether its P-Asserted-Identity is believed, and ours is shown to it (RFC 3325).
    pub trusted: bool,
    /// From the arrival of a message from it to the verdict, in milliseconds.
    pub sync_deadline_ms: u32,
    /// Who is the recipient of a short message from it, and so the sender of the report.
    pub recipient: Recipient,
    /// The Route of the reports to it, as a header field value; empty when there is none.
    pub report_route: Box<str>,
    /// Whether a 202 from it is reported as RP-ACK where nobody asked for a status report (R9).
    pub ack_accepted: bool,
    /// What an instant message to it holds.
    pub content: Content,
    /// Who its MSRP sessions are with; none if it takes no Large Messages.
    pub msrp: Option<MsrpRole>,
    /// Whether its MSRP sessions have TLS.
    pub msrp_tls: bool,
    /// Which service our sessions with it belong to.
    pub profile: Profile,
    /// The number of the SC to which it takes messages of IM users, digits behind a plus; none if it takes
    /// none.
    pub submit: Option<Box<str>>,
    /// How we answer its challenges.
    pub credentials: Option<Credentials>,
    /// How requests to it leave, where their next hop does not say so itself.
    pub transport: Transport,
    /// Its addresses. A source is the peer whose address and port it has, else the only peer
    /// that has its address.
    pub addresses: Box<[Endpoint]>,
    /// Host names by which a Route or a Request-URI may name it, and what each stands for.
    pub hosts: Box<[Host]>,
}

impl Peer {
    /// A peer of neither side, without address, and with what holds where nothing else is said.
    pub fn new(name: &str, role: Role) -> Self {
        Self {
            name: name.into(),
            sms: false,
            im: false,
            role,
            mapping: Mapping::of(role),
            trusted: false,
            sync_deadline_ms: 28_000,
            recipient: Recipient::CalledParty,
            report_route: "".into(),
            ack_accepted: false,
            content: Content::Text,
            msrp: None,
            msrp_tls: false,
            profile: Profile::SimpleIm,
            submit: None,
            credentials: None,
            transport: Transport::Udp,
            addresses: Box::new([]),
            hosts: Box::new([]),
        }
    }
}

/// Where the recipient of a short message is named. The next in this order stands in for what is
/// missing.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Recipient {
    /// P-Called-Party-ID (RFC 7315 section 4.2), which an S-CSCF writes when it puts the contact into
    /// the Request-URI.
    CalledParty,
    /// To.
    To,
    /// The Request-URI.
    RequestUri,
}

/// What the body of an instant message is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Content {
    /// text/plain in UTF-8.
    Text,
    /// message/cpim (RFC 3862) around text/plain.
    Cpim,
}

/// The service that a session belongs to, as its feature tags say (R12).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Profile {
    /// OMA SIMPLE IM: `+g.oma.sip-im.large-message`.
    SimpleIm,
    /// OMA CPM: the IMS communication service identifier of Large Message mode, and content in CPIM.
    Cpm,
}

/// How challenges are answered (RFC 3261 section 22.2).
#[derive(Clone, Eq, PartialEq)]
pub struct Credentials {
    /// The user name.
    pub username: Box<str>,
    /// The password.
    pub password: Box<str>,
}

impl core::fmt::Debug for Credentials {
    /// Without the password, so that it reaches no log.
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Credentials").field("username", &self.username).finish_non_exhaustive()
    }
}

/// How short messages become instant messages.
#[derive(Clone, Debug)]
pub struct Gateway {
    /// The host of the URIs that stand for users of the SMS side.
    pub domain: Box<str>,
    /// How many of our requests may be pending to one Request-URI from one sender: 1 as RFC 3428
    /// section 8 asks.
    pub uri_pending_max: u16,
    /// How long others wait for that, in milliseconds.
    pub uri_wait_ms: u32,
    /// Octets of a MESSAGE outside of a media session, with room for the Vias of others (RFC 3428
    /// section 8).
    pub pager_max: u16,
    /// Whether a repeated short message is recognised.
    pub dedup: bool,
    /// How long a permanent failure answers for repetitions of its short message, in milliseconds.
    pub permanent_window_ms: u32,
    /// How many short messages are remembered.
    pub remembered_max: u32,
}

/// How Large Messages are sent: in an MSRP session of their own, set up with INVITE (RFC 4975).
#[derive(Clone, Debug)]
pub struct Large {
    /// How many dialogs of INVITE there may be at once on this worker, those that wait for their end too.
    pub sessions_max: u32,
    /// Octets of a message at most.
    pub message_size: u32,
    /// Messages for the SMS side that may be on their way at once; 0 where nobody takes any.
    pub submissions_max: u32,
    /// Connections of MSRP on this worker at most.
    pub connections_max: u16,
    /// Places of connections that this worker has, whatever they carry: none has an index beyond.
    pub places_max: u16,
    /// The sockets of MSRP on which others connect to this worker, and from which it connects.
    pub sockets: Families,
    /// Host and port of these sockets, as our MSRP URIs name them: `192.0.2.1:2855`.
    pub authority_v4: Box<str>,
    /// The same of the IPv6 socket: `[2001:db8::1]:2855`.
    pub authority_v6: Box<str>,
    /// The same of MSRP over TLS, where that is spoken.
    pub secure: Option<Secure>,
    /// How long a final response to INVITE is waited for, in milliseconds; then comes CANCEL.
    pub invite_wait_ms: u32,
    /// How long a session stays for further messages of the same originator to the same recipient when
    /// nothing is sent in it, in milliseconds; 0: it is ended with the verdict.
    pub session_idle_ms: u32,
    /// How long a response to a chunk is waited for once its last octet was handed over, in milliseconds
    /// (RFC 4975 section 7.1.1).
    pub response_wait_ms: u32,
    /// How long REPORTs are waited for when all was sent, in milliseconds (RFC 4975 section 7.1.1).
    pub report_wait_ms: u32,
    /// How many messages may be carried from one session to another at the same time; 0: no sessions are
    /// joined, and INVITE is refused.
    pub carried_max: u32,
    /// Octets of each of them that have come and not left.
    pub carried_ring: u32,
}

/// What MSRP over TLS has besides.
#[derive(Clone, Debug)]
pub struct Secure {
    /// The sockets on which others connect to this worker, and from which it connects.
    pub sockets: Families,
    /// Host and port of these sockets, as our MSRP URIs name them.
    pub authority_v4: Box<str>,
    /// The same of the IPv6 socket.
    pub authority_v6: Box<str>,
    /// Our own certificate by SHA-256 (RFC 8122 section 5), which a new one may replace at any moment.
    pub fingerprint: Arc<AtomicCell<[u8; 32]>>,
}

impl Large {
    /// The sockets of MSRP with TLS or without.
    pub(super) fn sockets_of(&self, is_tls: bool) -> Families {
        match &self.secure {
            Some(secure) if is_tls => secure.sockets,
            None if is_tls => Families::default(),
            Some(_) | None => self.sockets,
        }
    }

    /// What MSRP URIs name, with TLS or without, for this address family; empty if there is nothing.
    pub(super) fn authority(&self, is_tls: bool, is_v4: bool) -> &str {
        match (&self.secure, is_tls, is_v4) {
            (_, false, true) => &self.authority_v4,
            (_, false, false) => &self.authority_v6,
            (Some(secure), true, true) => &secure.authority_v4,
            (Some(secure), true, false) => &secure.authority_v6,
            (None, true, _) => "",
        }
    }
}

impl Default for Large {
    /// What holds where nothing else is said, for a few sessions and nobody who connects.
    fn default() -> Self {
        Self {
            sessions_max: 64,
            message_size: 4_096,
            submissions_max: 0,
            connections_max: 64,
            places_max: 256,
            sockets: Families::default(),
            authority_v4: "".into(),
            authority_v6: "".into(),
            secure: None,
            invite_wait_ms: 10_000,
            response_wait_ms: 30_000,
            report_wait_ms: 120_000,
            session_idle_ms: 0,
            carried_max: 0,
            carried_ring: 16_384,
        }
    }
}

impl Default for Gateway {
    /// What holds where nothing else is said, for a few thousand messages.
    fn default() -> Self {
        Self {
            domain: "localhost".into(),
            uri_pending_max: 1,
            uri_wait_ms: 2_000,
            pager_max: 1_150,
            dedup: true,
            permanent_window_ms: 3_600_000,
            remembered_max: 1 << 14,
        }
    }
}

/// A name that was resolved at the start.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Host {
    /// The host name, which has no case.
    pub name: Box<str>,
    /// The port that goes with it.
    pub port: u16,
    /// One of the addresses behind it.
    pub endpoint: Endpoint,
}

/// The base values of RFC 3261 section 17.1.2.2, in milliseconds.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Timers {
    /// T1: the estimate of a round trip, 500 unless the path is known.
    pub t1_ms: u32,
    /// T2: the longest interval between retransmissions, 4000.
    pub t2_ms: u32,
}

impl Timers {
    /// T1 = 500 ms, T2 = 4 s (RFC 3261 table 4).
    pub const RFC_3261: Self = Self { t1_ms: 500, t2_ms: 4_000 };

    /// Timers F and J: 64*T1 (RFC 3261 sections 17.1.2.2 and 17.2.2).
    pub const fn transaction_ms(self) -> u32 {
        64 * self.t1_ms
    }

    /// When a silent server sends 100: when the client's timer E reaches T2 (RFC 4320 section 4.1).
    pub const fn trying_ms(self) -> u32 {
        let mut at = 0;
        let mut interval = self.t1_ms;
        while interval < self.t2_ms {
            at += interval;
            interval *= 2;
        }
        at
    }
}

/// What a source outside the peers' list gets.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Strangers {
    /// Nothing.
    Silence,
    /// 403, never longer than what it sent.
    Forbid,
}

/// How new work is met.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Serving {
    /// Taken.
    Open,
    /// Taken, while OPTIONS is answered 503 so that probing peers turn elsewhere.
    Announcing,
    /// Refused with 503; what is open goes on to its end.
    Refusing,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trying_is_due_when_timer_e_reaches_t2() {
        assert_eq!(Timers::RFC_3261.trying_ms(), 3_500);
        assert_eq!(Timers { t1_ms: 50, t2_ms: 400 }.trying_ms(), 350);
        assert_eq!(Timers::RFC_3261.transaction_ms(), 32_000);
    }
}
