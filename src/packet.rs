//! The contract between the engine and whatever moves octets for it.
//!
//! A driver (`io` in production, the simulator in tests) hands over bursts of [`Arrival`]s, sends
//! what it finds in [`Departures`], and says how the sending went. Nothing else crosses.
//!
//! **A slot belongs to the engine until it is pushed, to the driver from [`Departures::pop`] to
//! [`Departures::release`], and nothing borrows a receive buffer past the turn.**

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use core::num::NonZeroU32;

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
        }
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
