//! Messages of connections: one read for each connection and turn, one write out of another buffer.
//!
//! Whoever listens takes one connection; whoever connects has one. There is no second try: a
//! connection that ends, and octets that cannot be divided into messages, end the measurement.
#![expect(unsafe_code, reason = "poll takes a raw pointer")]

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsRawFd;

use memchr::memmem;
use socket2::{Domain, Protocol, SockRef, Socket, Type};

use crate::Post;
use crate::Reading;
use crate::batch::{Address, DATAGRAM_SIZE_MAX};
use crate::message::{Scan, number, scan};

/// Octets of one read: a hundred messages.
const READ_SIZE: usize = 64 << 10;

/// Octets asked of the kernel for each buffer: a window of messages and its answers.
const BUFFER_SIZE: usize = 4 << 20;

/// Connections of one program at most.
const CONNECTIONS_MAX: usize = 3;

/// The connections of one program, and who waits for one.
#[derive(Debug)]
pub struct Trunks {
    connections: Vec<(TcpStream, Address)>,
    listener: Option<TcpListener>,
}

impl Trunks {
    /// None yet.
    pub const fn new() -> Self {
        Self { connections: Vec::new(), listener: None }
    }

    /// Listens for one connection.
    pub fn listen(&mut self, at: SocketAddr) -> io::Result<()> {
        let socket = Socket::new(Domain::for_address(at), Type::STREAM, Some(Protocol::TCP))?;
        socket.set_reuse_address(true)?;
        // What is accepted inherits them; behind the handshake they no longer widen the window.
        enlarge(&socket)?;
        socket.bind(&at.into())?;
        socket.listen(1)?;
        self.listener = Some(socket.into());
        Ok(())
    }

    /// Waits for the connection that is listened for.
    pub fn accept(&mut self, out: &mut Outbox) -> io::Result<()> {
        let Some(listener) = &self.listener else { return Ok(()) };
        listener.set_nonblocking(false)?;
        self.take(out)
    }

    /// Takes the connection that is listened for, if it is there.
    pub fn accept_now(&mut self, out: &mut Outbox) -> io::Result<()> {
        let Some(listener) = &self.listener else { return Ok(()) };
        listener.set_nonblocking(true)?;
        match self.take(out) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(()),
            result => result,
        }
    }

    fn take(&mut self, out: &mut Outbox) -> io::Result<()> {
        let Some(listener) = &self.listener else { return Ok(()) };
        let (stream, remote) = listener.accept()?;
        self.listener = None;
        self.add(stream, remote, out)
    }

    /// Connects, from an address if one is given.
    pub fn connect(
        &mut self,
        from: Option<SocketAddr>,
        to: SocketAddr,
        out: &mut Outbox,
    ) -> io::Result<()> {
        let socket = Socket::new(Domain::for_address(to), Type::STREAM, Some(Protocol::TCP))?;
        enlarge(&socket)?;
        if let Some(from) = from {
            socket.bind(&SocketAddr::new(from.ip(), 0).into())?;
        }
        socket.connect(&to.into())?;
        self.add(socket.into(), to, out)
    }

    fn add(&mut self, stream: TcpStream, remote: SocketAddr, out: &mut Outbox) -> io::Result<()> {
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        assert!(self.connections.len() < CONNECTIONS_MAX, "a program has so many");
        self.connections.push((stream, remote.into()));
        out.letters.push(Letter::new(remote.into()));
        Ok(())
    }

    /// Sleeps until something can be read, or the rest of `out` written.
    pub fn wait(&self, out: &Outbox) -> io::Result<()> {
        let mut polled = [libc::pollfd { fd: -1, events: 0, revents: 0 }; CONNECTIONS_MAX];
        for ((each, (stream, _)), letter) in
            polled.iter_mut().zip(&self.connections).zip(&out.letters)
        {
            each.fd = stream.as_raw_fd();
            each.events = libc::POLLIN | if letter.is_empty() { 0 } else { libc::POLLOUT };
        }
        // SAFETY: the pointer and the length are those of an array that outlives the call.
        let result =
            unsafe { libc::poll(polled.as_mut_ptr(), CONNECTIONS_MAX as libc::nfds_t, -1) };
        match io::Error::last_os_error() {
            error if result < 0 && error.kind() != io::ErrorKind::Interrupted => Err(error),
            _ => Ok(()),
        }
    }
}

impl Default for Trunks {
    fn default() -> Self {
        Self::new()
    }
}

fn enlarge(socket: &Socket) -> io::Result<()> {
    let socket = SockRef::from(socket);
    socket.set_recv_buffer_size(BUFFER_SIZE)?;
    socket.set_send_buffer_size(BUFFER_SIZE)
}

