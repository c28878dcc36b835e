//! Sockets: how they are opened, and what a driver has to know about each.
#![expect(unsafe_code, reason = "socket options that no safe wrapper offers")]

use core::net::SocketAddr;
use core::ops::RangeInclusive;
use std::fs::File;
use std::io;
use std::net::UdpSocket;
use std::os::fd::{AsRawFd, RawFd};

use socket2::{Domain, Protocol, SockRef, Socket, Type};

use super::stream::own;
use super::{address, control, len_u32};
use crate::limits::SOCKETS_MAX;
use crate::metrics::{Counter, Tally};
use crate::packet::{Endpoint, Flow, SocketId};

/// A local socket to be opened.
#[derive(Clone, Copy, Debug)]
pub struct SocketSpec {
    /// Where to listen; port 0 takes any that is free.
    pub address: SocketAddr,
    /// Whether several workers share the port (SO_REUSEPORT).
    pub reuse_port: bool,
    /// Octets of the receive buffer; 0 leaves the system's default.
    pub receive_buffer: usize,
    /// Octets of the send buffer; 0 leaves the system's default.
    pub send_buffer: usize,
}

/// Opens and binds a socket as the drivers want it.
///
/// It does not block, an IPv6 socket carries IPv6 only, ICMP errors are queued with what they
/// quote, datagrams lost for want of room are told, and a socket on the unspecified address is told
/// to which address each datagram came. Buffer sizes beyond the system's limit need the capability
/// to do so; without it the kernel grants what the limit allows.
///
/// # Errors
///
/// Returns what the kernel answered.
pub fn bind(spec: &SocketSpec) -> io::Result<UdpSocket> {
    let v4 = spec.address.is_ipv4();
    let domain = if v4 { Domain::IPV4 } else { Domain::IPV6 };
    let kind = Type::DGRAM.nonblocking().cloexec();
    let socket = Socket::new(domain, kind, Some(Protocol::UDP))?;
    if !v4 {
        socket.set_only_v6(true)?;
    }
    if spec.reuse_port {
        socket.set_reuse_port(true)?;
    }
    set_buffers(&socket, spec)?;
    let (level, recverr, pktinfo) = if v4 {
        (libc::IPPROTO_IP, libc::IP_RECVERR, libc::IP_PKTINFO)
    } else {
        (libc::IPPROTO_IPV6, libc::IPV6_RECVERR, libc::IPV6_RECVPKTINFO)
    };
    set(&socket, level, recverr, 1)?;
    if spec.address.ip().is_unspecified() {
        set(&socket, level, pktinfo, 1)?;
    }
    set(&socket, libc::SOL_SOCKET, libc::SO_RXQ_OVFL, 1)?;
    socket.bind(&spec.address.into())?;
    Ok(socket.into())
}

/// Opens a socket on the first port of `ports` that is free, for a worker's own requests.
///
/// # Errors
///
/// Returns what the kernel answered: `AddrInUse` when no port of the range is free.
pub fn bind_in(spec: &SocketSpec, ports: RangeInclusive<u16>) -> io::Result<UdpSocket> {
    for port in ports {
        let address = SocketAddr::new(spec.address.ip(), port);
        match bind(&SocketSpec { address, reuse_port: false, ..*spec }) {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {}
            other => return other,
        }
    }
    Err(io::ErrorKind::AddrInUse.into())
}

/// Lets the process have as many files open as it needs, as far as the system allows, and has the
/// kernel's table of them as large at once. Returns how many are allowed.
///
/// # Errors
///
/// Returns what the kernel answered.
pub fn raise_files(wanted: u64) -> io::Result<u64> {
    let allowed = raise_limit(wanted)?;
    grow_table(wanted.min(allowed));
    Ok(allowed)
}

/// Makes the kernel grow the table of open files to so many. It grows by doubling, and waits each time
/// until every core has let go of the old one (RCU): ten milliseconds, which otherwise are in the turn
/// that accepts one connection too many. Where it cannot be had now it grows later.
fn grow_table(files: u64) {
    let (Ok(last), Ok(file)) = (i32::try_from(files.saturating_sub(1)), File::open("/dev/null"))
    else {
        return;
    };
    // SAFETY: the descriptor is open during the call, which takes a number beside.
    let copy = unsafe { libc::fcntl(file.as_raw_fd(), libc::F_DUPFD_CLOEXEC, last) };
    if copy >= 0 {
        drop(own(copy));
    }
}

