//! Completions that the kernel gives rarely or never, made by hand.

use std::io::Write as _;
use std::net::{SocketAddr, TcpStream, UdpSocket};

use super::*;
use crate::id::WorkerId;
use crate::io::{SocketSpec, StreamSocket, bind, listen};
use crate::packet::{Departure, Flow, Owner, Purse};
use crate::session::stream::Rules;

struct Rig {
    uring: Uring,
    out: Departures,
    tally: Arc<Tally>,
    sent: Vec<(Owner, Sent)>,
}

impl Rig {
    /// `None` where io_uring is refused.
    fn new() -> Option<Self> {
        let spec = SocketSpec {
            address: "127.0.0.1:0".parse().unwrap(),
            reuse_port: false,
            receive_buffer: 0,
            send_buffer: 0,
        };
        let locals = super::super::socket::take([bind(&spec).unwrap()].into()).unwrap();
        let ready = Uring::prepare(&locals, 8, 0).ok()?;
        let tally = Arc::new(Tally::new(0));
        let uring = Uring::open(ready, locals, None, Arc::clone(&tally)).unwrap();
        Some(Self { uring, out: Departures::new(), tally, sent: Vec::new() })
    }

    fn count(&self, counter: Counter) -> u64 {
        self.tally.counters.read(counter)
    }

    /// With connections of the second socket, which listens there.
    fn with_streams() -> Option<(Self, SocketAddr)> {
        let mut rig = Self::new()?;
        let listener = listen("127.0.0.1:0".parse().unwrap(), false).unwrap();
        let address = listener.local_addr().unwrap();
        let sockets = [StreamSocket::Tcp { listener: Some(listener), address }].into();
        let rules = Rules {
            connections_max: 8,
            per_source_max: 8,
            strangers: true,
            ..Rules::closed(WorkerId(0))
        };
        let connections = Connections::open(1, sockets, rules, &rig.tally, clock::now()).unwrap();
        let submitter = rig.uring.ring.submitter();
        let lines = Lines::new(&submitter, connections.unwrap()).unwrap();
        rig.uring.lines = Some(Box::new(lines));
        Some((rig, address))
    }

    /// A departure of five octets that is in the driver's hands, but not in the kernel's.
    fn hold(&mut self, remote: SocketAddr, owner: u64) -> u16 {
        let flow = Flow { remote: remote.into(), ..Flow::default() };
        let departure = Departure { flow, owner: Some(Owner(owner)), ..Departure::default() };
        self.out.push(Purse::Work, departure, |slot| {
            slot[..5].copy_from_slice(b"hello");
            5
        });
        let slot = self.out.pop(JournalSeq::NOW).unwrap();
        self.uring.address(&slot, &self.out);
        self.uring.held.put(slot)
    }

    fn complete(&mut self, token: u64, result: i32, flags: u32) {
        let Self { uring, out, sent, .. } = self;
        let completion = Completion { user_data: token, result, flags };
        uring.on_completion(&completion, Instant(1), out, &mut |event, _| {
            if let Event::Sent { owner, sent: how, .. } = event {
                sent.push((owner, how));
            }
        });
    }

    fn reap(&mut self) {
        let Self { uring, out, sent, .. } = self;
        uring.reap(out, BURST_SIZE, &mut |event, _| {
            if let Event::Sent { owner, sent: how, .. } = event {
                sent.push((owner, how));
            }
        });
    }
}

#[test]
fn each_outcome_of_a_send_is_told_and_counted() {
    let Some(mut rig) = Rig::new() else { return };
    let peer = UdpSocket::bind("127.0.0.1:0").unwrap();
    let remote = peer.local_addr().unwrap();
    let ok = rig.hold(remote, 1);
    rig.complete(Token::Send(ok).encode(), 5, 0);
    let short = rig.hold(remote, 2);
    rig.complete(Token::Send(short).encode(), 4, 0);
    let cancelled = rig.hold(remote, 3);
    rig.complete(Token::Send(cancelled).encode(), -libc::ECANCELED, 0);
    assert_eq!(
        rig.sent,
        [
            (Owner(1), Ok(())),
            (Owner(2), Err(SendError::Other(0))),
            (Owner(3), Err(SendError::Other(libc::ECANCELED))),
        ]
    );
    for counter in [Counter::DatagramsOut, Counter::SendShort, Counter::Cancelled] {
        assert_eq!(rig.count(counter), 1, "{counter:?}");
    }
    // None of these was ever sent, and none is held any more.
    peer.set_nonblocking(true).unwrap();
    assert!(peer.recv(&mut [0; 9]).is_err());
    assert_eq!(rig.uring.held.count(), 0);
}