/// A message in a read.
#[derive(Clone, Copy, Debug)]
struct Found {
    connection: usize,
    at: usize,
    end: usize,
    scan: Option<Scan>,
}

/// What was read, divided into messages.
#[derive(Debug)]
pub struct Inbox {
    reads: [ReadBuffer; CONNECTIONS_MAX],
    found: Vec<Found>,
    sources: [Address; CONNECTIONS_MAX],
    reading: Reading,
}

#[derive(Debug)]
struct ReadBuffer {
    octets: Box<[u8]>,
    /// Where the first message is that was not taken.
    at: usize,
    end: usize,
}

impl Inbox {
    /// Allocates everything that reading ever needs.
    pub fn new(reading: Reading) -> Self {
        let read = || ReadBuffer { octets: repeat(READ_SIZE + DATAGRAM_SIZE_MAX), at: 0, end: 0 };
        Self {
            reads: std::array::from_fn(|_| read()),
            // No message that is checked is shorter than two hundred octets.
            found: Vec::with_capacity(CONNECTIONS_MAX * READ_SIZE / 200),
            sources: [Address::NONE; CONNECTIONS_MAX],
            reading,
        }
    }

    /// Reads once from each connection; returns how many whole messages there are.
    ///
    /// # Errors
    ///
    /// A connection has ended, or what came cannot be divided into messages.
    pub fn receive(&mut self, trunks: &Trunks) -> io::Result<usize> {
        self.found.clear();
        for (connection, (stream, remote)) in trunks.connections.iter().enumerate() {
            self.sources[connection] = *remote;
            let read = &mut self.reads[connection];
            read.octets.copy_within(read.at..read.end, 0);
            (read.at, read.end) = (0, read.end - read.at);
            let mut stream = stream;
            match stream.read(&mut read.octets[read.end..]) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(len) => read.end += len,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
                Err(error) => return Err(error),
            }
            while let Some((len, scan)) = first(&read.octets[read.at..read.end])? {
                self.reading.read(&read.octets[read.at..read.end]);
                let end = read.at + len;
                self.found.push(Found { connection, at: read.at, end, scan });
                read.at = end;
            }
        }
        Ok(self.found.len())
    }

    /// One of the messages.
    pub fn octets(&self, index: usize) -> &[u8] {
        let Found { connection, at, end, .. } = self.found[index];
        &self.reads[connection].octets[at..end]
    }

    /// What was found in it, if it can be read.
    pub fn scan(&self, index: usize) -> Option<&Scan> {
        self.found[index].scan.as_ref()
    }

    /// The other end of its connection.
    pub fn source(&self, index: usize) -> Address {
        self.sources[self.found[index].connection]
    }
}

/// The first message and how long it is; nothing if it has not come whole.
fn first(octets: &[u8]) -> io::Result<Option<(usize, Option<Scan>)>> {
    if let Some(found) = scan(octets) {
        return Ok(Some((found.body.end, Some(found))));
    }
    // It is not whole, or cannot be read.
    const HEADER_END: &[u8] = b"\r\n\r\n";
    const LENGTH: &[u8] = b"\r\nContent-Length: ";
    let Some(end) = memmem::find(octets, HEADER_END) else {
        let is_held = octets.len() <= DATAGRAM_SIZE_MAX;
        return if is_held { Ok(None) } else { Err(io::ErrorKind::InvalidData.into()) };
    };
    let length = memmem::find(&octets[..end], LENGTH).and_then(|at| {
        let value = octets[at + LENGTH.len()..end].split(|octet| *octet == b'\r').next()?;
        number(value)
    });
    let length = length.ok_or(io::ErrorKind::InvalidData)?;
    let len = end + HEADER_END.len() + length;
    Ok((len <= octets.len()).then_some((len, None)))
}

/// What waits to be written.
#[derive(Debug, Default)]
pub struct Outbox {
    letters: Vec<Letter>,
}

/// What waits for one connection.
#[derive(Debug)]
struct Letter {
    to: Address,
    octets: Box<[u8]>,
    written: usize,
    put: usize,
}

impl Letter {
    fn new(to: Address) -> Self {
        Self { to, octets: repeat(READ_SIZE), written: 0, put: 0 }
    }

    const fn is_empty(&self) -> bool {
        self.written == self.put
    }