fn raise_limit(wanted: u64) -> io::Result<u64> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: `limit` is written within the call.
    if unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) } != 0 {
        return Err(io::Error::last_os_error());
    }
    if limit.rlim_cur >= wanted {
        return Ok(limit.rlim_cur);
    }
    // More than the hard limit needs a capability: where it is not to be had, as much as there is.
    for hard in [wanted.max(limit.rlim_max), limit.rlim_max] {
        let raised = libc::rlimit { rlim_cur: wanted.min(hard), rlim_max: hard };
        // SAFETY: `raised` is read within the call.
        if unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const raised) } == 0 {
            return Ok(raised.rlim_cur);
        }
    }
    Err(io::Error::last_os_error())
}

fn set_buffers(socket: &Socket, spec: &SocketSpec) -> io::Result<()> {
    if spec.receive_buffer > 0 {
        let size = i32::try_from(spec.receive_buffer).unwrap_or(i32::MAX);
        if set(socket, libc::SOL_SOCKET, libc::SO_RCVBUFFORCE, size).is_err() {
            socket.set_recv_buffer_size(spec.receive_buffer)?;
        }
    }
    if spec.send_buffer > 0 {
        let size = i32::try_from(spec.send_buffer).unwrap_or(i32::MAX);
        if set(socket, libc::SOL_SOCKET, libc::SO_SNDBUFFORCE, size).is_err() {
            socket.set_send_buffer_size(spec.send_buffer)?;
        }
    }
    Ok(())
}

pub(super) fn set(socket: &Socket, level: i32, name: i32, value: i32) -> io::Result<()> {
    const SIZE: libc::socklen_t = len_u32(size_of::<i32>());
    let value = (&raw const value).cast();
    // SAFETY: `value` points at an `i32` that outlives the call, and SIZE is its size.
    let result = unsafe { libc::setsockopt(socket.as_raw_fd(), level, name, value, SIZE) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// A socket in a driver's hands.
#[derive(Debug)]
pub(super) struct Local {
    pub(super) id: SocketId,
    pub(super) socket: UdpSocket,
    ip: [u8; 16],
    wildcard: bool,
    drops: u32,
}

impl Local {
    fn new(id: SocketId, socket: UdpSocket) -> io::Result<Self> {
        let address = socket.local_addr()?;
        Ok(Self {
            id,
            ip: Endpoint::from(address).ip,
            wildcard: address.ip().is_unspecified(),
            drops: 0,
            socket,
        })
    }

    pub(super) fn fd(&self) -> RawFd {
        self.socket.as_raw_fd()
    }

    /// The address to leave from, where that is not settled by the socket itself.
    pub(super) fn source(&self, flow: &Flow) -> Option<[u8; 16]> {
        (self.wildcard && flow.local != [0; 16]).then_some(flow.local)
    }

    /// The flow of a datagram that came with these, which also tells what was lost before it.
    pub(super) fn flow(&mut self, name: &[u8], control: &[u8], tally: &Tally) -> Option<Flow> {
        self.arrived(name, control, tally).map(|(flow, _)| flow)
    }

    /// The same, and of what length the datagrams are if it is a train.
    pub(super) fn arrived(
        &mut self,
        name: &[u8],
        control: &[u8],
        tally: &Tally,
    ) -> Option<(Flow, Option<usize>)> {
        let (mut local, mut segment) = (self.ip, None);
        if !control.is_empty() {
            let received = control::read(control);
            if let Some(drops) = received.drops {
                let lost = drops.wrapping_sub(self.drops);
                tally.counters.add_many(Counter::KernelDrops, u64::from(lost));
                self.drops = drops;
            }
            local = received.destination.unwrap_or(local);
            segment = received.segment;
        }
        Some((Flow { local, ..Flow::to(address::read(name)?, self.id) }, segment))
    }

    /// Takes what arrives as a train as one (`UDP_GRO`). Where the kernel does not know that, each
    /// datagram comes by itself.
    pub(super) fn take_trains(&self) {
        let socket = SockRef::from(&self.socket);
        let _ = set(&socket, libc::SOL_UDP, libc::UDP_GRO, 1);
    }
}

/// Takes the sockets over.
pub(super) fn take(sockets: Vec<UdpSocket>) -> io::Result<Box<[Local]>> {
    if sockets.len() > SOCKETS_MAX {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    (0..).zip(sockets).map(|(id, socket)| Local::new(SocketId(id), socket)).collect()
}
