//! One pair of addresses and ports is spread over the sockets of a group, and nothing is lost.
#![expect(unsafe_code, reason = "sending a train")]

use std::io::ErrorKind;
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsRawFd;

use socket2::{Domain, Protocol, Socket, Type};

use super::traffic::{kinds, small};
use super::*;
use crate::io::{len_u32, steer, steer_around};

const WORKERS: u8 = 4;

/// Workers on one port, in the order of their sockets, and somebody who sends to it.
struct Group {
    workers: Vec<Worker>,
    spec: SocketSpec,
    sender: UdpSocket,
}

/// A port that nobody has. Of those who would share theirs the kernel finds each other's free, so
/// it is asked for by somebody who would not.
fn shared(family: &str) -> SocketSpec {
    let address = address(&UdpSocket::bind(family).unwrap());
    SocketSpec { address, reuse_port: true, receive_buffer: 4 << 20, ..spec(family) }
}

/// A further socket on the same port.
fn join(spec: &SocketSpec) -> UdpSocket {
    bind(spec).unwrap()
}

fn on(socket: UdpSocket) -> Worker {
    Worker::new(Choice::Mmsg, vec![socket])
}

impl Group {
    /// A group on which `attach` was called with one of its sockets.
    fn with(family: &str, attach: impl FnOnce(&UdpSocket)) -> Self {
        let spec = shared(family);
        let sockets: Vec<_> = (0..WORKERS).map(|_| join(&spec)).collect();
        attach(&sockets[0]);
        let sender = UdpSocket::bind(family).unwrap();
        Self { workers: sockets.into_iter().map(on).collect(), spec, sender }
    }

    fn steered(family: &str) -> Self {
        Self::with(family, |socket| steer(socket, WORKERS).unwrap())
    }

    /// Attaches through a further socket, which is closed again.
    fn attach(&self, attach: impl FnOnce(&UdpSocket)) {
        attach(&join(&self.spec));
    }

    /// Sends all of it from one port and returns how many each worker got, which is all.
    fn send(&mut self, datagrams: &[Vec<u8>]) -> Vec<usize> {
        let mut shares = vec![0; self.workers.len()];
        for some in datagrams.chunks(BURST_SIZE) {
            for datagram in some {
                self.sender.send_to(datagram, self.spec.address).unwrap();
            }
            for (share, got) in shares.iter_mut().zip(self.take(some.len())) {
                *share += got.len();
            }
        }
        shares
    }

    /// Takes so many datagrams, wherever they land.
    fn take(&mut self, count: usize) -> Vec<Vec<Got>> {
        let mut quiet = 0;
        while self.workers.iter().map(|worker| worker.got.len()).sum::<usize>() < count {
            assert!(quiet < 200, "of {count} some were lost");
            if self.workers.iter_mut().map(Worker::turn).sum::<usize>() == 0 {
                let until = self.workers[0].driver.now().plus_ms(20);
                self.workers[0].driver.idle(Some(until), Polling::Wait, || true);
                quiet += 1;
            }
        }
        self.workers.iter_mut().for_each(|worker| {
            worker.turn();
        });
        let got: Vec<_> =
            self.workers.iter_mut().map(|worker| core::mem::take(&mut worker.got)).collect();
        assert_eq!(got.iter().map(Vec::len).sum::<usize>(), count, "some came twice");
        got
    }

    /// What each worker gets of datagrams that each come from a port of their own.
    fn send_from_many_ports(&mut self, datagram: &[u8], count: usize) -> Vec<usize> {
        for _ in 0..count {
            let sender = UdpSocket::bind((address(&self.sender).ip(), 0)).unwrap();
            sender.send_to(datagram, self.spec.address).unwrap();
        }
        self.take(count).iter().map(Vec::len).collect()
    }
}

#[track_caller]
fn assert_even(what: &str, shares: &[usize]) {
    let even = shares.iter().sum::<usize>() / shares.len();
    let fair = even - even / 10..=even + even / 10;
    assert!(shares.iter().all(|share| fair.contains(share)), "{what}: {shares:?}");
}

/// Some distinct datagrams that spread.
fn some() -> Vec<Vec<u8>> {
    kinds(1_000).swap_remove(0).1
}

#[test]
fn without_a_program_one_socket_gets_all() {
    for family in families() {
        let mut shares = Group::with(family, |_| ()).send(&some());
        shares.sort_unstable();
        assert_eq!(shares, [0, 0, 0, 1_000]);
    }
}

#[test]
fn realistic_traffic_is_even_within_a_tenth() {
    for family in families() {
        let mut group = Group::steered(family);
        for (kind, datagrams) in kinds(4_000) {
            assert_even(kind, &group.send(&datagrams));
        }
        assert_even("small ones", &group.send(&small(4_000)));
    }
}

#[test]
fn the_same_octets_meet_the_same_worker() {
    let mut group = Group::steered(LOCALHOST_V4);
    for datagram in some().into_iter().take(20) {
        assert!(group.send(&vec![datagram; 5]).contains(&5), "a retransmission");
    }
}

