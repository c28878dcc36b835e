//! What a failed send proves, and what ICMP says.

use std::os::fd::AsRawFd;

use super::seccomp::scripted;
use super::*;
use crate::packet::SendError;

/// A port that is taken, so that no other test gets it, by a socket that listens to itself only.
fn dead(ip: &str) -> (UdpSocket, SocketAddr) {
    let socket = UdpSocket::bind(ip).unwrap();
    let address = address(&socket);
    socket.connect(address).unwrap();
    (socket, address)
}

#[test]
fn a_dead_port_is_told_with_the_octets_that_went_there() {
    for choice in choices() {
        for ip in families() {
            let mut worker = Worker::new(choice, vec![bind(&spec(ip)).unwrap()]);
            worker.settle();
            for round in 1..=3 {
                let (_guard, nobody) = dead(ip);
                worker.push_to(nobody, b"anybody there?", Some(round));
                worker.run_until("the error", |worker| worker.unreachable.len() == 1);
                let (remote, quoted) = worker.unreachable.remove(0);
                assert_eq!(remote, nobody.into());
                assert_eq!(quoted, b"anybody there?");
                // The datagram itself has left.
                assert_eq!(worker.sent, [(Owner(round), Ok(()))]);
                worker.sent.clear();
            }
            // And the socket works as before.
            let peer = UdpSocket::bind(ip).unwrap();
            worker.push_to(address(&peer), b"hello", None);
            worker.settle();
            assert_eq!(peer.recv(&mut [0; 100]).unwrap(), 5);
            assert!(worker.all_slots_are_free());
        }
    }
}

#[test]
fn an_error_about_one_datagram_does_not_harm_another() {
    for choice in choices() {
        for ip in families() {
            let open = [(); 3].map(|()| UdpSocket::bind(ip).unwrap());
            let closed = [(); 3].map(|()| dead(ip));
            let mut worker = Worker::new(choice, vec![bind(&spec(ip)).unwrap()]);
            let count = 60;
            for number in 0..count {
                let at = number % 6;
                let to = if at % 2 == 0 { address(&open[at / 2]) } else { closed[at / 2].1 };
                worker.push_to(to, &number.to_le_bytes(), Some(number as u64));
            }
            worker.run_until("all completions", |worker| worker.sent.len() == count);
            worker.settle();
            let mut owners: Vec<_> = worker.sent.iter().map(|(owner, _)| owner.0).collect();
            owners.sort_unstable();
            assert_eq!(owners, (0..count as u64).collect::<Vec<_>>(), "each is told once");
            assert!(worker.sent.iter().all(|(_, sent)| sent.is_ok()), "{}", worker.summary());
            for (index, socket) in open.iter().enumerate() {
                socket.set_nonblocking(true).unwrap();
                let mut got = Vec::new();
                let mut octets = [0; 100];
                while let Ok(len) = socket.recv(&mut octets) {
                    got.push(usize::from_le_bytes(octets[..len].try_into().unwrap()));
                }
                got.sort_unstable();
                let expected: Vec<_> = (0..count).filter(|n| n % 6 == 2 * index).collect();
                assert_eq!(got, expected, "all of them exactly once");
            }
            assert_eq!(worker.unreachable.len(), count / 2, "{}", worker.summary());
            assert!(worker.count(Counter::SendRepeated) > 0, "{}", worker.summary());
            assert_eq!(worker.count(Counter::SendRefused), 0);
            assert!(worker.all_slots_are_free());
        }
    }
}

#[test]
fn datagrams_are_received_while_icmp_errors_come() {
    for choice in choices_without_trains() {
        let ours = bind(&spec(LOCALHOST_V4)).unwrap();
        let local = address(&ours);
        let mut worker = Worker::new(choice, vec![ours]);
        let peer = UdpSocket::bind(LOCALHOST_V4).unwrap();
        let (_guard, nobody) = dead(LOCALHOST_V4);
        for round in 0..20 {
            for _ in 0..10 {
                worker.push_to(nobody, b"anybody there?", None);
            }
            peer.send_to(b"a datagram", local).unwrap();
            worker.run_until("both", |worker| {
                worker.got.len() == round + 1 && worker.unreachable.len() == 10 * (round + 1)
            });
        }
        worker.settle();
        assert_eq!(worker.got.len(), 20);
    }
}

#[test]
fn more_icmp_errors_than_a_turn_reads_are_read_in_the_next_ones() {
    use crate::limits::ICMP_PER_TURN_MAX;
    for choice in choices_without_trains() {
        let mut worker = Worker::new(choice, vec![bind(&spec(LOCALHOST_V4)).unwrap()]);
        let (_guard, nobody) = dead(LOCALHOST_V4);
        let count = 3 * ICMP_PER_TURN_MAX;
        for _ in 0..count {
            worker.push_to(nobody, b"anybody there?", None);
        }
        worker.submit();
        let mut most = 0;
        while worker.unreachable.len() < count {
            let before = worker.unreachable.len();
            assert!(worker.turn() > 0, "{}", worker.summary());
            most = most.max(worker.unreachable.len() - before);
        }
        assert!(most <= ICMP_PER_TURN_MAX, "{most}");
    }
}

