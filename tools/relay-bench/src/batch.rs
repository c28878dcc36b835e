//! Datagrams by the batch: `recvmmsg` into fixed buffers, `sendmmsg` out of one.
//!
//! An [`Outbox`] may send neighbours of one length to one address as a train (UDP_SEGMENT). The
//! kernel cuts a train into its datagrams before a receiver without UDP_GRO sees them, so the
//! receiver gets the very same datagrams while the sender pays a fraction; but their buffers are
//! pieces of one, and receiving those is dearer.
#![expect(unsafe_code, reason = "recvmmsg and sendmmsg take raw pointers")]

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::AsRawFd;
use std::ptr;

use socket2::{Domain, Protocol, SockAddr, Socket, Type};

use crate::Post;

/// Datagrams in one batch.
pub const BATCH_SIZE: usize = 64;

/// Octets of the longest datagram that is received whole.
pub const DATAGRAM_SIZE_MAX: usize = 2_048;

/// Octets of the longest train: what one IPv4 datagram could hold.
const TRAIN_SIZE_MAX: usize = 65_507;

/// Octets in the address of an IPv6 socket, the larger of the two families.
const ADDRESS_SIZE: usize = size_of::<libc::sockaddr_in6>();

/// Octets of the control message that carries the length of a segment.
const CONTROL_SIZE: usize = 24;

/// A socket address as the kernel writes it. The default one is none: a datagram to it goes where
/// its socket is connected to.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Address {
    octets: [u8; ADDRESS_SIZE],
    len: u8,
}

impl Address {
    /// No address.
    pub const NONE: Self = Self { octets: [0; ADDRESS_SIZE], len: 0 };
}

impl From<SocketAddr> for Address {
    fn from(address: SocketAddr) -> Self {
        let address = SockAddr::from(address);
        let len = address.len() as usize;
        let mut octets = [0; ADDRESS_SIZE];
        // SAFETY: `SockAddr` keeps `len` initialised octets behind its pointer, as long as it lives.
        let written = unsafe { std::slice::from_raw_parts(address.as_ptr().cast::<u8>(), len) };
        octets[..len].copy_from_slice(written);
        Self { octets, len: u8::try_from(len).unwrap_or(0) }
    }
}

/// Binds a blocking UDP socket whose receive buffer holds a few thousand datagrams.
pub fn bind(address: SocketAddr) -> io::Result<UdpSocket> {
    const BUFFER_SIZE: usize = 8 << 20;
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
    if force_receive_buffer(&socket, BUFFER_SIZE).is_err() {
        socket.set_recv_buffer_size(BUFFER_SIZE)?;
    }
    socket.bind(&address.into())?;
    Ok(socket.into())
}

/// Sets the receive buffer beyond `net.core.rmem_max`, which takes a privilege.
fn force_receive_buffer(socket: &Socket, size: usize) -> io::Result<()> {
    let size = libc::c_int::try_from(size).unwrap_or(libc::c_int::MAX);
    // SAFETY: the option takes one `int`, whose address and size are given.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_RCVBUFFORCE,
            (&raw const size).cast(),
            libc::socklen_t::try_from(size_of_val(&size)).unwrap_or(0),
        )
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Whether a receive waits for the first datagram.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Wait {
    /// It returns at once, perhaps with nothing.
    Never,
    /// It sleeps until there is at least one.
    ForOne,
}

/// Where a batch of datagrams is received.
#[derive(Debug)]
pub struct Inbox {
    octets: Box<[[u8; DATAGRAM_SIZE_MAX]]>,
    addresses: Box<[[u8; ADDRESS_SIZE]]>,
    // Referred to by `headers`; never touched after `new`.
    _iovecs: Box<[libc::iovec]>,
    headers: Box<[libc::mmsghdr]>,
    filled: usize,
}

impl Inbox {
    /// Allocates everything that receiving from anybody ever needs.
    pub fn new() -> Self {
        let mut inbox = Self::for_connected();
        for (header, address) in inbox.headers.iter_mut().zip(&mut inbox.addresses) {
            header.msg_hdr.msg_name = address.as_mut_ptr().cast();
        }
        inbox
    }

