//! Rings of provided buffers: memory that io_uring fills with what comes.
//!
//! A buffer is the kernel's from [`Buffers::give`] to the completion that names it, and ours from
//! there until it is given again.
#![expect(unsafe_code, reason = "memory that the kernel writes")]

use core::ptr::NonNull;
use core::slice;
use core::sync::atomic::{AtomicU16, Ordering};
use std::io;

use io_uring::Submitter;
use io_uring::types::BufRingEntry;

use super::len_u32;
use super::memory::Mapping;
use super::receive::{BUFFER_SIZE, BUFFER_STRIDE};
use crate::limits::STREAM_READ_SIZE;
use crate::packet::SocketId;

/// What a group of buffers is for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Group {
    /// Datagrams.
    Datagrams,
    /// Reads of connections.
    Reads,
}

impl Group {
    /// Its number in the ring.
    pub(super) const fn number(self) -> u16 {
        self as u16
    }

    /// Octets of each of its buffers.
    const fn size(self) -> usize {
        match self {
            Self::Datagrams => BUFFER_SIZE,
            Self::Reads => STREAM_READ_SIZE,
        }
    }

    /// Octets from one to the next.
    const fn stride(self) -> usize {
        match self {
            Self::Datagrams => BUFFER_STRIDE,
            Self::Reads => STREAM_READ_SIZE + 64,
        }
    }
}

/// A buffer with a datagram in it, which is ours.
#[derive(Debug)]
pub(super) struct Filled {
    /// The socket that the datagram came to.
    pub(super) socket: SocketId,
    buffer: u16,
    len: usize,
}

impl Filled {
    /// No buffer at all; it is not to be given.
    pub(super) const fn nothing() -> Self {
        Self { socket: SocketId(0), buffer: 0, len: 0 }
    }
}

#[derive(Debug)]
pub(super) struct Buffers {
    group: Group,
    ring: Mapping,
    octets: Mapping,
    mask: u16,
    tail: u16,
}

impl Buffers {
    /// Registers `count` buffers, a power of two, and gives all of them to the kernel.
    pub(super) fn register(
        submitter: &Submitter<'_>,
        group: Group,
        count: usize,
    ) -> io::Result<Self> {
        let entries = u16::try_from(count).map_err(|_| io::ErrorKind::InvalidInput)?;
        if !entries.is_power_of_two() {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let mut buffers = Self {
            group,
            ring: Mapping::new(count * size_of::<BufRingEntry>())?,
            octets: Mapping::new(count * group.stride())?,
            mask: entries - 1,
            tail: 0,
        };
        let address = buffers.ring.at(0).as_ptr().expose_provenance() as u64;
        // SAFETY: the ring's memory is aligned to a page, large enough, and stays mapped until all
        // receives have ended (see the top of `uring`).
        unsafe { submitter.register_buf_ring_with_flags(address, entries, group.number(), 0) }?;
        for buffer in 0..entries {
            buffers.put(buffer);
        }
        buffers.publish();
        Ok(buffers)
    }

    /// How many there are.
    pub(super) fn count(&self) -> usize {
        usize::from(self.mask) + 1
    }

    /// Takes note that a completion of `socket` named `buffer`, with `len` octets in it.
    pub(super) fn filled(&self, socket: SocketId, buffer: u16, len: usize) -> Option<Filled> {
        self.has(buffer, len).then_some(Filled { socket, buffer, len })
    }

    /// Whether there is such a buffer, with room for so much.
    pub(super) const fn has(&self, buffer: u16, len: usize) -> bool {
        buffer <= self.mask && len <= self.group.size()
    }

    /// What lies in it.
    pub(super) fn octets(&self, filled: &Filled) -> &[u8] {
        // SAFETY: the buffer is ours while `filled` lives, and the kernel has written `len` octets.
        unsafe { self.read(filled.buffer, filled.len) }
    }

    /// What a completion has put into a buffer.
    ///
    /// # Safety
    ///
    /// The buffer is ours, and stays so while the octets are looked at; the kernel has written `len`
    /// octets into it.
    pub(super) unsafe fn read(&self, buffer: u16, len: usize) -> &[u8] {
        assert!(self.has(buffer, len));
        let octets = self.octets.at(usize::from(buffer) * self.group.stride());
        // SAFETY: the caller promises that nobody writes there, and so much lies in the buffer.
        unsafe { slice::from_raw_parts(octets.as_ptr(), len) }
    }

    /// Puts a buffer back; the kernel sees it after [`Buffers::publish`].
    #[expect(clippy::needless_pass_by_value, reason = "a buffer that was given is not ours")]
    pub(super) fn give(&mut self, filled: Filled) {
        self.put(filled.buffer);
    }

    /// The same of a buffer that a completion named, which must not be ours any more.
    pub(super) fn give_read(&mut self, buffer: u16) {
        self.put(buffer);
    }

    /// Shows the kernel what was put back.
    pub(super) fn publish(&self) {
        // SAFETY: `at(0)` is the address of the first entry, which is mapped.
        let tail = unsafe { BufRingEntry::tail(self.ring.at(0).as_ptr().cast()) };
        // SAFETY: the tail is aligned, mapped as long as `self.ring`, and we are its only writer;
        // the kernel only reads it.
        let tail = unsafe { AtomicU16::from_ptr(tail.cast_mut()) };
        tail.store(self.tail, Ordering::Release);
    }

    fn put(&mut self, buffer: u16) {
        let octets = self.octets.at(usize::from(buffer) * self.group.stride());
        let at = usize::from(self.tail & self.mask) * size_of::<BufRingEntry>();
        let mut entry: NonNull<BufRingEntry> = self.ring.at(at).cast();
        // SAFETY: the entry lies in the mapping and is aligned; behind the published tail the
        // kernel does not look, and zero octets are a valid entry.
        let entry = unsafe { entry.as_mut() };
        entry.set_addr(octets.as_ptr().expose_provenance() as u64);
        entry.set_len(len_u32(self.group.size()));
        entry.set_bid(buffer);
        self.tail = self.tail.wrapping_add(1);
    }
}
