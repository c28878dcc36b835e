//! Sockets are what their specification says, and answer from where they were asked.

use std::io::ErrorKind;

use super::*;
use crate::io::{bind_in, raise_files};

#[test]
fn a_socket_on_all_addresses_answers_from_the_one_that_was_asked() {
    for choice in choices() {
        for family in families() {
            let (all, asked) = match family {
                LOCALHOST_V4 => ("0.0.0.0:0", ["127.0.0.1", "127.0.0.2"]),
                _ => ("[::]:0", ["::1", "::1"]),
            };
            let ours = bind(&spec(all)).unwrap();
            let port = address(&ours).port();
            let mut worker = Worker::new(choice, vec![ours]);
            for ip in asked {
                let asked = SocketAddr::new(ip.parse().unwrap(), port);
                let peer = UdpSocket::bind(SocketAddr::new(asked.ip(), 0)).unwrap();
                peer.send_to(b"a question", asked).unwrap();
                worker.run_until("the question", |worker| worker.got.len() == 1);
                let flow = worker.got.remove(0).flow;
                assert_eq!(flow.local, Endpoint::from(asked).ip);
                assert_eq!(flow.remote, address(&peer).into());
                worker.push(flow, b"an answer", Some(1));
                worker.run_until("the completion", |worker| worker.sent.len() == 1);
                assert_eq!(worker.sent.remove(0).1, Ok(()));
                let mut answer = [0; 100];
                let (len, from) = peer.recv_from(&mut answer).unwrap();
                assert_eq!((&answer[..len], from), (&b"an answer"[..], asked));
                // A request of our own leaves from where the kernel likes.
                let flow = Flow { local: [0; 16], ..flow };
                worker.push(flow, b"a request", None);
                worker.settle();
                assert_eq!(peer.recv(&mut answer).unwrap(), 9);
            }
        }
    }
}

#[test]
fn sends_with_and_without_a_source_mix() {
    for choice in choices() {
        let ours = bind(&spec("0.0.0.0:0")).unwrap();
        let port = address(&ours).port();
        let peer = UdpSocket::bind(LOCALHOST_V4).unwrap();
        let mut worker = Worker::new(choice, vec![ours]);
        let mut expected = Vec::new();
        for last in [1, 2, 0, 3, 0, 2] {
            let ip = format!("127.0.0.{last}").parse::<core::net::IpAddr>().unwrap();
            let local = if last == 0 { [0; 16] } else { crate::packet::ip_octets(ip) };
            let remote = address(&peer).into();
            worker.push(Flow { remote, local, ..Flow::default() }, &[last], None);
            expected.push((last, if last == 0 { "127.0.0.1".parse().unwrap() } else { ip }));
        }
        worker.submit();
        worker.settle();
        let got: Vec<_> = expected
            .iter()
            .map(|_| {
                let mut octet = [0];
                let (_, from) = peer.recv_from(&mut octet).unwrap();
                assert_eq!(from.port(), port);
                (octet[0], from.ip())
            })
            .collect();
        assert_eq!(got, expected);
    }
}

#[test]
fn a_socket_on_one_address_sends_from_there_whatever_the_flow_says() {
    for choice in choices() {
        let ours = bind(&spec(LOCALHOST_V4)).unwrap();
        let from = address(&ours);
        let peer = UdpSocket::bind(LOCALHOST_V4).unwrap();
        let mut worker = Worker::new(choice, vec![ours]);
        let local = Endpoint::from("127.0.0.2:0".parse::<SocketAddr>().unwrap()).ip;
        let remote = address(&peer).into();
        worker.push(Flow { remote, local, ..Flow::default() }, b"hello", None);
        worker.settle();
        assert_eq!(peer.recv_from(&mut [0; 100]).unwrap(), (5, from));
    }
}

#[test]
fn a_source_that_is_not_ours_is_refused_and_told() {
    for choice in choices() {
        let ours = bind(&spec("0.0.0.0:0")).unwrap();
        let peer = UdpSocket::bind(LOCALHOST_V4).unwrap();
        let mut worker = Worker::new(choice, vec![ours]);
        let local = Endpoint::from("192.0.2.1:0".parse::<SocketAddr>().unwrap()).ip;
        let remote = address(&peer).into();
        worker.push(Flow { remote, local, ..Flow::default() }, b"lost", Some(1));
        worker.run_until("the refusal", |worker| worker.sent.len() == 1);
        assert!(worker.sent[0].1.is_err(), "{:?}", worker.sent);
        assert!(worker.all_slots_are_free());
    }
}

