//! How a receive buffer is laid out, for both drivers.
//!
//! ```text
//!   0        16         48                 128                          9128   9152
//!   | recvmsg | address   | control messages | payload, DATAGRAM_SIZE_MAX  |      |
//!   |  result | of sender |                  |                             |      |
//! ```
//! io_uring's multishot `recvmsg` prescribes this order; `recvmmsg` takes pointers and is given the
//! same places. The payload begins on a cache line, and from one buffer to the next it is an odd
//! number of lines, so that the first lines of all buffers do not compete for the same cache sets.

use super::address::NAME_SIZE;
use super::control::CONTROL_SIZE;
use crate::limits::DATAGRAM_SIZE_MAX;
use crate::packet::{Arrival, Flow};
use crate::time::Instant;

/// Octets reserved for the address of the sender.
pub(super) const NAME_ROOM: usize = 32;

pub(super) const NAME_AT: usize = 16;
pub(super) const CONTROL_AT: usize = NAME_AT + NAME_ROOM;
pub(super) const PAYLOAD_AT: usize = CONTROL_AT + CONTROL_SIZE;

/// Octets of a buffer. A payload that is longer than its room is cut and says so.
pub(super) const BUFFER_SIZE: usize = PAYLOAD_AT + DATAGRAM_SIZE_MAX;

/// Octets from one buffer to the next.
pub(super) const BUFFER_STRIDE: usize = (BUFFER_SIZE.div_ceil(LINE) | 1) * LINE;

const LINE: usize = 64;

const _: () = {
    assert!(NAME_ROOM >= NAME_SIZE);
    assert!(PAYLOAD_AT.is_multiple_of(LINE));
    assert!(BUFFER_STRIDE >= BUFFER_SIZE);
};

/// An arrival of nothing, where a burst is not full.
pub(super) const NOTHING: Arrival<'_> =
    Arrival { flow: Flow::NOWHERE, at: Instant(0), octets: &[], truncated: false };
