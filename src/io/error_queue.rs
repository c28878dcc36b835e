//! What ICMP says about datagrams of ours, read from the sockets' error queues.
//!
//! RFC 3261 section 18.4: host, network, port and protocol unreachable and parameter problem are
//! failures of sending; source quench and time exceeded are ignored. "Fragmentation needed" is no
//! failure either: the kernel has learnt the path's size from it, and the retransmission fits.
#![expect(unsafe_code, reason = "recvmsg fills memory of ours")]

use super::address::{self, NAME_SIZE, Name};
use super::control::{self, ExtendedError};
use super::driver::Event;
use super::len_u32;
use super::socket::Local;
use crate::limits::{ICMP_PER_TURN_MAX, SOCKETS_MAX};
use crate::metrics::{Counter, Tally};
use crate::packet::{Departures, Endpoint, SocketId};
use crate::time::Instant;

/// More than any ICMP message quotes: RFC 1812 section 4.3.2.3 stops at 576 octets, RFC 4443
/// section 2.4 at 1280.
const QUOTED_SIZE: usize = 1_536;

const CONTROL_SIZE: usize = 256;

/// The error queues of all sockets, and which of them may hold something.
#[derive(Debug)]
pub(super) struct ErrorQueues {
    suspected: [bool; SOCKETS_MAX],
    quoted: Box<[u8; QUOTED_SIZE]>,
}

impl ErrorQueues {
    pub(super) fn new() -> Self {
        Self { suspected: [false; SOCKETS_MAX], quoted: Box::new([0; QUOTED_SIZE]) }
    }

    /// An operation on this socket failed, so its error queue may tell why.
    pub(super) fn suspect(&mut self, socket: SocketId) {
        self.suspected[usize::from(socket.0)] = true;
    }

    /// Whether there may be something to read.
    pub(super) fn is_suspected(&self) -> bool {
        self.suspected.contains(&true)
    }

    /// Reads what there is, a bounded number for each socket, and tells `on`; returns how many.
    pub(super) fn read(
        &mut self,
        locals: &[Local],
        tally: &Tally,
        at: Instant,
        out: &mut Departures,
        on: &mut impl FnMut(Event<'_>, &mut Departures),
    ) -> usize {
        let mut work = 0;
        for (local, suspected) in locals.iter().zip(&mut self.suspected) {
            let mut left = if *suspected { ICMP_PER_TURN_MAX } else { 0 };
            while left > 0 {
                let Some(entry) = take(local, &mut self.quoted) else {
                    *suspected = false;
                    break;
                };
                match (entry.meaning, entry.remote) {
                    (Meaning::Failed, Some(remote)) => {
                        let quoted = &self.quoted[..entry.len];
                        on(Event::Unreachable { remote, quoted, at }, out);
                    }
                    (Meaning::Failed, None) | (Meaning::Ignored, _) => {
                        tally.counters.add(Counter::IcmpIgnored);
                    }
                    (Meaning::Refused, _) => {}
                }
                left -= 1;
                work += 1;
            }
            if *suspected {
                // Each entry left in the queue makes the next operation fail. Who floods us with
                // ICMP must not stop us from receiving, so that is taken off.
                let _ = local.socket.take_error();
            }
        }
        work
    }
}

struct Entry {
    remote: Option<Endpoint>,
    meaning: Meaning,
    len: usize,
}

/// What an entry of the error queue means.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Meaning {
    /// The datagram has not arrived.
    Failed,
    /// It came from ICMP and is to be ignored.
    Ignored,
    /// The local kernel's own record of a send that it refused.
    Refused,
}

fn take(local: &Local, quoted: &mut [u8; QUOTED_SIZE]) -> Option<Entry> {
    let mut name = Name::EMPTY;
    let mut control = Control([0; CONTROL_SIZE]);
    let mut part = libc::iovec { iov_base: quoted.as_mut_ptr().cast(), iov_len: quoted.len() };
    let mut header = libc::msghdr {
        msg_name: name.0.as_mut_ptr().cast(),
        msg_namelen: len_u32(NAME_SIZE),
        msg_iov: &raw mut part,
        msg_iovlen: 1,
        msg_control: control.0.as_mut_ptr().cast(),
        msg_controllen: CONTROL_SIZE,
        msg_flags: 0,
    };
    let flags = libc::MSG_ERRQUEUE | libc::MSG_DONTWAIT;
    // SAFETY: `header` points at three buffers of the sizes it states, exclusively ours.
    let len = unsafe { libc::recvmsg(local.fd(), &raw mut header, flags) };
    let len = usize::try_from(len).ok()?;
    let error = control::read(&control.0[..header.msg_controllen.min(CONTROL_SIZE)]).error;
    let remote = address::read(&name.0[..(header.msg_namelen as usize).min(NAME_SIZE)]);
    let meaning = error.map_or(Meaning::Refused, meaning);
    Some(Entry { remote, meaning, len: len.min(QUOTED_SIZE) })
}

#[repr(C, align(8))]
struct Control([u8; CONTROL_SIZE]);

/// RFC 3261 section 18.4, in the numbers of RFC 792 and RFC 4443.
const fn meaning(error: ExtendedError) -> Meaning {
    const UNREACHABLE_V4: u8 = 3;
    const FRAGMENTATION_NEEDED: u8 = 4;
    const PARAMETER_PROBLEM_V4: u8 = 12;
    const UNREACHABLE_V6: u8 = 1;
    const PARAMETER_PROBLEM_V6: u8 = 4;
    match (error.origin, error.kind) {
        (libc::SO_EE_ORIGIN_ICMP, UNREACHABLE_V4) if error.code == FRAGMENTATION_NEEDED => {
            Meaning::Ignored
        }
        (libc::SO_EE_ORIGIN_ICMP, UNREACHABLE_V4 | PARAMETER_PROBLEM_V4)
        | (libc::SO_EE_ORIGIN_ICMP6, UNREACHABLE_V6 | PARAMETER_PROBLEM_V6) => Meaning::Failed,
        (libc::SO_EE_ORIGIN_ICMP | libc::SO_EE_ORIGIN_ICMP6, _) => Meaning::Ignored,
        _ => Meaning::Refused,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc_3261_18_4_says_which_icmp_errors_are_failures() {
        const V4: u8 = libc::SO_EE_ORIGIN_ICMP;
        const V6: u8 = libc::SO_EE_ORIGIN_ICMP6;
        let of = |origin, kind, code| meaning(ExtendedError { origin, kind, code });
        for code in [0, 1, 2, 3, 5, 9, 10, 13] {
            assert_eq!(of(V4, 3, code), Meaning::Failed, "unreachable, code {code}");
        }
        assert_eq!(of(V4, 12, 0), Meaning::Failed, "parameter problem");
        assert_eq!(of(V4, 3, 4), Meaning::Ignored, "fragmentation needed");
        assert_eq!(of(V4, 4, 0), Meaning::Ignored, "source quench");
        assert_eq!(of(V4, 11, 0), Meaning::Ignored, "time exceeded");
        for code in 0..=6 {
            assert_eq!(of(V6, 1, code), Meaning::Failed, "unreachable, code {code}");
        }
        assert_eq!(of(V6, 4, 1), Meaning::Failed, "parameter problem");
        assert_eq!(of(V6, 2, 0), Meaning::Ignored, "packet too big");
        assert_eq!(of(V6, 3, 0), Meaning::Ignored, "time exceeded");
        assert_eq!(of(libc::SO_EE_ORIGIN_LOCAL, 3, 3), Meaning::Refused, "not from ICMP");
    }
}