#[test]
fn a_datagram_that_the_path_does_not_take_is_too_long() {
    if !families().contains(&LOCALHOST_V6) {
        return;
    }
    for choice in choices() {
        let ours = bind(&spec(LOCALHOST_V6)).unwrap();
        set_ipv6(&ours, libc::IPV6_DONTFRAG, 1);
        set_ipv6(&ours, libc::IPV6_MTU, 1_280);
        let peer = UdpSocket::bind(LOCALHOST_V6).unwrap();
        let mut worker = Worker::new(choice, vec![ours]);
        worker.push_to(address(&peer), &[0; 1_281], Some(1));
        worker.push_to(address(&peer), &[0; 1_000], Some(2));
        worker.run_until("both completions", |worker| worker.sent.len() == 2);
        worker.sent.sort_unstable_by_key(|(owner, _)| owner.0);
        assert_eq!(worker.sent, [(Owner(1), Err(SendError::TooLong)), (Owner(2), Ok(()))]);
        worker.settle();
        assert_eq!(worker.count(Counter::SendRefused), 1);
        // The kernel queues its own refusal as well; that is not ICMP.
        assert_eq!(worker.unreachable, []);
    }
}

#[test]
fn a_socket_of_the_other_family_has_no_route() {
    for choice in choices() {
        for ip in families() {
            let remote = if ip == LOCALHOST_V4 { "[::1]:5060" } else { "127.0.0.1:5060" };
            let mut worker = Worker::new(choice, vec![bind(&spec(ip)).unwrap()]);
            worker.push_to(remote.parse().unwrap(), b"lost", Some(1));
            worker.run_until("the refusal", |worker| worker.sent.len() == 1);
            assert_eq!(worker.sent, [(Owner(1), Err(SendError::NoRoute))]);
            assert!(worker.all_slots_are_free());
        }
    }
}

/// What the owners of three departures are told when the system calls that send end so.
fn sent_with(script: &[Option<i32>]) -> (Vec<(Owner, Sent)>, Vec<u8>, Arc<Tally>) {
    scripted(&[libc::SYS_sendmmsg, libc::SYS_sendmsg], script, || {
        let peer = UdpSocket::bind(LOCALHOST_V4).unwrap();
        let mut worker = Worker::new(Choice::Mmsg, vec![bind(&spec(LOCALHOST_V4)).unwrap()]);
        for number in 0..3 {
            worker.push_to(address(&peer), &[number], Some(u64::from(number)));
        }
        worker.run_until("completions", |worker| worker.sent.len() == 3);
        assert!(worker.all_slots_are_free());
        worker.settle();
        peer.set_nonblocking(true).unwrap();
        let mut got = Vec::new();
        let mut octet = [0];
        while peer.recv(&mut octet).is_ok() {
            got.push(octet[0]);
        }
        (worker.sent, got, worker.tally)
    })
}

#[test]
fn only_the_second_errno_of_a_send_is_believed() {
    use libc::{ECONNREFUSED, EHOSTUNREACH, EMSGSIZE, ENETUNREACH, EPERM};
    let cases = [
        (ECONNREFUSED, None, Ok(())),
        (ENETUNREACH, None, Ok(())),
        (EMSGSIZE, None, Ok(())),
        (ECONNREFUSED, Some(ECONNREFUSED), Err(SendError::Other(ECONNREFUSED))),
        (EHOSTUNREACH, Some(EHOSTUNREACH), Err(SendError::Other(EHOSTUNREACH))),
        (ECONNREFUSED, Some(EPERM), Err(SendError::Forbidden)),
        (EPERM, Some(EPERM), Err(SendError::Forbidden)),
        (ENETUNREACH, Some(ENETUNREACH), Err(SendError::NoRoute)),
        (EMSGSIZE, Some(EMSGSIZE), Err(SendError::TooLong)),
    ];
    for (first, second, expected) in cases {
        let (sent, got, tally) = sent_with(&[Some(first), second]);
        let told: Vec<_> = sent.iter().map(|(owner, _)| owner.0).collect();
        assert_eq!(told, [0, 1, 2]);
        assert_eq!(sent[0].1, expected, "{first} {second:?}");
        assert_eq!(sent[1].1, Ok(()));
        assert_eq!(sent[2].1, Ok(()));
        let left: &[u8] = if expected.is_ok() { &[0, 1, 2] } else { &[1, 2] };
        assert_eq!(got, left);
        assert_eq!(tally.counters.read(Counter::SendRefused), u64::from(expected.is_err()));
        assert_eq!(tally.counters.read(Counter::SendRepeated), u64::from(expected.is_ok()));
        assert_eq!(tally.counters.read(Counter::DatagramsOut), left.len() as u64);
    }
}

