//! What both drivers know about sending: whose slot is where, how a datagram is addressed, and what
//! an errno proves.

use socket2::{MsgHdr, SockAddr, SockRef};

use super::address::Name;
use super::control::Source;
use super::socket::Local;
use crate::limits::SLOTS_MAX;
use crate::packet::{Departure, Departures, Flow, SendError, Slot};

/// The slots in the driver's or the kernel's hands, by their index.
#[derive(Debug)]
pub(super) struct Held {
    slots: Box<[Option<Slot>]>,
    count: usize,
}

impl Held {
    pub(super) fn new() -> Self {
        Self { slots: core::iter::repeat_with(|| None).take(SLOTS_MAX).collect(), count: 0 }
    }

    /// Keeps a slot; its index is its name until it is taken.
    pub(super) fn put(&mut self, slot: Slot) -> u16 {
        let index = slot.index();
        let place = &mut self.slots[usize::from(index)];
        assert!(place.is_none(), "a slot is popped once before it is released");
        *place = Some(slot);
        self.count += 1;
        index
    }

    /// The slot of this name, if it is here.
    pub(super) fn get(&self, index: u16) -> Option<&Slot> {
        self.slots.get(usize::from(index))?.as_ref()
    }

    /// Hands the slot of this name out.
    pub(super) fn take(&mut self, index: u16) -> Option<Slot> {
        let slot = self.slots.get_mut(usize::from(index))?.take()?;
        self.count -= 1;
        Some(slot)
    }

    /// How many are here.
    pub(super) const fn count(&self) -> usize {
        self.count
    }
}

/// Where a datagram goes and which address it leaves from, in memory that the kernel reads.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub(super) struct Envelope {
    pub(super) source: Source,
    pub(super) source_len: usize,
    pub(super) name: Name,
    pub(super) name_len: u32,
}

impl Envelope {
    pub(super) const EMPTY: Self =
        Self { source: Source::EMPTY, source_len: 0, name: Name::EMPTY, name_len: 0 };

    pub(super) fn address(&mut self, flow: &Flow, local: &Local) {
        self.name_len = self.name.write(flow.remote);
        self.source_len = match local.source(flow) {
            Some(source) => self.source.write(source),
            None => 0,
        };
    }
}

/// What a failed send turned out to be when it was done once more.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Repeated {
    /// It has left.
    Sent,
    /// It has not left because the socket has no room; it may be tried again later.
    NoRoom,
    /// It has not left, for this errno.
    Failed(i32),
}

/// Sends a held departure once more, at once, after the pending error was taken off the socket.
pub(super) fn repeat(local: &Local, out: &Departures, slot: &Slot) -> Repeated {
    let Departure { flow, .. } = out.departure(slot);
    let octets = out.octets(slot);
    let _ = local.socket.take_error();
    let remote = SockAddr::from(flow.remote.to_socket_addr());
    let parts = [std::io::IoSlice::new(octets)];
    let mut source = Source::EMPTY;
    let mut header = MsgHdr::new().with_addr(&remote).with_buffers(&parts);
    if let Some(address) = local.source(&flow) {
        let len = source.write(address);
        header = header.with_control(&source.0[..len]);
    }
    match SockRef::from(&local.socket).sendmsg(&header, libc::MSG_DONTWAIT) {
        Ok(len) if len == octets.len() => Repeated::Sent,
        Ok(_) => Repeated::Failed(0),
        Err(error) => match error.raw_os_error() {
            Some(libc::EAGAIN) => Repeated::NoRoom,
            errno => Repeated::Failed(errno.unwrap_or_default()),
        },
    }
}

/// What the errno of a repeated send proves (see the module's documentation).
///
/// A socket of the other family (EAFNOSUPPORT) is no route either.
pub(super) const fn refusal(errno: i32) -> SendError {
    match errno {
        libc::EMSGSIZE => SendError::TooLong,
        libc::ENETUNREACH | libc::EAFNOSUPPORT => SendError::NoRoute,
        libc::EPERM => SendError::Forbidden,
        _ => SendError::Other(errno),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_refusals_of_the_local_kernel_prove_that_nothing_left() {
        for errno in 0..=200 {
            let local = [libc::EMSGSIZE, libc::ENETUNREACH, libc::EAFNOSUPPORT, libc::EPERM];
            assert_eq!(refusal(errno).nothing_left(), local.contains(&errno), "errno {errno}");
        }
    }

    #[test]
    fn a_slot_is_held_once_and_taken_once() {
        use crate::packet::{JournalSeq, Purse};
        let mut out = Departures::new();
        let mut held = Held::new();
        out.push(Purse::Work, Departure::default(), |_| 1);
        let index = held.put(out.pop(JournalSeq::NOW).unwrap());
        assert_eq!(held.count(), 1);
        assert!(held.get(index).is_some());
        out.release(held.take(index).unwrap());
        assert_eq!(held.count(), 0);
        assert!(held.take(index).is_none());
        assert!(held.get(u16::MAX).is_none());
    }
}
