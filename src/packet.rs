//! The contract between the engine and whatever moves octets for it.
//!
//! A driver (`io` in production, the simulator in tests) hands over bursts of [`Arrival`]s, sends
//! what it finds in [`Departures`], and says how the sending went. Nothing else crosses.
//!
//! **A slot belongs to the engine until it is pushed, to the driver from [`Departures::pop`] to
//! [`Departures::release`], and nothing borrows a receive buffer past the turn.**

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use core::num::NonZeroU32;
use std::collections::VecDeque;

use crate::id::WorkerId;
use crate::limits::{SLOT_SIZE, SLOTS_EVIDENCE, SLOTS_MAX, SLOTS_REFUSALS, SLOTS_WORK};
use crate::time::Instant;

/// An IP address and a port; IPv4 in its IPv4-mapped form (RFC 4291 section 2.5.5.2).
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub struct Endpoint {
    /// The address in network order.
    pub ip: [u8; 16],
    /// The port in host order.
    pub port: u16,
}

impl Endpoint {
    /// Whether the address is an IPv4 address.
    pub const fn is_v4(self) -> bool {
        Ipv6Addr::from_octets(self.ip).to_ipv4_mapped().is_some()
    }

    /// The same, as the standard library writes it.
    pub const fn to_socket_addr(self) -> SocketAddr {
        SocketAddr::new(Ipv6Addr::from_octets(self.ip).to_canonical(), self.port)
    }
}

impl From<SocketAddr> for Endpoint {
    fn from(address: SocketAddr) -> Self {
        Self { ip: ip_octets(address.ip()), port: address.port() }
    }
}

/// The octets of an address, IPv4 in its IPv4-mapped form.
pub const fn ip_octets(ip: IpAddr) -> [u8; 16] {
    match ip {
        IpAddr::V4(v4) => Ipv4Addr::to_ipv6_mapped(&v4).octets(),
        IpAddr::V6(v6) => v6.octets(),
    }
}

/// A local socket of this worker, by its position in the list the driver was opened with.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct SocketId(pub u8);

/// How octets are carried to and from a socket.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Transport {
    /// In datagrams, each of which may be lost.
    #[default]
    Udp,
    /// In a stream.
    Tcp,
    /// In a stream that nobody else reads or writes, from whoever has proved his name.
    Tls,
}

impl Transport {
    /// Whether the transport itself repeats what is lost (RFC 3261 section 17: "reliable").
    pub const fn is_reliable(self) -> bool {
        match self {
            Self::Udp => false,
            Self::Tcp | Self::Tls => true,
        }
    }
}

/// One connection of one worker. No two connections have had the same name within any time that a
/// flow is kept.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ConnectionId {
    /// Tells the connections apart that had the same place one after the other.
    pub generation: NonZeroU32,
    /// Its place in the worker's table.
    pub index: u16,
    /// Whose it is: nobody else can read from it or write to it.
    pub worker: WorkerId,
}

/// Where octets came from and how to get back there.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Flow {
    /// The other end. Of a departure on a connection: where a new one is opened when that one is
    /// gone.
    pub remote: Endpoint,
    /// Our own address, or all zero where the kernel may choose it.
    pub local: [u8; 16],
    /// Our own socket: the one of the datagrams, or the listener whose connections these are.
    pub socket: SocketId,
    /// The connection, where there are connections. A departure to such a socket without one leaves
    /// on the connection that was opened to `remote`, and opens it if there is none.
    pub connection: Option<ConnectionId>,
}

impl Flow {
    /// Between nobody and nobody.
    pub const NOWHERE: Self = Self {
        remote: Endpoint { ip: [0; 16], port: 0 },
        local: [0; 16],
        socket: SocketId(0),
        connection: None,
    };

    /// From our own socket to there, by whichever way the driver has.
    pub const fn to(remote: Endpoint, socket: SocketId) -> Self {
        Self { remote, local: [0; 16], socket, connection: None }
    }
}

/// The certificate that the other end of an encrypted connection has shown, and whose key it has: hash
/// values of its DER form, by which SDP names it (RFC 8122 section 5).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Certificate {
    /// By SHA-256.
    pub sha256: [u8; 32],
    /// By SHA-384.
    pub sha384: [u8; 48],
    /// By SHA-512.
    pub sha512: [u8; 64],
    /// Whether one of our roots vouches for it, and it bears the name of who is at that address.
    pub is_named: bool,
}