    /// The same for a connected socket, where nobody needs to be told the source.
    pub fn for_connected() -> Self {
        let mut octets: Box<[_]> = (0..BATCH_SIZE).map(|_| [0; DATAGRAM_SIZE_MAX]).collect();
        let addresses = (0..BATCH_SIZE).map(|_| [0; ADDRESS_SIZE]).collect();
        let mut iovecs: Box<[_]> = octets
            .iter_mut()
            .map(|buffer| libc::iovec {
                iov_base: buffer.as_mut_ptr().cast(),
                iov_len: buffer.len(),
            })
            .collect();
        let headers = iovecs
            .iter_mut()
            .map(|iovec| {
                let mut header = empty_header();
                header.msg_hdr.msg_iov = iovec;
                header.msg_hdr.msg_iovlen = 1;
                header
            })
            .collect();
        Self { octets, addresses, _iovecs: iovecs, headers, filled: 0 }
    }

    /// Receives what is there, at most [`BATCH_SIZE`] datagrams; returns how many.
    pub fn receive(&mut self, socket: &UdpSocket, wait: Wait) -> io::Result<usize> {
        for header in &mut self.headers {
            header.msg_hdr.msg_namelen = match header.msg_hdr.msg_name.is_null() {
                true => 0,
                false => libc::socklen_t::try_from(ADDRESS_SIZE).unwrap_or(0),
            };
        }
        let flags = match wait {
            Wait::Never => libc::MSG_DONTWAIT,
            Wait::ForOne => libc::MSG_WAITFORONE,
        };
        self.filled = 0;
        // SAFETY: every header points to an address, an iovec and a buffer in boxes that this
        // inbox owns and does not move, and `&mut self` keeps everybody else away from them.
        let received = unsafe {
            libc::recvmmsg(
                socket.as_raw_fd(),
                self.headers.as_mut_ptr(),
                libc::c_uint::try_from(BATCH_SIZE).unwrap_or(0),
                flags,
                ptr::null_mut(),
            )
        };
        match usize::try_from(received) {
            Ok(received) => self.filled = received,
            Err(_) => match io::Error::last_os_error() {
                // An ICMP error to an earlier datagram says nothing about this call.
                error if error.kind() == io::ErrorKind::ConnectionRefused => {}
                error if error.kind() == io::ErrorKind::WouldBlock => {}
                error if error.kind() == io::ErrorKind::Interrupted => {}
                error => return Err(error),
            },
        }
        Ok(self.filled)
    }

    /// How many datagrams the last receive brought.
    pub const fn len(&self) -> usize {
        self.filled
    }

    /// Whether the last receive brought none.
    pub const fn is_empty(&self) -> bool {
        self.filled == 0
    }

    /// One of the received datagrams.
    pub fn octets(&self, index: usize) -> &[u8] {
        let len = self.headers[..self.filled][index].msg_len as usize;
        &self.octets[index][..len.min(DATAGRAM_SIZE_MAX)]
    }

    /// Where it came from; nothing from a connected socket.
    pub fn source(&self, index: usize) -> Address {
        let len = self.headers[..self.filled][index].msg_hdr.msg_namelen;
        Address { octets: self.addresses[index], len: u8::try_from(len).unwrap_or(0) }
    }
}

impl Default for Inbox {
    fn default() -> Self {
        Self::new()
    }
}

impl Post for Outbox {
    /// # Panics
    ///
    /// Panics if the batch is full.
    fn push(&mut self, to: Address, fill: impl FnOnce(&mut [u8]) -> usize) {
        assert!(self.free() > 0, "the caller sends a full batch before it adds to it");
        let at = self.datagrams.last().map_or(0, |last| last.at + last.len);
        let len = fill(&mut self.octets[at..at + DATAGRAM_SIZE_MAX]);
        assert!(len <= DATAGRAM_SIZE_MAX);
        if len > 0 {
            self.datagrams.push(Datagram { at, len, to });
        }
    }
}

/// What of a batch is sent in one piece.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Aggregation {
    /// Every datagram by itself.
    None,
    /// Neighbours of one length to one address as a train.
    Trains,
}