#[test]
fn a_send_that_met_an_error_of_another_is_done_again_once() {
    let Some(mut rig) = Rig::new() else { return };
    let peer = UdpSocket::bind("127.0.0.1:0").unwrap();
    for errno in [libc::ECONNREFUSED, libc::EMSGSIZE, libc::ENETUNREACH, libc::EPERM] {
        let slot = rig.hold(peer.local_addr().unwrap(), 1);
        rig.complete(Token::Send(slot).encode(), -errno, 0);
        assert_eq!(rig.sent, [(Owner(1), Ok(()))]);
        assert_eq!(peer.recv(&mut [0; 9]).unwrap(), 5);
        assert!(rig.uring.errors.is_suspected());
        rig.sent.clear();
    }
    assert_eq!(rig.count(Counter::SendRepeated), 4);
    assert_eq!(rig.count(Counter::SendRefused), 0);
    peer.set_nonblocking(true).unwrap();
    assert!(peer.recv(&mut [0; 9]).is_err(), "exactly once");
}

#[test]
fn a_send_that_waits_for_room_after_its_repetition_fails_for_good() {
    let Some(mut rig) = Rig::new() else { return };
    let peer = UdpSocket::bind("127.0.0.1:0").unwrap();
    let slot = rig.hold(peer.local_addr().unwrap(), 1);
    rig.uring.letters[usize::from(slot)].repeated = true;
    rig.complete(Token::Send(slot).encode(), -libc::ECONNREFUSED, 0);
    assert_eq!(rig.sent, [(Owner(1), Err(SendError::Other(libc::ECONNREFUSED)))]);
    peer.set_nonblocking(true).unwrap();
    assert!(peer.recv(&mut [0; 9]).is_err());
}

#[test]
fn completions_that_nothing_explains_are_counted_and_change_nothing() {
    let Some(mut rig) = Rig::new() else { return };
    let unknown = [
        0,
        u64::MAX,
        Token::Send(17).encode(),
        Token::Send(u16::MAX).encode(),
        Token::Receive(SocketId(1)).encode(),
        Token::Receive(SocketId(200)).encode(),
    ];
    for token in unknown {
        rig.complete(token, 5, 0);
    }
    assert_eq!(rig.count(Counter::CompletionsUnknown), unknown.len() as u64);
    // A buffer that does not exist, and a length that no buffer has.
    let receive = Token::Receive(SocketId(0)).encode();
    const BUFFER_AND_MORE: u32 = 3;
    rig.complete(receive, 200, 8 << 16 | BUFFER_AND_MORE);
    rig.complete(receive, 1 << 20, BUFFER_AND_MORE);
    assert_eq!(rig.count(Counter::CompletionsUnknown), unknown.len() as u64 + 2);
    assert_eq!(rig.sent, []);
    assert!(rig.uring.filled.is_empty());
}

