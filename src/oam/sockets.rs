//! The sockets of all workers, bound before any of them starts.
//!
//! Every worker has the same list in the same order, so that a socket has one number everywhere:
//! first the listeners, which the workers share by SO_REUSEPORT, then sockets of its own for its
//! requests, where they do not leave from the listeners.

use core::net::SocketAddr;
use core::time::Duration;
use std::io;
use std::net::UdpSocket;

use crate::config::{Config, HostPort, Requests};
use crate::io::{SocketSpec, bind, bind_in};
use crate::limits::SOCKET_BUFFER_SIZE;
use crate::oam::service::StartError;
use crate::oam::setup::Local;
use crate::packet::Transport;

/// The sockets of one worker and what is said about them.
#[derive(Debug, Default)]
pub(super) struct Bound {
    pub(super) sockets: Vec<UdpSocket>,
    pub(super) locals: Vec<Local>,
}

/// Binds everything for `workers` workers, in their order.
///
/// # Errors
///
/// Which address could not be had, and why.
pub(super) fn bound(config: &Config, workers: usize) -> Result<Vec<Bound>, StartError> {
    let mut all: Vec<Bound> = (0..workers).map(|_| Bound::default()).collect();
    let single_port = config.requests == Requests::SinglePort;
    for listener in &config.listeners {
        let v4 = listener.address.is_ipv4();
        let sockets = group(listener.address, workers)
            .map_err(|error| StartError::Bind(listener.address, error))?;
        for (bound, socket) in all.iter_mut().zip(sockets) {
            let requests = single_port && bound.first_of(v4).is_none();
            bound.add(socket, listener.address, listener.advertise.clone(), requests)?;
        }
    }
    if let Requests::Ports(range) = config.requests {
        for bound in &mut all {
            for v4 in [true, false] {
                let Some(listener) = bound.first_of(v4).cloned() else { continue };
                let socket = bind_in(&spec(listener.address, false), range.first..=range.last)
                    .map_err(|error| StartError::Ports(range, error))?;
                let advertise = listener.advertise.map(|advertise| advertise.host);
                bound.add_own(socket, listener.address, advertise)?;
            }
        }
    }
    Ok(all)
}

/// One socket for each worker at the same address.
fn group(address: SocketAddr, workers: usize) -> io::Result<Vec<UdpSocket>> {
    // An address that several sockets may share would be shared with another process of the same
    // user as well, and each would get a part of the datagrams: so it is asked for alone first.
    let alone = patiently(|| bind(&spec(address, false)))?;
    if workers == 1 {
        return Ok(Vec::from([alone]));
    }
    let address = alone.local_addr()?;
    drop(alone);
    (0..workers).map(|_| patiently(|| bind(&spec(address, true)))).collect()
}

/// Tries for a while to have an address that is in use: a ring keeps its sockets until the kernel
/// has torn it down, which may be a moment after its process has ended, and a process that is
/// restarted at once would find its own port taken.
#[expect(clippy::disallowed_methods, reason = "the control thread may sleep")]
fn patiently<T>(bind: impl Fn() -> io::Result<T>) -> io::Result<T> {
    for _ in 0..BIND_TRIES {
        match bind() {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
                std::thread::sleep(BIND_PAUSE);
            }
            bound => return bound,
        }
    }
    bind()
}

const BIND_TRIES: u32 = 40;
const BIND_PAUSE: Duration = Duration::from_millis(50);

const fn spec(address: SocketAddr, reuse_port: bool) -> SocketSpec {
    SocketSpec {
        address,
        reuse_port,
        receive_buffer: SOCKET_BUFFER_SIZE,
        send_buffer: SOCKET_BUFFER_SIZE,
    }
}

impl Bound {
    /// The first listener of a family, which own requests share or whose address they have.
    fn first_of(&self, v4: bool) -> Option<&Local> {
        self.locals.iter().find(|local| local.address.is_ipv4() == v4)
    }

    fn add(
        &mut self,
        socket: UdpSocket,
        wanted: SocketAddr,
        advertise: Option<HostPort>,
        requests: bool,
    ) -> Result<(), StartError> {
        let address = socket.local_addr().map_err(|error| StartError::Bind(wanted, error))?;
        self.sockets.push(socket);
        self.locals.push(Local { transport: Transport::Udp, address, advertise, requests });
        Ok(())
    }

    /// A socket of own requests: it is advertised under the listener's host with its own port.
    fn add_own(
        &mut self,
        socket: UdpSocket,
        wanted: SocketAddr,
        host: Option<String>,
    ) -> Result<(), StartError> {
        let port = socket.local_addr().map_err(|error| StartError::Bind(wanted, error))?.port();
        let advertise = host.map(|host| HostPort { host, port });
        self.add(socket, wanted, advertise, true)
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a test may sleep")]
mod tests {
    use super::*;

    #[test]
    fn an_address_that_is_given_up_in_a_moment_is_waited_for() {
        let held = UdpSocket::bind("127.0.0.1:0").unwrap();
        let address = held.local_addr().unwrap();
        assert_eq!(bind(&spec(address, false)).unwrap_err().kind(), io::ErrorKind::AddrInUse);
        let holder = std::thread::spawn(move || {
            std::thread::sleep(2 * BIND_PAUSE);
            drop(held);
        });
        let bound = patiently(|| bind(&spec(address, false))).unwrap();
        assert_eq!(bound.local_addr().unwrap(), address);
        holder.join().unwrap();
    }

    #[test]
    fn a_group_shares_its_port_with_nobody_else() {
        let any: SocketAddr = "127.0.0.1:0".parse().unwrap();
        let first = group(any, 3).unwrap();
        let address = first[0].local_addr().unwrap();
        assert!(first.iter().all(|socket| socket.local_addr().unwrap() == address));
        let second = group(address, 3).unwrap_err();
        assert_eq!(second.kind(), io::ErrorKind::AddrInUse);
    }
}
