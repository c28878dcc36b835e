//! Trains: departures of one length to one flow that leave in one call.
//!
//! The kernel takes the octets of all of them at once and divides them again where that is cheapest:
//! in the network device, at the receiving socket, or never, if that takes trains itself. On the wire
//! each is a datagram like any other.
//!
//! The price: what ICMP says about a train, it says once, about its first datagram.
//!
//! Whether a train may leave at all is known only when the kernel has refused one: because a datagram
//! is longer than the path's packets, or because the device cannot sum up checksums. Then everything
//! goes out one by one, for good if it was refused for being a train.

use core::ptr;

use super::{Mmsg, errno};
use crate::io::address::Name;
use crate::io::control::Train as Control;
use crate::limits::BURST_SIZE;
use crate::packet::{Departure, Departures};

/// Datagrams of one train, of which older kernels take 64.
const DATAGRAMS_MAX: usize = 64;

/// Octets of one train: what an IPv4 packet holds beside its headers.
const OCTETS_MAX: usize = 65_507;

/// What a train is made of, and where they may leave from.
pub(super) struct Coupling {
    parts: Box<[libc::iovec]>,
    name: Name,
    name_len: u32,
    source: Option<[u8; 16]>,
    control: Control,
    /// The sockets that trains may leave from.
    allowed: Box<[bool]>,
    /// So many departures leave one by one after a train has failed, for each to have its own result.
    single: usize,
}

/// What became of the departures at the head of a queue.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Train {
    /// They have left as a train.
    Sent,
    /// They wait for room.
    NoRoom,
    /// They are none, or may not be one.
    None,
}

impl Coupling {
    pub(super) fn new(sockets: usize) -> Self {
        let part = libc::iovec { iov_base: ptr::null_mut(), iov_len: 0 };
        Self {
            parts: core::iter::repeat_n(part, DATAGRAMS_MAX).collect(),
            name: Name::EMPTY,
            name_len: 0,
            source: None,
            control: Control::EMPTY,
            allowed: core::iter::repeat_n(true, sockets).collect(),
            single: 0,
        }
    }
}

impl Mmsg {
    /// Whether trains may leave, from any of its sockets.
    pub(in crate::io) fn has_trains(&self) -> bool {
        self.coupling.as_ref().is_some_and(|coupling| coupling.allowed.contains(&true))
    }

    /// Sends what stands at the head of the queue as a train, if it is one.
    pub(super) fn send_train(&mut self, index: usize, out: &mut Departures) -> Train {
        let Some(coupling) = &mut self.coupling else { return Train::None };
        if coupling.single > 0 {
            coupling.single = coupling.single.saturating_sub(BURST_SIZE);
            return Train::None;
        }
        if !coupling.allowed[index] {
            return Train::None;
        }
        let (count, octets) = self.couple(index, out);
        if count < 2 {
            return Train::None;
        }
        match self.send_coupled(index, count) {
            Ok(sent) => {
                for _ in 0..count {
                    let len = self.front_len(index, out);
                    // A datagram socket takes all or nothing.
                    self.finish_front(index, Ok(if sent == octets { len } else { 0 }), out);
                }
                Train::Sent
            }
            Err(libc::EAGAIN) => Train::NoRoom,
            Err(errno) => {
                self.refuse(index, count, errno);
                Train::None
            }
        }
    }

    /// How many departures at the head of the queue leave one by one: those before the first train, in
    /// one call.
    pub(super) fn singles(&self, index: usize, out: &Departures) -> usize {
        let coupling = self.coupling.as_ref();
        if coupling.is_none_or(|coupling| coupling.single > 0 || !coupling.allowed[index]) {
            return BURST_SIZE;
        }
        let departures = || {
            let slots = self.queues[index].iter().filter_map(|slot| self.held.get(*slot));
            slots.map(|slot| out.departure(slot))
        };
        let mut pairs = departures().zip(departures().skip(1)).skip(1).take(BURST_SIZE - 1);
        pairs.position(|(one, next)| go_together(&one, &next)).map_or(BURST_SIZE, |at| at + 1)
    }

    /// Remembers that a train of `count` has failed.
    fn refuse(&mut self, index: usize, count: usize, errno: i32) {
        let Some(coupling) = &mut self.coupling else { return };
        coupling.single = count;
        let for_being_one =
            [libc::EINVAL, libc::EIO, libc::EMSGSIZE, libc::ENOPROTOOPT, libc::EOPNOTSUPP];
        if for_being_one.contains(&errno) {
            coupling.allowed[index] = false;
        } else {
            // It may be what ICMP said about another datagram.
            self.errors.suspect(self.locals[index].id);
        }
    }

    fn front_len(&self, index: usize, out: &Departures) -> usize {
        let front = self.queues[index].front().and_then(|slot| self.held.get(*slot));
        front.map_or(0, |slot| out.octets(slot).len())
    }

    /// Collects the departures at the head of the queue that go together; returns how many they are,
    /// and how many octets.
    fn couple(&mut self, index: usize, out: &Departures) -> (usize, usize) {
        let Some(coupling) = &mut self.coupling else { return (0, 0) };
        let (mut count, mut octets_sum) = (0, 0);
        let mut first: Option<Departure> = None;
        for slot in self.queues[index].iter().take(DATAGRAMS_MAX) {
            let Some(slot) = self.held.get(*slot) else { break };
            let departure = out.departure(slot);
            let head = *first.get_or_insert(departure);
            let octets = out.octets(slot);
            if !go_together(&head, &departure) || octets_sum + octets.len() > OCTETS_MAX {
                break;
            }
            let part = &mut coupling.parts[count];
            part.iov_base = octets.as_ptr().cast_mut().cast();
            part.iov_len = octets.len();
            count += 1;
            octets_sum += octets.len();
            // Only the last may be shorter.
            if departure.len < head.len {
                break;
            }
        }
        if let Some(head) = first {
            coupling.name_len = coupling.name.write(head.flow.remote);
            coupling.source = self.locals[index].source(&head.flow);
        }
        (count, octets_sum)
    }

    /// The first `count` parts in one call: how many octets were sent, or the errno.
    fn send_coupled(&mut self, index: usize, count: usize) -> Result<usize, i32> {
        let Some(coupling) = &mut self.coupling else { return Err(libc::EINVAL) };
        let segment = u16::try_from(coupling.parts[0].iov_len).map_err(|_| libc::EMSGSIZE)?;
        let control_len = coupling.control.write(coupling.source, segment);
        // SAFETY: all zero is a header without name, parts and control messages.
        let mut header: libc::msghdr = unsafe { core::mem::zeroed() };
        header.msg_name = coupling.name.0.as_mut_ptr().cast();
        header.msg_namelen = coupling.name_len;
        header.msg_iov = coupling.parts.as_mut_ptr();
        header.msg_iovlen = count;
        header.msg_control = coupling.control.0.as_mut_ptr().cast();
        header.msg_controllen = control_len;
        let fd = self.locals[index].fd();
        // SAFETY: name and control messages belong to this driver, and the first `count` parts were
        // just pointed at octets of held slots, which nobody changes during the call.
        let sent = unsafe { libc::sendmsg(fd, &raw const header, libc::MSG_DONTWAIT) };
        usize::try_from(sent).map_err(|_| errno())
    }
}

/// Whether `next` may follow `head` in a train: on the same way, and no longer.
fn go_together(head: &Departure, next: &Departure) -> bool {
    head.flow.remote == next.flow.remote
        && head.flow.local == next.flow.local
        && (1..=head.len).contains(&next.len)
}