#[test]
fn a_send_that_finds_no_room_keeps_its_place() {
    use libc::{EAGAIN, ECONNREFUSED};
    let scripts: [&[Option<i32>]; 4] = [
        &[Some(EAGAIN)],
        &[Some(EAGAIN), Some(EAGAIN)],
        // The repetition of a failed send finds no room.
        &[Some(ECONNREFUSED), Some(EAGAIN)],
        &[Some(ECONNREFUSED), Some(EAGAIN), Some(EAGAIN)],
    ];
    for script in scripts {
        let (sent, got, tally) = sent_with(script);
        assert_eq!(sent, [(Owner(0), Ok(())), (Owner(1), Ok(())), (Owner(2), Ok(()))]);
        assert_eq!(got, [0, 1, 2]);
        assert_eq!(tally.counters.read(Counter::SendRepeated), 0, "room is no error");
    }
}

#[test]
fn a_datagram_behind_an_error_is_taken_in_the_same_turn_or_the_next() {
    for choice in choices() {
        let ours = bind(&spec(LOCALHOST_V4)).unwrap();
        let local = address(&ours);
        let mut worker = Worker::new(choice, vec![ours]);
        let peer = UdpSocket::bind(LOCALHOST_V4).unwrap();
        let (_guard, nobody) = dead(LOCALHOST_V4);
        worker.settle();
        worker.push_to(nobody, b"anybody there?", None);
        worker.submit();
        peer.send_to(b"a datagram", local).unwrap();
        worker.reap(BURST_SIZE);
        if choice == Choice::Uring {
            // The error has ended the multishot receive, and this turn has armed it again.
            worker.reap(BURST_SIZE);
        }
        assert_eq!(worker.got.len(), 1, "{}", worker.summary());
        assert_eq!(worker.unreachable.len(), 1, "{}", worker.summary());
    }
}

#[test]
fn a_flood_of_errors_does_not_stop_the_receiving() {
    use crate::limits::ICMP_PER_TURN_MAX;
    for choice in choices() {
        let ours = bind(&spec(LOCALHOST_V4)).unwrap();
        let local = address(&ours);
        let mut worker = Worker::new(choice, vec![ours]);
        let peer = UdpSocket::bind(LOCALHOST_V4).unwrap();
        let (_guard, nobody) = dead(LOCALHOST_V4);
        for _ in 0..3 * ICMP_PER_TURN_MAX {
            worker.push_to(nobody, b"anybody there?", None);
        }
        worker.submit();
        peer.send_to(b"a datagram", local).unwrap();
        worker.reap(BURST_SIZE);
        worker.reap(BURST_SIZE);
        assert_eq!(worker.got.len(), 1, "{}", worker.summary());
        assert!(worker.unreachable.len() < 3 * ICMP_PER_TURN_MAX, "{}", worker.summary());
    }
}

#[test]
fn an_error_that_a_send_has_met_is_read_without_a_wait() {
    for choice in choices() {
        let mut worker = Worker::new(choice, vec![bind(&spec(LOCALHOST_V4)).unwrap()]);
        let peer = UdpSocket::bind(LOCALHOST_V4).unwrap();
        let (_guard, nobody) = dead(LOCALHOST_V4);
        worker.settle();
        worker.push_to(nobody, b"anybody there?", None);
        worker.push_to(address(&peer), b"hello", None);
        worker.submit();
        for _ in 0..3 {
            worker.reap(BURST_SIZE);
        }
        assert_eq!(worker.unreachable.len(), 1, "{}", worker.summary());
        assert_eq!(peer.recv(&mut [0; 100]).unwrap(), 5);
    }
}

#[test]
fn an_error_that_no_call_has_met_ends_the_wait() {
    let ours = bind(&spec(LOCALHOST_V4)).unwrap();
    let twin = ours.try_clone().unwrap();
    let mut worker = Worker::new(Choice::Mmsg, vec![ours]);
    let (_guard, nobody) = dead(LOCALHOST_V4);
    worker.settle();
    worker.push_to(nobody, b"anybody there?", None);
    worker.submit();
    assert!(twin.take_error().unwrap().is_some());
    worker.run_until("the error", |worker| worker.unreachable.len() == 1);
}

#[expect(unsafe_code, reason = "no safe wrapper offers these options")]
fn set_ipv6(socket: &UdpSocket, name: i32, value: i32) {
    let level = libc::IPPROTO_IPV6;
    let pointer = (&raw const value).cast();
    // SAFETY: an `i32` of ours and its size.
    let result = unsafe { libc::setsockopt(socket.as_raw_fd(), level, name, pointer, 4) };
    assert_eq!(result, 0, "{}", std::io::Error::last_os_error());
}
