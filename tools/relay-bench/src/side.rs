//! One side of the driver: what it sends and receives, in datagrams or over connections.

use std::io;
use std::net::{SocketAddr, UdpSocket};

use relay_bench::batch::{self, Address, Aggregation, Wait, bind};
use relay_bench::message::{Scan, scan};
use relay_bench::trunk::{self, Trunks};
use relay_bench::{Post, Reading, Transport};

use crate::{Arguments, Scenario};

/// One side.
#[derive(Debug)]
pub(crate) enum Side {
    /// Over UDP.
    Datagrams(Box<Datagrams>),
    /// Over TCP.
    Connections(Box<Connections>),
}

#[derive(Debug)]
pub(crate) struct Datagrams {
    socket: UdpSocket,
    inbox: batch::Inbox,
    out: batch::Outbox,
    aggregation: Aggregation,
}

#[derive(Debug)]
pub(crate) struct Connections {
    trunks: Trunks,
    inbox: trunk::Inbox,
    out: trunk::Outbox,
}

impl Side {
    /// The SMS side, which over TCP connects, and takes one connection for reports.
    pub(crate) fn sms(arguments: &Arguments) -> io::Result<Self> {
        let Arguments { sms, target, .. } = *arguments;
        match arguments.transport {
            Transport::Udp => Self::connected(sms, target, arguments.aggregation()),
            Transport::Tcp => Self::over(|trunks, out| {
                if arguments.scenario == Scenario::Gateway {
                    trunks.listen(sms)?;
                }
                trunks.connect(Some(sms), target, out)
            }),
        }
    }

    /// The IM side, which over TCP takes one connection.
    pub(crate) fn im(arguments: &Arguments) -> io::Result<Self> {
        let Arguments { im, target, .. } = *arguments;
        match (arguments.transport, arguments.homes) {
            (Transport::Udp, None) => Self::connected(im, target, arguments.aggregation()),
            (Transport::Udp, Some(_)) => Self::open(im, arguments.aggregation()),
            (Transport::Tcp, _) => Self::over(|trunks, _| trunks.listen(im)),
        }
    }

    fn over(
        begin: impl FnOnce(&mut Trunks, &mut trunk::Outbox) -> io::Result<()>,
    ) -> io::Result<Self> {
        let (mut trunks, mut out) = (Trunks::new(), trunk::Outbox::new());
        begin(&mut trunks, &mut out)?;
        Ok(Self::Connections(Box::new(Connections {
            trunks,
            inbox: trunk::Inbox::new(Reading::Scanned),
            out,
        })))
    }

    /// A side that is connected to the system under test, which sends from where it listens: that
    /// spares the driver a route and an address for every packet.
    fn connected(at: SocketAddr, target: SocketAddr, aggregation: Aggregation) -> io::Result<Self> {
        let socket = bind(at)?;
        socket.connect(target)?;
        let (inbox, out) = (batch::Inbox::for_connected(), batch::Outbox::new());
        Ok(Self::Datagrams(Box::new(Datagrams { socket, inbox, out, aggregation })))
    }

    /// A side to which each worker of the system under test sends from a port of its own.
    fn open(at: SocketAddr, aggregation: Aggregation) -> io::Result<Self> {
        let (socket, inbox, out) = (bind(at)?, batch::Inbox::new(), batch::Outbox::new());
        Ok(Self::Datagrams(Box::new(Datagrams { socket, inbox, out, aggregation })))
    }

    /// Whether what was sent need not be sent again.
    pub(crate) const fn is_reliable(&self) -> bool {
        matches!(self, Self::Connections(_))
    }

    /// Adds a message to the system under test.
    pub(crate) fn push(&mut self, fill: impl FnOnce(&mut [u8]) -> usize) -> io::Result<()> {
        match self {
            Self::Datagrams(side) => {
                if side.out.free() == 0 {
                    side.out.send(&side.socket, side.aggregation)?;
                }
                side.out.push(Address::NONE, fill);
            }
            Self::Connections(side) => side.out.push(Address::NONE, fill),
        }
        Ok(())
    }

    /// Adds the answer to what was received: there is room, as a batch that was received fits the one
    /// that is sent.
    pub(crate) fn reply(&mut self, index: usize, fill: impl FnOnce(&[u8], &mut [u8]) -> usize) {
        match self {
            Self::Datagrams(side) => {
                let octets = side.inbox.octets(index);
                side.out.push(side.inbox.source(index), |slot| fill(octets, slot));
            }
            Self::Connections(side) => {
                let octets = side.inbox.octets(index);
                side.out.push(side.inbox.source(index), |slot| fill(octets, slot));
            }
        }
    }

    /// Sends what was added.
    pub(crate) fn send(&mut self) -> io::Result<()> {
        match self {
            Self::Datagrams(side) => side.out.send(&side.socket, side.aggregation),
            Self::Connections(side) => side.out.send(&side.trunks),
        }
    }

    /// Receives what is there; returns how many messages.
    pub(crate) fn receive(&mut self) -> io::Result<usize> {
        match self {
            Self::Datagrams(side) => side.inbox.receive(&side.socket, Wait::Never),
            Self::Connections(side) => {
                side.trunks.accept_now(&mut side.out)?;
                side.inbox.receive(&side.trunks)
            }
        }
    }

    /// One of the messages.
    pub(crate) fn octets(&self, index: usize) -> &[u8] {
        match self {
            Self::Datagrams(side) => side.inbox.octets(index),
            Self::Connections(side) => side.inbox.octets(index),
        }
    }

    /// What is in it, if it can be read.
    pub(crate) fn scan(&self, index: usize) -> Option<Scan> {
        match self {
            Self::Datagrams(side) => scan(side.inbox.octets(index)),
            Self::Connections(side) => side.inbox.scan(index).copied(),
        }
    }
}
