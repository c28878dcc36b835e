//! Open-loop traffic with a known outcome for every message, and the judge of what came of it.
//!
//! Two actors stand on either side of whatever is tested. [`sms`] submits messages on a
//! [`schedule`] that never waits for answers, so that a stall of the tested side lengthens the
//! latencies instead of hiding in them. [`im`] plays the clients: the user part of each
//! Request-URI names the message and the [`truth::Outcome`] to inject, and it writes down what
//! the client really has. [`judge`] lays both records beside the verdicts, [`summary`] counts what
//! must not be (lost, duplicated, false, wrong), and [`table`] shows it.
//!
//! **Nothing here is shared with the engine.** SIP is written and read by naive code ([`sip`]) and
//! the right verdict for each outcome stands in a table of its own ([`truth`]), so that a mistake
//! of the engine cannot excuse itself.
//!
//! That is what the demo plays. [`generator`] is for measuring: it loads any SIP system, at rates that
//! plain code does not reach, and reads SIP with [`crate::wire`]; `tools/interop/load_check.py` holds
//! what it says against tshark.

pub mod generator;
pub mod im;
pub mod judge;
#[cfg(test)]
mod proxy;
pub mod schedule;
pub mod short;
pub mod sip;
pub mod sms;
pub mod summary;
pub mod table;
pub mod trunk;
pub mod truth;

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};

/// Octets asked of the kernel for each direction of an actor's socket; it may grant fewer.
const SOCKET_BUFFER_SIZE: usize = 4 << 20;

/// How long a listening actor waits before it looks at its timers and at the stop sign again.
const LISTEN_WAIT: Duration = Duration::from_millis(2);

/// Octets of the longest datagram an actor reads.
const DATAGRAM_SIZE_MAX: usize = 16_384;

/// A UDP socket for an actor: deep buffers, because what it drops is laid at the tested side's
/// door, and reads that return now and then even if nothing arrives.
pub fn bind(address: SocketAddr) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_recv_buffer_size(SOCKET_BUFFER_SIZE)?;
    socket.set_send_buffer_size(SOCKET_BUFFER_SIZE)?;
    socket.set_read_timeout(Some(LISTEN_WAIT))?;
    socket.bind(&address.into())?;
    Ok(socket.into())
}

/// Reads one datagram, or nothing when none came within [`LISTEN_WAIT`]. Errors of the network
/// (an ICMP message that some earlier send caused) are nothing, too.
fn receive<'a>(socket: &UdpSocket, buffer: &'a mut [u8]) -> Option<(&'a [u8], SocketAddr)> {
    let (len, source) = socket.recv_from(buffer).ok()?;
    Some((&buffer[..len], source))
}

/// Reads one datagram, for which a test may have to wait a while.
#[cfg(test)]
fn receive_patiently<'a>(socket: &UdpSocket, buffer: &'a mut [u8]) -> (&'a [u8], SocketAddr) {
    for _ in 0..10_000 {
        if let Ok((len, source)) = socket.recv_from(buffer) {
            return (&buffer[..len], source);
        }
    }
    panic!("nothing came")
}

/// Waits for what a test is sure of.
#[cfg(test)]
fn until(mut happened: impl FnMut() -> bool) {
    let clock = schedule::Clock::start();
    while !happened() {
        let now = clock.now_ns();
        assert!(now < 30_000_000_000, "it did not happen");
        clock.sleep_until(now + 1_000_000);
    }
}