#[derive(Clone, Copy, Debug)]
struct Datagram {
    at: usize,
    len: usize,
    to: Address,
}

/// A batch of datagrams that is being written and then sent.
#[derive(Debug)]
pub struct Outbox {
    octets: Box<[u8]>,
    datagrams: Vec<Datagram>,
    iovecs: Box<[libc::iovec]>,
    controls: Box<[Control]>,
    headers: Box<[libc::mmsghdr]>,
}

/// Room for one control message, aligned as the kernel wants it.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(8))]
struct Control([u8; CONTROL_SIZE]);

impl Outbox {
    /// Allocates everything that sending ever needs.
    pub fn new() -> Self {
        Self {
            octets: std::iter::repeat_n(0, BATCH_SIZE * DATAGRAM_SIZE_MAX).collect(),
            datagrams: Vec::with_capacity(BATCH_SIZE),
            iovecs: (0..BATCH_SIZE)
                .map(|_| libc::iovec { iov_base: ptr::null_mut(), iov_len: 0 })
                .collect(),
            controls: (0..BATCH_SIZE).map(|_| Control([0; CONTROL_SIZE])).collect(),
            headers: (0..BATCH_SIZE).map(|_| empty_header()).collect(),
        }
    }

    /// How many more datagrams fit.
    pub const fn free(&self) -> usize {
        BATCH_SIZE - self.datagrams.len()
    }

    /// Sends the batch and empties it.
    pub fn send(&mut self, socket: &UdpSocket, aggregation: Aggregation) -> io::Result<()> {
        let mut pieces = 0;
        let mut first = 0;
        while first < self.datagrams.len() {
            let count = match aggregation {
                Aggregation::None => 1,
                Aggregation::Trains => self.train_at(first),
            };
            self.prepare(pieces, first, count);
            pieces += 1;
            first += count;
        }
        let mut sent = 0;
        while sent < pieces {
            // SAFETY: `prepare` has filled the first `pieces` headers with pointers into boxes and
            // a vector that this outbox owns; none of them changes until the call returns.
            let result = unsafe {
                libc::sendmmsg(
                    socket.as_raw_fd(),
                    self.headers[sent..pieces].as_mut_ptr(),
                    libc::c_uint::try_from(pieces - sent).unwrap_or(0),
                    0,
                )
            };
            match usize::try_from(result) {
                Ok(count) => sent += count,
                Err(_) => match io::Error::last_os_error() {
                    // The error of an earlier datagram, reported once; this one has not been tried.
                    error if error.kind() == io::ErrorKind::ConnectionRefused => {}
                    error if error.kind() == io::ErrorKind::Interrupted => {}
                    error => return Err(error),
                },
            }
        }
        self.datagrams.clear();
        Ok(())
    }

    /// How many datagrams from `first` on may leave as one train: equal lengths, the last one
    /// perhaps shorter, one address.
    fn train_at(&self, first: usize) -> usize {
        let head = self.datagrams[first];
        let mut total = head.len;
        let mut count = 1;
        for datagram in &self.datagrams[first + 1..] {
            total += datagram.len;
            if datagram.to != head.to || datagram.len > head.len || total > TRAIN_SIZE_MAX {
                break;
            }
            count += 1;
            if datagram.len < head.len {
                break;
            }
        }
        count
    }

    fn prepare(&mut self, piece: usize, first: usize, count: usize) {
        let head = self.datagrams[first];
        let last = self.datagrams[first + count - 1];
        let iovec = &mut self.iovecs[piece];
        iovec.iov_base = self.octets[head.at..].as_mut_ptr().cast();
        iovec.iov_len = last.at + last.len - head.at;
        let header = &mut self.headers[piece].msg_hdr;
        header.msg_name = match head.to.len {
            0 => ptr::null_mut(),
            _ => self.datagrams[first].to.octets.as_mut_ptr().cast(),
        };
        header.msg_namelen = libc::socklen_t::from(head.to.len);
        header.msg_iov = iovec;
        header.msg_iovlen = 1;
        header.msg_control = ptr::null_mut();
        header.msg_controllen = 0;
        if count > 1 {
            let control = &mut self.controls[piece];
            *control = segment_size(head.len);
            header.msg_control = control.0.as_mut_ptr().cast();
            header.msg_controllen = CONTROL_SIZE;
        }
    }
}