/// Octets that arrived. They stay in the driver's buffer.
#[derive(Clone, Copy, Debug)]
pub struct Arrival<'a> {
    /// Where from, and at which of our addresses.
    pub flow: Flow,
    /// When the driver took them.
    pub at: Instant,
    /// One datagram, or one message of a stream.
    pub octets: &'a [u8],
    /// Whether it was longer than what the driver holds and lost its end.
    pub truncated: bool,
}

/// A position in the journal. [`JournalSeq::NOW`] waits for nothing.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub struct JournalSeq(pub u64);

impl JournalSeq {
    /// Before every record.
    pub const NOW: Self = Self(0);
}

/// Whom the engine wants to be told about a departure. Opaque to the driver.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Owner(pub u64);

/// How the kernel took a departure: an errno when it did not.
pub type Sent = Result<(), SendError>;

/// Why a departure did not leave.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum SendError {
    /// EMSGSIZE: longer than what the path takes.
    TooLong,
    /// ENETUNREACH: no route to there.
    NoRoute,
    /// EPERM: a local rule forbids it.
    Forbidden,
    /// There is no connection, and none could be opened.
    NoConnection,
    /// The connection ended, or had to be ended, before the first octet was written to it, and there
    /// was no other one that could take it.
    NotWritten,
    /// Any other errno, which proves nothing about what left.
    Other(i32),
}

impl SendError {
    /// Whether the refusal is the local kernel's own, so that no octet has left
    /// (only these are evidence, hazard H51; the rest may stem from somebody else's datagram).
    pub const fn nothing_left(self) -> bool {
        match self {
            Self::TooLong
            | Self::NoRoute
            | Self::Forbidden
            | Self::NoConnection
            | Self::NotWritten => true,
            Self::Other(_) => false,
        }
    }
}

/// Something about a connection whose octets the engine divides itself: a chunk of MSRP may be longer than
/// any buffer (RFC 4975 section 5.1), so that it is neither read nor written as one message.
///
/// A connection is told to be [`StreamEvent::Opened`] before anything else, and [`StreamEvent::Lost`]
/// once, after everything else; what was read before its end is shown before (hazard H28).
#[derive(Debug)]
pub enum StreamEvent<'a> {
    /// It is there: somebody has connected, or we have as was wished for with this owner.
    Opened {
        /// Its ends and its name.
        flow: Flow,
        /// Who has wished for it; none if it was accepted.
        owner: Option<Owner>,
        /// What the other end has shown; none where nothing is encrypted.
        certificate: Option<&'a Certificate>,
        /// When that was noticed.
        at: Instant,
    },
    /// There is none as was wished for, and there will be none.
    Refused {
        /// Who has wished for it.
        owner: Owner,
        /// When that was noticed.
        at: Instant,
    },
    /// The octets at the front of what has come and was not used before.
    Arrived {
        /// The connection.
        id: ConnectionId,
        /// As many as are at hand.
        octets: &'a [u8],
        /// What the engine says of them; at first, that all were used.
        used: &'a mut Used,
        /// When the driver took the last of them.
        at: Instant,
    },
    /// Octets can be put in behind what waits to be written. It is told when that was
    /// [wished for](Wish::Write), and again as long as the room was used.
    Room {
        /// The connection.
        id: ConnectionId,
        /// Where they are put: at least [`crate::limits::STREAM_ROOM_MIN`] octets.
        room: &'a mut [u8],
        /// How many the engine has put there. 0: it has no more, until it wishes again.
        filled: &'a mut usize,
        /// When the room was there.
        at: Instant,
    },
    /// So many more octets were handed over to the operating system.
    Written {
        /// The connection.
        id: ConnectionId,
        /// How many.
        octets: u64,
        /// When that was noticed.
        at: Instant,
    },
    /// It is no more.
    Lost {
        /// The connection.
        id: ConnectionId,
        /// Of the octets that were put in and not told to be written, so many may have left all the same.
        doubtful: u64,
        /// When that was noticed.
        at: Instant,
    },
}

/// How many of the octets that were shown are used.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Used {
    /// They are not shown again.
    pub octets: usize,
    /// When the rest is shown again.
    pub rest: Rest,
}

/// When octets are shown again.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Rest {
    /// With more octets behind them. There are at most as many as one message may have that is taken whole.
    WithMore,
    /// When that is [wished for](Wish::Read). Nothing more is read until then.
    WhenWished,
}

/// What the engine wants of a connection whose octets it divides itself.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Wish {
    /// A connection to there, told to this owner.
    Connect {
        /// Where to, from which socket.
        flow: Flow,
        /// Who is told.
        owner: Owner,
    },
    /// To write: to be told of [`StreamEvent::Room`].
    Write(ConnectionId),
    /// To be shown again what was not used.
    Read(ConnectionId),
    /// To close it, when what was put in before is written.
    Close(ConnectionId),
}

