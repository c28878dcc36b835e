//! Strangers who connect to the system under test beside what is measured: connections that send one
//! octet of a message a second, connections that come and go, connections that say nothing.
//!
//! They are played between the turns of the driver, one system call or two at a time and evenly spaced,
//! so that no other process takes the driver's core from it. What they cost the driver is in its
//! lateness.

use std::io::{self, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use serde::Serialize;
use socket2::{Domain, Protocol, Socket, Type};

use crate::{Arguments, now};

/// The beginning of a message whose end never comes.
const SLOW: &[u8] =
    b"MESSAGE sip:+15551230002@im.example.net SIP/2.0\r\nVia: SIP/2.0/TCP stranger\r\n";

/// Addresses that strangers come from: what has closed keeps its port for a minute.
const SOURCES: u32 = 64;

/// What strangers did in the measuring window.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub(crate) struct Deeds {
    /// Connections opened.
    pub(crate) opened: u64,
    /// Connections closed by the other end, and noticed.
    pub(crate) lost: u64,
    /// Octets sent.
    pub(crate) octets: u64,
    /// Connections that could not be opened.
    pub(crate) failed: u64,
}

/// Everybody who is not wanted.
#[derive(Debug)]
pub(crate) struct Abuse {
    target: SocketAddr,
    slow: Vec<Stranger>,
    idle: Vec<TcpStream>,
    /// The connection that was opened last, and is closed when the next one is.
    passing: Option<TcpStream>,
    octets_every: Option<Pace>,
    connects_every: Option<Pace>,
    next: usize,
    source: u32,
    pub(crate) deeds: Deeds,
}

#[derive(Debug)]
struct Stranger {
    stream: Option<TcpStream>,
    sent: usize,
}

#[derive(Clone, Copy, Debug)]
struct Pace {
    interval: Duration,
    due: Instant,
}

impl Pace {
    fn new(per_second: u32) -> Option<Self> {
        let interval = Duration::from_secs(1).checked_div(per_second)?;
        Some(Self { interval, due: now() })
    }

    /// Whether it is time; what was missed is made up for, one at a time.
    fn is_due(&mut self, at: Instant) -> bool {
        let is_due = at >= self.due;
        if is_due {
            self.due += self.interval;
        }
        is_due
    }
}

impl Abuse {
    /// Opens what is to be there from the beginning. `None` if nobody is unwelcome.
    pub(crate) fn new(arguments: &Arguments) -> io::Result<Option<Self>> {
        let Arguments { slow, churn, idle, target, .. } = *arguments;
        if slow + churn + idle == 0 {
            return Ok(None);
        }
        let mut abuse = Self {
            target,
            slow: Vec::new(),
            idle: Vec::new(),
            passing: None,
            octets_every: Pace::new(slow),
            connects_every: Pace::new(churn),
            next: 0,
            source: 0,
            deeds: Deeds::default(),
        };
        for _ in 0..idle {
            let stream = abuse.connect(true)?;
            abuse.idle.push(stream);
        }
        for _ in 0..slow {
            let stream = Some(abuse.connect(true)?);
            abuse.slow.push(Stranger { stream, sent: 0 });
        }
        abuse.octets_every = Pace::new(slow);
        abuse.connects_every = Pace::new(churn);
        Ok(Some(abuse))
    }

    /// Does what is due: at most one octet and one connection.
    pub(crate) fn turn(&mut self, at: Instant) {
        if self.octets_every.as_mut().is_some_and(|pace| pace.is_due(at)) {
            self.send_octet();
        }
        if self.connects_every.as_mut().is_some_and(|pace| pace.is_due(at)) {
            match self.connect(false) {
                Ok(stream) => self.passing = Some(stream),
                Err(_) => self.deeds.failed += 1,
            }
        }
    }

    /// How many of the silent connections are still there.
    pub(crate) fn idle_left(&self) -> usize {
        let mut octet = [0];
        let is_open = |stream: &&TcpStream| {
            let peeked = stream.set_nonblocking(true).and_then(|()| stream.peek(&mut octet));
            matches!(peeked, Err(error) if error.kind() == io::ErrorKind::WouldBlock)
        };
        self.idle.iter().filter(is_open).count()
    }

    fn send_octet(&mut self) {
        let turn = self.next;
        self.next = (turn + 1) % self.slow.len();
        let Stranger { stream, sent } = &mut self.slow[turn];
        let octet = SLOW[*sent % SLOW.len()];
        if let Some(stream) = stream
            && stream.write(&[octet]).is_ok()
        {
            *sent += 1;
            self.deeds.octets += 1;
            return;
        }
        // Whoever was closed comes again.
        self.deeds.lost += u64::from(stream.is_some());
        let again = self.connect(false).ok();
        self.deeds.failed += u64::from(again.is_none());
        self.slow[turn] = Stranger { stream: again, sent: 0 };
    }

    fn connect(&mut self, wait: bool) -> io::Result<TcpStream> {
        self.source = self.source % SOURCES + 1;
        let source = Ipv4Addr::from(u32::from(Ipv4Addr::new(127, 0, 1, 0)) + self.source);
        let socket = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP))?;
        socket.set_nonblocking(!wait)?;
        socket.set_reuse_address(true)?;
        socket.bind(&SocketAddr::from((source, 0)).into())?;
        match socket.connect(&self.target.into()) {
            Err(error) if error.raw_os_error() != Some(libc::EINPROGRESS) => return Err(error),
            _ => {}
        }
        socket.set_nonblocking(true)?;
        self.deeds.opened += 1;
        Ok(socket.into())
    }
}