impl Default for Outbox {
    fn default() -> Self {
        Self::new()
    }
}

/// The control message that tells the kernel where to cut a train.
fn segment_size(len: usize) -> Control {
    const HEADER_SIZE: usize = size_of::<libc::cmsghdr>();
    const LEN: usize = HEADER_SIZE + size_of::<u16>();
    let mut octets = [0; CONTROL_SIZE];
    octets[..8].copy_from_slice(&LEN.to_ne_bytes());
    octets[8..12].copy_from_slice(&libc::SOL_UDP.to_ne_bytes());
    octets[12..16].copy_from_slice(&libc::UDP_SEGMENT.to_ne_bytes());
    let len = u16::try_from(len).unwrap_or(u16::MAX);
    octets[HEADER_SIZE..LEN].copy_from_slice(&len.to_ne_bytes());
    Control(octets)
}

fn empty_header() -> libc::mmsghdr {
    // SAFETY: a header of zeros is a valid one: null pointers with zero lengths.
    unsafe { std::mem::zeroed() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair() -> (UdpSocket, UdpSocket) {
        let address = "127.0.0.1:0".parse().unwrap();
        (bind(address).unwrap(), bind(address).unwrap())
    }

    fn received(aggregation: Aggregation) -> Vec<Vec<u8>> {
        let (from, to) = pair();
        let destination = Address::from(to.local_addr().unwrap());
        let mut out = Outbox::new();
        for (octet, len) in [(1, 600), (2, 600), (3, 500), (4, 600), (5, 700)] {
            out.push(destination, |slot| {
                slot[..len].fill(octet);
                len
            });
        }
        out.push(destination, |_| 0);
        out.send(&from, aggregation).unwrap();
        assert_eq!(out.free(), BATCH_SIZE);
        let mut inbox = Inbox::new();
        let mut datagrams = Vec::new();
        while datagrams.len() < 5 {
            let count = inbox.receive(&to, Wait::ForOne).unwrap();
            for index in 0..count {
                assert_eq!(inbox.source(index), from.local_addr().unwrap().into());
                datagrams.push(inbox.octets(index).to_vec());
            }
        }
        assert_eq!(inbox.receive(&to, Wait::Never).unwrap(), 0);
        datagrams
    }

    #[test]
    fn a_train_arrives_as_the_same_datagrams() {
        let plain = received(Aggregation::None);
        let lengths: Vec<_> = plain.iter().map(|datagram| (datagram[0], datagram.len())).collect();
        assert_eq!(lengths, [(1, 600), (2, 600), (3, 500), (4, 600), (5, 700)]);
        assert_eq!(received(Aggregation::Trains), plain);
    }

    #[test]
    fn connected_sockets_need_no_addresses() {
        let (one, other) = pair();
        one.connect(other.local_addr().unwrap()).unwrap();
        other.connect(one.local_addr().unwrap()).unwrap();
        let mut out = Outbox::new();
        out.push(Address::default(), |slot| {
            slot[..2].copy_from_slice(b"ok");
            2
        });
        out.send(&one, Aggregation::Trains).unwrap();
        let mut inbox = Inbox::for_connected();
        assert_eq!(inbox.receive(&other, Wait::ForOne).unwrap(), 1);
        assert_eq!((inbox.octets(0), inbox.source(0)), (&b"ok"[..], Address::default()));
    }

    #[test]
    fn trains_end_where_the_length_or_the_address_changes() {
        let one = Address::from("127.0.0.1:1000".parse::<SocketAddr>().unwrap());
        let other = Address::from("127.0.0.1:1001".parse::<SocketAddr>().unwrap());
        let mut out = Outbox::new();
        for (to, len) in [(one, 9), (one, 9), (one, 8), (one, 8), (other, 8), (other, 9)] {
            out.push(to, |_| len);
        }
        let trains: Vec<_> = (0..6).map(|first| out.train_at(first)).collect();
        assert_eq!(trains, [3, 2, 2, 1, 1, 1]);
    }
}