/// What a slot is for. Each purse has slots of its own, so that none can starve another.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Purse {
    /// Evidence passed on, and what timers send.
    Evidence,
    /// Answers to what is not accepted.
    Refusals,
    /// First transmissions of what is accepted.
    Work,
}

/// What is to be sent.
#[derive(Clone, Copy, Debug, Default)]
pub struct Departure {
    /// Where to, and from which of our sockets.
    pub flow: Flow,
    /// How many octets of the slot.
    pub len: u16,
    /// What must be durable before it may leave.
    pub after: JournalSeq,
    /// Who is told how it went.
    pub owner: Option<Owner>,
}

/// A slot that the driver holds.
#[derive(Debug, Eq, PartialEq)]
pub struct Slot(u16);

impl Slot {
    /// Its position, for a driver that keeps a table of slots in the kernel's hands.
    pub const fn index(&self) -> u16 {
        self.0
    }
}

/// Outbound slots: filled in place by the engine, sent and given back by the driver.
#[derive(Debug)]
pub struct Departures {
    octets: Box<[[u8; SLOT_SIZE]]>,
    departures: Box<[Departure]>,
    held: Box<[bool]>,
    free: [Stack; 3],
    queue: Box<[u16]>,
    head: usize,
    queued: usize,
    wishes: VecDeque<Wish>,
}

#[derive(Debug)]
struct Stack {
    slots: Box<[u16]>,
    len: usize,
}

impl Stack {
    fn of(slots: core::ops::Range<usize>) -> Self {
        let slots: Box<[u16]> = slots.rev().filter_map(|slot| u16::try_from(slot).ok()).collect();
        Self { len: slots.len(), slots }
    }
}

/// Wishes that a connection has at once: one of each kind.
const WISHES_PER_CONNECTION: usize = 4;

const REFUSALS_AT: usize = SLOTS_EVIDENCE;
const WORK_AT: usize = SLOTS_EVIDENCE + SLOTS_REFUSALS;

const fn purse_of(slot: u16) -> Purse {
    if (slot as usize) < REFUSALS_AT {
        Purse::Evidence
    } else if (slot as usize) < WORK_AT {
        Purse::Refusals
    } else {
        Purse::Work
    }
}

impl Departures {
    /// Allocates and touches every slot. Nothing is allocated afterwards.
    pub fn new() -> Self {
        Self::with_connections(0)
    }

    /// The same, with room for the wishes about so many connections.
    pub fn with_connections(connections: u16) -> Self {
        let nothing = Wish::Connect { flow: Flow::NOWHERE, owner: Owner(0) };
        let wishes = WISHES_PER_CONNECTION * usize::from(connections);
        let mut wishes: VecDeque<_> = core::iter::repeat_n(nothing, wishes).collect();
        wishes.clear();
        let mut octets: Box<[[u8; SLOT_SIZE]]> =
            core::iter::repeat_n([0; SLOT_SIZE], SLOTS_MAX).collect();
        for slot in &mut octets {
            slot.fill(0xFF);
        }
        Self {
            octets,
            departures: core::iter::repeat_n(Departure::default(), SLOTS_MAX).collect(),
            held: core::iter::repeat_n(false, SLOTS_MAX).collect(),
            free: [
                Stack::of(0..REFUSALS_AT),
                Stack::of(REFUSALS_AT..WORK_AT),
                Stack::of(WORK_AT..WORK_AT + SLOTS_WORK),
            ],
            queue: core::iter::repeat_n(0, SLOTS_MAX).collect(),
            head: 0,
            queued: 0,
            wishes,
        }
    }

    /// Wishes something about a connection. Each of the four is wished for once, until it was told of.
    ///
    /// # Panics
    ///
    /// Panics if there is more to wish for than connections.
    pub fn wish(&mut self, wish: Wish) {
        assert!(self.wishes.len() < self.wishes.capacity(), "one wish of a kind per connection");
        self.wishes.push_back(wish);
    }

    /// The oldest wish, once.
    pub fn pop_wish(&mut self) -> Option<Wish> {
        self.wishes.pop_front()
    }

    /// Whether something is wished for.
    pub fn has_wishes(&self) -> bool {
        !self.wishes.is_empty()
    }

    /// How many more departures of this purse fit.
    pub const fn free(&self, purse: Purse) -> usize {
        self.free[purse as usize].len
    }

