//! How another thread interrupts a worker that waits.
#![expect(unsafe_code, reason = "eventfd gives a descriptor to own")]

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

/// Interrupts [`Driver::idle`](super::Driver::idle), from any thread and as often as one likes.
#[derive(Debug)]
pub struct Waker {
    event: File,
}

impl Waker {
    /// A waker of a thread that waits for [`AsFd::as_fd`] to become readable.
    ///
    /// # Errors
    ///
    /// Fails when the process has no descriptor left.
    pub fn new() -> io::Result<Self> {
        // SAFETY: eventfd takes no pointer.
        let event = unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) };
        if event < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the descriptor was opened just now and nobody else knows it.
        let event = unsafe { OwnedFd::from_raw_fd(event) };
        Ok(Self { event: File::from(event) })
    }

    /// The same waker once more.
    ///
    /// # Errors
    ///
    /// Fails when the process has no descriptor left.
    pub fn try_clone(&self) -> io::Result<Self> {
        Ok(Self { event: self.event.try_clone()? })
    }

    /// Ends the present or the next wait of the worker.
    pub fn wake(&self) {
        // A full counter is the only way to fail, and then a wake-up is already pending.
        let _ = (&self.event).write(&1_u64.to_ne_bytes());
    }

    /// Takes the wake-ups that are pending.
    pub fn rest(&self) {
        let _ = (&self.event).read(&mut [0; 8]);
    }

    pub(super) const fn event(&self) -> &File {
        &self.event
    }
}

impl AsFd for Waker {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.event.as_fd()
    }
}

impl AsRawFd for Waker {
    fn as_raw_fd(&self) -> RawFd {
        self.event.as_raw_fd()
    }
}
