//! Connections that break where it hurts, on real sockets: each message keeps one verdict, and whoever can
//! be told is told.
#![expect(
    clippy::disallowed_types,
    reason = "tests are not the packet path, and their threads share"
)]
#![expect(clippy::cast_possible_truncation, reason = "the numbers of tests are small")]

use std::collections::BTreeMap;
use std::io::Write;
use std::net::{Shutdown, SocketAddr, TcpListener, UdpSocket};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use roger::delivery::{Account, Verdict};
use roger::metrics::Counter;

use crate::trunk::{IM, Line, SMS, account, answer, listener, message, service, until};

/// Connects from an address, and takes little before it reads.
fn slow_reader(ip: &str, to: SocketAddr) -> Line {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
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
        thread::spawn(move || {
            for _ in 0..workers {
                let mut line = Line::accept(&im);
                thread::spawn(move || {
                    while let Some(request) = line.next() {
                        line.send(&answer(&request, "200 OK"));
                    }
                });
            }
        });
        until("reports", || total.read(Counter::ReportsSent) == MESSAGES as u64);
        assert_eq!(total.read(Counter::ResponsesHandedOver) > 0, workers > 1);
        let reading = thread::spawn(move || {
            thread::park_timeout(Duration::from_millis(300));
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

/// Chance with a seed.
struct Chance(u64);

impl Chance {
    fn below(&mut self, end: u64) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % end
    }
}

/// What the IM side has seen of each message, and how often it said 200.
type Seen = Arc<Mutex<BTreeMap<usize, (usize, usize)>>>;

fn call_id(text: &str) -> usize {
    text.lines().find_map(|line| line.strip_prefix("Call-ID: ")).unwrap().trim().parse().unwrap()
}

fn reset(line: &Line) {
    socket2::SockRef::from(&line.stream).set_linger(Some(Duration::ZERO)).unwrap();
}

/// An end of the IM side that does everything but lie. Ends with its connection.
fn misbehave(mut line: Line, to: SocketAddr, seen: &Seen) {
    while let Some(request) = line.next() {
        let id = call_id(&request);
        let says_yes = !matches!(id % 12, 1..=3);
        {
            let mut seen = seen.lock().unwrap();
            let entry = seen.entry(id).or_default();
            entry.0 += 1;
            entry.1 += usize::from(says_yes);
        }
        let yes = answer(&request, "200 OK");
        let mut stream = &line.stream;
        match id % 12 {
            1 => drop(stream.write_all(answer(&request, "486 Busy Here").as_bytes())),
            // It has it, and nobody will ever know.
            2 => reset(&line),
            3 => {}
            4 => {
                for piece in yes.as_bytes().chunks(37) {
                    let _ = stream.write_all(piece);
                }
            }
            5 => {
                let _ = stream.write_all(yes.as_bytes());
                reset(&line);
            }
            6 => {
                let _ = stream.write_all(yes.as_bytes());
                let _ = stream.shutdown(Shutdown::Write);
            }
            7 => drop((&Line::from(IM, to).stream).write_all(yes.as_bytes())),
            8 => {
                let _ = stream.write_all((yes.clone() + "\r\n\r\n" + &yes).as_bytes());
            }
            9 => {
                let _ = stream.write_all((yes + "rubbish\r\n\r\n").as_bytes());
            }
            _ => drop(stream.write_all(yes.as_bytes())),
        }
        if matches!(id % 12, 2 | 5) {
            return;
        }
    }
}

fn im_side(listener: TcpListener, to: SocketAddr, seen: &Seen) {
    let seen = Arc::clone(seen);
    thread::spawn(move || {
        while let Ok((stream, _)) = listener.accept() {
            let seen = Arc::clone(&seen);
            thread::spawn(move || misbehave(Line::of(stream), to, &seen));
        }
    });
}

/// One client with one message. What it was told, where it waited for that.
fn ask(id: usize, chance: &mut Chance, own: SocketAddr, to: SocketAddr) -> Option<Vec<String>> {
    let text = message(id, own, "hello");
    let mut line = Line::from(SMS, to);
    let cut = chance.below(text.len() as u64) as usize;
    match id / 12 % 8 {
        // Whole, and in pieces; and it waits.
        0 | 1 => {
            line.send(&text[..cut]);
            thread::yield_now();
            line.send(&text[cut..]);
        }
        // Twice on one connection, and again.
        2 => line.send(&(text.clone() + &text)),
        // The same in a datagram, and on another connection.
        3 => {
            let socket = UdpSocket::bind((SMS, 0)).unwrap();
            let datagram =
                text.replace("SIP/2.0/TCP", "SIP/2.0/UDP").replace(";branch", ";rport;branch");
            let mut other = Line::from(SMS, to);
            line.send(&text);
            socket.send_to(datagram.as_bytes(), to).unwrap();
            other.send(&text);
            let mut told = listen_for(id, &mut line);
            told.extend(listen_for(id, &mut other));
            socket.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
            let mut octets = [0; 2_048];
            while let Ok(len) = socket.recv(&mut octets) {
                told.push(String::from_utf8_lossy(&octets[..len]).into_owned());
            }
            return Some(told);
        }
        // Half of it, and gone.
        4 => {
            line.send(&text[..cut]);
            return None;
        }
        // All of it, and gone, one way or the other.
        5 => {
            line.send(&text);
            if chance.below(2) == 0 {
                reset(&line);
            }
            return None;
        }
        // All of it, and rubbish.
        6 => {
            line.send(&(text + "rubbish\r\n\r\n"));
            return None;
        }
        _ => {
            line.send(&text);
            line.stream.shutdown(Shutdown::Write).unwrap();
            return None;
        }
    }
    Some(listen_for(id, &mut line))
}

/// What comes on a connection, until a little after the final response that is due.
fn listen_for(id: usize, line: &mut Line) -> Vec<String> {
    let patience = if matches!(id % 12, 2 | 3) { 50 } else { 400 };
    line.stream.set_read_timeout(Some(Duration::from_millis(patience))).unwrap();
    let mut octets = [0; 2_048];
    let mut all = String::new();
    while let Ok(len @ 1..) = std::io::Read::read(&mut line.stream, &mut octets) {
        all.push_str(std::str::from_utf8(&octets[..len]).unwrap());
        if all.ends_with("\r\n\r\n") && !all.starts_with("SIP/2.0 100") {
            line.stream.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
        }
    }
    all.split("\r\n\r\n").filter(|text| !text.is_empty()).map(str::to_owned).collect()
}

/// Reports that found their connection gone.
fn reports_elsewhere(sms: TcpListener) -> Arc<Mutex<Vec<String>>> {
    let elsewhere = Arc::new(Mutex::new(Vec::new()));
    let late = Arc::clone(&elsewhere);
    thread::spawn(move || {
        while let Ok((stream, _)) = sms.accept() {
            let late = Arc::clone(&late);
            thread::spawn(move || {
                let mut line = Line::of(stream);
                let _ = line.stream.set_read_timeout(Some(Duration::from_secs(60)));
                while let Some(report) = line.next() {
                    late.lock().unwrap().push(report);
                }
            });
        }
    });
    elsewhere
}

/// Each verdict is one that what the IM side has seen allows.
fn expect_true_verdicts(
    driver: &str,
    accounts: &[Account],
    seen: &BTreeMap<usize, (usize, usize)>,
) {
    for (id, (copies, _)) in seen {
        assert_eq!(*copies, 1, "{driver} {id}: one copy");
    }
    for account in accounts {
        let id: usize = String::from_utf8_lossy(account.sms_call_id.octets()).parse().unwrap();
        let (copies, yes) = seen.get(&id).copied().unwrap_or_default();
        assert!(account.verdict != Verdict::Delivered || yes == 1, "{driver} {id} {account:?}");
        assert!(
            copies == 1 || matches!(account.verdict, Verdict::Temporary | Verdict::Unknown),
            "{driver} {id} {account:?}"
        );
        assert!(
            account.verdict != Verdict::Temporary || copies == 0 || id % 12 == 1,
            "{account:?}"
        );
    }
}

fn chaos(driver: &str, workers: usize, seed: u64) {
    let (sms, im) = (listener(SMS), listener(IM));
    let own = sms.local_addr().unwrap();
    let more = format!("driver = \"{driver}\"\n|");
    let service = service(own, &[im.local_addr().unwrap()], workers, &more);
    let to = service.addresses()[0];
    let seen = Seen::default();
    im_side(im, to, &seen);
    let elsewhere = reports_elsewhere(sms);
    const CLIENTS: usize = 24;
    const EACH: usize = 10;
    let asking: Vec<_> = (0..CLIENTS)
        .map(|client| {
            thread::spawn(move || {
                let mut chance = Chance(seed + client as u64);
                (0..EACH)
                    .map(|number| {
                        let id = 1_000 + client * EACH + number;
                        (id, ask(id, &mut chance, own, to))
                    })
                    .collect::<Vec<_>>()
            })
        })
        .collect();
    let told: Vec<_> = asking.into_iter().flat_map(|client| client.join().unwrap()).collect();
    until("all closed", || service.open() == 0);
    let total = service.total();
    let accepted = total.read(Counter::MessagesAccepted);
    let accounts: Vec<Account> = (0..accepted).map(|_| account(&service)).collect();
    assert!(service.accounts().unwrap().is_empty(), "one account each");
    let seen = seen.lock().unwrap();
    expect_true_verdicts(driver, &accounts, &seen);
    let elsewhere = elsewhere.lock().unwrap();
    for (id, reports) in told {
        let Some(reports) = reports else { continue };
        let account =
            accounts.iter().find(|one| one.sms_call_id.octets() == id.to_string().as_bytes());
        let Some(account) = account else { panic!("{driver} {id} was not accepted: {reports:?}") };
        let reports = reports.iter().chain(elsewhere.iter().filter(|text| call_id(text) == id));
        let finals: Vec<&String> =
            reports.filter(|text| !text.starts_with("SIP/2.0 100")).collect();
        let expected = match account.verdict {
            Verdict::Delivered => "SIP/2.0 200 ",
            Verdict::Temporary if seen.contains_key(&id) => "SIP/2.0 486 ",
            Verdict::Temporary => "SIP/2.0 500 ",
            Verdict::Permanent | Verdict::Unknown | Verdict::Accepted => "never",
        };
        assert_eq!(
            finals.is_empty(),
            expected == "never",
            "{driver} {id} {:?} {finals:?}",
            account.verdict
        );
        assert!(finals.iter().all(|text| text.starts_with(expected)), "{id} {finals:?}");
        assert!(finals.iter().all(|text| call_id(text) == id), "{id} {finals:?}");
    }
    assert!(service.is_running());
    let listened = total.read(Counter::ConnectionsOpen);
    assert!(listened <= 2 * workers as u64 + 2, "{driver}: {listened} are left");
    service.stop();
}

#[test]
fn ends_that_do_everything_but_lie() {
    for (driver, workers) in [("io_uring", 1), ("mmsg", 1), ("io_uring", 3), ("mmsg", 2)] {
        chaos(driver, workers, 4_711);
    }
}