#[test]
fn an_ipv4_and_an_ipv6_group_are_steered_each_for_itself() {
    if !families().contains(&LOCALHOST_V6) {
        return;
    }
    // Somebody else may have the IPv4 port, but hardly every time.
    let (v6, v4) = (0..10)
        .find_map(|_| {
            let v6 = Group::steered(LOCALHOST_V6);
            let port = v6.spec.address.port();
            let v4 = SocketSpec { address: ([127, 0, 0, 1], port).into(), ..v6.spec };
            let sockets: Result<Vec<_>, _> = (0..WORKERS).map(|_| bind(&v4)).collect();
            let workers = sockets.ok()?.into_iter().map(on).collect();
            let sender = UdpSocket::bind(LOCALHOST_V4).unwrap();
            Some((v6, Group { workers, spec: v4, sender }))
        })
        .unwrap();
    let (mut v6, mut v4) = (v6, v4);
    assert_even("IPv6", &v6.send(&some()));
    assert!(v4.send(&some()).contains(&1_000), "the program is not for IPv4");
    v4.attach(|socket| steer(socket, WORKERS).unwrap());
    assert_even("IPv4", &v4.send(&some()));
}

#[test]
fn what_is_too_short_goes_where_the_kernel_likes() {
    let nearly = [b'x'; 59];
    for family in families() {
        let mut group = Group::steered(family);
        for short in [&b""[..], b"\r\n", b"\r\n\r\n", &nearly] {
            let shares = group.send_from_many_ports(short, 100);
            // The first socket is where a load past the end would put them all.
            assert!(shares.iter().all(|share| *share > 0), "{} octets: {shares:?}", short.len());
            let shares = group.send(&vec![short.to_vec(); 8]);
            assert!(shares.contains(&8), "the same port, the same socket: {shares:?}");
        }
    }
}

#[test]
fn a_datagram_of_any_length_arrives() {
    let mut group = Group::steered(LOCALHOST_V4);
    let lengths = (0..300).chain([1_300, 1_472, 1_500, 8_999, 9_000]);
    let datagrams: Vec<Vec<u8>> =
        lengths.map(|len| (0..=250).cycle().take(len).collect()).collect();
    for datagram in &datagrams {
        let sent = group.sender.send_to(datagram, group.spec.address).unwrap();
        let got = group.take(1).concat();
        assert_eq!((got[0].octets.len(), &got[0].octets), (sent, datagram));
    }
}

#[test]
fn a_train_goes_whole_to_one_worker() {
    const SIZE: u16 = 300;
    for family in families() {
        let mut group = Group::steered(family);
        let wagons: Vec<_> = kinds(320).swap_remove(1).1;
        let train = |group: &mut Group, wagons: &[Vec<u8>]| {
            let mut octets = Vec::new();
            for wagon in wagons {
                octets.extend_from_slice(&wagon[..usize::from(SIZE)]);
            }
            group.sender.send_to(&octets, group.spec.address).unwrap();
            let got = group.take(wagons.len());
            let whole = got.iter().position(|got| got.len() == wagons.len()).unwrap();
            let passed: Vec<_> = got[whole].iter().map(|got| &got.octets[..]).collect();
            assert_eq!(passed, octets.chunks(SIZE.into()).collect::<Vec<_>>());
            whole
        };
        let (fd, size) = (group.sender.as_raw_fd(), i32::from(SIZE));
        let (level, name, len) = (libc::SOL_UDP, libc::UDP_SEGMENT, len_u32(size_of::<i32>()));
        // SAFETY: the value is an `i32`, and `len` is its size.
        let set = unsafe { libc::setsockopt(fd, level, name, (&raw const size).cast(), len) };
        assert_eq!(set, 0);
        let mut met = [false; WORKERS as usize];
        for wagons in wagons.chunks(8) {
            met[train(&mut group, wagons)] = true;
        }
        assert_eq!(met, [true; WORKERS as usize], "trains are spread");
    }
}

#[test]
fn nothing_is_lost_while_a_socket_is_missing() {
    for family in families() {
        let mut group = Group::steered(family);
        assert_even("all there", &group.send(&some()));
        drop(group.workers.remove(1));
        let shares = group.send(&some());
        assert_eq!(shares.iter().sum::<usize>(), 1_000);
        assert!(shares.iter().all(|share| *share > 100), "{shares:?}");
        group.workers.push(on(join(&group.spec)));
        assert_even("one came back", &group.send(&some()));
    }
}

#[test]
fn closing_a_socket_moves_the_last_one_to_its_place() {
    let mut group = Group::steered(LOCALHOST_V4);
    drop(group.workers.remove(1));
    // Of the workers 0, 2 and 3, whom index 0, 1 and 2 meet.
    for (index, met) in [(0, [9, 0, 0]), (1, [0, 0, 9]), (2, [0, 9, 0])] {
        let others: Vec<_> = (0..3).filter(|other| *other != index).collect();
        group.attach(|socket| steer_around(socket, 3, &others).unwrap());
        assert_eq!(group.send(&some()[..9]), met, "index {index}");
    }
    group.workers.push(on(join(&group.spec)));
    group.attach(|socket| steer_around(socket, 4, &[0, 1, 2]).unwrap());
    assert_eq!(group.send(&some()[..9]), [0, 0, 0, 9], "the latest comes last");
}

