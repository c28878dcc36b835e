//! Connections that break where it hurts, on real sockets: each message keeps one verdict, and whoever can
//! be told is told.

use std::net::SocketAddr;
use std::time::Duration;

use roger::metrics::Counter;

use crate::trunk::{IM, Line, SMS, answer, listener, message, service, until};

/// Connects from an address, and takes little before it reads.
fn slow_reader(ip: &str, to: SocketAddr) -> Line {
    let socket =
        socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.set_recv_buffer_size(65_536).unwrap();
    socket.bind(&SocketAddr::new(ip.parse().unwrap(), 0).into()).unwrap();
    socket.connect(&to.into()).unwrap();
    Line::of(socket.into())
}

/// An OPTIONS request whose answer is long.
fn options(number: usize, sent_by: SocketAddr) -> String {
    let id = "x".repeat(800);
    message(number, sent_by, "")
        .replace("MESSAGE", "OPTIONS")
        .replace("Content-Type: text/plain\r\n", "")
        .replacen("Call-ID: ", &format!("Call-ID: {id}"), 1)
}

/// Octets that the kernel holds between two ends on this machine, written by the one and not read by the
/// other.
fn under_way(from: SocketAddr, to: SocketAddr) -> u64 {
    let hex = |at: SocketAddr| match at {
        SocketAddr::V4(at) => {
            format!("{:08X}:{:04X}", u32::from_ne_bytes(at.ip().octets()), at.port())
        }
        SocketAddr::V6(_) => unreachable!(),
    };
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
    let queue = |local: String, remote: String, which: usize| {
        let line = table.lines().find(|line| line.contains(&format!("{local} {remote}"))).unwrap();
        let queues = line.split_whitespace().nth(4).unwrap().split(':').nth(which).unwrap();
        u64::from_str_radix(queues, 16).unwrap()
    };
    // What was not acknowledged may be there already; it is counted once by where reading stands.
    queue(hex(from), hex(to), 0).max(queue(hex(to), hex(from), 1))
}

#[test]
fn what_waits_for_a_slow_reader_is_written_before_the_process_ends() {
    for workers in [1, 2] {
        let (sms, im) = (listener(SMS), listener(IM));
        let own = sms.local_addr().unwrap();
        let service = service(own, &[im.local_addr().unwrap()], workers, "");
        let to = service.addresses()[0];
        let total = service.total();
        let mut trunk = slow_reader(SMS, to);
        let local = trunk.stream.local_addr().unwrap();
        trunk.send(&options(10_000, own));
        let len = trunk.message().len() as u64;
        // Until the kernel takes no more, so that answers wait here.
        let mut asked = 0;
        let waiting = |asked: u64| {
            until("answers", || total.read(Counter::StreamMessagesOut) == asked + 1);
            (asked * len).saturating_sub(under_way(to, local))
        };
        while waiting(asked) < 40_000 {
            for _ in 0..20 {
                trunk.send(&options(10_001 + asked as usize, own));
                asked += 1;
            }
        }
        const MESSAGES: usize = 16;
        for number in 0..MESSAGES {
            trunk.send(&message(number, own, "hello"));
        }
        std::thread::spawn(move || {
            for _ in 0..workers {
                let mut line = Line::accept(&im);
                std::thread::spawn(move || {
                    while let Some(request) = line.next() {
                        line.send(&answer(&request, "200 OK"));
                    }
                });
            }
        });
        until("reports", || total.read(Counter::ReportsSent) == MESSAGES as u64);
        assert_eq!(total.read(Counter::ResponsesHandedOver) > 0, workers > 1);
        let reading = std::thread::spawn(move || {
            std::thread::park_timeout(Duration::from_millis(300));
            let mut reports = 0;
            while let Some(response) = trunk.next() {
                reports += usize::from(response.contains("CSeq: 1 MESSAGE"));
            }
            reports
        });
        service.stop();
        assert_eq!(reading.join().unwrap(), MESSAGES, "{workers} workers");
    }
}