    fn write(&mut self, mut stream: &TcpStream) -> io::Result<()> {
        while !self.is_empty() {
            match stream.write(&self.octets[self.written..self.put]) {
                Ok(len) => self.written += len,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        (self.written, self.put) = (0, 0);
        Ok(())
    }
}

impl Outbox {
    /// Nothing, for nobody yet.
    pub const fn new() -> Self {
        Self { letters: Vec::new() }
    }

    /// Writes what there is: once for each connection that takes it all.
    ///
    /// # Errors
    ///
    /// A connection has ended.
    pub fn send(&mut self, trunks: &Trunks) -> io::Result<()> {
        for (letter, (stream, _)) in self.letters.iter_mut().zip(&trunks.connections) {
            letter.write(stream)?;
        }
        Ok(())
    }
}

impl Post for Outbox {
    /// What is for nobody goes to the first connection, and what is for somebody who is not there
    /// nowhere.
    fn push(&mut self, to: Address, fill: impl FnOnce(&mut [u8]) -> usize) {
        let is_any = to == Address::NONE;
        let Some(letter) = self.letters.iter_mut().find(|letter| is_any || letter.to == to) else {
            return;
        };
        if letter.octets.len() - letter.put < DATAGRAM_SIZE_MAX {
            let mut larger = repeat(2 * letter.octets.len());
            larger[..letter.put].copy_from_slice(&letter.octets[..letter.put]);
            letter.octets = larger;
        }
        letter.put += fill(&mut letter.octets[letter.put..letter.put + DATAGRAM_SIZE_MAX]);
    }
}

/// Octets that are memory already.
fn repeat(len: usize) -> Box<[u8]> {
    std::iter::repeat_n(1, len).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MESSAGE: &str = "MESSAGE sip:x SIP/2.0\r\nVia: SIP/2.0/TCP a;branch=z9hG4bK1\r\n\
        From: <sip:a>\r\nTo: <sip:b>\r\nCall-ID: 1\r\nCSeq: 1 MESSAGE\r\n\
        Content-Length: 5\r\n\r\nhello";

    fn pair() -> ((Trunks, Outbox), (Trunks, Outbox)) {
        let mut one = (Trunks::new(), Outbox::new());
        let mut other = (Trunks::new(), Outbox::new());
        one.0.listen("127.0.0.1:0".parse().unwrap()).unwrap();
        let at = one.0.listener.as_ref().unwrap().local_addr().unwrap();
        other.0.connect(Some("127.0.0.2:0".parse().unwrap()), at, &mut other.1).unwrap();
        one.0.accept(&mut one.1).unwrap();
        (one, other)
    }

    #[test]
    fn messages_come_out_as_they_went_in_however_many_fit_a_read() {
        let ((trunks, nothing), (peer, mut out)) = pair();
        let mut inbox = Inbox::new(Reading::Judged);
        for count in [1, 300] {
            for _ in 0..count {
                out.push(Address::NONE, |slot| {
                    slot[..MESSAGE.len()].copy_from_slice(MESSAGE.as_bytes());
                    MESSAGE.len()
                });
            }
            out.send(&peer).unwrap();
            let mut left = count;
            while left > 0 {
                trunks.wait(&nothing).unwrap();
                let came = inbox.receive(&trunks).unwrap();
                for index in 0..came {
                    assert_eq!(inbox.octets(index), MESSAGE.as_bytes());
                    assert_eq!(inbox.scan(index).unwrap().body.of(inbox.octets(index)), b"hello");
                    assert_eq!(inbox.source(index), trunks.connections[0].1);
                }
                left -= came;
            }
        }
        assert_eq!(inbox.receive(&trunks).unwrap(), 0);
        drop(peer);
        trunks.wait(&nothing).unwrap();
        assert_eq!(inbox.receive(&trunks).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    }

    #[test]
    fn a_message_that_has_not_come_whole_is_waited_for_and_a_wrong_one_is_told() {
        for len in 0..MESSAGE.len() {
            assert!(first(&MESSAGE.as_bytes()[..len]).unwrap().is_none(), "{len}");
        }
        let wrong = MESSAGE.replace("Via", "Vib") + "next";
        let (len, scan) = first(wrong.as_bytes()).unwrap().unwrap();
        assert_eq!((len, scan), (MESSAGE.len(), None));
        let unending = MESSAGE.replace("Content-Length", "Content");
        assert!(first(unending.as_bytes()).is_err());
        assert!(first("x".repeat(DATAGRAM_SIZE_MAX + 1).as_bytes()).is_err());
    }

    #[test]
    fn what_is_for_nobody_is_not_sent() {
        let ((trunks, mut out), _peer) = pair();
        let other = Address::from("127.0.0.9:1".parse::<SocketAddr>().unwrap());
        out.push(other, |_| 9);
        assert!(out.letters[0].is_empty());
        out.push(trunks.connections[0].1, |_| 9);
        assert!(!out.letters[0].is_empty());
    }
}