#[test]
fn each_end_of_a_receive_is_counted_and_it_is_armed_again() {
    let Some(mut rig) = Rig::new() else { return };
    let local = rig.uring.locals[0].socket.local_addr().unwrap();
    let ends = [
        (libc::ENOBUFS, Counter::ReceiveNoBuffers),
        (libc::ECANCELED, Counter::Cancelled),
        (libc::EIO, Counter::ReceiveErrors),
    ];
    for (round, (errno, counter)) in (1..).zip(ends) {
        // The receive that the kernel has is cancelled first, so that there is never a second one.
        let cancel = opcode::AsyncCancel2::new(types::CancelBuilder::user_data(
            Token::Receive(SocketId(0)).encode(),
        ));
        rig.uring.push(&cancel.build().user_data(Token::Cancel.encode()));
        rig.uring.enter_and_wait(None);
        while let Some(completion) = rig.uring.ring.completion().next() {
            assert!(!cqueue::more(completion.flags()));
        }
        rig.complete(Token::Receive(SocketId(0)).encode(), -errno, 0);
        assert_eq!(rig.count(counter), 1);
        assert_eq!(rig.count(Counter::ReceiveRearmed), round);
        assert!(!rig.uring.armed[0]);
        UdpSocket::bind("127.0.0.1:0").unwrap().send_to(b"hello", local).unwrap();
        while rig.count(Counter::DatagramsIn) < round {
            rig.uring.wait(None);
            rig.reap();
        }
        assert!(rig.uring.armed[0]);
    }
}

#[test]
fn a_read_that_has_found_no_buffer_is_begun_again() {
    let Some((mut rig, address)) = Rig::with_streams() else { return };
    let mut peer = TcpStream::connect(address).unwrap();
    while rig.count(Counter::ConnectionsAccepted) == 0 {
        rig.uring.wait(Some(10_000_000));
        rig.reap();
    }
    // The read that the kernel has is cancelled first, so that there is never a second one.
    let read = Token::Read(0).encode();
    let cancel = opcode::AsyncCancel2::new(types::CancelBuilder::user_data(read));
    rig.uring.push(&cancel.build().user_data(Token::Cancel.encode()));
    let mut is_cancelled = false;
    while !is_cancelled {
        rig.uring.enter_and_wait(None);
        while let Some(completion) = rig.uring.ring.completion().next() {
            is_cancelled |= completion.user_data() == read;
        }
    }
    rig.complete(read, -libc::ENOBUFS, 0);
    assert_eq!(rig.count(Counter::ReceiveNoBuffers), 1);
    peer.write_all(b"OPTIONS sip:a@b SIP/2.0\r\nContent-Length: 0\r\n\r\n").unwrap();
    for _ in 0..300 {
        if rig.count(Counter::StreamMessagesIn) == 0 {
            rig.uring.wait(Some(10_000_000));
            rig.reap();
        }
    }
    assert_eq!(rig.count(Counter::StreamMessagesIn), 1);
}

#[test]
fn a_completion_queue_that_overflows_loses_nothing() {
    let Some(mut rig) = Rig::new() else { return };
    let count = COMPLETIONS + 500;
    for _ in 0..count {
        if rig.uring.ring.submission().is_full() {
            rig.uring.enter(false);
        }
        rig.uring.push(&opcode::Nop::new().build());
    }
    rig.uring.enter(false);
    for _ in 0..3 {
        rig.reap();
    }
    assert_eq!(rig.count(Counter::CompletionsUnknown), count as u64);
    assert!(rig.count(Counter::CompletionOverflows) > 0);
    let local = rig.uring.locals[0].socket.local_addr().unwrap();
    UdpSocket::bind("127.0.0.1:0").unwrap().send_to(b"hello", local).unwrap();
    while rig.count(Counter::DatagramsIn) == 0 {
        rig.reap();
    }
}

#[test]
fn closing_ends_every_operation() {
    let Some(mut rig) = Rig::new() else { return };
    assert_eq!(rig.uring.outstanding(), 2, "a receive and the waker");
    assert!(rig.uring.close());
    assert_eq!(rig.uring.outstanding(), 0);
}

#[test]
fn a_queue_that_connections_have_filled_takes_what_datagrams_need() {
    let Some(mut rig) = Rig::new() else { return };
    rig.uring.waker().try_clone().unwrap().wake();
    rig.uring.enter(true);
    // As many orders of connections as there is room for, none of which was submitted yet.
    while !rig.uring.ring.submission().is_full() {
        let nothing = opcode::Nop::new().build().user_data(Token::Cancel.encode());
        rig.uring.push(&nothing);
    }
    rig.reap();
    assert!(rig.uring.waker_armed);
}
