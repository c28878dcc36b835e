//! The drivers: sockets in, [`Arrival`](crate::packet::Arrival)s out,
//! [`Departures`](crate::packet::Departures) away.
//!
//! A [`Driver`] belongs to one worker and one thread. It moves octets in one of two ways, which
//! behave alike to the last counter:
//!
//! * `uring`: one io_uring with multishot receives into a ring of provided buffers. A turn
//!   under load is one system call: it submits the departures and runs the receives.
//! * `mmsg`: `recvmmsg` and `sendmmsg`. It takes over where io_uring is refused, as in many
//!   containers, and it is the honest baseline of every number we publish.
//!
//! ```text
//!              reap                                submit
//!   kernel ──completions──> [Event::Sent]           departures ──> kernel
//!          ──datagrams────> [Event::Burst]  <= 64      │ a slot stays with the kernel
//!          ──error queue──> [Event::Unreachable]       │ until its completion
//!          ──connections──> [Event::Stream]            │
//!                 └── buffers go back at once          └── then Departures::release
//! ```
//!
//! Everything is allocated, mapped and touched by [`Driver::open`]; nothing is allocated after it,
//! on no error path either.
//!
//! # What the result of a send proves
//!
//! The sockets have `IP_RECVERR`, without which an unconnected UDP socket learns nothing from ICMP.
//! The price is that an ICMP error about *one* datagram makes the *next* system call on the socket
//! fail, whatever that call is about. So a send that fails is done again once, after the pending
//! error was taken off the socket, and only the second answer counts: `EMSGSIZE`, `ENETUNREACH` and
//! `EPERM` are then the local kernel's own refusal of this very datagram
//! ([`SendError::nothing_left`](crate::packet::SendError::nothing_left)), any other errno proves
//! nothing. What ICMP really said comes from the error queue, with the octets it quotes, as
//! [`Event::Unreachable`].

mod address;
mod buffers;
mod carrier;
mod clock;
mod control;
mod driver;
mod error_queue;
mod memory;
mod mmsg;
mod receive;
mod send;
mod socket;
mod steering;
mod stream;
mod token;
mod undivided;
mod uring;
mod waker;

use std::collections::VecDeque;

pub use self::carrier::{Carried, Carrier, Wanted};
pub(crate) use self::clock::now;
pub use self::driver::{Choice, Driver, Event, Kind, Polling};
pub use self::socket::{SocketSpec, bind, bind_in, raise_files};
pub use self::steering::{steer, steer_around};
pub(crate) use self::stream::prepare;
pub use self::stream::{Sockets, StreamSocket, listen};
pub use self::waker::Waker;

/// A length as the kernel counts it.
#[expect(clippy::cast_possible_truncation, reason = "what is passed is a constant or asserted")]
const fn len_u32(len: usize) -> u32 {
    assert!(len <= u32::MAX as usize);
    len as u32
}

/// A queue with room for `len`, of which every octet has been touched.
fn touched<T>(len: usize, value: impl FnMut() -> T) -> VecDeque<T> {
    let mut queue: VecDeque<T> = core::iter::repeat_with(value).take(len).collect();
    queue.clear();
    queue
}

#[cfg(test)]
mod tests;
