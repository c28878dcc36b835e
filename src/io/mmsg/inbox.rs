//! The buffers that datagrams are received into, and how a train is taken apart.

use core::slice;
use std::io;

use crate::io::address::NAME_SIZE;
use crate::io::control::CONTROL_SIZE;
use crate::io::len_u32;
use crate::io::memory::Mapping;
use crate::io::receive::{BUFFER_STRIDE, CONTROL_AT, NAME_AT, PAYLOAD_AT};
use crate::limits::{BURST_SIZE, DATAGRAM_SIZE_MAX};

/// Octets of the longest train: what an IP packet can hold.
const TRAIN_SIZE_MAX: usize = 65_535;

/// Octets from one buffer of a train to the next: a page, so that trains do not share one.
const TRAIN_STRIDE: usize = (PAYLOAD_AT + TRAIN_SIZE_MAX).next_multiple_of(4_096);

/// A buffer for each header of a batch.
#[derive(Debug)]
pub(super) struct Inbox {
    buffers: Mapping,
    stride: usize,
    room: usize,
}

/// What one header of a batch has received.
#[derive(Clone, Copy, Debug)]
pub(super) struct Received<'a> {
    pub(super) name: &'a [u8],
    pub(super) control: &'a [u8],
    pub(super) octets: &'a [u8],
    pub(super) truncated: bool,
}

impl Inbox {
    /// Buffers for datagrams, or for whole trains of them.
    pub(super) fn new(trains: bool) -> io::Result<Self> {
        let (stride, room) = if trains {
            (TRAIN_STRIDE, TRAIN_SIZE_MAX)
        } else {
            (BUFFER_STRIDE, DATAGRAM_SIZE_MAX)
        };
        Ok(Self { buffers: Mapping::new(BURST_SIZE * stride)?, stride, room })
    }

    /// What the kernel has written into buffer `index`, as `header` says.
    pub(super) fn received(&self, index: usize, header: &libc::mmsghdr) -> Received<'_> {
        Received {
            name: self.filled(index, NAME_AT, (header.msg_hdr.msg_namelen as usize).min(NAME_SIZE)),
            control: self.filled(
                index,
                CONTROL_AT,
                header.msg_hdr.msg_controllen.min(CONTROL_SIZE),
            ),
            octets: self.filled(index, PAYLOAD_AT, (header.msg_len as usize).min(self.room)),
            truncated: header.msg_hdr.msg_flags & libc::MSG_TRUNC != 0,
        }
    }

    fn filled(&self, index: usize, at: usize, len: usize) -> &[u8] {
        assert!(at + len <= self.stride);
        let octets = self.buffers.at(index * self.stride + at);
        // SAFETY: the octets lie in one buffer of the mapping, and the kernel writes there only during
        // `recvmmsg`, for which the driver must be borrowed exclusively.
        unsafe { slice::from_raw_parts(octets.as_ptr(), len) }
    }

    /// Lets `header` and its `part` point at buffer `index`, all of it free.
    pub(super) fn make_ready(
        &self,
        index: usize,
        header: &mut libc::msghdr,
        part: &mut libc::iovec,
    ) {
        let at = index * self.stride;
        part.iov_base = self.buffers.at(at + PAYLOAD_AT).as_ptr().cast();
        part.iov_len = self.room;
        header.msg_name = self.buffers.at(at + NAME_AT).as_ptr().cast();
        header.msg_namelen = len_u32(NAME_SIZE);
        header.msg_iov = part;
        header.msg_iovlen = 1;
        header.msg_control = self.buffers.at(at + CONTROL_AT).as_ptr().cast();
        header.msg_controllen = CONTROL_SIZE;
        header.msg_flags = 0;
    }
}

/// What of a batch was not told yet: a train may have more datagrams than a burst.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Rest {
    /// Headers that were filled.
    taken: usize,
    /// The first that was not told.
    pub(super) next: usize,
    /// Octets of it that were told.
    offset: usize,
}

impl Rest {
    /// All of a batch of which so many headers were filled.
    pub(super) const fn of(taken: usize) -> Self {
        Self { taken, next: 0, offset: 0 }
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.next >= self.taken
    }

    /// The next datagram of the present header's octets, and whether it is the last of them.
    pub(super) fn datagram<'a>(
        &mut self,
        octets: &'a [u8],
        segment: Option<usize>,
    ) -> (&'a [u8], bool) {
        let rest = octets.get(self.offset..).unwrap_or_default();
        let segment = segment.filter(|segment| *segment > 0).unwrap_or(rest.len());
        let (datagram, behind) = rest.split_at_checked(segment).unwrap_or((rest, &[]));
        self.offset += datagram.len();
        (datagram, behind.is_empty())
    }

    /// The present header was told.
    pub(super) const fn end_header(&mut self) {
        self.next += 1;
        self.offset = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn apart(octets: &[u8], segment: Option<usize>) -> Vec<usize> {
        let mut rest = Rest::of(1);
        let mut lengths = Vec::new();
        while !rest.is_empty() {
            let (datagram, is_last) = rest.datagram(octets, segment);
            lengths.push(datagram.len());
            if is_last {
                rest.end_header();
            }
        }
        lengths
    }

    #[test]
    fn a_train_is_taken_apart() {
        assert_eq!(apart(&[0; 10], None), [10]);
        assert_eq!(apart(&[0; 10], Some(10)), [10]);
        assert_eq!(apart(&[0; 10], Some(4)), [4, 4, 2]);
        assert_eq!(apart(&[0; 8], Some(4)), [4, 4]);
        assert_eq!(apart(&[0; 10], Some(20)), [10]);
        assert_eq!(apart(&[0; 10], Some(0)), [10]);
        // A datagram may be empty.
        assert_eq!(apart(&[], None), [0]);
        assert_eq!(apart(&[], Some(4)), [0]);
    }
}