    /// Queues one departure, whose octets `fill` writes in place; it returns how many they are.
    ///
    /// # Panics
    ///
    /// Panics if the purse is empty: the caller checks [`Departures::free`] before it starts.
    pub fn push(
        &mut self,
        purse: Purse,
        departure: Departure,
        fill: impl FnOnce(&mut [u8; SLOT_SIZE]) -> usize,
    ) {
        let stack = &mut self.free[purse as usize];
        assert!(stack.len > 0, "departure without a reserved slot");
        stack.len -= 1;
        let slot = stack.slots[stack.len];
        let len = fill(&mut self.octets[usize::from(slot)]);
        assert!(len <= SLOT_SIZE);
        let len = u16::try_from(len).unwrap_or(u16::MAX);
        self.departures[usize::from(slot)] = Departure { len, ..departure };
        let tail = (self.head + self.queued) % SLOTS_MAX;
        self.queue[tail] = slot;
        self.queued += 1;
    }

    /// How many departures wait to be taken.
    pub const fn queued(&self) -> usize {
        self.queued
    }

    /// Takes the oldest departure for which the journal has committed enough.
    pub fn pop(&mut self, committed: JournalSeq) -> Option<Slot> {
        if self.queued == 0 {
            return None;
        }
        let slot = self.queue[self.head];
        if self.departures[usize::from(slot)].after > committed {
            return None;
        }
        self.head = (self.head + 1) % SLOTS_MAX;
        self.queued -= 1;
        assert!(!self.held[usize::from(slot)]);
        self.held[usize::from(slot)] = true;
        Some(Slot(slot))
    }

    /// What a held slot is about.
    pub fn departure(&self, slot: &Slot) -> Departure {
        self.departures[usize::from(slot.0)]
    }

    /// What a held slot sends. The octets stay where they are until the slot is released.
    pub fn octets(&self, slot: &Slot) -> &[u8] {
        let index = usize::from(slot.0);
        &self.octets[index][..usize::from(self.departures[index].len)]
    }

    /// Gives a slot back.
    #[expect(clippy::needless_pass_by_value, reason = "a released slot must not be used again")]
    pub fn release(&mut self, slot: Slot) {
        assert!(self.held[usize::from(slot.0)], "a slot is released once");
        self.held[usize::from(slot.0)] = false;
        let stack = &mut self.free[purse_of(slot.0) as usize];
        stack.slots[stack.len] = slot.0;
        stack.len += 1;
    }
}

impl Default for Departures {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn departure(after: u64) -> Departure {
        Departure { after: JournalSeq(after), ..Departure::default() }
    }

    fn put(out: &mut Departures, purse: Purse, after: u64, octet: u8) {
        out.push(purse, departure(after), |slot| {
            slot[0] = octet;
            1
        });
    }

    #[test]
    fn a_departure_waits_for_its_record() {
        let mut out = Departures::new();
        put(&mut out, Purse::Evidence, 0, 1);
        put(&mut out, Purse::Evidence, 5, 2);
        let first = out.pop(JournalSeq(4)).unwrap();
        assert_eq!(out.octets(&first), [1]);
        assert!(out.pop(JournalSeq(4)).is_none());
        let second = out.pop(JournalSeq(5)).unwrap();
        assert_eq!(out.octets(&second), [2]);
        out.release(first);
        out.release(second);
        assert_eq!(out.free(Purse::Evidence), SLOTS_EVIDENCE);
    }

    #[test]
    fn an_empty_purse_leaves_the_others_alone() {
        let mut out = Departures::new();
        for _ in 0..SLOTS_WORK {
            put(&mut out, Purse::Work, 0, 0);
        }
        assert_eq!(out.free(Purse::Work), 0);
        assert_eq!(out.free(Purse::Evidence), SLOTS_EVIDENCE);
        put(&mut out, Purse::Refusals, 0, 0);
        while let Some(slot) = out.pop(JournalSeq::NOW) {
            out.release(slot);
        }
        assert_eq!(out.free(Purse::Work), SLOTS_WORK);
        assert_eq!(out.free(Purse::Refusals), SLOTS_REFUSALS);
    }

    #[test]
    #[should_panic(expected = "departure without a reserved slot")]
    fn a_departure_without_a_slot_is_a_bug() {
        let mut out = Departures::new();
        for _ in 0..=SLOTS_REFUSALS {
            put(&mut out, Purse::Refusals, 0, 0);
        }
    }

    #[test]
    fn endpoints_keep_both_families() {
        for text in ["127.0.0.1:5060", "[2001:db8::1]:5061"] {
            let address: SocketAddr = text.parse().unwrap();
            let endpoint = Endpoint::from(address);
            assert_eq!(endpoint.is_v4(), address.is_ipv4());
            assert_eq!(endpoint.to_socket_addr(), address);
        }
    }
}