#[test]
fn a_port_is_shared_only_by_who_wants_it() {
    let shared = SocketSpec { reuse_port: true, ..spec(LOCALHOST_V4) };
    let first = bind(&shared).unwrap();
    let again = SocketSpec { address: address(&first), ..shared };
    assert_eq!(address(&bind(&again).unwrap()), address(&first));
    let alone = SocketSpec { reuse_port: false, ..again };
    assert_eq!(bind(&alone).unwrap_err().kind(), ErrorKind::AddrInUse);
}

#[test]
fn both_families_may_have_the_same_port() {
    if !families().contains(&LOCALHOST_V6) {
        return;
    }
    // Somebody else may take the IPv4 port first, but hardly every time.
    let both = (0..10).any(|_| {
        let v6 = bind(&spec("[::]:0")).unwrap();
        let address = SocketAddr::new([0, 0, 0, 0].into(), address(&v6).port());
        bind(&SocketSpec { address, ..spec(LOCALHOST_V4) }).is_ok()
    });
    assert!(both, "an IPv6 socket carries IPv6 only");
}

#[test]
fn the_first_free_port_of_a_range_is_taken() {
    let taken = bind(&spec(LOCALHOST_V4)).unwrap();
    let port = address(&taken).port();
    // Neighbours may be taken by others; whatever is bound lies in the range and is not `port`.
    let range = port..=port.saturating_add(50);
    let socket = bind_in(&spec(LOCALHOST_V4), range.clone()).unwrap();
    assert!(range.contains(&address(&socket).port()));
    assert_ne!(address(&socket).port(), port);
    let full = bind_in(&spec(LOCALHOST_V4), port..=port).unwrap_err();
    assert_eq!(full.kind(), ErrorKind::AddrInUse);
    // Even where both would share it: a worker's own port is its own.
    let shared = SocketSpec { reuse_port: true, ..spec(LOCALHOST_V4) };
    let sharing = bind(&shared).unwrap();
    let port = address(&sharing).port();
    assert_eq!(bind_in(&shared, port..=port).unwrap_err().kind(), ErrorKind::AddrInUse);
    // Any other error ends the search.
    let foreign = bind_in(&spec("192.0.2.1:0"), 1..=u16::MAX).unwrap_err();
    assert_eq!(foreign.kind(), ErrorKind::AddrNotAvailable);
}

#[test]
fn buffers_are_as_large_as_wanted() {
    let wanted = SocketSpec { receive_buffer: 300_000, send_buffer: 150_000, ..spec(LOCALHOST_V4) };
    let socket = bind(&wanted).unwrap();
    let socket = socket2::SockRef::from(&socket);
    // The kernel doubles what is asked for, for its own records.
    assert!(socket.recv_buffer_size().unwrap() >= 2 * wanted.receive_buffer.min(limit("rmem")));
    assert!(socket.send_buffer_size().unwrap() >= 2 * wanted.send_buffer.min(limit("wmem")));
    assert!(socket.nonblocking().unwrap());
}

#[test]
fn without_the_capability_a_buffer_is_as_large_as_the_limit_allows() {
    // setsockopt: the first is SO_RCVBUFFORCE; of an IPv4 socket with one buffer size.
    let socket = seccomp::scripted(&[libc::SYS_setsockopt], &[Some(libc::EPERM)], || {
        bind(&SocketSpec { receive_buffer: 150_000, ..spec(LOCALHOST_V4) }).unwrap()
    });
    let size = socket2::SockRef::from(&socket).recv_buffer_size().unwrap();
    assert!(size >= 2 * limit("rmem").min(150_000), "{size}");
}

fn limit(kind: &str) -> usize {
    let path = format!("/proc/sys/net/core/{kind}_max");
    std::fs::read_to_string(path).unwrap().trim().parse().unwrap()
}

#[test]
fn the_table_of_files_has_room_before_it_is_needed() {
    const WANTED: u64 = 3_000;
    let allowed = raise_files(WANTED).unwrap();
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let room = status.lines().find_map(|line| line.strip_prefix("FDSize:")).unwrap();
    assert!(room.trim().parse::<u64>().unwrap() >= WANTED.min(allowed), "{room}");
}
