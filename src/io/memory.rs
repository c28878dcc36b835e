//! Memory that is shared with the kernel: mapped, aligned to a page and touched at once.
#![expect(unsafe_code, reason = "mmap and munmap")]

use core::ptr::NonNull;
use std::io;

/// A private anonymous mapping, all zero and present.
///
/// It is reached by pointers only, so that no reference of ours ever covers octets that the kernel
/// may be writing.
#[derive(Debug)]
pub(super) struct Mapping {
    octets: NonNull<u8>,
    len: usize,
}

impl Mapping {
    /// Maps `len` octets and touches them: a first touch in the packet path would cost
    /// microseconds a page.
    pub(super) fn new(len: usize) -> io::Result<Self> {
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_POPULATE;
        // SAFETY: a new mapping at an address of the kernel's choice overlaps nothing.
        let octets = unsafe { libc::mmap(core::ptr::null_mut(), len, protection, flags, -1, 0) };
        if octets == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let octets = NonNull::new(octets.cast()).ok_or(io::ErrorKind::OutOfMemory)?;
        Ok(Self { octets, len })
    }

    /// The octet at `at`.
    ///
    /// # Panics
    ///
    /// Panics if that is outside.
    pub(super) fn at(&self, at: usize) -> NonNull<u8> {
        assert!(at < self.len);
        // SAFETY: the assertion keeps the result inside the mapping.
        unsafe { self.octets.add(at) }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: `new` mapped exactly this, and who owned it has no pointer into it left.
        let result = unsafe { libc::munmap(self.octets.as_ptr().cast(), self.len) };
        debug_assert!(result == 0);
    }
}