#[test]
fn a_socket_that_joins_and_leaves_changes_only_the_program() {
    for family in families() {
        let mut group = Group::steered(family);
        for index in 0..WORKERS {
            let others: Vec<_> = (0..WORKERS).filter(|other| *other != index).collect();
            group.attach(|socket| steer_around(socket, WORKERS, &others).unwrap());
            let mut expected = [0; WORKERS as usize];
            expected[usize::from(index)] = 20;
            assert_eq!(group.send(&some()[..20]), expected);
        }
        // One more than the workers, while it is there, gets nothing of what is mixed.
        let further = join(&group.spec);
        steer(&further, WORKERS).unwrap();
        assert_even("beside a further socket", &group.send(&some()));
        further.set_nonblocking(true).unwrap();
        assert_eq!(further.recv(&mut [0]).unwrap_err().kind(), ErrorKind::WouldBlock);
    }
}

#[test]
fn who_is_lost_gets_nothing_of_any_kind() {
    for lost in [&[0][..], &[3], &[1, 2], &[2, 0, 2], &[0, 1, 2]] {
        let mut group = Group::steered(LOCALHOST_V4);
        group.attach(|socket| steer_around(socket, WORKERS, lost).unwrap());
        let check = |what, shares: &[usize]| {
            let mut left = Vec::new();
            for (index, share) in (0..).zip(shares) {
                if lost.contains(&index) {
                    assert_eq!(*share, 0, "{what} for the lost {index}: {shares:?}");
                } else {
                    left.push(*share);
                }
            }
            left
        };
        let shares = group.send(&some());
        assert_even("those who are left", &check("requests", &shares));
        for short in [&b""[..], b"\r\n\r\n"] {
            let shares = group.send_from_many_ports(short, 100);
            let left = check("short ones from many", &shares);
            assert!(left.iter().all(|share| *share > 0), "{shares:?}");
            check("short ones from one", &group.send(&vec![short.to_vec(); 50]));
        }
    }
}

#[test]
fn a_program_for_nobody_is_refused() {
    let spec = shared(LOCALHOST_V4);
    let socket = join(&spec);
    let kind = |result: std::io::Result<()>| result.unwrap_err().kind();
    assert_eq!(kind(steer(&socket, 0)), ErrorKind::InvalidInput);
    assert_eq!(kind(steer_around(&socket, 2, &[1, 0])), ErrorKind::InvalidInput);
    assert_eq!(kind(steer_around(&socket, 2, &[2])), ErrorKind::InvalidInput);
    let alone = UdpSocket::bind(LOCALHOST_V4).unwrap();
    assert_eq!(kind(steer(&alone, 2)), ErrorKind::InvalidInput);
    // Nobody to choose from: no program, and no need of a group.
    steer(&alone, 1).unwrap();
}

#[test]
fn every_number_of_workers_has_a_program() {
    let spec = shared(LOCALHOST_V4);
    let socket = join(&spec);
    for workers in 1..=u8::MAX {
        steer(&socket, workers).unwrap();
        let lost: Vec<_> = (0..workers - 1).collect();
        steer_around(&socket, workers, &lost).unwrap();
    }
}

fn listener(address: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_port(true)?;
    socket.bind(&address.into())?;
    socket.listen(256)?;
    socket.set_nonblocking(true)?;
    Ok(socket.into())
}

#[test]
fn tcp_on_the_same_port_spreads_by_connection() {
    const CONNECTIONS: usize = 100;
    for family in families() {
        // Somebody else may have the TCP port, but hardly every time.
        let (group, listeners) = (0..10)
            .find_map(|_| {
                let group = Group::steered(family);
                let listeners: Result<Vec<_>, _> =
                    (0..WORKERS).map(|_| listener(group.spec.address)).collect();
                Some((group, listeners.ok()?))
            })
            .unwrap();
        // A program that would put everything on one socket.
        group.attach(|socket| steer_around(socket, WORKERS, &[1, 2, 3]).unwrap());
        let clients: Vec<_> =
            (0..CONNECTIONS).map(|_| TcpStream::connect(group.spec.address).unwrap()).collect();
        let mut shares = [0; WORKERS as usize];
        let mut tries = 0;
        while shares.iter().sum::<usize>() < clients.len() {
            assert!(tries < 1_000_000, "accepted {shares:?}");
            tries += 1;
            for (share, listener) in shares.iter_mut().zip(&listeners) {
                match listener.accept() {
                    Ok(_) => *share += 1,
                    Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
                }
            }
        }
        assert!(shares.iter().all(|share| *share > 0), "{shares:?}");
    }
}
